package weights

import (
	"fmt"
	"slices"
)

// Memory is the Kind of a model that was made and not opened.
const Memory Kind = "memory"

// NewModel makes a model of values in memory, by parameter name and row-major, which
// it keeps. There must be one for every parameter of the configuration, and none
// besides.
func NewModel(c Config, values map[string][]float32) (*Model, error) {
	const path = "model in memory"
	if err := c.Validate(path); err != nil {
		return nil, err
	}
	m := &Model{Config: c, Kind: Memory, Path: path, store: newStore(path)}
	for _, p := range c.Parameters() {
		v, ok := values[p.Name]
		n, _ := volume(p.Shape)
		switch {
		case !ok:
			return nil, refuse(path, "parameters", "no "+p.Name, "every parameter of the configuration")
		case len(v) != n:
			return nil, refuse(path, "values of "+p.Name, len(v), fmt.Sprintf("%d, for the shape %v", n, p.Shape))
		}
		if err := m.store.add(&tensor{name: p.Name, shape: slices.Clone(p.Shape), typ: F32, dtype: F32.String(), path: path, n: n, values: v}); err != nil {
			return nil, err
		}
	}
	for name := range values {
		if !m.store.Has(name) {
			return nil, refuse(path, "parameters", name, "those of the configuration")
		}
	}
	return m, nil
}
