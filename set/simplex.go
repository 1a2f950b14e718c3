package set

import (
	"fmt"
	"math"
)

type simplex struct {
	n     int
	total float64
}

// Simplex is { y in R^n : y >= 0, sum y = total }. It is an *Error unless n >= 1
// and total is positive and finite.
func Simplex(n int, total float64) (Set, error) {
	if n < 1 {
		return nil, &Error{"Simplex", "n", n, "an integer >= 1"}
	}
	if !(total > 0) || math.IsInf(total, 0) {
		return nil, &Error{"Simplex", "total", total, "a finite number > 0"}
	}
	return &simplex{n, total}, nil
}

func (s *simplex) Dim() int       { return s.n }
func (s *simplex) String() string { return fmt.Sprintf("simplex of sum %g in R^%d", s.total, s.n) }

func (s *simplex) Describe() *Description {
	d := &Description{Lo: make([]float64, s.n), Hi: fill(s.n, math.Inf(1))}
	index := make([]int, s.n)
	for i := range index {
		index[i] = i
	}
	d.Equal = []Row{{index, fill(s.n, 1), s.total}}
	return d
}

// threshold returns tau with sum max(x_i - tau, 0) = total: starting from all
// components it drops those below the mean excess until none is (Michelot,
// J. Optim. Theory Appl. 50 (1986)); the set shrinks, so it ends after at most n
// rounds. Differences to the largest component keep the sums free of cancellation.
func (s *simplex) threshold(x []float64) float64 {
	top := x[0]
	for _, v := range x {
		top = math.Max(top, v)
	}
	tau, kept := math.Inf(-1), s.n+1
	for {
		sum, count := 0.0, 0
		for _, v := range x {
			if v-top > tau {
				sum += v - top
				count++
			}
		}
		if count >= kept || count == 0 { // >: rounding let one back in
			return top + tau
		}
		tau, kept = (sum-s.total)/float64(count), count
	}
}

func (s *simplex) Project(dst, x []float64) {
	tau := s.threshold(x)
	for i, v := range x {
		dst[i] = math.Max(v-tau, 0)
	}
}

func (s *simplex) ProjectDeriv(dst, x, v []float64) bool {
	tau := s.threshold(x)
	sum, count, smooth := 0.0, 0, true
	for i, c := range x {
		smooth = smooth && !near(c, tau)
		if c > tau {
			sum += v[i]
			count++
		}
	}
	mean := sum / float64(count)
	for i, c := range x {
		dst[i] = 0
		if c > tau {
			dst[i] = v[i] - mean
		}
	}
	return smooth
}
