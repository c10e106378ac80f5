package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/adahessian-go/adahessian/examples/charlm/lm"
)

// onTransformer writes the part of the text about the Transformer, whose report is r.
func (r *report) onTransformer() error {
	r.printf("## 8. A Transformer, and curvature at a fraction of its cost\n\n" +
		"The product of the whole batch in every step more than doubles the cost of a step. A product over the first quarter of the batch is an unbiased but noisier\n" +
		"estimate, and a product in every fifth or tenth step is older. Is the loss as low with them? And how do AdaHessian and AdamW then compare for equal time?\n\n")
	r.howOnTransformer()
	for _, t := range r.Transformers {
		for _, length := range lengths {
			r.compared(t, length)
		}
	}
	r.printf("In the row %s, \"minus AdamW's\" is relative to AdamW with β1 %g. `adahessian.NetworkHyper` is used as it is: its learning rate was not searched.\n\n", adaTuned, shortBeta1)
	if err := r.transformerPicture(); err != nil {
		return err
	}
	for _, t := range r.Transformers {
		for _, length := range lengths {
			r.judgeTransformer(t, length)
		}
	}
	r.boundsOnTransformer(r.Transformers[0])
	if err := r.robustnessOnTransformer(r.Transformers[0]); err != nil {
		return err
	}
	r.tuningOnTransformer()
	return nil
}

// howOnTransformer says what is different from the other parts.
func (r *report) howOnTransformer() {
	rows := [][]string{{"", "parameters", "channels", "heads", "blocks", "batch", "steps, short and long"}}
	for _, t := range r.Transformers {
		t.Shape.Vocab = len(r.corpus.Alphabet)
		rows = append(rows, []string{t.Name, fmt.Sprint(lm.NewTransformer[float32](t.Shape, 1).Size()), fmt.Sprint(t.Shape.Width), fmt.Sprint(t.Shape.Heads),
			fmt.Sprint(t.Shape.Layers), fmt.Sprintf("%d × %d characters", t.Shape.Batch, t.Shape.Positions),
			fmt.Sprintf("%g and %g", lengths[0]*float64(t.Steps), lengths[1]*float64(t.Steps))})
	}
	table(&r.body, rows)
	done, diverged, missing := r.counts()
	if missing > 0 || !r.plan.complete {
		r.printf("**Not complete: %d runs of this part are finished.**\n\n", done)
	}
	var prices []string
	for _, c := range curvatures {
		prices = append(prices, fmt.Sprintf("%g", c.price))
	}
	r.printf(`The rules are those above, with these exceptions:

- **Choices.** For each way to take the product, AdaHessian has three settings: MaxUpdate none, 1 and 0.3. AdamW has three: β2 0.999, 0.99 and 0.95. Each setting gets %d
  learning rates, and more beyond the end where the best one is, up to %d. If the best two are neighbours within %g %%, the rate between them is tried too. The tuning part chooses the setting and the rate, by the loss of %s.%s
  SGD has momentum 0.9 and no other setting. The last two rows use what a search on the tuning part found to help runs as short as these: a β1 of %g, which helps both optimizers. AdamW gets it with each β2.
  AdaHessian has a product of a quarter of the batch in every 5th step, a MaxUpdate of 0.3, curvature averaged over rows of weights and over the whole of a bias or gain, and (β1, β2) of %s.
- **Curvature** is otherwise kept for each element.
- **Equal time.** AdaHessian makes as many steps as AdamW divided by %s, in the order of the table, with a schedule of that length and the learning rate searched again.
  These factors were fixed before the runs, from the benchmark `+"`Cost`"+` of charlm/lm. The time of a step in the tables is measured in turns as above%s.
- **Divergence.** %d of %d runs diverged.
- **Spread:** %d seeds for all.

`, r.VariantTries, r.MaxTries, 100*margin, r.searchText(), r.carryText(), shortBeta1, tunedText(), list(prices), onText(r.on), diverged, done, len(r.Seeds))
}

// searchText says how many seeds the tuning part uses to choose.
func (r *report) searchText() string {
	var all []string
	for _, t := range r.Transformers {
		all = append(all, plural(len(t.SearchSeeds), "seed")+" on the "+t.Name+" model")
	}
	return list(all)
}

// carryText says where settings are not chosen again.
func (r *report) carryText() string {
	text := ""
	for _, t := range r.Transformers {
		if t.Carry {
			text += " The long runs on the " + t.Name + " model keep the settings that the short runs chose, and only their learning rates are searched."
		}
	}
	return text
}

func onText(on string) string {
	if on == "" {
		return ", which has not been done yet"
	}
	return ", on: " + on
}

