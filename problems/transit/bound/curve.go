package bound

import "math"

// The share of a pair at openness x is proportional to the concave function
//
//	h_K(x) = (1+K) x / (x + K),   h_K(0) = 0,  h_K(1) = 1,  falling in K,
//
// so that at cumulated price -ln z on a path of travel time D the pair's share is
// z / (z + exp(D-u)). Openness is measured by Y = h_1(x) and by x itself, which is
// the limit of h_K for large K. In between, for K >= 1,
//
//	h_K >= h_1/K + (1 - 1/K) x,
//
// because h_K(x) - x = x(1-x)/(x+K) and (x+1)/(x+K) >= 1/K.
const (
	curved   = iota // Y
	straight        // x
	measures
)

// openness is Y and x at z exp(-detour).
func openness(z, detour float64) [measures]float64 {
	x := z * exp(-detour)
	return [measures]float64{2 * x / (1 + x), x}
}

// grids are the points between which charges are replaced by chords: the coarse
// one for the descent, the fine one for the bound that is reported.
var coarse, fine = gridOf(8), gridOf(40)

// gridOf has points z at equal distances of Y.
func gridOf(n int) []float64 {
	g := make([]float64, n)
	for i := range g {
		y := float64(i+1) / float64(n)
		g[i] = y / (2 - y)
	}
	return g
}

// peak returns an upper bound of
//
//	max over 0 <= z <= 1 of  gain z/(z+k) - charge(z)
//
// and where it is attained, or floor >= 0 if that is larger. The charge is concave,
// 0 at 0 and known on the grid; chords replace it from below. The first term is
// concave, so that on each interval the maximum has a closed form.
func peak(gain, k float64, grid, charge []float64, floor float64) (best, at float64) {
	best = floor
	charge = charge[:len(grid)]
	lo, paid := 0.0, 0.0
	for j, hi := range grid {
		next := charge[j]
		if gain*hi-(hi+k)*min(paid, next) > best*(hi+k) || k > 1e6 { // else nothing here beats the best
			if v, z := piece(gain, k, lo, hi, paid, next); v > best {
				best, at = v, z
			}
		}
		lo, paid = hi, next
	}
	return best, at
}

// piece is peak on lo <= z <= hi, where the chord goes from paid to next.
func piece(gain, k, lo, hi, paid, next float64) (v, at float64) {
	if k > 1e6 { // z/(z+k) <= z/(lo+k), linear within rounding
		v, at = gain*lo/(lo+k)-paid, lo
		if w := gain*hi/(lo+k) - next; w > v {
			return w, hi
		}
		return v, at
	}
	if slope := (next - paid) / (hi - lo); slope*(hi+k)*(hi+k) > gain*k {
		z := max(lo, math.Sqrt(gain*k/slope)-k)
		return gain*z/(z+k) - paid - slope*(z-lo), z
	}
	return gain*hi/(hi+k) - next, hi
}

// forced returns an upper bound of
//
//	max over 0 <= x <= 1 of  a[curved] Y + a[straight] x - loss h_K(x),   loss >= 0,
//
// and x where it is attained. charge is scratch space of the grid's length.
func forced(a [measures]float64, loss, k float64, grid, charge []float64) (best, x float64) {
	falls := max(0, -a[curved])
	for j, z := range grid {
		charge[j] = loss*(1+k)*z/(z+k) + falls*2*z/(1+z) - a[straight]*z
	}
	return peak(2*max(0, a[curved]), 1, grid, charge, 0)
}
