package bound

import (
	"math"
	"slices"
)

// triangle is the inequality
//
//	Y_st >= first Y_sv + second Y_vt - less
//
// with multiplier beta >= 0.
type triangle struct {
	st, sv, vt          int32
	first, second, less float64
	beta, best          float64
	mean                float64 // subgradient, averaged over iterations
}

// join appends the inequalities of s, v, t. With kappa = exp(fast_st - fast_sv -
// fast_vt), openness obeys x_st >= kappa x_sv x_vt. Put C = h_1(kappa) for the
// measure's scale K = 1 and K' = K/kappa >= 1. Then
//
//	Y_st >= h_K(kappa x_sv x_vt) = C h_K'(x_sv x_vt) >= C (U + W - 1),  U = h_K'(x_sv), W = h_K'(x_vt),
//
// the last because h_K'(xy) = K'UW/(K' + (1-U)(1-W)), which for K' >= 1 is at least
// U + W - 1. U and W are convex functions of Y_sv and Y_vt and are replaced by
// their tangents at 0 or 1 (ratio).
func (in *instance) join(list []triangle, s, v, t int) []triangle {
	n := in.n
	st, sv, vt := s*n+t, s*n+v, v*n+t
	kappa := math.Exp(in.fast[st] - in.fast[sv] - in.fast[vt])
	if !(kappa > 0.02) {
		return list
	}
	kappa = math.Min(kappa, 1)
	c := (1 + scale) * kappa / (kappa + scale)
	r := math.Min(1, ratio(scale/kappa))
	// U >= near Y + (1 - near): the tangents are (slope, value at 1).
	tangents := [...][2]float64{{1 / r, 1}, {r, r}}
	for i, f := range tangents {
		for j, g := range tangents {
			if r > 1-1e-9 && i+j > 0 {
				continue
			}
			// C (f0 (Y-1) + f1 + g0 (Y'-1) + g1 - 1)
			list = append(list, triangle{st: int32(st), sv: int32(sv), vt: int32(vt),
				first: c * f[0], second: c * g[0], less: c * (f[0] - f[1] + g[0] - g[1] + 1)})
		}
	}
	return list
}

// violated reports by how much the inequality fails at y.
func (t *triangle) violated(y []float64) float64 {
	return t.first*y[t.sv] + t.second*y[t.vt] - t.less - y[t.st]
}

// maxTriangles is how many inequalities are kept at a time.
const maxTriangles = 200_000

// separate drops the inequalities that are not in use and adds those that y, an
// average of the measures of openness, violates.
func (r *Relaxation) separate(y []float64) {
	in, n := r.in, r.in.n
	r.triangles = slices.DeleteFunc(r.triangles, func(t triangle) bool {
		return t.beta == 0 && t.best == 0 && t.violated(y) < -0.02
	})
	have := make(map[[3]int32]bool, len(r.triangles))
	for _, t := range r.triangles {
		have[[3]int32{t.st, t.sv, t.vt}] = true
	}
	var some []triangle
	for v := range n {
		if in.terminal[v] {
			continue
		}
		for s := range n {
			if s == v || !(y[s*n+v] > 0.02) {
				continue
			}
			for t := range n {
				if t == s || t == v || !(y[v*n+t] > 0.02) || !(y[s*n+v]+y[v*n+t] > 0.9) || have[[3]int32{int32(s*n + t), int32(s*n + v), int32(v*n + t)}] {
					continue
				}
				some = in.join(some[:0], s, v, t)
				for i := range some {
					if len(r.triangles) < maxTriangles && some[i].violated(y) > 0.02 {
						r.triangles = append(r.triangles, some...)
						break
					}
				}
			}
		}
	}
}
