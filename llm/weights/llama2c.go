package weights

// The llama2.c format, version 0 (no magic): seven int32, little-endian,
//
//	dim, hidden_dim, layers, heads, kv_heads, vocabulary, context
//
// then float32 tensors, each over all layers: embedding, attention norms, wq, wk,
// wv, wo, MLP norms, w1 (gate), w2 (down), w3 (up), final norm, two tables of
// rotary cosines and sines [context, head/2] that are recomputed and skipped here,
// and, when the vocabulary is negative, an untied head. Query and key rows are for
// neighbouring rotary pairs. The format fixes base 10000, epsilon 1e-5, BOS 1 and
// EOS 2.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const llama2cHeader = 28

// openLlama2c opens a llama2.c file.
func openLlama2c(path string) (*Config, *Store, error) {
	s := newStore(path)
	f, size, err := s.openFile(path)
	var c *Config
	if err == nil {
		c, err = s.addLlama2c(f, size)
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return c, s, nil
}

func (s *Store) addLlama2c(f io.ReaderAt, size int64) (*Config, error) {
	var b [llama2cHeader]byte
	if size < llama2cHeader {
		return nil, refuse(s.path, "file length", size, fmt.Sprintf("at least %d bytes", llama2cHeader))
	}
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	var h [7]int
	for i := range h {
		h[i] = int(int32(binary.LittleEndian.Uint32(b[4*i:])))
	}
	if binary.LittleEndian.Uint32(b[:]) == 0x616b3432 {
		return nil, refuse(s.path, "llama2.c version", h[1], "0, the version without a magic number")
	}
	c := &Config{
		Architecture: Llama, Hidden: h[0], Intermediate: h[1], Layers: h[2], Heads: h[3], KVHeads: h[4], Vocabulary: h[5], Context: h[6],
		Epsilon: 1e-5, Activation: SiLU, TiedHead: h[5] > 0, BOS: 1, PAD: -1, EOS: []int{2}, Rope: Rope{Base: 10000},
	}
	if h[5] < 0 {
		c.Vocabulary = -h[5]
	}
	if c.Heads > 0 && c.Hidden%c.Heads != 0 {
		return nil, refuse(s.path, "dim", c.Hidden, fmt.Sprintf("a multiple of heads = %d", c.Heads))
	}
	c.HeadSize = c.Hidden / max(c.Heads, 1)
	c.Rope.Dims = c.HeadSize
	if err := c.Validate(s.path); err != nil {
		return nil, err
	}
	return c, s.placeLlama2c(c, f, size)
}

// placeLlama2c enters the tensors in the file's order.
func (s *Store) placeLlama2c(c *Config, f io.ReaderAt, size int64) error {
	at := int64(llama2cHeader)
	add := func(name string, rearrange func([]float32), shape ...int) error {
		n, _ := volume(shape)
		t := &tensor{name: name, shape: shape, typ: F32, dtype: "F32", file: f, path: s.path, offset: at, n: n, rearrange: rearrange}
		at += 4 * int64(n)
		if at > size {
			return refuse(s.path, "file length", size, fmt.Sprintf("at least %d, where tensor %q ends", at, name))
		}
		return s.add(t)
	}
	kv := c.KVHeads * c.HeadSize
	if err := add(c.EmbeddingName(), nil, c.Vocabulary, c.Hidden); err != nil {
		return err
	}
	for _, block := range []struct {
		name      string
		rearrange func([]float32)
		shape     []int
	}{
		{"input_layernorm", nil, []int{c.Hidden}},
		{"self_attn.q_proj", halfSplit(c.Heads, c.HeadSize), []int{c.Hidden, c.Hidden}},
		{"self_attn.k_proj", halfSplit(c.KVHeads, c.HeadSize), []int{kv, c.Hidden}},
		{"self_attn.v_proj", nil, []int{kv, c.Hidden}},
		{"self_attn.o_proj", nil, []int{c.Hidden, c.Hidden}},
		{"post_attention_layernorm", nil, []int{c.Hidden}},
		{"mlp.gate_proj", nil, []int{c.Intermediate, c.Hidden}},
		{"mlp.down_proj", nil, []int{c.Hidden, c.Intermediate}},
		{"mlp.up_proj", nil, []int{c.Intermediate, c.Hidden}},
	} {
		for i := range c.Layers {
			if err := add(c.layerPrefix(i)+block.name+".weight", block.rearrange, block.shape...); err != nil {
				return err
			}
		}
	}
	if err := add("model.norm.weight", nil, c.Hidden); err != nil {
		return err
	}
	at += 4 * int64(c.Context) * int64(c.HeadSize) // the rotary tables
	if !c.TiedHead {
		if err := add(c.HeadName(), nil, c.Vocabulary, c.Hidden); err != nil {
			return err
		}
	}
	if at != size {
		return refuse(s.path, "file length", size, fmt.Sprintf("%d for the sizes in its header", at))
	}
	return nil
}