func tunedText() string {
	var all []string
	for _, o := range others {
		all = append(all, fmt.Sprintf("(%g, %g)", o.Beta1, o.Beta2))
	}
	return list(all)
}

// ofFamily returns what is known about the variant that was chosen from a family,
// and about the same variant in as much time as AdamW takes.
func (r *report) ofFamily(t transformer, length float64, f family) (equalSteps, equalTime measured) {
	v, ok := r.plan.chosen[familyKey{t.Name, length, f.name}]
	if !ok {
		return measured{}, measured{}
	}
	if f.price != 0 {
		short := t.lasting(v, length, f.price)
		short.Between = false
		equalTime = r.of(short)
	}
	return r.of(v), equalTime
}

// settingText says which of a family's settings a variant has.
func settingText(m measured) string {
	if !m.chosen {
		return missing
	}
	var parts []string
	if m.Optimizer == adaHessian && m.MaxUpdate == 0 {
		parts = append(parts, "no bound")
	} else if m.Optimizer == adaHessian {
		parts = append(parts, fmt.Sprintf("MaxUpdate %g", m.MaxUpdate))
	}
	if m.Optimizer == adamW || m.Block == blockRows {
		parts = append(parts, fmt.Sprintf("β %g, %g", m.Beta1, m.Beta2))
	}
	if len(parts) == 0 {
		return missing
	}
	return strings.Join(parts, ", ")
}

// against returns the family with which a family is compared.
func against(f family) string {
	if f.name == adaTuned {
		return adamW8
	}
	return adamW
}

// title names a comparison.
func title(t transformer, length float64) string {
	return fmt.Sprintf("%s, %g steps", t.Name, float64(t.Steps)*length)
}

// compared writes the table of one size and length.
func (r *report) compared(t transformer, length float64) {
	rows := [][]string{{title(t, length), "chosen", "learning rate", "final loss", "minus AdamW's", "time of a step", "relative to AdamW",
		"steps in AdamW's time", "learning rate", "final loss", "minus AdamW's"}}
	known := map[string]measured{}
	for _, f := range r.families(t, length) {
		m, short := r.ofFamily(t, length, f)
		known[f.name] = m
		base := known[against(f)]
		less := missing
		if f.name != adamW && m.chosen {
			less = minus(m, base).String()
		}
		row := []string{f.name, settingText(m), m.rateText(), m.String(), less, missing, missing, missing, missing, missing, missing}
		if m.chosen {
			row[5], row[6] = milliseconds(r.stepMedian(m.variant)), ratioText(r.ratiosTo(m.variant, base.variant))
		}
		if short.chosen {
			row[7], row[8], row[9], row[10] = fmt.Sprint(r.steps(short.variant)), short.rateText(), short.String(), minus(short, base).String()
		}
		rows = append(rows, row)
	}
	table(&r.body, rows)
}

// cheapest returns the family of the cheap products whose loss on the tuning
// part is lowest.
func (r *report) cheapest(t transformer, length float64) (best family) {
	loss := math.Inf(1)
	for _, f := range r.families(t, length) {
		for _, c := range curvatures {
			v, ok := r.plan.chosen[familyKey{t.Name, length, f.name}]
			if !ok || !c.cheap() || f.name != c.String() {
				continue
			}
			if l := r.tuned(v); l < loss {
				best, loss = f, l
			}
		}
	}
	return best
}

