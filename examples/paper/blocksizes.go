package main

import (
	"fmt"

	"github.com/adahessian-go/adahessian/examples/charlm/lm"
	"github.com/adahessian-go/adahessian/examples/internal/chart"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

var tensorNames = [lm.Tensors]string{
	lm.Embedding: "the embedding", lm.ConvWeight: "the weights of the convolution", lm.ConvBias: "the bias of the convolution",
	lm.OutWeight: "the weights of the output", lm.OutBias: "the bias of the output",
}

var blockNames = map[string]string{
	blockOne: "1", blockKernel: "the kernel axis", block8: "8", block32: "32", blockWhole: "the whole tensor",
}

// blocks shows the loss and the memory of the state for each block size.
func (r *report) blocks() error {
	size := r.Sizes[0].Name
	r.printf("## 3. Block size\n\nThe paper's claims: averaging the curvature over blocks is better than taking it per element, and the result is robust to the size of the block.\n\n")
	base := r.of(r.defaultVariant(size, adaHessian))
	all := r.ofAll(r.blockVariants(size))
	head := []string{"block, " + size + " model", "learning rate", "final loss", "minus that of the kernel axis"}
	for _, z := range r.Sizes {
		head = append(head, "state, "+z.Name, "of AdamW's")
	}
	rows := [][]string{head}
	for _, m := range all {
		row := []string{blockNames[m.Block], m.rateText(), m.String(), lessBase(m, base)}
		for _, z := range r.Sizes {
			v := m.variant
			v.Size = z.Name
			state, moments, err := r.stateBytes(v)
			if err != nil {
				return err
			}
			row = append(row, bytesText(state), number(100*float64(state)/float64(moments), 1)+" %")
		}
		rows = append(rows, row)
	}
	table(&r.body, rows)
	r.printf("The state is the optimizer's two moments, in float32. AdamW keeps two values for each parameter. With blocks of 8 and 32 elements, %s\n"+
		"\"The kernel axis\" averages only over the kernel of the convolution, as in examples/charlm; other tensors keep a value for each element.\n\n", r.undivided())
	p := newPlot("Loss by block size, "+size+" model", "block", lossLabel)
	memory := newPlot("Memory of the state", "block", "KiB, "+size+" model")
	var names []string
	var losses []spreadPoint
	var bytes plotter.Values
	for i, m := range all {
		names = append(names, m.Block)
		if len(m.finals) > 0 {
			mean, deviation := meanAndDeviation(m.losses())
			losses = append(losses, spreadPoint{float64(i), mean, deviation})
		}
		state, _, err := r.stateBytes(m.variant)
		if err != nil {
			return err
		}
		bytes = append(bytes, float64(state)/1024)
	}
	if err := addErrorBars(p, "", chart.Colors[0], false, losses); err != nil {
		return err
	}
	bars, err := plotter.NewBarChart(bytes, vg.Points(36))
	if err != nil {
		return err
	}
	bars.Color, bars.LineStyle.Width = chart.Colors[0], 0
	memory.Add(bars)
	categories(p, names)
	categories(memory, names)
	memory.Y.Max *= 1.1
	if err := r.writePicture("blocks.png", "Validation loss and memory by block size", [][]*plot.Plot{{p, memory}}); err != nil {
		return err
	}
	one := r.defaultVariant(size, adaHessian)
	one.Block = blockOne
	r.judge(lowerLoss("Curvature averaged over the kernel gives a lower loss than curvature per element", base, r.of(one), "the kernel axis", "block 1"))
	r.judge(noWorse("The loss is no worse at other block sizes", all, base, func(v variant) string { return "block " + v.Block }))
	return nil
}

// lessBase writes the difference from a base, and nothing for the base itself.
func lessBase(m, base measured) string {
	if m.variant == base.variant {
		return missing
	}
	return minus(m, base).String()
}

// stateBytes returns the memory of the moments of AdaHessian, and of AdamW.
func (r *report) stateBytes(v variant) (state, adam int, err error) {
	m, stepper, err := r.newStepper(v, 1)
	if err != nil {
		return 0, 0, err
	}
	const float32Bytes = 4
	o := stepper.(*lm.AdaHessian[float32]).Optimizer
	for i := range m.Values {
		first, second := o.State(i)
		state += (len(first) + len(second)) * float32Bytes
		adam += 2 * len(m.Values[i]) * float32Bytes
	}
	return state, adam, nil
}

// undivided says which tensors blocks of 8 and 32 do not divide.
func (r *report) undivided() string {
	shape := r.shape(r.defaultVariant(r.Sizes[0].Name, adaHessian))
	shape.Vocab = len(r.corpus.Alphabet)
	var others []string
	for _, run := range []int{8, 32} {
		for i, n := range shape.Lengths() {
			if longest := longestRun(n, run); longest < run {
				others = append(others, fmt.Sprintf("%d for %d in %s (%d elements)", longest, run, tensorNames[i], n))
			}
		}
	}
	if len(others) == 0 {
		return "every tensor is cut into whole blocks."
	}
	return "a tensor that they do not divide takes the longest\nshorter block that does, since adahessian.Flat refuses the others: " + list(others) + "."
}
