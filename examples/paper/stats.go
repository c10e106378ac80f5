package main

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// median returns the median of a list that is not empty.
func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	n := len(x)
	return (x[(n-1)/2] + x[n/2]) / 2
}

// meanAndDeviation returns the mean and the standard deviation of a sample;
// the deviation of fewer than two values is NaN.
func meanAndDeviation(x []float64) (mean, deviation float64) {
	if len(x) < 2 {
		return stat.Mean(x, nil), math.NaN()
	}
	return stat.MeanStdDev(x, nil)
}

// difference is the mean difference of two samples and half the width of its
// 95 % confidence interval. The samples are paired: runs with the same seed start at
// the same weights and see the same batches, which removes their share of the spread.
type difference struct {
	mean, half float64
	n          int // pairs
}

// subtract returns the difference a − b over the seeds that both have.
func subtract(a, b map[uint64]float64) difference {
	var d []float64
	for seed, x := range a {
		if y, ok := b[seed]; ok {
			d = append(d, x-y)
		}
	}
	slices.Sort(d) // a sum must not depend on the order of a map
	if len(d) == 0 {
		return difference{math.NaN(), math.NaN(), 0}
	}
	mean, deviation := meanAndDeviation(d)
	n := float64(len(d))
	half := math.NaN()
	if len(d) > 1 {
		half = distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 1}.Quantile(0.975) * deviation / math.Sqrt(n)
	}
	return difference{mean, half, len(d)}
}

// sign says which way a difference goes, if it exceeds its spread.
type sign int

const (
	lower     sign = -1
	undecided sign = 0
	higher    sign = 1
)

// sign is undecided if the confidence interval contains 0 or there is none.
func (d difference) sign() sign {
	switch {
	case d.mean+d.half < 0:
		return lower
	case d.mean-d.half > 0:
		return higher
	}
	return undecided
}
