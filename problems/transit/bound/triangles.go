package bound

import (
	"math"
	"slices"
)

// triangle is the inequality
//
//	M_st >= curved (Y_sv + Y_vt) + straight (x_sv + x_vt) - less
//
// with multiplier beta >= 0, where M is the measure Y or x of openness.
type triangle struct {
	st, sv, vt       int32
	target           int8
	curved, straight float64
	less             float64
	beta, best       float64
	mean             float64 // subgradient, averaged over iterations
}

// join appends the inequalities of s, v, t. With kappa = exp(fast_st - fast_sv -
// fast_vt), openness obeys x_st >= kappa x_sv x_vt >= kappa (x_sv + x_vt - 1). Put
// C = h_1(kappa) and K = 1/kappa >= 1. Then
//
//	Y_st >= h_1(kappa x_sv x_vt) = C h_K(x_sv x_vt) >= C (h_K(x_sv) + h_K(x_vt) - 1),
//
// the last because h_K(xy) = K U W / (K + (1-U)(1-W)) with U = h_K(x), W = h_K(y),
// which for K >= 1 is at least U + W - 1. And h_K >= kappa Y + (1 - kappa) x.
func (in *instance) join(list []triangle, s, v, t int) []triangle {
	n := in.n
	st, sv, vt := s*n+t, s*n+v, v*n+t
	kappa := min(1, math.Exp(in.fast[st]-in.fast[sv]-in.fast[vt]))
	if !(kappa > 0.02) {
		return list
	}
	c := 2 * kappa / (1 + kappa)
	return append(list,
		triangle{st: int32(st), sv: int32(sv), vt: int32(vt), target: curved, curved: c * kappa, straight: c * (1 - kappa), less: c},
		triangle{st: int32(st), sv: int32(sv), vt: int32(vt), target: straight, straight: kappa, less: kappa})
}

// violated reports by how much the inequality fails at y.
func (t *triangle) violated(y *[measures][]float64) float64 {
	return t.curved*(y[curved][t.sv]+y[curved][t.vt]) + t.straight*(y[straight][t.sv]+y[straight][t.vt]) - t.less - y[t.target][t.st]
}

// maxTriangles is how many inequalities are kept at a time.
const maxTriangles = 200_000

// separate drops the inequalities that are not in use and adds those that y, an
// average of the measures of openness, violates.
func (r *Relaxation) separate(means *[measures][]float64) {
	in, n, y := r.in, r.in.n, means[curved]
	r.triangles = slices.DeleteFunc(r.triangles, func(t triangle) bool {
		return t.beta == 0 && t.best == 0 && t.violated(means) < -0.02
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
					if len(r.triangles) < maxTriangles && some[i].violated(means) > 0.02 {
						r.triangles = append(r.triangles, some...)
						break
					}
				}
			}
		}
	}
}
