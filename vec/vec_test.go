package vec_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel/vec"
)

func TestDense(t *testing.T) {
	v := vec.NewDense(3)
	v.Write([]float64{1, -2, 3})
	w := vec.Clone(v)
	w.Scale(2)
	if got := vec.Slice(w); !slices.Equal(got, []float64{2, -4, 6}) {
		t.Errorf("Scale: %v", got)
	}
	if got := vec.Slice(v); !slices.Equal(got, []float64{1, -2, 3}) {
		t.Errorf("a clone shares its storage: %v", got)
	}
	w.Add(-1, v)
	if got := vec.Slice(w); !slices.Equal(got, []float64{1, -2, 3}) {
		t.Errorf("Add: %v", got)
	}
	if d := v.Dot(w); d != 14 || vec.Norm(v) != math.Sqrt(14) {
		t.Errorf("Dot: %g, Norm: %g", d, vec.Norm(v))
	}
	w.Clamp(-1, math.Inf(1))
	if got := vec.Slice(w); !slices.Equal(got, []float64{1, -1, 3}) {
		t.Errorf("Clamp: %v", got)
	}
	w.Copy(v)
	read := make([]float64, 3)
	w.Read(read)
	if !slices.Equal(read, []float64{1, -2, 3}) || w.Len() != 3 || v.New().Dot(v) != 0 {
		t.Errorf("Copy, Read, Len or New: %v", read)
	}
	w.Zero()
	if w.Dot(w) != 0 {
		t.Error("Zero")
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		w.Write([]float64{0, bad, 0})
		if w.Finite() || !v.Finite() {
			t.Errorf("Finite with %g", bad)
		}
	}
}

// store keeps state in plain maps.
type store struct {
	blocks  map[string]vec.Vector
	scalars map[string]*float64
}

func newStore() store { return store{map[string]vec.Vector{}, map[string]*float64{}} }

func (s store) Block(name string, like vec.Vector) vec.Vector {
	s.blocks[name] = like.New()
	return s.blocks[name]
}

func (s store) Scalar(name string, start float64) *float64 {
	v := start
	s.scalars[name] = &v
	return &v
}

func TestSGD(t *testing.T) {
	st := newStore()
	v, g := vec.NewDense(2), vec.NewDense(2)
	g.Write([]float64{1, -2})
	vec.SGD.New(st, "x", 0.5, v).Step(v, g)
	if got := vec.Slice(v); !slices.Equal(got, []float64{-0.5, 1}) || len(st.blocks)+len(st.scalars) != 0 {
		t.Errorf("%v, state %v", got, st)
	}
}

// Adam follows the published recursion, written here for one component with its
// bias corrections as in arXiv 1412.6980, algorithm 1.
func TestAdam(t *testing.T) {
	const rate, b1, b2, eps = 0.01, 0.9, 0.999, 1e-8
	rng := rand.New(rand.NewPCG(1, 1))
	st := newStore()
	v, g := vec.NewDense(2), vec.NewDense(2)
	o := vec.Adam.New(st, "x", rate, v)
	var want, m, s [2]float64
	for k := 1; k <= 50; k++ {
		grad := []float64{rng.NormFloat64(), 1e-9 * rng.NormFloat64()}
		g.Write(grad)
		o.Step(v, g)
		for i, d := range grad {
			m[i] = b1*m[i] + (1-b1)*d
			s[i] = b2*s[i] + (1-b2)*d*d
			mHat, sHat := m[i]/(1-math.Pow(b1, float64(k))), s[i]/(1-math.Pow(b2, float64(k)))
			want[i] -= rate * mHat / (math.Sqrt(sHat) + eps)
		}
	}
	for i, got := range vec.Slice(v) {
		if math.Abs(got-want[i]) > 1e-13*math.Max(1, math.Abs(want[i])) {
			t.Errorf("component %d: %.16g, want %.16g", i, got, want[i])
		}
	}
	if *st.scalars["x.t"] != 50 || st.blocks["x.m"] == nil || st.blocks["x.s"] == nil {
		t.Errorf("state %v", st)
	}
}

// Decoupled decay shrinks v by rate times decay, apart from the gradient's step.
func TestAdamDecay(t *testing.T) {
	v, m, s, g := vec.NewDense(1), vec.NewDense(1), vec.NewDense(1), vec.NewDense(1)
	v.Write([]float64{2})
	v.Adam(m, s, g, vec.AdamStep{Rate: 0.1, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Decay: 0.5, T: 1})
	if got := vec.Slice(v)[0]; math.Abs(got-1.9) > 1e-15 {
		t.Errorf("%g, want 1.9", got)
	}
}

func TestRuleNames(t *testing.T) {
	for r, want := range map[vec.Rule]string{vec.SGD: "sgd", vec.Adam: "adam", 7: "vec.Rule(7)"} {
		if r.String() != want {
			t.Errorf("%q, want %q", r, want)
		}
	}
}

func TestOperationsAllocateNothing(t *testing.T) {
	v, w := vec.NewDense(100), vec.NewDense(100)
	o := vec.Adam.New(newStore(), "x", 0.01, v)
	buf := make([]float64, 100)
	n := testing.AllocsPerRun(10, func() {
		v.Copy(w)
		v.Scale(2)
		v.Add(0.5, w)
		v.Clamp(-1, 1)
		v.Write(buf)
		v.Read(buf)
		o.Step(v, w)
		if vec.Norm(v) > 1e9 || !v.Finite() {
			v.Zero()
		}
	})
	if n != 0 {
		t.Errorf("%g allocations", n)
	}
}
