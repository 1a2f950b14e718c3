package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// axis maps values to [0, 1], linearly or by their logarithm.
type axis struct {
	log    bool
	lo, hi float64 // of the values, or of their log10
}

// newAxis covers the finite values of all (the positive ones on a log axis),
// with a little room. ok is false when there are none.
func newAxis(log bool, all ...[]float64) (a axis, ok bool) {
	a = axis{log: log, lo: math.Inf(1), hi: math.Inf(-1)}
	for _, v := range all {
		for _, x := range v {
			if u := a.unit(x); u-u == 0 {
				a.lo, a.hi = min(a.lo, u), max(a.hi, u)
			}
		}
	}
	if a.lo > a.hi {
		return a, false
	}
	room := 0.05 * (a.hi - a.lo)
	if least := 1e-9 * math.Max(math.Abs(a.lo), math.Abs(a.hi)); room <= least {
		room = math.Max(least, 1e-3) // a constant
		if !log {
			room = math.Max(0.05*math.Abs(a.hi), 1e-12)
		}
	}
	a.lo, a.hi = a.lo-room, a.hi+room
	return a, true
}

// unit is x on the scale of the axis: NaN where it has no place on it.
func (a axis) unit(x float64) float64 {
	if !a.log {
		if math.Abs(x) > 1e300 {
			return math.NaN() // the room beside it would overflow
		}
		return x
	}
	if x <= 0 {
		return math.NaN()
	}
	return math.Log10(x)
}

// at is the place of x between 0 and 1.
func (a axis) at(x float64) float64 { return (a.unit(x) - a.lo) / (a.hi - a.lo) }

// tick is a labelled place on an axis.
type tick struct {
	At    float64 // between 0 and 1
	Label string
}

// ticks are at most about n round places.
func (a axis) ticks(n int) []tick {
	step := nice((a.hi - a.lo) / float64(n))
	if a.log {
		step = math.Max(1, math.Ceil((a.hi-a.lo)/float64(n)))
	}
	return a.multiples(step, n)
}

// wholeTicks are ticks at whole numbers: iterations have no fractions.
func (a axis) wholeTicks(n int) []tick {
	return a.multiples(math.Max(1, nice((a.hi-a.lo)/float64(n))), n)
}

// multiples are the places of the multiples of step.
func (a axis) multiples(step float64, n int) []tick {
	var ticks []tick
	for k := math.Ceil(a.lo / step); k*step <= a.hi && len(ticks) <= 2*n; k++ {
		v := k * step
		label := short(v, step)
		if a.log {
			label = power(int(v))
		}
		ticks = append(ticks, tick{(v - a.lo) / (a.hi - a.lo), label})
	}
	if a.log && len(ticks) < 2 { // less than a decade: label the ends of what is shown
		if ticks = a.within(); len(ticks) >= 2 {
			return ticks
		}
		ticks = ticks[:0]
		for _, f := range []float64{0.1, 0.5, 0.9} {
			u := a.lo + f*(a.hi-a.lo)
			ticks = append(ticks, tick{f, strconv.FormatFloat(math.Pow(10, u), 'g', 3, 64)})
		}
	}
	return ticks
}

// within are the places of 1, 2 and 5 times powers of ten on a log axis.
func (a axis) within() []tick {
	var ticks []tick
	for k := math.Floor(a.lo); k <= a.hi; k++ {
		for _, m := range []float64{1, 2, 5} {
			if u := k + math.Log10(m); u >= a.lo && u <= a.hi {
				ticks = append(ticks, tick{(u - a.lo) / (a.hi - a.lo), strconv.FormatFloat(m*math.Pow(10, k), 'g', 3, 64)})
			}
		}
	}
	return ticks
}

// nice is the smallest of 1, 2, 5 times a power of ten that is at least v.
func nice(v float64) float64 {
	base := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*base*(1+1e-9) {
			return m * base
		}
	}
	return 10 * base
}

// short writes a multiple of step without the noise of its last digits.
func short(v, step float64) string {
	if math.Abs(v) < step/2 {
		return "0"
	}
	digits := int(math.Floor(math.Log10(math.Abs(v)))-math.Floor(math.Log10(step))) + 1
	text := strconv.FormatFloat(v, 'g', max(digits, 1), 64)
	if w, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(w) >= 1e-4 && math.Abs(w) < 1e6 {
		return strconv.FormatFloat(w, 'f', -1, 64)
	}
	return text
}

var superscripts = strings.NewReplacer("-", "⁻", "0", "⁰", "1", "¹", "2", "²", "3", "³", "4", "⁴", "5", "⁵", "6", "⁶", "7", "⁷", "8", "⁸", "9", "⁹")

// power writes 10 to the n.
func power(n int) string {
	switch n {
	case 0:
		return "1"
	case 1:
		return "10"
	}
	return "10" + superscripts.Replace(strconv.Itoa(n))
}

// number writes a figure for a reader; what is not finite is a dash.
func number(v float64) string {
	if v-v != 0 {
		return "–"
	}
	return fmt.Sprintf("%.6g", v)
}
