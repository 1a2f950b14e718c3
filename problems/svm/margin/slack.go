package margin

import "math"

// slackLoss is a sum of convex functions of v_i = 1 - r_i.y, what is left of the
// variables C and xi of row i when they are minimised out, with derivative
//
//	psi_i'(v) = slope_i [v - from_i]_+ + [v - then_i]_+ + jump_i 1(v > at_i),
//
// at_i in {from_i, then_i}. The jump (a row whose C stays at its floor until v
// reaches it) is a kink of psi_i. It is treated by the method of multipliers:
// while lambda_i is the estimate of the kink's subgradient, the indicator becomes
//
//	clip(lambda_i + rho (v - at_i), 0, jump_i),
//
// and lambda_i takes that value at each minimiser. The error of an estimate is
// multiplied by a factor of order 1/rho per round, but rho also multiplies the
// rounding of v in the gradient: rho grows at first, to settle lambda where the rows
// on their kinks are nearly dependent, and is moderate in the last rounds, which
// settle the gradient.
type slackLoss struct {
	from, slope []float64
	then        []float64 // +Inf for none
	at, jump    []float64
	lambda      []float64
	rho         float64
	kinks       bool // some jump is positive
}

func newSlackLoss(n int) slackLoss {
	v := func() []float64 { return make([]float64, n) }
	return slackLoss{from: v(), slope: v(), then: v(), at: v(), jump: v(), lambda: v()}
}

// set describes row i.
func (l *slackLoss) set(i int, from, slope, then, at, jump float64) {
	l.from[i], l.slope[i], l.then[i], l.at[i], l.jump[i] = from, slope, then, at, jump
	l.lambda[i] = math.Min(l.lambda[i], jump)
	l.kinks = l.kinks || jump > 0
}

func (l *slackLoss) derivatives(first, second, m []float64) {
	for i, from := range l.from {
		v := 1 - m[i]
		d1, d2 := 0.0, 0.0
		if v > from {
			d1, d2 = l.slope[i]*(v-from), l.slope[i]
		}
		if v > l.then[i] {
			d1 += v - l.then[i]
			d2++
		}
		if l.jump[i] > 0 {
			k, inside := l.subgradient(i, v)
			d1 += k
			if inside {
				d2 += l.rho
			}
		}
		first[i], second[i] = -d1, d2
	}
}

// subgradient returns clip(lambda + rho (v - at), 0, jump) and whether it lies
// strictly inside.
func (l *slackLoss) subgradient(i int, v float64) (float64, bool) {
	switch k := l.lambda[i] + l.rho*(v-l.at[i]); {
	case k <= 0:
		return 0, false
	case k >= l.jump[i]:
		return l.jump[i], false
	default:
		return k, true
	}
}

// revise takes the new multiplier estimates at margins m and returns the largest
// distance of a row that sits on its kink from it.
func (l *slackLoss) revise(m []float64) float64 {
	worst := 0.0
	for i, jump := range l.jump {
		if jump == 0 {
			continue
		}
		k, inside := l.subgradient(i, 1-m[i])
		if inside {
			worst = math.Max(worst, math.Abs(1-m[i]-l.at[i]))
		}
		l.lambda[i] = k
	}
	return worst
}

// settle minimises with the method of multipliers: f contains l. It returns the
// distance from the kinks that is left.
func (l *slackLoss) settle(s *newton, f loss, tol float64) (steps int, off float64, ok bool) {
	const rounds = 100
	l.rho = 1e2
	last, before := false, math.Inf(1)
	for range rounds {
		k, good := s.minimise(f, tol, 500)
		steps += k
		if !good {
			return steps, off, false
		}
		if !l.kinks {
			return steps, 0, true
		}
		off = l.revise(s.m)
		switch {
		case off == 0, last && off <= tol && off >= before/2:
			return steps, off, true
		case last:
		case off <= tol || l.rho == 1e6 && off >= before/2:
			last, l.rho = true, 1e3
		default:
			l.rho = math.Min(l.rho*100, 1e6)
		}
		before = off
	}
	return steps, off, off <= 10*tol
}
