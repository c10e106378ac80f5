package main

import (
	"math"

	"github.com/adahessian-go/adahessian/examples/digits"
)

// reader is a softmax regression, logits = W x + b. Its weights are one vector, the
// rows of W and then b, padded with zeros to whole blocks, the same number for each of
// 2 or 4 ranks.
const (
	used   = digits.Classes * (digits.Pixels + 1)
	block  = 4                     // elements that share a curvature
	parts  = 4                     // of a batch; a rank computes one at a time
	length = (used + 15) / 16 * 16 // a multiple of block·parts
)

// sums adds to g and hz the gradient of the images' summed loss and the product of its
// Hessian with z, and returns that loss.
func sums(theta, z, g, hz []float64, s digits.Set[float64]) (loss float64) {
	const bias = digits.Classes * digits.Pixels
	var p, along [digits.Classes]float64
	for i, y := range s.Y {
		x := s.X[i*digits.Pixels:][:digits.Pixels]
		total, largest := 0.0, math.Inf(-1)
		for j := range p {
			p[j], along[j] = theta[bias+j], z[bias+j]
			for k, x := range x {
				p[j] += theta[j*digits.Pixels+k] * x
				along[j] += z[j*digits.Pixels+k] * x
			}
			largest = max(largest, p[j])
		}
		loss += largest - p[y]
		for j := range p {
			p[j] = math.Exp(p[j] - largest)
			total += p[j]
		}
		loss += math.Log(total)
		mean := 0.0
		for j := range p {
			p[j] /= total
			mean += p[j] * along[j]
		}
		for j := range p {
			d, r := p[j], p[j]*(along[j]-mean) // dL/dlogit, and its derivative along z
			if j == y {
				d--
			}
			g[bias+j] += d
			hz[bias+j] += r
			for k, x := range x {
				g[j*digits.Pixels+k] += d * x
				hz[j*digits.Pixels+k] += r * x
			}
		}
	}
	return loss
}
