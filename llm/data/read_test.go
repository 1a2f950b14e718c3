package data

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/bilevel-go/bilevel"
)

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, file, content, columns string
		kind                         Kind
		want                         []Row // ID, File and Line are checked apart
		lines                        []int
	}{
		{name: "alpaca array", file: "a.json", content: "\ufeff[\n {\"instruction\":\"Add\",\"input\":\"1 2\",\"output\":\"3\"},\n\n {\"instruction\":\"Sky?\",\n  \"output\":\"blue\"}\n]\n",
			want: []Row{{Instruction: "Add", Input: "1 2", Response: "3"}, {Instruction: "Sky?", Response: "blue"}}, lines: []int{2, 4}},
		{name: "lines in a .json", file: "a.json", content: "\n{\"prompt\":\"a\",\"response\":\"b\"}\n\n{\"prompt\":\"c\",\"response\":5e2}",
			want: []Row{{Instruction: "a", Response: "b"}, {Instruction: "c", Response: "5e2"}}, lines: []int{2, 4}},
		{name: "question and answer", file: "a.jsonl", content: "{\"question\":\"q\",\"answer\":\"x\\n#### 4\"}\r\n",
			want: []Row{{Instruction: "q", Response: "x\n#### 4"}}, lines: []int{1}},
		{name: "OpenOrca", file: "a.ndjson", content: `{"id":1,"system_prompt":"","question":"q","response":"r"}`,
			want: []Row{{Instruction: "q", Response: "r"}}, lines: []int{1}},
		{name: "pairs", file: "a.jsonl", content: `{"prompt":"p","chosen":"c","rejected":"r"}`, kind: ForPreference,
			want: []Row{{Instruction: "p", Chosen: "c", Rejected: "r"}}, lines: []int{1}},
		{name: "pairs as supervised", file: "a.jsonl", content: `{"prompt":"p","chosen":"c","rejected":"r"}`,
			want: []Row{{Instruction: "p", Response: "c"}}, lines: []int{1}},
		{name: "messages", file: "a.jsonl", content: `{"messages":[{"role":"system","content":"s"},{"role":"user","content":"1"},{"role":"assistant","content":"2"},{"role":"user","content":[{"type":"text","text":"3"}]},{"role":"assistant","content":"4"}]}`,
			want: []Row{{System: "s", History: []Message{{"user", "1"}, {"assistant", "2"}}, Instruction: "3", Response: "4"}}, lines: []int{1}},
		{name: "speakers", file: "a.json", content: `[{"conversations":[{"from":"human","value":"hi"},{"from":"gpt","value":"hello"}]}]`,
			want: []Row{{Instruction: "hi", Response: "hello"}}, lines: []int{1}},
		{name: "pairs of conversations", file: "a.json", content: `[{"chosen":[{"role":"user","content":"p"},{"role":"assistant","content":"c"}],"rejected":[{"role":"user","content":"p"},{"role":"assistant","content":"r"}]}]`, kind: ForPreference,
			want: []Row{{Instruction: "p", Chosen: "c", Rejected: "r"}}, lines: []int{1}},
		{name: "prompt of messages", file: "a.json", content: `[{"prompt":[{"role":"user","content":"p"}],"chosen":[{"role":"assistant","content":"c"}],"rejected":"r"}]`, kind: ForPreference,
			want: []Row{{Instruction: "p", Chosen: "c", Rejected: "r"}}, lines: []int{1}},
		{name: "csv", file: "a.csv", content: "prompt,response\n\"two\nlines\",b\n\"say \"\"x\"\"\",d\n",
			want: []Row{{Instruction: "two\nlines", Response: "b"}, {Instruction: `say "x"`, Response: "d"}}, lines: []int{2, 4}},
		{name: "csv of messages", file: "a.csv", content: "messages\n\"[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"p\"\"},{\"\"role\"\":\"\"assistant\"\",\"\"content\"\":\"\"r\"\"}]\"\n",
			want: []Row{{Instruction: "p", Response: "r"}}, lines: []int{2}},
		{name: "tsv, mapped", file: "a.tsv", content: "a b\tc,d\te\tf\nx\ty\tz\tw\n", columns: `prompt=a b + "c,d"+e, response = f`,
			want: []Row{{Instruction: "x", Input: "y\nz", Response: "w"}}, lines: []int{2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := write(t, c.file, c.content)
			got, err := Read([]string{file}, ReadSettings{Kind: c.kind, Columns: c.columns})
			if err != nil {
				t.Fatal(err)
			}
			for i := range c.want {
				c.want[i].ID, c.want[i].File, c.want[i].Line = i, file, c.lines[i]
			}
			if !reflect.DeepEqual(got.Rows, c.want) {
				t.Errorf("got %+v, want %+v", got.Rows, c.want)
			}
		})
	}
}

