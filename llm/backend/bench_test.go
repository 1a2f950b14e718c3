package backend_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/bilevel-go/bilevel/llm/backend"
	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// each runs a benchmark on both backends.
func each(b *testing.B, f func(b *testing.B, e compute.Backend)) {
	for _, c := range []struct{ name, spec string }{{"go", backend.Go}, {"xla", backend.XLA + ":cpu"}} {
		b.Run(c.name, func(b *testing.B) { f(b, backendtest.Open(b, c.spec)) })
	}
}

func normal(rng *rand.Rand, scale float64, dims ...int) *tensors.Tensor {
	t := tensors.FromShape(shapes.Make(dtypes.Float32, dims...))
	tensors.MustMutableFlatData(t, func(flat []float32) {
		for i := range flat {
			flat[i] = float32(scale * rng.NormFloat64())
		}
	})
	return t
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// run executes a graph on buffers; those marked in donate are used up.
func run(b *testing.B, g *graph.Graph, in []compute.Buffer, donate []bool) []*tensors.Tensor {
	b.Helper()
	var out []*tensors.Tensor
	if err := network.Catch(func() { out = g.RunWithBuffers(in, donate, 0) }); err != nil {
		b.Fatal(err)
	}
	return out
}

func compile(b *testing.B, e compute.Backend, build func(in []*graph.Node) []*graph.Node, in ...*tensors.Tensor) *graph.Graph {
	b.Helper()
	x := must(graph.NewExec(e, build))
	b.Cleanup(x.Finalize)
	var s []shapes.Shape
	for _, t := range in {
		s = append(s, t.Shape())
	}
	return must(x.Compile(s...))
}

// BenchmarkMatMul is C = A B for square matrices, f32, data on the device.
func BenchmarkMatMul(b *testing.B) {
	each(b, func(b *testing.B, e compute.Backend) {
		for _, n := range []int{64, 256, 1024} {
			b.Run(fmt.Sprint(n), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 2))
				x, y := normal(rng, 1, n, n), normal(rng, 1, n, n)
				g := compile(b, e, func(in []*graph.Node) []*graph.Node { return []*graph.Node{graph.MatMul(in[0], in[1])} }, x, y)
				in := []compute.Buffer{must(x.Buffer(e, 0)), must(y.Buffer(e, 0))}
				for b.Loop() {
					run(b, g, in, []bool{false, false})[0].MustFinalizeAll()
				}
				b.ReportMetric(2*float64(n*n*n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	})
}

// BenchmarkCall is what a program costs that computes next to nothing, with 1 and
// with 100 inputs of 16 numbers, each of which it gives back.
func BenchmarkCall(b *testing.B) {
	each(b, func(b *testing.B, e compute.Backend) {
		for _, n := range []int{1, 100} {
			b.Run(fmt.Sprint(n), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 2))
				var in []*tensors.Tensor
				for range n {
					in = append(in, normal(rng, 1, 16))
				}
				g := compile(b, e, func(in []*graph.Node) []*graph.Node {
					var out []*graph.Node
					for _, x := range in {
						out = append(out, graph.Neg(x))
					}
					return out
				}, in...)
				var buffers []compute.Buffer
				for _, t := range in {
					buffers = append(buffers, must(t.Buffer(e, 0)))
				}
				for b.Loop() {
					for _, t := range run(b, g, buffers, make([]bool, n)) {
						t.MustFinalizeAll()
					}
				}
			})
		}
	})
}

// BenchmarkTransfer moves 64 MB between the host and the device.
func BenchmarkTransfer(b *testing.B) {
	const n = 16 << 20
	each(b, func(b *testing.B, e compute.Backend) {
		host := make([]float32, n)
		shape := shapes.Make(dtypes.Float32, n)
		b.Run("copy to device", func(b *testing.B) {
			b.SetBytes(4 * n)
			for b.Loop() {
				must(0, must(e.BufferFromFlatData(0, host, shape)).Finalize())
			}
		})
		b.Run("shared buffer", func(b *testing.B) { // allocated, and filled by the host
			b.SetBytes(4 * n)
			for b.Loop() {
				buffer, flat, err := e.NewSharedBuffer(0, shape)
				if err != nil {
					b.Fatal(err)
				}
				copy(flat.([]float32), host)
				must(0, buffer.Finalize())
			}
		})
		buffer := must(e.BufferFromFlatData(0, host, shape))
		b.Run("copy to host", func(b *testing.B) {
			b.SetBytes(4 * n)
			for b.Loop() {
				must(0, buffer.ToFlatData(host))
			}
		})
		b.Run("view from host", func(b *testing.B) { // no copy
			b.SetBytes(4 * n)
			for b.Loop() {
				must(buffer.Data())
			}
		})
		must(0, buffer.Finalize())
	})
}

