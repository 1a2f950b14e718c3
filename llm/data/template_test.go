package data

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
)

var conversation = Row{System: "Be brief.", History: []Message{{"user", "Hi"}, {"assistant", "Hello."}}, Instruction: "Add:", Input: "1 2", Response: " 3 "}

func TestTemplates(t *testing.T) {
	short := Row{Instruction: "Sky?", Response: "blue"}
	for _, c := range []struct {
		name             string
		row              Row
		prompt, response string
	}{
		{"plain", short, "<s>Sky?\n", "blue</s>"},
		{"plain", conversation, "<s>Be brief.\nHi\nHello.\nAdd:\n1 2\n", " 3 </s>"},
		{"alpaca", short, "<s>Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nSky?\n\n### Response:\n", "blue</s>"},
		{"alpaca", Row{Instruction: "Add:", Input: "1 2", Response: "3"}, "<s>Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\nAdd:\n\n### Input:\n1 2\n\n### Response:\n", "3</s>"},
		{"published", short, "User: Sky?\nAssistant: ", "blue </s>"},
		{"published", Row{Instruction: "a", Response: "b\n\n"}, "User: a\nAssistant: ", "b </s>"},
		{"published", Row{Instruction: "a", Response: "b</s>"}, "User: a\nAssistant: ", "b</s>"},
		{"published", Row{System: "unused", History: []Message{{"user", "a"}, {"assistant", "b"}}, Instruction: "c", Response: "d"}, "User: a\nAssistant: b\nUser: c\nAssistant: ", "d </s>"},
		{"chatml", short, "<|im_start|>user\nSky?<|im_end|>\n<|im_start|>assistant\n", "blue<|im_end|>"},
		{"smollm2", short, "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\nSky?<|im_end|>\n<|im_start|>assistant\n", "blue<|im_end|>"},
		{"smollm2", conversation, "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nAdd:\n1 2<|im_end|>\n<|im_start|>assistant\n", " 3 <|im_end|>"},
		{"llama3", conversation, "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nAdd:\n1 2<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n", "3<|eot_id|>"},
		{"tinyllama", conversation, "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\nHello.</s>\n<|user|>\nAdd:\n1 2</s>\n<|assistant|>\n", " 3 </s>"},
	} {
		e := encoder(t, chatTokens, c.name, EncodeSettings{})
		got, report, err := e.Supervised([]Row{c.row})
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %v, %v", c.name, report, err)
		}
		if p, r := chatTokens.show(got[0].Prompt), chatTokens.show(got[0].Response); p != c.prompt || r != c.response {
			t.Errorf("%s:\n got %q %q\nwant %q %q", c.name, p, r, c.prompt, c.response)
		}
		if last := got[0].Response[len(got[0].Response)-1]; int(last) != e.End() {
			t.Errorf("%s ends with %d, generation stops at %d", c.name, last, e.End())
		}
		if p, err := e.Prompt(&c.row); err != nil || !slices.Equal(p, got[0].Prompt) {
			t.Errorf("%s: generation starts from %q, %v", c.name, chatTokens.show(p), err)
		}
	}
	_, report, err := encoder(t, chatTokens, "alpaca", EncodeSettings{}).Supervised([]Row{conversation})
	if err != nil || report.Dropped[NoTurns] != 1 {
		t.Errorf("alpaca took a conversation: %v, %v", report, err)
	}
}

func TestEncoderNeedsItsTokens(t *testing.T) {
	var bad *bilevel.SettingError
	for _, name := range []string{"chatml", "llama3", "zephyr", "plain", "published"} {
		if _, err := NewEncoder(letters{}, named(t, name), EncodeSettings{}); !errors.As(err, &bad) {
			t.Errorf("%s with a tokenizer without special tokens: %v", name, err)
		}
	}
	for _, s := range []EncodeSettings{{MaxLength: 3}, {MinResponse: -1}, {MaxLength: 10, MinResponse: 10}, {Long: "x"}, {EOS: "<none>"}, {BOS: "<none>"}} {
		if _, err := NewEncoder(chatTokens, named(t, "plain"), s); !errors.As(err, &bad) {
			t.Errorf("%+v: %v, want a *bilevel.SettingError", s, err)
		}
	}
	if _, err := NamedTemplate("x"); !errors.As(err, &bad) || !strings.Contains(err.Error(), "smollm2") {
		t.Errorf("unknown template: %v", err)
	}
	e := encoder(t, chatTokens, "plain", EncodeSettings{BOS: "none", EOS: "<|im_end|>"})
	if got, _, _ := e.Supervised([]Row{{Instruction: "a", Response: "b"}}); chatTokens.show(got[0].Prompt)+chatTokens.show(got[0].Response) != "a\nb<|im_end|>" {
		t.Errorf("own end token: %+v", got)
	}
}