func TestReadGzipAndLimit(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for i := range 5 {
		fmt.Fprintf(z, "{\"prompt\":\"%d\",\"response\":\"r\"}\n", i)
	}
	z.Close()
	file := write(t, "a.jsonl.gz", b.String())
	got, err := Read([]string{file, file}, ReadSettings{Limit: 7})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Rows); n != 7 || got.Rows[6].ID != 6 || got.Rows[6].Line != 2 || got.Rows[6].Instruction != "1" {
		t.Errorf("%d rows, last %+v", n, got.Rows[n-1])
	}
	if _, err := Read([]string{write(t, "b.jsonl.gz", b.String()[:b.Len()-12])}, ReadSettings{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut file: %v, want unexpected EOF", err)
	}
}

func TestBadRows(t *testing.T) {
	for _, c := range []struct {
		name, file, content string
		kind                Kind
		reason              Reason
		message             string // of the error, after the folder
	}{
		{"cut line", "a.jsonl", "{\"prompt\":\"a\",\"response\":\"b\"}\n{\"prompt\":\"a\"\n", 0, Malformed, "a.jsonl:2: row 1: malformed: JSON value is cut off"},
		{"two values", "a.jsonl", "{\"prompt\":\"a\",\"response\":\"b\"}\n{} {}", 0, Malformed, "a.jsonl:2: row 1: malformed: \"{}\" after the JSON value"},
		{"not an object", "a.json", "[{\"prompt\":\"a\",\"response\":\"b\"},\n7]", 0, NotObject, "a.json:2: row 1: not an object: a number"},
		{"missing", "a.jsonl", "{\"prompt\":\"a\",\"response\":\"b\"}\n{\"prompt\":\"a\"}", 0, MissingColumn, "a.jsonl:2: row 1: missing column: \"response\"; the row has prompt"},
		{"type", "a.jsonl", "{\"prompt\":\"a\",\"response\":\"b\"}\n{\"prompt\":true,\"response\":\"b\"}", 0, WrongType, "a.jsonl:2: row 1: wrong type: column \"prompt\" is true or false, want text"},
		{"empty prompt", "a.csv", "prompt,response\na,b\n  ,b\n", 0, EmptyPrompt, "a.csv:3: row 1: empty prompt"},
		{"empty response", "a.csv", "prompt,response\na,b\na, \n", 0, EmptyResponse, "a.csv:3: row 1: empty response: column \"response\""},
		{"empty rejected", "a.jsonl", "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}\n{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":null}", ForPreference, EmptyResponse, "a.jsonl:2: row 1: empty response: column \"rejected\""},
		{"cells", "a.csv", "prompt,response\na,b\na,b,c\n", 0, Malformed, "a.csv:3: row 1: malformed: 3 cells, the header has 2"},
		{"quote", "a.csv", "prompt,response\na,b\na\"b,c\n", 0, Malformed, "a.csv:3: row 1: malformed: bare \" in non-quoted-field"},
		{"last speaker", "a.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}]}\n{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", 0, BadMessages, "a.jsonl:2: row 1: bad list of messages: column \"messages\" ends with a message of role \"user\", want \"assistant\""},
		{"role", "a.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}]}\n{\"messages\":[{\"role\":\"tool\",\"content\":\"a\"}]}", 0, BadMessages, "a.jsonl:2: row 1: bad list of messages: column \"messages\": message 1 has role \"tool\", want system, user or assistant"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := write(t, c.file, c.content)
			_, err := Read([]string{file}, ReadSettings{Kind: c.kind})
			var bad *RowError
			if !errors.As(err, &bad) || !errors.Is(err, c.reason) {
				t.Fatalf("%v, want a *RowError: %s", err, c.reason)
			}
			if got := strings.TrimPrefix(err.Error(), filepath.Dir(file)+string(filepath.Separator)); got != c.message {
				t.Errorf("message %q, want %q", got, c.message)
			}
			rows, err := Read([]string{file}, ReadSettings{Kind: c.kind, SkipBad: true})
			if err != nil {
				t.Fatal(err)
			}
			if len(rows.Rows) != 1 || rows.Skipped[c.reason] != 1 || rows.Skipped.Total() != 1 || len(rows.First) != 1 || rows.Skipped.String() != "1 "+string(c.reason) {
				t.Errorf("skipping: %d rows, skipped %v, first %v", len(rows.Rows), rows.Skipped, rows.First)
			}
		})
	}
}

