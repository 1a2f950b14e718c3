package tokenizer_test

import (
	"fmt"

	"github.com/bilevel-go/bilevel/llm/tokenizer"
)

const tiny = `{
  "version": "1.0",
  "added_tokens": [{"content": "<s>", "special": true, "normalized": false}],
  "normalizer": {"type": "Sequence", "normalizers": [
    {"type": "Prepend", "prepend": "▁"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
    "special_tokens": {"<s>": {"ids": [0]}}},
  "decoder": {"type": "Sequence", "decoders": [
    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
    {"type": "ByteFallback"}, {"type": "Fuse"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
  "model": {"type": "BPE", "byte_fallback": true,
    "vocab": {"<s>": 0, "▁": 1, "a": 2, "n": 3, "▁a": 4, "▁an": 5, "<0xC3>": 6, "<0xA9>": 7},
    "merges": [["▁", "a"], ["▁a", "n"]]}
}`

func ExampleTokenizer_Encode() {
	t, err := tokenizer.Parse([]byte(tiny))
	if err != nil {
		fmt.Println(err)
		return
	}
	ids := t.Encode("an é", true)
	fmt.Println(ids)
	fmt.Printf("%q\n", t.Decode(ids, true))
	// Output:
	// [0 5 1 6 7]
	// "an é"
}

func ExampleTokenizer_Stream() {
	t, err := tokenizer.Parse([]byte(tiny))
	if err != nil {
		fmt.Println(err)
		return
	}
	s := t.Stream(true)
	for _, id := range []int{0, 5, 1, 6, 7} {
		fmt.Printf("%q ", s.Push(id))
	}
	fmt.Printf("%q\n", s.Flush())
	// Output: "" "an" " " "" "é" ""
}

func ExampleParse_error() {
	_, err := tokenizer.Parse([]byte(`{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]}}`))
	fmt.Println(err)
	// Output: model.merges[0] = "a b": allowed is two tokens that the vocabulary has, with their result: the result "ab" is not in the vocabulary
}
