package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const maxFile = 512 << 20 // bytes; the largest published tokenizer.json has about 35 MB

// Open reads a tokenizer: a tokenizer.json, a model folder that has one, or a
// llama2.c tokenizer file. Beside a tokenizer.json, tokenizer_config.json tells
// which tokens begin and end a text, pad, and stand for the unknown. Errors name
// the file.
func Open(path string) (*Tokenizer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		path = filepath.Join(path, "tokenizer.json")
	}
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	var t *Tokenizer
	if head := bytes.TrimLeft(data, " \t\r\n\ufeff"); len(head) > 0 && head[0] != '{' {
		t, err = ParseLlama2C(data)
	} else if t, err = Parse(data); err == nil {
		config := filepath.Join(filepath.Dir(path), "tokenizer_config.json")
		roles, e := readFile(config)
		switch {
		case errors.Is(e, fs.ErrNotExist):
		case e != nil:
			return nil, e
		default:
			if e := t.roles(roles); e != nil {
				return nil, fmt.Errorf("%s: %w", config, e)
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// ParseConfig reads the content of a tokenizer.json and of the tokenizer_config.json beside
// it, which tells which tokens have a role.
func ParseConfig(data, config []byte) (*Tokenizer, error) {
	t, err := Parse(data)
	if err != nil {
		return nil, err
	}
	return t, t.roles(config)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: %w", path, refuse("size", "more", fmt.Sprintf("at most %d bytes", maxFile)))
	}
	return data, nil
}

// roles reads the special tokens that a tokenizer_config.json names, each a
// string or an object with a content.
func (t *Tokenizer) roles(config []byte) error {
	var err error
	f := object("", config, &err)
	for _, role := range []struct {
		key string
		id  *int
	}{
		{"bos_token", &t.special.BOS}, {"eos_token", &t.special.EOS},
		{"pad_token", &t.special.PAD}, {"unk_token", &t.special.UNK},
	} {
		if err != nil || !f.has(role.key) {
			continue
		}
		var name string
		if json.Unmarshal(f.m[role.key], &name) != nil {
			name = object(role.key, f.m[role.key], &err).str("content")
		}
		id, ok := t.ID(name)
		if err == nil && !ok {
			f.fail(role.key, name, "a token of the tokenizer")
		}
		*role.id = id
	}
	return err
}