// Files that cannot be read on are errors whatever SkipBad says.
func TestBadFiles(t *testing.T) {
	for _, c := range []struct{ file, content, message string }{
		{"a.json", "", "no rows"},
		{"a.json", "[]", "no rows"},
		{"a.jsonl", "\n \n", "no rows"},
		{"a.json", "[{\"prompt\":\"a\",\"response\":\"b\"},\n{\"prompt\" 1}]", "a.json:2: row 1: invalid character '1' after object key"},
		{"a.json", "[{\"prompt\":\"a\",\"response\":\"b\"},\n\n", "a.json:3: row 1: unexpected EOF"},
		{"a.json", "[{\"prompt\":\"a\",\"response\":\"b\"}\n] x", "a.json:2:"},
		{"a.json", "\"text\"", "want an array of objects"},
		{"a.csv", "", "header"},
		{"a.csv", "a,a\n", `column 2 is named "a"`},
		{"a.txt", "", "allowed"},
		{"a.parquet", "PAR1xxxxPAR1", "a.parquet"},
		{"a.jsonl", `{"x":1}`, "columns of supervised data"},
	} {
		_, err := Read([]string{write(t, c.file, c.content)}, ReadSettings{SkipBad: true})
		if err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s with %q: %v, want an error with %q", c.file, c.content, err, c.message)
		}
	}
	if _, err := Read([]string{filepath.Join(t.TempDir(), "none.json")}, ReadSettings{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
	var bad *bilevel.SettingError
	for _, s := range []ReadSettings{{Limit: -1}, {Columns: "prompt=a"}, {Columns: "x=y"}, {Kind: ForPreference, Columns: "prompt=a,response=b"}} {
		if _, err := Read([]string{write(t, "a.jsonl", "{}")}, s); !errors.As(err, &bad) {
			t.Errorf("%+v: %v, want a *bilevel.SettingError", s, err)
		}
	}
}

// The file was written by pyarrow 26, as most published Parquet files are: columns messages
// (list of struct), prompt, chosen, rejected (one null), numbers, booleans and a list of text.
func TestParquetOfPyArrow(t *testing.T) {
	file := filepath.Join("testdata", "pyarrow.parquet")
	got := readRows(t, ForSupervised, file).Rows
	if len(got) != 2 || got[0].Instruction != "2+2?" || got[0].Response != "4" || got[1].Response != "Penguin" {
		t.Errorf("prompt and chosen: %+v", got)
	}
	all, err := Read([]string{file}, ReadSettings{Columns: "messages=messages"})
	if err != nil {
		t.Fatal(err)
	}
	if r := all.Rows[0]; r.System != "Be terse." || r.Instruction != "2+2?" || r.Response != "4" {
		t.Errorf("messages: %+v", r)
	}
	pairs, err := Read([]string{file}, ReadSettings{Kind: ForPreference, SkipBad: true, Columns: "prompt=prompt,chosen=chosen,rejected=rejected"})
	if err != nil {
		t.Fatal(err)
	}
	if len(pairs.Rows) != 1 || pairs.Skipped[EmptyResponse] != 1 {
		t.Errorf("pairs: %+v, skipped %v", pairs.Rows, pairs.Skipped)
	}
	_, err = Read([]string{file}, ReadSettings{Columns: "prompt=n+score,response=ok"})
	if !errors.Is(err, WrongType) {
		t.Errorf("boolean response: %v, want %v", err, WrongType)
	}
	numbers, err := Read([]string{file}, ReadSettings{Columns: "prompt=n+score,response=prompt"})
	if err != nil || numbers.Rows[0].Prompt() != "1\n0.5" {
		t.Errorf("numbers: %+v, %v", numbers, err)
	}
}

func TestParquetRowGroups(t *testing.T) {
	type row struct {
		Question string  `parquet:"question"`
		Answer   *string `parquet:"answer,optional"`
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b)
	for i := range 500 {
		answer := fmt.Sprint(i)
		if _, err := w.Write([]row{{fmt.Sprintf("q%d", i), &answer}}); err != nil {
			t.Fatal(err)
		}
		if i%150 == 149 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	rows := readRows(t, ForSupervised, write(t, "a.parquet", b.String())).Rows
	if len(rows) != 500 {
		t.Fatalf("%d rows, want 500", len(rows))
	}
	for i, r := range rows {
		if r.ID != i || r.Instruction != fmt.Sprintf("q%d", i) || r.Response != fmt.Sprint(i) {
			t.Fatalf("row %d is %+v", i, r)
		}
	}
}

func TestMapping(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"prompt=a,response=b", "prompt=a,response=b"},
		{" response = b , prompt = a + b c ", "prompt=a+b c,response=b"},
		{`prompt="a+b"+"say ""x""" , chosen=c,rejected=" d",system=s`, `prompt="a+b"+"say ""x""",system=s,chosen=c,rejected=" d"`},
		{"messages=m", "messages=m"},
	} {
		m, err := ParseMapping(c.in)
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
		}
		if m.String() != c.want {
			t.Errorf("%q is %q, want %q", c.in, m, c.want)
		}
	}
	for _, in := range []string{"prompt", "prompt=", "prompt=a,", "prompt=a+", "x=a", "prompt=a,prompt=b", "response=a,response=b", "response=a+b", `prompt="a`, `prompt="a"b`, `prompt=a"b`, `prompt=""`, "prompt=a=b"} {
		var bad *bilevel.SettingError
		if m, err := ParseMapping(in); !errors.As(err, &bad) {
			t.Errorf("%q: %v, %v; want a *bilevel.SettingError", in, m, err)
		}
	}
}

