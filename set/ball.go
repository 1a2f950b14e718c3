package set

import (
	"fmt"

	"gonum.org/v1/gonum/floats"
)

type ball struct {
	center []float64
	radius float64
}

// Ball is { y : |y - center| <= radius } in the Euclidean norm. It is an *Error
// if radius is not positive and finite or the centre is not finite. The slice is
// copied.
func Ball(center []float64, radius float64) (Set, error) {
	if err := allFinite("Ball", "center", center); err != nil {
		return nil, err
	}
	if !(radius > 0) || radius-radius != 0 {
		return nil, &Error{"Ball", "radius", radius, "a finite number > 0"}
	}
	return &ball{append([]float64(nil), center...), radius}, nil
}

func (s *ball) Dim() int { return len(s.center) }
func (s *ball) String() string {
	return fmt.Sprintf("ball of radius %g in R^%d", s.radius, len(s.center))
}

func (s *ball) Describe() *Description {
	d := unbounded(len(s.center))
	d.Balls = []Sphere{{0, s.center, s.radius}}
	return d
}

func (s *ball) Project(dst, x []float64) {
	d := floats.Distance(x, s.center, 2)
	if d <= s.radius {
		copy(dst, x)
		return
	}
	t := s.radius / d
	for i, c := range s.center {
		dst[i] = c + t*(x[i]-c)
	}
}

// ProjectDeriv outside the ball is (r/d)(v - e <e, v>), with d the distance of x
// from the centre and e the direction from the centre to x.
func (s *ball) ProjectDeriv(dst, x, v []float64) bool {
	d := floats.Distance(x, s.center, 2)
	if d <= s.radius {
		copy(dst, v)
		return !near(d, s.radius)
	}
	along := 0.0
	for i, c := range s.center {
		along += (x[i] - c) / d * v[i]
	}
	t := s.radius / d
	for i, c := range s.center {
		dst[i] = t * (v[i] - along*(x[i]-c)/d)
	}
	return !near(d, s.radius)
}
