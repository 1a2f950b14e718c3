package device

import "github.com/gomlx/gomlx/core/graph"

// Layout places named tensors one after the other in a vector.
type Layout struct {
	Names  []string
	Shapes [][]int
	starts []int // of each tensor, and the length of the vector
}

// Add appends a tensor.
func (l *Layout) Add(name string, shape ...int) {
	n := 1
	for _, d := range shape {
		n *= d
	}
	if len(l.starts) == 0 {
		l.starts = []int{0}
	}
	l.Names = append(l.Names, name)
	l.Shapes = append(l.Shapes, shape)
	l.starts = append(l.starts, l.Size()+n)
}

// Size is the length of the vector.
func (l *Layout) Size() int {
	if len(l.starts) == 0 {
		return 0
	}
	return l.starts[len(l.starts)-1]
}

// Part is where tensor i lies in the vector: from start to end, which is left out.
func (l *Layout) Part(i int) (start, end int) { return l.starts[i], l.starts[i+1] }

// Pieces are the tensors of the vector v, made once in a trace.
func (l *Layout) Pieces(t *Trace, v *graph.Node) []*graph.Node {
	return Memo(t, "pieces of "+t.Key(v), func() []*graph.Node {
		all := make([]*graph.Node, len(l.Names))
		for i := range all {
			all[i] = graph.Reshape(graph.Slice(v, graph.AxisRange(l.Part(i))), l.Shapes[i]...)
		}
		return all
	})
}

// ByName are Pieces by their names.
func (l *Layout) ByName(t *Trace, v *graph.Node) map[string]*graph.Node {
	all := make(map[string]*graph.Node, len(l.Names))
	for i, n := range l.Pieces(t, v) {
		all[l.Names[i]] = n
	}
	return all
}

// Join is the inverse of Pieces.
func Join(pieces []*graph.Node) *graph.Node {
	flat := make([]*graph.Node, len(pieces))
	for i, p := range pieces {
		flat[i] = graph.Reshape(p, -1)
	}
	if len(flat) == 1 {
		return flat[0]
	}
	return graph.Concatenate(flat, 0)
}