func TestLengthLimits(t *testing.T) {
	rows := []Row{
		{ID: 0, Instruction: "ab", Response: "0123456789"}, // 4 + 11 tokens
		{ID: 1, Instruction: "abcdefgh", Response: "01"},   // 10 + 3
		{ID: 2, Instruction: "abcdefghijkl", Response: "0"},
		{ID: 3, Instruction: "ab", Response: "01"},
		{ID: 4, Instruction: "ab", Response: "01"},
	}
	s, r, err := encoder(t, chatTokens, "plain", EncodeSettings{MaxLength: 12}).Supervised(rows)
	if err != nil {
		t.Fatal(err)
	}
	if r.Kept != 4 || r.Dropped[PromptTooLong] != 1 || r.Cut != 2 || r.CutTokens != 4 || r.Repeated != 1 || r.Prompts != 2 || r.Longest != 12 || r.Tokens != 12+12+7+7 {
		t.Errorf("cut: %+v", r)
	}
	if got := chatTokens.show(s[0].Response); got != "01234567" {
		t.Errorf("cut response is %q, want the first 8 characters and no end token", got)
	}
	_, r, _ = encoder(t, chatTokens, "plain", EncodeSettings{MaxLength: 12, Long: DropLong, MinResponse: 3}).Supervised(rows)
	if r.Kept != 2 || r.Dropped[TooLong] != 1 || r.Dropped[PromptTooLong] != 2 || r.Cut != 0 {
		t.Errorf("drop: %+v", r)
	}
	// Published: rows with prompt_len >= max_len-2 are left out, others cut, with the end token forced. The prompt has 19 tokens with "a".
	whole := []Row{{Instruction: "a", Response: "0123456789"}, {Instruction: "abcd", Response: "01"}, {Instruction: "abcde", Response: "01"}, {Instruction: "a", Response: "0\n\n"}}
	s, r, _ = encoder(t, chatTokens, "published", EncodeSettings{MaxLength: 25}).Supervised(whole)
	if len(s) != 3 || r.Dropped[PromptTooLong] != 1 || r.Cut != 2 {
		t.Fatalf("published: %+v", r)
	}
	for i, want := range []string{"01234</s>", "01</s>", "0 </s>"} {
		if got := chatTokens.show(s[i].Response); got != want {
			t.Errorf("published row %d is %q, want %q", i, got, want)
		}
	}
	pairs := []Row{{Instruction: "a", Chosen: "x", Rejected: "x"}, {Instruction: "a", Chosen: "xyz", Rejected: "xyw"}}
	p, pr, _ := encoder(t, chatTokens, "plain", EncodeSettings{MaxLength: 5}).Preference(pairs)
	if len(p) != 0 || pr.Dropped[Identical] != 2 {
		t.Errorf("pairs that are equal, or equal when cut: %+v", pr)
	}
	_, pr, _ = encoder(t, chatTokens, "plain", EncodeSettings{KeepIdentical: true}).Preference(pairs)
	if pr.Kept != 2 || pr.Same != 1 || pr.Sequences != 4 {
		t.Errorf("identical pairs kept: %+v", pr)
	}
}

// Results do not depend on the number of goroutines.
func TestEncodeWorkers(t *testing.T) {
	rows := make([]Row, 1000)
	for i := range rows {
		rows[i] = Row{ID: i, Instruction: strings.Repeat("a", 1+i%37), Response: strings.Repeat("b", 1+i%11)}
	}
	one, r1, _ := encoder(t, chatTokens, "plain", EncodeSettings{Workers: 1, MaxLength: 40}).Supervised(rows)
	many, r2, _ := encoder(t, chatTokens, "plain", EncodeSettings{Workers: 7, MaxLength: 40}).Supervised(rows)
	if Fingerprint(one) != Fingerprint(many) || r1.String() != r2.String() {
		t.Errorf("%s with one goroutine, %s with seven", r1, r2)
	}
	one[3].Response[0]++
	if Fingerprint(one) == Fingerprint(many) {
		t.Error("the fingerprint does not see a changed token")
	}
}

// joins is a tokenizer that makes " x" one token, as many do with a space and a letter.
type joins struct{ letters }

func (j joins) Encode(text string, special bool) []int {
	var out []int
	for i, part := range strings.Split(text, " x") {
		if i > 0 {
			out = append(out, 300)
		}
		out = append(out, j.letters.Encode(part, special && i == 0)...)
	}
	return out
}

// In the published layout a response may change the ids of the prompt's end. The ids of the whole text
// count; a pair keeps the ids that both share as the prompt.
func TestPublishedBoundary(t *testing.T) {
	tok := joins{chatTokens}
	e := encoder(t, tok, "published", EncodeSettings{})
	p, _, err := e.Preference([]Row{{Instruction: "a", Chosen: "xy", Rejected: "zy"}})
	if err != nil || len(p) != 1 {
		t.Fatal(err)
	}
	got := p[0]
	if end := got.Prompt[len(got.Prompt)-1]; end != ':' {
		t.Errorf("the prompt ends with %d, want the colon", end)
	}
	if want := []int32{300, 'y', ' ', 257}; !slices.Equal(got.Chosen, want) {
		t.Errorf("chosen %v, want %v", got.Chosen, want)
	}
	if want := []int32{' ', 'z', 'y', ' ', 257}; !slices.Equal(got.Rejected, want) {
		t.Errorf("rejected %v, want %v", got.Rejected, want)
	}
}
