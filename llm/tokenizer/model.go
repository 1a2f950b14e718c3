package tokenizer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bilevel-go/bilevel/llm/weights"
)

// OfModel opens the tokenizer of a model: the vocabulary of its GGUF file, or
// tokenizer.json or, for a llama2.c file, tokenizer.bin in its folder. A model with
// neither gives an error that matches fs.ErrNotExist and says what is missing.
func OfModel(m *weights.Model) (*Tokenizer, error) {
	v, err := m.Vocabulary()
	if err != nil {
		return nil, err
	}
	if v != nil {
		t, err := FromGGUF(OfVocabulary(v))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Path, err)
		}
		return t, nil
	}
	names := []string{"tokenizer.json"}
	if m.Kind == weights.Llama2c {
		names = append(names, "tokenizer.bin")
	}
	for _, name := range names {
		path := filepath.Join(m.Dir(), name)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return Open(path)
	}
	return nil, fmt.Errorf("no tokenizer lies beside the model %s: want %s in %s: %w", m.Path, names[len(names)-1], m.Dir(), fs.ErrNotExist)
}

// OfVocabulary is the tokenizer's part of a GGUF file for FromGGUF.
func OfVocabulary(v *weights.Vocabulary) GGUF {
	g := GGUF{
		Model: v.Model, Pre: v.Pre, Tokens: v.Tokens, Scores: v.Scores, Merges: v.Merges,
		BOS: v.BOS, EOS: v.EOS, UNK: v.Unknown, PAD: v.PAD,
		AddBOS: v.AddBOS, AddEOS: v.AddEOS, AddSpacePrefix: v.AddSpacePrefix,
	}
	for _, t := range v.Types {
		g.Types = append(g.Types, int32(t))
	}
	return g
}
