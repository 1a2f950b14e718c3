package objective_test

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/bilevel-go/bilevel/llm/lora"
	"github.com/bilevel-go/bilevel/llm/network"
	"github.com/bilevel-go/bilevel/llm/objective"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// The graph of a supervised step: every tensor is a parameter of the graph, and
// gradients are taken by the adapter and by the head.
func Example() {
	config := &weights.Config{Architecture: weights.Llama, Vocabulary: 100, Hidden: 16, Intermediate: 32, Layers: 2,
		Heads: 4, KVHeads: 2, HeadSize: 4, Context: 32, Epsilon: 1e-5, Activation: weights.SiLU,
		Rope: weights.Rope{Base: 1e4, Dims: 4}, BOS: -1, PAD: -1}
	net, err := network.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	adapter, err := lora.New(config, weights.AdapterConfig{Rank: 4, Alpha: 8}, 1)
	if err != nil {
		fmt.Println(err)
		return
	}

	g := graph.NewGraph(gobackend.GetBackend(), "step")
	parameters := map[string]*graph.Node{}
	parameter := func(name string, t dtypes.DType, shape ...int) *graph.Node {
		n := graph.Parameter(g, name, shapes.Make(t, shape...))
		parameters[name] = n
		return n
	}
	var gradients []*graph.Node
	err = network.Catch(func() {
		for _, p := range config.Parameters() {
			parameter(p.Name, dtypes.Float32, p.Shape...)
		}
		var trained []*graph.Node
		for _, p := range lora.Parameters(adapter) {
			trained = append(trained, parameter(p.Name, dtypes.Float32, p.Shape...))
		}
		find := func(name string) *graph.Node { return parameters[name] }
		head := find(config.HeadName())

		hidden := net.Hidden(find, lora.Bind(adapter, find), parameter("ids", dtypes.Int32, 2, 10))
		at := objective.Scored{ // the 6 positions whose next token is scored
			At: parameter("at", dtypes.Int32, 6), Target: parameter("target", dtypes.Int32, 6),
			Weight: parameter("weight", dtypes.Float32, 6),
		}
		loss := objective.SFT(at.Gather(hidden), head, at)
		gradients = graph.Gradient(loss, append(trained, head)...)
	})
	if err == nil {
		err = g.Compile(gradients...)
	}
	fmt.Println(len(gradients), "gradients; of the head:", gradients[len(gradients)-1].Shape(), err)
	// Output: 9 gradients; of the head: (Float32)[100, 16] <nil>
}
