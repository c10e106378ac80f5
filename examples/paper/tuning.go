package main

import "fmt"

// tuning shows how the learning rates were chosen.
func (r *report) tuning() error {
	r.printf("## Tuning\n\nThe mean final loss on the tuning part at each learning rate that was tried; the lowest was chosen. \"diverged\" means that one of its runs diverged.\n\n")
	var all []variant
	for _, z := range r.Sizes {
		rows := [][]string{{z.Name + " model", "rates tried", "loss on the tuning part", "chosen"}}
		for _, o := range optimizers {
			rows = append(rows, r.tuningRow(o, r.defaultVariant(z.Name, o)))
			all = append(all, r.defaultVariant(z.Name, o))
		}
		for _, v := range r.variants(z.Name) {
			if !v.Differences {
				rows = append(rows, r.tuningRow("`"+r.variantKey(v)[len(z.Name)+1:]+"`", v))
			}
		}
		table(&r.body, rows)
		all = append(all, r.variants(z.Name)...)
	}
	r.edges(all)
	return nil
}

func (r *report) tuningRow(name string, v variant) []string {
	rates, losses := "", ""
	for i, rung := range r.plan.tried[v] {
		if i > 0 {
			rates, losses = rates+", ", losses+", "
		}
		rates += fmt.Sprintf("%g", v.rate(rung))
		losses += r.tuningLoss(v, rung)
	}
	if rates == "" {
		return []string{name, missing, missing, missing}
	}
	return []string{name, rates, losses, fmt.Sprintf("%g", v.rate(r.plan.best[v]))}
}

func (r *report) tuningLoss(v variant, rung int) string {
	sum, seeds := 0.0, r.searchSeedsOf(v)
	for _, seed := range seeds {
		res, ok := r.results.run(r.key(spec{v, rung, seed}))
		switch {
		case !ok:
			return missing
		case res.Diverged:
			return "diverged"
		}
		sum += res.Tuning
	}
	return number(sum/float64(len(seeds)), 3)
}

// edges names the searches that ended at the end of their rates.
func (r *report) edges(all []variant) {
	var names []string
	for _, v := range all {
		tried := r.plan.tried[v]
		if best := r.plan.best[v]; len(tried) > 1 && (best == tried[0] || best == tried[len(tried)-1]) {
			names = append(names, "`"+r.variantKey(v)+"`")
		}
	}
	if len(names) > 0 {
		r.printf("The best rate is at the end of those tried, and a better one may lie beyond it, for %s.\n", list(names))
	}
}
