package weights

import (
	"slices"
	"testing"
)

// inMemory is a tiny configuration with values that tell their places.
func inMemory() (Config, map[string][]float32) {
	c := Config{Architecture: Llama, Vocabulary: 5, Hidden: 4, Intermediate: 6, Layers: 1, Heads: 2, KVHeads: 1, HeadSize: 2, Context: 8,
		Epsilon: 1e-5, Activation: SiLU, Rope: Rope{Base: 10000, Dims: 2}, BOS: 1, PAD: -1, EOS: []int{2}}
	values := map[string][]float32{}
	for i, p := range c.Parameters() {
		n, _ := volume(p.Shape)
		values[p.Name] = make([]float32, n)
		for j := range values[p.Name] {
			values[p.Name][j] = float32(100*i + j)
		}
	}
	return c, values
}

func TestNewModel(t *testing.T) {
	c, values := inMemory()
	m, err := NewModel(c, values)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, p := range c.Parameters() {
		got, shape, err := m.Tensor(p.Name)
		if err != nil || !slices.Equal(got, values[p.Name]) || !slices.Equal(shape, p.Shape) {
			t.Errorf("%s: %v of shape %v, %v", p.Name, got, shape, err)
		}
	}
	if m.Kind != Memory || len(m.Unused()) > 0 || m.StoredAs("model.norm.weight") != "F32" {
		t.Errorf("kind %s, unused %v", m.Kind, m.Unused())
	}
	c.TiedHead = true
	_, err = NewModel(c, values)
	mustRefuse(t, err, "lm_head.weight")
	delete(values, "lm_head.weight")
	if m, err = NewModel(c, values); err != nil {
		t.Fatal(err)
	}
	if head, _, err := m.Tensor(c.HeadName()); err != nil || !slices.Equal(head, values[c.EmbeddingName()]) {
		t.Errorf("the tied head is %v, %v", head, err)
	}
	values["model.norm.weight"] = values["model.norm.weight"][1:]
	_, err = NewModel(c, values)
	mustRefuse(t, err, "model.norm.weight", "3", "4")
	delete(values, "model.norm.weight")
	_, err = NewModel(c, values)
	mustRefuse(t, err, "no model.norm.weight")
	c.Heads = 0
	_, err = NewModel(c, values)
	mustRefuse(t, err, "num_attention_heads")
}
