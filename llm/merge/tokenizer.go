package merge

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bilevel-go/bilevel/internal/wholefile"
	"github.com/bilevel-go/bilevel/llm/tokenizer"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// tokenizerFiles are the files of a model folder that belong to its tokenizer and
// to generation.
var tokenizerFiles = []string{
	"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.model",
	"vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json", "generation_config.json",
}

// writeTokenizer copies the tokenizer's files, or makes them of a GGUF vocabulary.
func writeTokenizer(dir string, m *weights.Model, r *Report) error {
	if v, err := m.Vocabulary(); err != nil {
		return err
	} else if v != nil {
		return fromGGUF(dir, v, r)
	}
	for _, name := range tokenizerFiles {
		err := copyFile(filepath.Join(dir, name), filepath.Join(m.Dir(), name))
		switch {
		case err == nil:
			r.Files = append(r.Files, name)
		case name == tokenizerFiles[0] && errors.Is(err, fs.ErrNotExist):
			r.Missing = "no tokenizer.json lies beside the base model: copy the tokenizer's files into the folder"
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}

func copyFile(to, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return wholefile.Write(to, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}

func fromGGUF(dir string, v *weights.Vocabulary, r *Report) error {
	main, config, err := tokenizer.OfVocabulary(v).JSON(v.ChatTemplate)
	if err != nil {
		r.Missing = "the tokenizer of the GGUF file cannot be written: " + err.Error()
		return nil
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{"tokenizer.json", main}, {"tokenizer_config.json", config}} {
		err := wholefile.Write(filepath.Join(dir, f.name), func(w io.Writer) error { _, err := w.Write(f.data); return err })
		if err != nil {
			return err
		}
		r.Files = append(r.Files, f.name)
	}
	return nil
}
