package synthetic

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel/llm/tokenizer"
)

// Words returns the words of the language in the order of their ids, which begin after the
// special tokens.
func Words() []string {
	seen := map[string]bool{}
	var out []string
	add := func(text string) {
		for _, w := range strings.Fields(text) {
			if !seen[w] && w != "{}" {
				seen[w] = true
				out = append(out, w)
			}
		}
	}
	for _, n := range numbers {
		add(n)
	}
	for _, q := range questions() {
		add(q.prompt)
		add(q.answer)
	}
	for _, p := range append(slices.Clone(polite), bare) {
		add(p)
	}
	slices.Sort(out)
	return out
}

// special tokens, with ids 0, 1, 2 and 3.
var special = []string{"<unk>", "<s>", "</s>", "<pad>"}

// Files returns tokenizer.json and tokenizer_config.json, so that a model of the language can be saved with its
// tokenizer and read by other tools.
func Files() (tokenizerJSON, config []byte) {
	type object = map[string]any
	vocabulary := object{}
	var added []object
	for id, s := range special {
		vocabulary[s] = id
		added = append(added, object{"id": id, "content": s, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
	}
	const mark = "\u2581" // in front of every word, as SentencePiece writes it
	for i, w := range append(Words(), "\n") {
		vocabulary[mark+w] = len(special) + i
	}
	// Byte-pair encoding without merges that takes whole words from its vocabulary.
	tokenizerJSON, err := json.MarshalIndent(object{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added,
		"normalizer":    object{"type": "Replace", "pattern": object{"String": "\n"}, "content": " \n"},
		"pre_tokenizer": object{"type": "Metaspace", "replacement": mark, "prepend_scheme": "always", "split": true},
		"decoder":       object{"type": "Metaspace", "replacement": mark, "prepend_scheme": "always", "split": true},
		"post_processor": object{
			"type":           "TemplateProcessing",
			"single":         []object{{"SpecialToken": object{"id": "<s>", "type_id": 0}}, {"Sequence": object{"id": "A", "type_id": 0}}},
			"pair":           []object{{"Sequence": object{"id": "A", "type_id": 0}}, {"Sequence": object{"id": "B", "type_id": 1}}},
			"special_tokens": object{"<s>": object{"id": "<s>", "ids": []int{1}, "tokens": []string{"<s>"}}},
		},
		"model": object{
			"type": "BPE", "dropout": nil, "unk_token": "<unk>", "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk": true, "byte_fallback": false, "ignore_merges": true, "vocab": vocabulary, "merges": []string{},
		},
	}, "", " ")
	if err != nil {
		return nil, nil // maps of texts and numbers can be written
	}
	config, _ = json.MarshalIndent(object{
		"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>",
		"model_max_length": 128, "clean_up_tokenization_spaces": false,
	}, "", " ")
	return tokenizerJSON, config
}

// Tokenizer returns the tokenizer of the language: one token for every word.
func Tokenizer() (*tokenizer.Tokenizer, error) {
	return tokenizer.ParseConfig(Files())
}
