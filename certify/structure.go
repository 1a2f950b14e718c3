package certify

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/floats"
)

// known is the structure that survived the spot checks.
type known struct {
	bilevel.Structure
	false []string
}

// spotCheck samples pairs of points of X x Y around (x, y) at three distances
// and tests every declaration of p on them:
//
//	convexity   second differences along the segment are at least m |step|²
//	moduli      the same with the moduli's own step length; f does not change with the
//	            components of y that have none
//	quadratics  the Hessian of g and the Jacobian of h in y do not change
//
// up to rounding. A contradiction is a proof that the declaration is false;
// agreement proves nothing, which is why docs/certificate.md says what rests on it.
func spotCheck(p *bilevel.Problem, x, y []float64, seed uint64) known {
	k := known{Structure: p.Structure}
	rng := rand.New(rand.NewPCG(seed, 0x5f0c))
	sx, sy := 1+floats.Norm(x, math.Inf(1)), 1+floats.Norm(y, math.Inf(1))
	draw := func(s set.Set, at []float64, size float64) []float64 {
		z := make([]float64, len(at))
		for i := range z {
			z[i] = at[i] + size*rng.NormFloat64()
		}
		if s != nil {
			s.Project(z, z)
		}
		return z
	}
	drop := func(flag *bool, format string, args ...any) {
		*flag = false
		k.false = append(k.false, fmt.Sprintf(format, args...))
	}
	h := p.Coupling
	for _, size := range []float64{0.05, 0.5, 5} {
		for range 6 {
			xs := draw(p.X, x, size*sx)
			a, b := draw(p.Y, y, size*sy), draw(p.Y, y, size*sy)
			at := func(z []float64) (float64, []float64) { return p.Lower.Value(xs, z), couplingAt(h, xs, z) }
			if k.LowerConvex && !convexOnPair(at, equalities(h), a, b, 0) {
				drop(&k.LowerConvex, "Structure.LowerConvex: g(x, .) or h(x, .) is not convex between two points near y")
			}
			if m := k.LowerModulus; m > 0 {
				only := func(z []float64) (float64, []float64) { return p.Lower.Value(xs, z), nil }
				if !convexOnPair(only, 0, a, b, m) {
					k.LowerModulus = 0
					k.false = append(k.false, fmt.Sprintf("Structure.LowerModulus: g(x, .) is not %g-strongly convex between two points near y", m))
				}
			}
			if k.LowerModuli != nil && !moduliHold(p, xs, a, b) {
				k.LowerModuli = nil
				k.false = append(k.false, "Structure.LowerModuli: g(x, .) is less convex between two points near y, or f depends on a component without a modulus")
			}
			if k.LowerQuadratic && !sameSecondOrder(p, xs, a, b, draw(nil, make([]float64, p.NY), 1)) {
				drop(&k.LowerQuadratic, "Structure.LowerQuadratic: the Hessian of g or the Jacobian of h in y changes with y")
			}
			if k.JointlyConvex {
				za := append(draw(p.X, x, size*sx), a...)
				zb := append(draw(p.X, x, size*sx), b...)
				joint := func(z []float64) (float64, []float64) {
					return p.Upper.Value(z[:p.NX], z[p.NX:]), couplingAt(h, z[:p.NX], z[p.NX:])
				}
				if !convexOnPair(joint, equalities(h), za, zb, 0) {
					drop(&k.JointlyConvex, "Structure.JointlyConvex: f or h is not convex in (x, y) between two points near the answer")
				}
			}
		}
	}
	return k
}

func equalities(h *bilevel.Coupling) int {
	if h == nil {
		return 0
	}
	return h.Equalities
}

func couplingAt(h *bilevel.Coupling, x, y []float64) []float64 {
	if h == nil {
		return nil
	}
	c := make([]float64, h.Rows)
	h.Value(c, x, y)
	return c
}

// pieces is how many equal pieces a segment is cut into.
const pieces = 8

// convexOnPair tests a function and rows (the first eq of them: affinity) on the
// segment from a to b: second differences over equal pieces must be at least
// modulus times the squared length of a piece. Values that are not finite test
// nothing.
func convexOnPair(f func(z []float64) (float64, []float64), eq int, a, b []float64, modulus float64) bool {
	z := make([]float64, len(a))
	at := func(k int) (float64, []float64) {
		t := float64(k) / pieces
		for i := range z {
			z[i] = (1-t)*a[i] + t*b[i]
		}
		return f(z)
	}
	length := floats.Distance(a, b, 2) / pieces
	holds := func(left, mid, right, curve float64, affine bool) bool {
		d := left + right - 2*mid - curve
		slack := 1e-10 * (1 + math.Abs(left) + math.Abs(right) + math.Abs(mid))
		if d-d != 0 {
			return true
		}
		return d >= -slack && (!affine || d <= slack)
	}
	f0, c0 := at(0)
	f1, c1 := at(1)
	for k := 2; k <= pieces; k++ {
		f2, c2 := at(k)
		if !holds(f0, f1, f2, modulus*length*length, false) {
			return false
		}
		for i := range c0 {
			if !holds(c0[i], c1[i], c2[i], 0, i < eq) {
				return false
			}
		}
		f0, f1, c0, c1 = f1, f2, c1, c2
	}
	return true
}

// moduliHold tests Structure.LowerModuli on the segment from a to b and, for f, at
// the point that has b's components where there is no modulus and a's elsewhere.
func moduliHold(p *bilevel.Problem, x, a, b []float64) bool {
	s := p.Structure.LowerModuli
	less := func(y []float64) (float64, []float64) {
		sum := 0.0
		for j, v := range y {
			sum += s[j] * v * v
		}
		return p.Lower.Value(x, y) - sum/2, nil
	}
	if !convexOnPair(less, 0, a, b, 0) {
		return false
	}
	mixed := append([]float64(nil), b...)
	for j, v := range s {
		if v > 0 {
			mixed[j] = a[j]
		}
	}
	fa, fm := p.Upper.Value(x, a), p.Upper.Value(x, mixed)
	d := math.Abs(fa - fm)
	return d-d != 0 || d <= 1e-10*(1+math.Abs(fa))
}

// sameSecondOrder compares Hessian and Jacobian products at two points. The
// slack covers products that are themselves differences.
func sameSecondOrder(p *bilevel.Problem, x, a, b, v []float64) bool {
	same := func(n int, f func(dst, y []float64)) bool {
		u, w := make([]float64, n), make([]float64, n)
		f(u, a)
		f(w, b)
		size := 1 + math.Max(floats.Norm(u, math.Inf(1)), floats.Norm(w, math.Inf(1)))
		d := floats.Distance(u, w, math.Inf(1))
		return d-d != 0 || d <= 1e-4*size
	}
	if !same(p.NY, func(dst, y []float64) { p.Lower.HessYY(dst, x, y, v) }) {
		return false
	}
	h := p.Coupling
	return h == nil || same(h.Rows, func(dst, y []float64) { h.JacY(dst, x, y, v) })
}