// Lengths in the metadata that the file cannot hold are refused before anything is allocated.
func TestDamagedParquet(t *testing.T) {
	whole, err := os.ReadFile(filepath.Join("testdata", "pyarrow.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	n := len(whole)
	change := func(at int, b ...byte) string {
		out := bytes.Clone(whole)
		copy(out[at:], b)
		return string(out)
	}
	footer := n - 8 - int(uint32(whole[n-8])|uint32(whole[n-7])<<8)
	for _, c := range []struct{ name, content, message string }{
		{"empty", "", "too short"},
		{"cut", string(whole[:n-1]), "not a Parquet file"},
		{"footer length", change(n-8, 0xff, 0xff, 0xff, 0x7f), "metadata of 2147483647 bytes"},
		// Field 1 is the version, a varint; field 2 the list of the schema's elements.
		{"schema length", change(footer+3, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07), "a list of 2147483647 entries"},
		{"no fields", change(footer, 0), "a.parquet"},
		{"open field", change(n-9, 0x18), "cut off"},
	} {
		_, err := Read([]string{write(t, "a.parquet", c.content)}, ReadSettings{})
		if err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.message)
		}
	}
	// Any single damaged byte gives rows or an error, never a panic.
	for at := range whole {
		damaged := []byte(change(at, whole[at]^0x55))
		readParquet("f", bytes.NewReader(damaged), int64(n), func(Record, error) bool { return true })
	}
}

// Lines longer than the reader's buffer are read whole.
func TestLongLine(t *testing.T) {
	long := strings.Repeat("word ", 50_000)
	rows := readRows(t, ForSupervised, write(t, "a.jsonl", fmt.Sprintf("{\"prompt\":\"a\",\"response\":%q}\n{\"prompt\":\"b\",\"response\":\"c\"}", long))).Rows
	if len(rows) != 2 || rows[0].Response != long || rows[1].Line != 2 {
		t.Errorf("%d rows, first response of %d bytes", len(rows), len(rows[0].Response))
	}
}
