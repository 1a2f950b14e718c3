package data

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel"
)

// The wanted texts are those of Python's Jinja2 3.1.6 with the settings of transformers.
const (
	jinjaSmol = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
	jinjaTiny = `{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>
'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}`
	jinjaLlama3 = "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
	jinjaLlama2 = `{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}`
	jinjaOdd    = `{%- set ns = namespace(found=false, n=0) -%}
{% for m in messages %}
  {%- if m.role == "user" -%}{%- set ns.found = true -%}{% set ns.n = ns.n + 1 %}{%- endif -%}
  {{ m | tojson }}{% if not loop.last %}, {% endif %}
  {# a comment #}
  {% if loop.index > 3 %}{% break %}{% endif %}
{% endfor %}
{{ ns.found }} {{ ns.n }} {{ messages | selectattr("role", "equalto", "user") | list | length }} {{ messages[-1].content.startswith(" B") }} {{ messages[::-1][0].role }}
{% macro tag(x, y='d') %}<{{ x }}:{{ y }}>{% endmacro %}
{{ tag('q') }}{{ tag('q', 'z') }} {{ messages|map(attribute='role')|join('-') }} {{ 'nope' is defined }} {{ undefinedvar is defined }} {{ undefinedvar }} {{ messages[0].nokey is not defined }}
   {% if true %}
	indented
   {% endif %}
{% generation %}{{ "é<&>'\"" | tojson }}{%- endgeneration %}
{{ {'b':1,'a':[true,none]} | tojson(indent=2) }} {{ [] | tojson }}`
)

// The named templates write what the models' own do.
func TestJinjaEqualsNamed(t *testing.T) {
	for _, c := range []struct {
		named, source string
		s             JinjaSettings
	}{
		{"smollm2", jinjaSmol, JinjaSettings{}},
		{"tinyllama", jinjaTiny, JinjaSettings{EOS: "</s>"}},
		{"llama3", jinjaLlama3, JinjaSettings{BOS: "<|begin_of_text|>"}},
	} {
		own, err := JinjaTemplate(c.source, c.s)
		if err != nil {
			t.Fatalf("%s: %v", c.named, err)
		}
		e, err := NewEncoder(chatTokens, own, EncodeSettings{})
		if err != nil {
			t.Fatalf("%s: %v", c.named, err)
		}
		rows := []Row{conversation, {Instruction: "Sky <&> {{ x }}?", Response: "blue\n"}, {System: "s", Instruction: "a", Response: "b"}}
		got, report, err := e.Supervised(rows)
		if err != nil || len(got) != len(rows) {
			t.Fatalf("%s: %v, %v", c.named, report, err)
		}
		want, _, err := encoder(t, chatTokens, c.named, EncodeSettings{}).Supervised(rows)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			g, w := chatTokens.show(got[i].Prompt)+"|"+chatTokens.show(got[i].Response), chatTokens.show(want[i].Prompt)+"|"+chatTokens.show(want[i].Response)
			if g != w {
				t.Errorf("%s:\n own %q\nwant %q", c.named, g, w)
			}
		}
	}
}

func TestJinja(t *testing.T) {
	turns := []Message{{"user", "Hi <&> \"there\" "}, {"assistant", "Hello.\n"}, {"user", " Bye\n"}}
	s := JinjaSettings{BOS: "<s>", EOS: "</s>"}
	for _, c := range []struct {
		source string
		turns  []Message
		want   string
	}{
		{jinjaLlama2, turns, "<s>[INST] Hi <&> \"there\" [/INST] Hello. </s><s>[INST] Bye [/INST]"},
		{jinjaOdd, turns, "{\"role\": \"user\", \"content\": \"Hi <&> \\\"there\\\" \"}, {\"role\": \"assistant\", \"content\": \"Hello.\\n\"}, {\"role\": \"user\", \"content\": \" Bye\\n\"}True 2 2 True user\n<q:d><q:z> user-assistant-user True False  True\n\tindented\n\"é<&>'\\\"\"{\n  \"b\": 1,\n  \"a\": [\n    true,\n    null\n  ]\n} []"},
		{jinjaOdd, turns[2:], "{\"role\": \"user\", \"content\": \" Bye\\n\"}True 1 1 True user\n<q:d><q:z> user True False  True\n\tindented\n\"é<&>'\\\"\"{\n  \"b\": 1,\n  \"a\": [\n    true,\n    null\n  ]\n} []"},
	} {
		j, err := compileJinja(c.source, s)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := j.render(c.turns, true); err != nil || got != c.want {
			t.Errorf("\n got %q, %v\nwant %q", got, err, c.want)
		}
	}
}

