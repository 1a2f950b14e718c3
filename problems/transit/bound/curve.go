package bound

import "math"

// The share of a pair at openness x is proportional to the concave function
//
//	h_K(x) = (1+K) x / (x + K),   h_K(0) = 0,  h_K(1) = 1,  falling in K,
//
// so that at cumulated price -ln z on a path of travel time D the pair's share is
// z / (z + exp(D-u)). scale is the K of the measure Y = h_K of openness.
const scale = 1.0

// ratio is the slope of h_K at 0 over that of h_scale, which for K >= scale is the
// inverse of the ratio of their slopes at 1. h_K is a convex function of
// Y = h_scale there, so that
//
//	h_K >= ratio Y   and   h_K >= 1 - (1 - Y)/ratio.
func ratio(k float64) float64 { return (1 + k) / k * scale / (1 + scale) }

// openness is Y at z exp(-detour).
func openness(z, detour float64) float64 {
	return (1 + scale) * z / (z + scale*exp(detour))
}

// grids are the points between which charges are replaced by chords: the coarse
// one for the descent, the fine one for the bound that is reported.
var coarse, fine = gridOf(8), gridOf(40)

// gridOf has points z at equal distances of Y.
func gridOf(n int) []float64 {
	g := make([]float64, n)
	for i := range g {
		y := float64(i+1) / float64(n)
		g[i] = scale * y / (1 + scale - y)
	}
	g[n-1] = 1
	return g
}

// peak returns an upper bound of
//
//	max over 0 <= z <= 1 of  gain z/(z+k) - charge(z)
//
// and where it is attained, or floor >= 0 if that is larger, for a charge that is concave, increasing, 0 at 0 and known on
// the grid, and is replaced by chords from below. The first term is concave: on
// each interval the maximum has a closed form.
func peak(gain, k float64, grid, charge []float64, floor float64) (best, at float64) {
	best = floor
	charge = charge[:len(grid)]
	lo, paid := 0.0, 0.0
	for j, hi := range grid {
		if k > 1e6 { // z/(z+k) <= z/(lo+k), linear within rounding
			if v := gain*hi/(lo+k) - charge[j]; v > best {
				best, at = v, hi
			}
		} else if top := gain * hi / (hi + k); top-paid > best { // or nothing here beats the best
			z, v := hi, top-charge[j]
			if slope := (charge[j] - paid) / (hi - lo); slope*(hi+k)*(hi+k) > gain*k {
				z = max(lo, math.Sqrt(gain*k/slope)-k)
				v = gain*z/(z+k) - paid - slope*(z-lo)
			}
			if v > best {
				best, at = v, z
			}
		}
		lo, paid = hi, charge[j]
	}
	return best, at
}

// forced returns
//
//	max over 0 <= Y <= 1 of  a Y - loss h_K(x),   Y = h_scale(x),  a, loss >= 0,
//
// bounded from above where h_K is concave in Y or nearly linear, and where it is
// attained.
func forced(a, loss, k float64) (best, y float64) {
	if !(a > 0) {
		return 0, 0
	}
	d := k - scale
	if d < 1e-6 {
		if k > scale {
			loss *= ratio(k)
		}
		if a > loss {
			return a - loss, 1
		}
		return 0, 0
	}
	// h_K = b Y / (c - d Y) is convex in Y: the maximum is where its slope is a/loss.
	b, c := (1+k)*scale, k*(1+scale)
	y = max(0, min(1, (c-math.Sqrt(loss*c*b/a))/d))
	return max(0, a*y-loss*b*y/(c-d*y)), y
}
