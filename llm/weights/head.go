package weights

import (
	"errors"
	"fmt"
	"slices"
)

// headNames are the names of an output head, the one that is written first.
var headNames = []string{"lm_head.weight", "embed_out.weight"}

// ReadHead reads an output head, [Vocabulary, Hidden] row-major, from a safetensors
// file that has it as lm_head.weight or embed_out.weight.
func ReadHead(path string, c *Config) (_ []float32, err error) {
	s, _, err := OpenSafetensors(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	i := slices.IndexFunc(headNames, s.Has)
	if i < 0 {
		return nil, refuse(path, "tensors", s.Names(), headNames[0]+" or "+headNames[1])
	}
	values, shape, err := s.Tensor(headNames[i])
	if err != nil {
		return nil, err
	}
	if want := []int{c.Vocabulary, c.Hidden}; !slices.Equal(shape, want) {
		return nil, refuse(path, "shape of tensor "+headNames[i], shape, fmt.Sprintf("%v, as the model's", want))
	}
	return values, nil
}

// WriteHead writes an output head as lm_head.weight, for ReadHead and for the
// script of docs/load_adapter.py; stored is its type.
func WriteHead(path string, c *Config, values []float32, stored Type) error {
	return WriteSafetensors(path, []Output{{Name: headNames[0], Shape: []int{c.Vocabulary, c.Hidden}, Type: stored, Values: values}}, nil)
}
