package bound

import (
	"math"
	"math/rand/v2"
	"testing"
)

// peak is above every value of the function, and close to the largest.
func TestPeak(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 2000 {
		gain, k := math.Exp(3*rng.NormFloat64()), math.Exp(6*rng.NormFloat64())
		var a, ks [3]float64
		for i := range a {
			a[i], ks[i] = rng.Float64()*gain*math.Min(1, 1/k), math.Exp(3*rng.NormFloat64())
		}
		charge := func(z float64) (sum float64) {
			for i := range a {
				sum += a[i] * z / (z + ks[i])
			}
			return sum
		}
		values := make([]float64, len(coarse))
		for i, z := range coarse {
			values[i] = charge(z)
		}
		got, _ := peak(gain, k, coarse, values, 0)
		best := 0.0
		for i := range 3001 {
			z := float64(i) / 3000
			best = math.Max(best, gain*z/(z+k)-charge(z))
		}
		if got < best*(1-1e-12) {
			t.Fatalf("peak %v below %v", got, best)
		}
	}
}

func TestForced(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for range 2000 {
		a := [measures]float64{rng.NormFloat64(), rng.NormFloat64()}
		loss, k := rng.Float64(), math.Exp(4*rng.NormFloat64())
		got, _ := forced(a, loss, k, fine, make([]float64, len(fine)))
		best := 0.0
		for i := range 2001 {
			x := float64(i) / 2000
			best = math.Max(best, a[0]*openness(x, 0)[0]+a[1]*x-loss*(1+k)*x/(x+k))
		}
		if got < best*(1-1e-12) || k > 0.1 && got > best+1e-2*(math.Abs(a[0])+math.Abs(a[1])+loss) {
			t.Fatalf("a %v loss %v K %v: %v, by search %v", a, loss, k, got, best)
		}
	}
}

// The inequalities hold for every openness, and with equality for open ways.
func TestTriangle(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 500 {
		in := &instance{n: 3, fast: make([]float64, 9)}
		in.fast[1], in.fast[5] = rng.Float64(), rng.Float64()
		extra := rng.Float64() * float64(rng.IntN(3))
		in.fast[2] = in.fast[1] + in.fast[5] - math.Min(extra, in.fast[1]+in.fast[5])
		kappa := math.Exp(in.fast[2] - in.fast[1] - in.fast[5])
		list := in.join(nil, 0, 1, 2)
		if len(list) != int(measures) {
			t.Fatal("no inequalities")
		}
		set := func(y *[measures][]float64, st int, x float64) {
			for m, v := range openness(x, 0) {
				y[m][st] = v
			}
		}
		for _, tr := range list {
			y := [measures][]float64{make([]float64, 9), make([]float64, 9)}
			for i := range 41 {
				for j := range 41 {
					a, b := float64(i)/40, float64(j)/40
					set(&y, 1, a)
					set(&y, 5, b)
					set(&y, 2, kappa*a*b)
					if v := tr.violated(&y); v > 1e-12 || i+j == 80 && v < -1e-12 {
						t.Fatalf("kappa %v, x %v %v: %+v fails by %v", kappa, a, b, tr, v)
					}
				}
			}
		}
	}
}

func TestSimplex(t *testing.T) {
	for _, c := range [][2][]float64{
		{{0.5, 0.5}, {0.5, 0.5}}, {{2, 0}, {1, 0}}, {{-5, -5}, {0.5, 0.5}}, {{1, 0.5, -3}, {0.75, 0.25, 0}}, {{7}, {1}},
	} {
		simplex(c[0])
		for i, v := range c[0] {
			if math.Abs(v-c[1][i]) > 1e-12 {
				t.Errorf("got %v, want %v", c[0], c[1])
			}
		}
	}
}
