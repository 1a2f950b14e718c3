package objective_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/internal/lmtest"
	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/objective"
)

// A problem of 10 positions, the last two of them padding, in 4 sequences.
const positions, width, vocabulary, sequences = 10, 3, 7, 4

var (
	targets      = []int32{3, 0, 6, 6, 1, 2, 5, 4, 0, 0}
	rows         = []int32{0, 0, 1, 1, 1, 2, 3, 3, 0, 0}
	scoreWeights = []float32{1, 1, 1, 0.5, 1, 2, 1, 1, 0, 0}
	reference    = []float32{-4, -3.5, -5, -2}
)

// host are the losses of the package comment in float64, from the logits.
type host struct{ states, head, teacher []float64 }

func (h *host) logProb(n int, z []float64) []float64 {
	sum := 0.0
	for v := range vocabulary {
		for i := range width {
			z[v] += h.states[n*width+i] * h.head[v*width+i]
		}
		sum += math.Exp(z[v])
	}
	for v := range z {
		z[v] -= math.Log(sum)
	}
	return z
}

func (h *host) sft() float64 {
	loss, total := 0.0, 0.0
	for n, w := range scoreWeights {
		loss -= float64(w) * h.logProb(n, make([]float64, vocabulary))[targets[n]]
		total += float64(w)
	}
	return loss / total
}

func (h *host) distill() float64 {
	loss, total := 0.0, 0.0
	for n, w := range scoreWeights {
		l := h.logProb(n, make([]float64, vocabulary))
		sum := 0.0
		for v := range l {
			sum += math.Exp(h.teacher[n*vocabulary+v])
		}
		for v := range l {
			loss -= float64(w) * math.Exp(h.teacher[n*vocabulary+v]) / sum * l[v]
		}
		total += float64(w)
	}
	return loss / total
}

func (h *host) preference(o objective.DPO, ref []float32, pairWeights []float64) float64 {
	var sums [sequences]float64
	for n, w := range scoreWeights {
		sums[rows[n]] += float64(w) * h.logProb(n, make([]float64, vocabulary))[targets[n]]
	}
	loss := 0.0
	for p, share := range pairWeights {
		d := sums[p] - float64(ref[p]) - sums[p+2] + float64(ref[p+2])
		switch log := func(x float64) float64 { return -math.Log1p(math.Exp(-x)) }; {
		case o.IPO:
			loss += share * math.Pow(d-1/(2*o.Beta), 2)
		default:
			loss -= share * ((1-o.LabelSmoothing)*log(o.Beta*d) + o.LabelSmoothing*log(-o.Beta*d))
		}
	}
	return loss
}

// difference is the central difference of f by each entry of x.
func difference(x []float64, f func() float64) []float32 {
	const h = 1e-5
	d := make([]float32, len(x))
	for i, v := range x {
		x[i] = v + h
		up := f()
		x[i] = v - h
		d[i] = float32((up - f()) / (2 * h))
		x[i] = v
	}
	return d
}

// lossCase is a loss as a graph and on the host.
type lossCase struct {
	name  string
	graph func(f *lmtest.Feed, s, y *graph.Node, at objective.Scored) *graph.Node
	want  func() float64
}

func TestLossesAgainstDifferences(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	normal := func(n int) ([]float64, []float32) {
		wide, narrow := make([]float64, n), make([]float32, n)
		for i := range wide {
			narrow[i] = float32(random.NormFloat64())
			wide[i] = float64(narrow[i])
		}
		return wide, narrow
	}
	var h host
	var states, head, teacher []float32
	h.states, states = normal(positions * width)
	h.head, head = normal(vocabulary * width)
	h.teacher, teacher = normal(positions * vocabulary)

	preference := func(o objective.DPO, ref []float32, pairs []float32) (func(f *lmtest.Feed, s, y *graph.Node, at objective.Scored) *graph.Node, func() float64) {
		share := []float64{0.5, 0.5}
		if pairs != nil {
			share = []float64{float64(pairs[0] / (pairs[0] + pairs[1])), float64(pairs[1] / (pairs[0] + pairs[1]))}
		}
		return func(f *lmtest.Feed, s, y *graph.Node, at objective.Scored) *graph.Node {
			policy := objective.SequenceLogProbs(objective.LogProbs(s, y, at), at, sequences)
			var weight *graph.Node
			if pairs != nil {
				weight = f.Float("pairs", pairs, 2)
			}
			return o.Loss(policy, f.Float("reference", ref, sequences), weight).Loss
		}, func() float64 { return h.preference(o, ref, share) }
	}
	// The reference equal to the policy: every margin is 0, where DPO starts.
	start := make([]float32, sequences)
	for n, w := range scoreWeights {
		start[rows[n]] += w * float32(h.logProb(n, make([]float64, vocabulary))[targets[n]])
	}

	cases := []lossCase{
		{"SFT", func(_ *lmtest.Feed, s, y *graph.Node, at objective.Scored) *graph.Node {
			return objective.SFT(s, y, at)
		}, h.sft},
		{"distillation", func(f *lmtest.Feed, s, y *graph.Node, at objective.Scored) *graph.Node {
			return objective.Distill(s, y, f.Float("teacher", teacher, positions, vocabulary), at)
		}, h.distill},
	}
	for _, c := range []struct {
		name  string
		o     objective.DPO
		ref   []float32
		pairs []float32
	}{
		{"DPO", objective.DefaultDPO(), reference, nil},
		{"DPO, pairs weighted", objective.DefaultDPO(), reference, []float32{3, 1}},
		{"DPO at the reference", objective.DPO{Beta: 0.7}, start, nil},
		{"DPO, smoothed", objective.DPO{Beta: 0.5, LabelSmoothing: 0.2}, reference, nil},
		{"DPO, far out", objective.DPO{Beta: 50}, reference, nil},
		{"IPO", objective.DPO{Beta: 0.3, IPO: true}, reference, nil},
	} {
		build, want := preference(c.o, c.ref, c.pairs)
		cases = append(cases, lossCase{c.name, build, want})
	}
	backendtest.Each(t, func(t *testing.T, b compute.Backend) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				lmtest.Sample(t, b, c.name == "SFT" || c.name == "distillation" || c.name == "DPO, smoothed")
				got := lmtest.Run(t, b, func(f *lmtest.Feed) []*graph.Node {
					s, y := f.Float("states", states, positions, width), f.Float("head", head, vocabulary, width)
					at := objective.Scored{
						Target: f.Int("target", targets, positions), Row: f.Int("row", rows, positions),
						Weight: f.Float("weight", scoreWeights, positions),
					}
					loss := c.graph(f, s, y, at)
					return append([]*graph.Node{loss}, graph.Gradient(loss, s, y)...)
				})
				lmtest.Near(t, "loss", got[0], []float32{float32(c.want())}, 1e-6)
				// float32 rounding, and 1e-10 / 1e-5 of the difference itself.
				lmtest.Near(t, "gradient by the states", got[1], difference(h.states, c.want), 1e-5)
				lmtest.Near(t, "gradient by the head", got[2], difference(h.head, c.want), 1e-5)
			})
		}
	})
}