// judgeTransformer judges the claims of one size and length.
func (r *report) judgeTransformer(t transformer, length float64) {
	named := map[string]family{}
	for _, f := range r.families(t, length) {
		named[f.name] = f
	}
	steps := func(name string) measured { m, _ := r.ofFamily(t, length, named[name]); return m }
	cheapFamily := r.cheapest(t, length)
	cheap, cheapShort := r.ofFamily(t, length, cheapFamily)
	adam, where := steps(adamW), title(t, length)
	if cheapFamily.name != "" {
		r.printf("Of the cheap products in runs of %g steps on the %s Transformer, the tuning part chooses: %s.\n\n", float64(t.Steps)*length, t.Name, cheapFamily.name)
	}
	claim := func(who, what string) string { return fmt.Sprintf("Transformer, %s: %s (%s)", who, what, where) }
	const all, product, tuned = "product of the whole batch in every step", "cheap product", "tuned"
	whole, wholeShort := r.ofFamily(t, length, named[curvatures[0].String()])
	r.judge(lowerLoss(claim(all, "AdaHessian ends lower than AdamW for equal steps"), whole, adam, adaHessian, adamW))
	r.judge(r.noWorseInTime(claim(all, "AdaHessian ends no higher than AdamW for equal time"), wholeShort, adam))
	r.judge(lowerLoss(claim(product, "AdaHessian ends lower than AdamW for equal steps"), cheap, adam, adaHessian, adamW))
	r.judge(r.noWorseInTime(claim(product, "AdaHessian ends no higher than AdamW for equal time"), cheapShort, adam))
	r.judge(lowerLoss(claim(product, "AdaHessian ends lower than SGD for equal steps"), cheap, steps(sgd), adaHessian, sgd))
	r.judge(noWorse(claim(product, "no higher than with the whole batch in every step"), []measured{cheap}, whole, r.shortName))
	r.printf("The reason in numbers: for equal steps the product of the whole batch in every step changes AdamW's loss by %v, the cheap product changes that by %v,\n"+
		"and having only as many steps as fit into AdamW's time changes it by %v.\n\n", minus(whole, adam), minus(cheap, whole), minus(cheapShort, cheap))
	best, bestShort := r.ofFamily(t, length, named[adaTuned])
	r.judge(lowerLoss(claim(tuned, "AdaHessian ends lower than AdamW for equal steps"), best, steps(adamW8), adaHessian, adamW8))
	r.judge(r.noWorseInTime(claim(tuned, "AdaHessian ends no higher than AdamW for equal time"), bestShort, steps(adamW8)))
}

// shortName names a variant in a verdict.
func (r *report) shortName(v variant) string {
	if v.Optimizer != adaHessian {
		return v.Optimizer
	}
	return "AdaHessian, " + curvature{v.Each, v.Part, 0}.String()
}

// noWorseInTime judges the claim that a run of AdaHessian that is shortened to
// the time of another ends no higher.
func (r *report) noWorseInTime(claim string, ada, other measured) verdict {
	v := noWorse(claim, []measured{ada}, other, r.shortName)
	a, b := r.runSeconds(ada.variant), r.runSeconds(other.variant)
	if v.answer == notMeasured || math.IsNaN(a) || math.IsNaN(b) {
		return verdict{claim, notMeasured, "runs or times are missing."}
	}
	v.reason += fmt.Sprintf(" The runs take %.2f s and %.2f s.", a, b)
	return v
}

// boundsOnTransformer shows what MaxUpdate does, with each way to take the product.
func (r *report) boundsOnTransformer(t transformer) {
	r.printf("### The bound\n\nThe final loss of each MaxUpdate at its own best learning rate, on the %s model. The tuning part chose from these. Settings that it did not choose\n"+
		"have %s, except those for %s, which have all.\n\n", t.Name, plural(len(t.SearchSeeds), "seed"), curvatures[2])
	for _, length := range lengths {
		rows := [][]string{{fmt.Sprintf("%g steps", float64(t.Steps)*length)}}
		for _, x := range bounds {
			rows[0] = append(rows[0], "learning rate", boundText(x))
		}
		for _, f := range r.families(t, length) {
			if f.optimizer != adaHessian || f.name == adaTuned || f.rung != nil {
				continue
			}
			row := []string{f.name}
			for _, v := range f.all {
				m := r.of(v)
				row = append(row, m.rateText(), m.String())
			}
			rows = append(rows, row)
		}
		table(&r.body, rows)
	}
}

func boundText(x float64) string {
	if x == 0 {
		return "no bound"
	}
	return fmt.Sprintf("MaxUpdate %g", x)
}

// tuningOnTransformer shows how the settings and learning rates were chosen.
func (r *report) tuningOnTransformer() {
	r.printf("### Tuning on the Transformer\n\nAs in [Tuning](#tuning), with %s. The variant with the lowest loss in a family was chosen, and the rate for equal time was searched with its setting.\n\n",
		r.searchText())
	var all []variant
	for _, t := range r.Transformers {
		for _, length := range lengths {
			rows := [][]string{{title(t, length), "rates tried", "loss on the tuning part", "chosen"}}
			for _, f := range r.familiesOf(t, length, r.plan) {
				some := f.all
				for _, v := range f.all {
					if v.Between = true; r.plan.tried[v] != nil {
						some = append(some[:len(some):len(some)], v)
					}
				}
				if v, ok := r.plan.chosen[familyKey{t.Name, length, f.name}]; ok && f.price != 0 {
					short := t.lasting(v, length, f.price)
					short.Between = false
					some = append(some[:len(some):len(some)], short)
				}
				for _, v := range some {
					rows = append(rows, r.tuningRow("`"+r.variantKey(v)[len(t.Name)+1:]+"`", v))
				}
				all = append(all, some...)
			}
			table(&r.body, rows)
		}
	}
	r.edges(all)
}