func TestJinjaRefuses(t *testing.T) {
	var bad *bilevel.SettingError
	for _, source := range []string{"{% if %}", "{% include '/etc/passwd' %}", "{{ raise_exception('no') }}", "{{ strftime_now('%d') }}", "{{ 'x' % 3 }}"} {
		if _, err := JinjaTemplate(source, JinjaSettings{}); err == nil {
			t.Errorf("%q was taken", source)
		}
	}
	if _, err := JinjaTemplate("{{ messages[0].content }}", JinjaSettings{}); !errors.As(err, &bad) {
		t.Errorf("a template without responses: %v", err)
	}
	if _, err := JinjaTemplate("{{ messages[-1].content }}", JinjaSettings{}); !errors.Is(err, NotRendered) || !strings.Contains(err.Error(), "does not begin with the prompt") {
		t.Errorf("a template that drops the prompt: %v", err)
	}
	// A row that the template refuses is counted.
	own, err := JinjaTemplate(jinjaLlama2, JinjaSettings{BOS: "<s>", EOS: "</s>"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEncoder(chatTokens, own, EncodeSettings{})
	if err != nil {
		t.Fatal(err)
	}
	got, report, err := e.Supervised([]Row{{Instruction: "a", Response: "b"}, {History: []Message{{"user", "x"}}, Instruction: "a", Response: "b"}})
	if err != nil || len(got) != 1 || report.Dropped[NotRendered] != 1 {
		t.Fatalf("%v, %v", report, err)
	}
	if g := chatTokens.show(got[0].Prompt) + "|" + chatTokens.show(got[0].Response); g != "<s>[INST] a [/INST]| b </s>" {
		t.Errorf("Llama 2: %q", g)
	}
}

func TestJinjaDate(t *testing.T) {
	source := "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y, %H:%M %%') }}{% else %}fixed{% endif %}: {% for m in messages %}{{ m.content }};{% endfor %}"
	for _, c := range []struct {
		date time.Time
		want string
	}{{time.Time{}, "fixed: x;"}, {time.Date(2024, 7, 6, 5, 4, 0, 0, time.UTC), "06 Jul 2024, 05:04 %: x;"}} {
		tm, err := JinjaTemplate(source, JinjaSettings{Date: c.date})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tm.Prompt(&Row{Instruction: "x"}); err != nil || got != c.want {
			t.Errorf("%q, %v; want %q", got, err, c.want)
		}
	}
	if _, err := strftime(time.Time{}, "%Q"); err == nil {
		t.Error("an unknown directive was taken")
	}
}

func TestModelTemplate(t *testing.T) {
	folder := func(files ...string) string {
		dir := t.TempDir()
		for i := 0; i < len(files); i += 2 {
			if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	const simple = "{{ bos_token }}{% for m in messages %}{{ m.content + eos_token }}{% endfor %}"
	for _, dir := range []string{
		folder("tokenizer_config.json", fmt.Sprintf(`{"bos_token":{"content":"<s>"},"eos_token":"</s>","chat_template":%q}`, simple)),
		folder("tokenizer_config.json", fmt.Sprintf(`{"bos_token":"<s>","eos_token":"</s>","chat_template":[{"name":"tool_use","template":"x"},{"name":"default","template":%q}]}`, simple)),
		folder("tokenizer_config.json", `{"bos_token":"<s>","eos_token":"</s>"}`, "chat_template.jinja", simple),
	} {
		tm, err := ModelTemplate(dir, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tm.Prompt(&Row{Instruction: "x"}); err != nil || got != "<s>x</s>" || tm.End != "</s>" {
			t.Errorf("%q, end %q, %v", got, tm.End, err)
		}
	}
	var bad *bilevel.SettingError
	for _, dir := range []string{folder(), folder("tokenizer_config.json", "{}"), folder("tokenizer_config.json", `{"bos_token":null,"chat_template":null}`)} {
		if _, err := ModelTemplate(dir, time.Time{}); !errors.As(err, &bad) {
			t.Errorf("%v, want a *bilevel.SettingError", err)
		}
	}
	if _, err := ModelTemplate(folder("tokenizer_config.json", "{"), time.Time{}); err == nil {
		t.Error("a damaged file was taken")
	}
}

func FuzzJinja(f *testing.F) {
	for _, s := range []string{jinjaSmol, jinjaTiny, jinjaLlama2, "{% for m in messages %}{{ m }}", "{{ 1 // 0 }}", "{%- generation -%}{%- endgeneration -%}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		if strings.Contains(source, "range") || strings.Contains(source, "lipsum") || strings.ContainsAny(source, "*") {
			return // long work, not a crash
		}
		tm, err := JinjaTemplate(source, JinjaSettings{})
		if err != nil {
			return
		}
		_, _ = tm.Prompt(&conversation)
	})
}