// A gradient of a gradient goes through the gradients that are given by hand.
func TestSecondDerivative(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 2))
	states, head, direction := make([]float32, positions*width), make([]float32, vocabulary*width), make([]float32, vocabulary*width)
	for _, x := range [][]float32{states, head, direction} {
		for i := range x {
			x[i] = float32(random.NormFloat64())
		}
	}
	b := backendtest.Open(t, "go")
	gradient := func(head []float32) [][]float32 {
		return lmtest.Run(t, b, func(f *lmtest.Feed) []*graph.Node {
			s, y := f.Float("states", states, positions, width), f.Float("head", head, vocabulary, width)
			at := objective.Scored{
				Target: f.Int("target", targets, positions), Row: f.Int("row", rows, positions),
				Weight: f.Float("weight", scoreWeights, positions),
			}
			policy := objective.SequenceLogProbs(objective.LogProbs(s, y, at), at, sequences)
			preference := objective.DPO{Beta: 1}.Loss(policy, f.Float("reference", reference, sequences), nil).Loss
			g := graph.Gradient(graph.Add(objective.SFT(s, y, at), preference), y)[0]
			along := graph.ReduceAllSum(graph.Mul(g, f.Float("direction", direction, vocabulary, width)))
			return []*graph.Node{g, graph.Gradient(along, y)[0]}
		})
	}
	const h = 1e-2
	shifted := func(h float32) []float32 {
		x := make([]float32, len(head))
		for i := range x {
			x[i] = head[i] + h*direction[i]
		}
		return gradient(x)[0]
	}
	up, down, want := shifted(h), shifted(-h), make([]float32, len(head))
	for i := range want {
		want[i] = (up[i] - down[i]) / (2 * h)
	}
	// The difference is off by h^2/6 times a third derivative of order 1, and by the
	// rounding of gradients, 1e-7/h.
	lmtest.Near(t, "product with the Hessian", gradient(head)[1], want, 1e-3)
}

func TestPreferenceReports(t *testing.T) {
	// Rewards 1, -2, 0 chosen and -1, 1, 0 rejected: equal is not larger.
	policy, ref := []float32{2, -4, 0, -2, 2, 0}, []float32{0, 0, 0, 0, 0, 0}
	got := lmtest.Run(t, backendtest.Open(t, "go"), func(f *lmtest.Feed) []*graph.Node {
		p := objective.DPO{Beta: 0.5}.Loss(f.Float("policy", policy, 6), f.Float("reference", ref, 6), nil)
		return []*graph.Node{p.Accuracy, p.Margin, p.Chosen, p.Rejected}
	})
	for i, want := range [][]float32{{1. / 3}, {-1. / 3}, {1, -2, 0}, {-1, 1, 0}} {
		lmtest.Near(t, []string{"accuracy", "margin", "chosen", "rejected"}[i], got[i], want, 1e-6)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		o    objective.DPO
		size int
		want string
	}{
		{objective.DPO{}, 4, "Beta is 0"},
		{objective.DPO{Beta: math.NaN()}, 4, "Beta is NaN"},
		{objective.DPO{Beta: 1, LabelSmoothing: 0.5}, 4, "LabelSmoothing is 0.5"},
		{objective.DPO{Beta: 1}, 3, "[2P]"},
	} {
		f := lmtest.NewFeed(backendtest.Open(t, "go"), "refusals")
		err := network.Catch(func() {
			x := graph.Parameter(f.Graph, "x", shapes.Make(dtypes.Float32, c.size))
			c.o.Loss(x, x, nil)
		})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v, %d: error %v, want one that says %q", c.o, c.size, err, c.want)
		}
	}
}
