package main

import (
	"fmt"
	"math"
	"strings"
)

// table writes a Markdown table, whose first row is the head.
func table(b *strings.Builder, rows [][]string) {
	for i, row := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	b.WriteByte('\n')
}

// missing stands for what has not been measured.
const missing = "–"

// number writes x with a proper minus sign, and the given number of digits after the
// point.
func number(x float64, digits int) string {
	if math.IsNaN(x) {
		return missing
	}
	if math.Abs(x) >= 1e4 {
		return fmt.Sprintf("%.0e", x)
	}
	return strings.Replace(fmt.Sprintf("%.*f", digits, x), "-", "−", 1)
}

// String writes a difference and its confidence interval.
func (d difference) String() string {
	if d.n == 0 {
		return missing
	}
	return signed(d.mean) + " ± " + number(d.half, 3)
}

func signed(x float64) string {
	if x > 0 {
		return "+" + number(x, 3)
	}
	return number(x, 3)
}

// String writes the mean and the standard deviation of the final losses, and
// how many of the runs diverged.
func (m measured) String() string {
	text := missing
	if len(m.finals) > 0 {
		mean, deviation := meanAndDeviation(m.losses())
		text = number(mean, 3) + " ± " + number(deviation, 3)
	}
	switch {
	case m.diverged > 0 && len(m.finals) == 0:
		return fmt.Sprintf("diverged (%d of %d)", m.diverged, m.diverged)
	case m.diverged > 0:
		text += fmt.Sprintf(" (%d of %d diverged)", m.diverged, m.diverged+len(m.finals))
	}
	return text
}

// rateText writes the learning rate of a measurement.
func (m measured) rateText() string {
	if !m.chosen {
		return missing
	}
	return fmt.Sprintf("%g", m.rate(m.rung))
}

// secondsText and milliseconds write a time.
func secondsText(seconds float64) string {
	if math.IsNaN(seconds) {
		return missing
	}
	return number(seconds, 1) + " s"
}

func milliseconds(seconds float64) string {
	if math.IsNaN(seconds) {
		return missing
	}
	return number(seconds*1e3, 2) + " ms"
}

// bytesText writes a size of memory.
func bytesText(n int) string { return number(float64(n)/1024, 1) + " KiB" }

// list joins words as in a sentence.
func list(words []string) string {
	switch n := len(words); n {
	case 0:
		return "none"
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
}