// BenchmarkTrainStep is one training step of a Llama of 8.4 M parameters (d 256, 4
// layers, vocabulary 8192) on 8 x 128 tokens: loss of every position, gradients of
// every weight, Adam, f32. Metric compile_s is the time to build and compile it.
func BenchmarkTrainStep(b *testing.B) {
	each(b, func(b *testing.B, e compute.Backend) {
		c := &weights.Config{
			Architecture: weights.Llama, Vocabulary: 8192, Hidden: 256, Intermediate: 1024, Layers: 4, Heads: 4, KVHeads: 4, HeadSize: 64,
			Context: 128, Epsilon: 1e-5, Activation: weights.SiLU, Rope: weights.Rope{Base: 10000, Dims: 64}, BOS: -1, PAD: -1,
		}
		net := must(network.New(c))
		rng := rand.New(rand.NewPCG(1, 2))
		var in []*tensors.Tensor
		index := map[string]int{}
		for _, p := range c.Parameters() {
			index[p.Name] = len(index)
			in = append(in, normal(rng, 0.02, p.Shape...))
		}
		params := len(in)
		for range 2 { // Adam's moments, all zero
			for _, p := range in[:params] {
				in = append(in, tensors.FromShape(p.Shape()))
			}
		}
		const rows, length = 8, 128
		ids := tensors.FromShape(shapes.Make(dtypes.Int32, rows, length))
		tensors.MustMutableFlatData(ids, func(flat []int32) {
			for i := range flat {
				flat[i] = rng.Int32N(int32(c.Vocabulary))
			}
		})
		in = append(in, ids)
		begin := time.Now()
		g := compile(b, e, func(in []*graph.Node) []*graph.Node {
			ids := in[3*params]
			h := net.Hidden(func(name string) *graph.Node { return in[index[name]] }, nil, ids)
			z := network.Logits(h, in[index[c.HeadName()]])
			z = graph.Reshape(z, rows*length, c.Vocabulary)
			target := graph.OneHot(graph.Reshape(ids, rows*length), c.Vocabulary, dtypes.Float32)
			top := graph.StopGradient(graph.ReduceMax(z, -1))
			z = graph.Sub(z, graph.InsertAxes(top, -1))
			loss := graph.ReduceAllMean(graph.Sub(graph.Log(graph.ReduceSum(graph.Exp(z), -1)), graph.ReduceSum(graph.Mul(z, target), -1)))
			grads := graph.Gradient(loss, in[:params]...)
			out := make([]*graph.Node, 3*params+1)
			for i, d := range grads {
				m := graph.Add(graph.MulScalar(in[params+i], 0.9), graph.MulScalar(d, 0.1))
				v := graph.Add(graph.MulScalar(in[2*params+i], 0.999), graph.MulScalar(graph.Square(d), 0.001))
				out[i] = graph.Sub(in[i], graph.MulScalar(graph.Div(m, graph.AddScalar(graph.Sqrt(v), 1e-8)), 1e-4))
				out[params+i], out[2*params+i] = m, v
			}
			out[3*params] = loss
			return out
		}, in...)
		compiled := time.Since(begin).Seconds()
		buffers := make([]compute.Buffer, len(in))
		donate := make([]bool, len(in))
		for i, t := range in {
			if i < 3*params {
				buffers[i], donate[i] = must(t.DonateBuffer(e, 0)), true
			} else {
				buffers[i] = must(t.Buffer(e, 0))
			}
		}
		for b.Loop() {
			out := run(b, g, buffers, donate)
			for i := range 3 * params {
				buffers[i] = must(out[i].DonateBuffer(e, 0))
			}
			out[3*params].MustFinalizeAll()
		}
		b.ReportMetric(compiled, "compile_s")
		b.ReportMetric(rows*length*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
	})
}
