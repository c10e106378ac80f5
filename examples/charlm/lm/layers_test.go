package lm

// Models of one layer each, to test what the layer computes. Its input is a parameter,
// and the loss is a weighted sum of squares of its output.

// inputLayer is a signal that is a parameter.
type inputLayer struct {
	*batch
	out   *signal[float64]
	value *Parameter[float64]
}

func (l *inputLayer) forward()     { copy(l.out.x.data, l.value.value) }
func (l *inputLayer) backward()    { copy(l.value.grad, l.out.d.data) }
func (l *inputLayer) rForward(int) { copy(l.out.rx.data, l.value.z) }
func (l *inputLayer) rBackward(n int) {
	clear(l.value.hz)
	copy(l.value.hz, l.out.rd.top(n*l.Positions).data)
}

// squares is the loss ½ Σ w x² of each row, with weights w that differ from
// element to element.
type squares struct {
	*batch
	in *signal[float64]
}

func (l *squares) weight(i int) float64 { return float64(i%7+1) / float64(l.rows()) }

func (l *squares) mean() float64 {
	sum := 0.0
	for i, x := range l.in.x.data {
		sum += 0.5 * l.weight(i) * x * x
	}
	return sum
}

func (l *squares) forward() {}

func (l *squares) backward() {
	for i, x := range l.in.x.data {
		l.in.d.data[i] = l.weight(i) * x
	}
}

func (l *squares) rForward(int) {}

func (l *squares) rBackward(n int) {
	for i, rx := range l.in.rx.top(n * l.Positions).data {
		l.in.rd.data[i] = l.weight(i) * rx
	}
}

// oneLayer returns a model of the layers that build makes between two signals. Its
// parameters are the input and then the given ones.
func oneLayer(in, out int, params []*Parameter[float64], build func(b *batch, in, out *signal[float64]) []layer) *Model[float64] {
	b := newBatch(2, 4, 1, 1)
	x, y := newSignal[float64](b.rows(), in), newSignal[float64](b.rows(), out)
	value := newParameter[float64]("input", b.rows(), in)
	layers := append([]layer{&inputLayer{b, x, value}}, build(b, x, y)...)
	params = append([]*Parameter[float64]{value}, params...)
	deviations := make([]float64, len(params))
	for i := range deviations {
		deviations[i] = 1
	}
	draw(params, 7, deviations)
	return newModel(b, params, layers, &squares{batch: b, in: y})
}

// layerModels returns a model of each layer alone.
func layerModels() map[string]*Model[float64] {
	models := map[string]*Model[float64]{}

	weight := newParameter[float64]("weight", 3, 5)
	models["linear"] = oneLayer(5, 3, []*Parameter[float64]{weight}, func(b *batch, in, out *signal[float64]) []layer {
		return []layer{&linear[float64]{batch: b, in: in, out: out, weight: weight}}
	})
	bias := newParameter[float64]("bias", 5)
	models["tanh"] = oneLayer(5, 5, []*Parameter[float64]{bias}, func(b *batch, in, out *signal[float64]) []layer {
		l, preact := newTanhLayer(b, out, bias)
		*in = *preact
		return []layer{l}
	})
	models["gelu"] = oneLayer(5, 5, nil, func(b *batch, in, out *signal[float64]) []layer {
		return []layer{newGELU(b, in, out)}
	})
	gain, shift := newParameter[float64]("gain", 5), newParameter[float64]("bias", 5)
	models["layer norm"] = oneLayer(5, 5, []*Parameter[float64]{gain, shift}, func(b *batch, in, out *signal[float64]) []layer {
		return []layer{newLayerNorm(b, in, out, nil, gain, shift)}
	})
	models["attention"] = oneLayer(3*6, 6, nil, func(b *batch, in, out *signal[float64]) []layer {
		return []layer{newAttention(b, in, out, 2)}
	})
	// A branch with its norm, its products, and the stream that bypasses it. The loss
	// sees the stream after the branch, which has another signal than the stream before
	// it.
	t := &builder[float64]{}
	models["branch"] = oneLayer(5, 5, nil, func(b *batch, in, out *signal[float64]) []layer {
		t.batch, t.stream = b, in
		t.branch("", 4, 4, 1, func(in, out *signal[float64]) layer { return newGELU(b, in, out) })
		*out = *t.stream
		return t.layers
	})
	models["branch"] = withParameters(models["branch"], t.params)

	table, places := newParameter[float64]("table", tiny.Vocab, 3), newParameter[float64]("places", 4, 3)
	b := newBatch(2, 4, 1, 1)
	y := newSignal[float64](b.rows(), 3)
	params := []*Parameter[float64]{table, places}
	draw(params, 8, []float64{1, 1})
	models["embedding"] = newModel(b, params, []layer{newEmbedding(b, y, table, places)}, &squares{batch: b, in: y})

	logits := newParameter[float64]("logits", b.rows(), tiny.Vocab)
	outBias := newParameter[float64]("bias", tiny.Vocab)
	y = newSignal[float64](b.rows(), tiny.Vocab)
	params = []*Parameter[float64]{logits, outBias}
	draw(params, 9, []float64{1, 1})
	models["softmax"] = newModel(b, params, []layer{&inputLayer{b, y, logits}}, newSoftmaxLoss(b, y, outBias))
	return models
}

// withParameters returns m with more parameters, which have normal values.
func withParameters(m *Model[float64], params []*Parameter[float64]) *Model[float64] {
	deviations := make([]float64, len(params))
	for i := range deviations {
		deviations[i] = 1
	}
	draw(params, 10, deviations)
	return newModel(m.batch, append(m.params, params...), m.layers[:len(m.layers)-1], m.loss)
}
