package bound

import (
	"math"
	"math/rand/v2"
	"testing"
)

// refine is above what any prices on the links earn, not above peak, and often
// below it.
func TestRefine(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	lower := 0
	for trial := range 400 {
		n := 1 + rng.IntN(4)
		p := newPlacing(n)
		gain, k := 1+rng.Float64(), math.Exp(rng.NormFloat64())
		for i := range n {
			for j := i + 1; j <= n; j++ {
				switch rng.IntN(3) {
				case 0:
					p.parts = append(p.parts, part{i, j, 0.6 * rng.Float64(), 1 + rng.Float64()})
				case 1:
					p.parts = append(p.parts, part{i, j, 0.3 * rng.Float64(), 0})
				}
			}
		}
		whole := func(z float64) (sum float64) {
			for _, a := range p.parts {
				if a.k == 0 {
					sum += a.amount * z
				} else {
					sum += a.amount * z / (z + a.k)
				}
			}
			return sum
		}
		charge := make([]float64, len(coarse))
		for i, z := range coarse {
			charge[i] = whole(z)
		}
		weak, _ := peak(gain, k, coarse, charge, 0)
		got, _ := p.refine(n, gain, k, coarse, charge, 0)
		best := 0.0
		for range 3000 {
			total := 0.0
			for l := range n {
				p.price[l] = 0
				if rng.IntN(2) == 0 {
					p.price[l] = 3 * rng.Float64() * rng.Float64()
				}
				total += p.price[l]
			}
			best = math.Max(best, gain/(1+k*math.Exp(total))-p.charge(n))
		}
		if !(got >= best*(1-1e-12)) || got > weak*(1+1e-12) {
			t.Fatalf("trial %d: bound %v, by search %v, at the cumulated price %v", trial, got, best, weak)
		}
		if got < weak-1e-3 {
			lower++
		}
	}
	if lower < 40 {
		t.Errorf("below the bound at the cumulated price in only %d of 400", lower)
	}
}

// A line touches the charge from below.
func TestLine(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	for range 300 {
		p := newPlacing(3)
		for i := range 3 {
			for j := i + 1; j <= 3; j++ {
				p.parts = append(p.parts, part{i, j, rng.Float64(), 1 + 2*rng.Float64()}, part{i, j, 0.3 * rng.Float64(), 0})
			}
		}
		at := 2 * rng.Float64()
		a, b := p.line(3, at)
		least := math.Inf(1)
		for range 2000 {
			total := 0.0
			for l := range 3 {
				p.price[l] = -math.Log(rng.Float64())
				total += p.price[l]
			}
			if c := p.charge(3); c < a-b*total-1e-12 {
				t.Fatalf("charge %v below the line at %v", c, p.price)
			}
			for l := range 3 {
				p.price[l] *= at / total
			}
			least = math.Min(least, p.charge(3))
		}
		if least > a-b*at+0.1*least+1e-9 {
			t.Errorf("line %v at %v, charge %v", a-b*at, at, least)
		}
	}
}
