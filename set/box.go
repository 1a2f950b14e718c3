package set

import (
	"fmt"
	"math"
)

// whole is R^n.
type whole int

// Whole is the whole space R^n.
func Whole(n int) Set { return whole(n) }

func (s whole) Dim() int                 { return int(s) }
func (s whole) Project(dst, x []float64) { copy(dst, x) }
func (s whole) String() string           { return fmt.Sprintf("R^%d", int(s)) }
func (s whole) Describe() *Description   { return unbounded(int(s)) }
func (s whole) ProjectDeriv(dst, x, v []float64) bool {
	copy(dst, v)
	return true
}

type box struct {
	lo, hi []float64
	name   string
}

// Box is { y : lo <= y <= hi } componentwise. Bounds may be infinite. It is an
// *Error if the lengths differ, a bound is NaN, or lo_i > hi_i. The slices are
// copied.
func Box(lo, hi []float64) (Set, error) {
	if len(lo) != len(hi) {
		return nil, &Error{"Box", "len(hi)", len(hi), fmt.Sprintf("len(lo) = %d", len(lo))}
	}
	for i := range lo {
		if !(lo[i] <= hi[i]) || math.IsInf(lo[i], 1) || math.IsInf(hi[i], -1) {
			return nil, &Error{"Box", fmt.Sprintf("[lo[%d], hi[%d]]", i, i), fmt.Sprintf("[%v, %v]", lo[i], hi[i]), "lo <= hi, lo < +Inf, hi > -Inf"}
		}
	}
	return &box{append([]float64(nil), lo...), append([]float64(nil), hi...), fmt.Sprintf("box in R^%d", len(lo))}, nil
}

// Interval is the box [lo, hi]^n, with [Box]'s errors.
func Interval(n int, lo, hi float64) (Set, error) {
	if n < 0 {
		return nil, &Error{"Interval", "n", n, "an integer >= 0"}
	}
	s, err := Box(fill(n, lo), fill(n, hi))
	if err != nil {
		return nil, err
	}
	s.(*box).name = fmt.Sprintf("[%g, %g]^%d", lo, hi, n)
	return s, nil
}

// AtLeast is { y in R^n : y_i >= lo }, with [Box]'s errors.
func AtLeast(n int, lo float64) (Set, error) { return Interval(n, lo, math.Inf(1)) }

// NonNegative is the orthant { y in R^n : y >= 0 }; n below 0 counts as 0.
func NonNegative(n int) Set {
	n = max(n, 0)
	return &box{make([]float64, n), fill(n, math.Inf(1)), fmt.Sprintf("non-negative orthant of R^%d", n)}
}

func fill(n int, v float64) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = v
	}
	return s
}

func (s *box) Dim() int               { return len(s.lo) }
func (s *box) String() string         { return s.name }
func (s *box) Describe() *Description { return &Description{Lo: s.lo, Hi: s.hi} }

func (s *box) Project(dst, x []float64) {
	for i, v := range x {
		dst[i] = math.Min(math.Max(v, s.lo[i]), s.hi[i])
	}
}

func (s *box) ProjectDeriv(dst, x, v []float64) bool {
	smooth := true
	for i, c := range x {
		lo, hi := s.lo[i], s.hi[i]
		dst[i] = 0
		if lo < hi {
			if c > lo && c < hi {
				dst[i] = v[i]
			}
			smooth = smooth && !near(c, lo) && !near(c, hi)
		}
	}
	return smooth
}

// near reports whether a and b agree up to rounding: a projection is then not
// told from its kink.
func near(a, b float64) bool {
	return math.Abs(a-b) <= 1e-12*math.Max(1, math.Abs(a))
}
