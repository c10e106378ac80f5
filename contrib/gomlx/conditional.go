package ahgomlx

import (
	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/support/exceptions"
)

// either returns what make returns if due is true, and otherwise if not. If the backend
// has conditionals, what make adds to the graph is executed only if due is true.
func either(due *Node, make func() []*Node, otherwise []*Node) []*Node {
	g := due.Graph()
	first := NodeId(len(g.Nodes()))
	made := make()
	if c := g.Backend().Capabilities(); c.Functions && c.Operations[compute.OpTypeIf] {
		var chosen []*Node
		// If an operation cannot be repeated in a closure, for example a loop, the
		// choice below remains.
		if exceptions.TryCatch[error](func() { chosen = branch(due, first, made, otherwise) }) == nil {
			return chosen
		}
	}
	chosen := append([]*Node(nil), made...)
	for i := range chosen {
		chosen[i] = Where(due, made[i], otherwise[i])
	}
	return chosen
}

// branch implements either by If. The nodes from number first on that lead to made are
// made again in a closure. Those outside are then unused, and so not compiled.
//
// There are two reasons not to make them in the closure only. GoMLX keeps scalar
// constants for the whole graph, and one that a closure makes first cannot be used
// outside. And the Go backend compiles a closure before it lets binary operations read
// the argument of a broadcast instead of its result, so the result that the closure needs
// is not computed. Broadcasts are therefore hidden from the backend.
func branch(due *Node, first NodeId, made, otherwise []*Node) []*Node {
	g := due.Graph()
	needed := map[*Node]bool{}
	outer := map[*Node]*Node{}
	held := append([]*Node(nil), otherwise...)
	shrinking := map[*Node]bool{}
	var visit func(x *Node)
	visit = func(x *Node) {
		switch {
		case needed[x] || outer[x] != nil:
		case x.Id() < first || x.Type() == NodeTypeConstant:
			outer[x] = x
			if shrinks(x, shrinking) {
				outer[x] = Identity(x)
			}
			held = append(held, outer[x])
		default:
			needed[x] = true
			for _, input := range x.Inputs() {
				visit(input)
			}
		}
	}
	for _, x := range made {
		visit(x)
	}
	last := NodeId(len(g.Nodes()))
	yes := NewClosure(g, func(g *Graph) []*Node {
		inner := map[*Node]*Node{}
		of := func(x *Node) *Node {
			if needed[x] {
				return inner[x]
			}
			return outer[x]
		}
		for _, x := range g.Nodes()[first:last] { // in the order of dependence
			if !needed[x] {
				continue
			}
			inputs := make([]*Node, len(x.Inputs()))
			for i, input := range x.Inputs() {
				inputs[i] = of(input)
			}
			inner[x] = x.CloneWithInputs(inputs...)
			if x.Type() == NodeTypeBroadcastInDim {
				inner[x] = Identity(inner[x])
			}
		}
		outputs := make([]*Node, len(made))
		for i, x := range made {
			outputs[i] = of(x)
		}
		return outputs
	})
	no := NewClosure(g, func(*Graph) []*Node { return append([]*Node(nil), otherwise...) })
	chosen := If(due, yes, no)
	if g.Backend().Capabilities().Operations[compute.OpTypeSchedulingBarrier] {
		// If a closure is the last to use a value, the Go backend hands the value over
		// to it, and then frees it anyway. So use it once more.
		chosen[0] = SchedulingBarrier(chosen[0], held...)
	}
	return chosen
}

// shrinks reports whether the Go backend may compute x in a smaller shape and broadcast
// it afterwards, which a closure that uses x would not see. It may if every input of x is
// a broadcast, shrinks too, or is smaller.
func shrinks(x *Node, known map[*Node]bool) (yes bool) {
	if yes, ok := known[x]; ok {
		return yes
	}
	defer func() { known[x] = yes }()
	if x.NumOutputs() != 1 {
		return false
	}
	for _, input := range x.Inputs() {
		switch {
		case input.NumOutputs() != 1:
			return false
		case input.Type() == NodeTypeBroadcastInDim || shrinks(input, known):
			yes = true
		case input.Shape().EqualDimensions(x.Shape()):
			return false
		}
	}
	return yes
}
