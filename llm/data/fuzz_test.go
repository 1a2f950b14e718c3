package data

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// fuzzRecords reads data to its end and checks what every reader promises: records have
// fields, errors are of rows or end the sequence.
func fuzzRecords(t *testing.T, data []byte, format Format) {
	ended := false
	line := 0
	for r, err := range ReadRecords("f", bytes.NewReader(data), format) {
		if ended {
			t.Fatal("the sequence goes on after the error that ends it")
		}
		var bad *RowError
		switch {
		case err == nil && r.Fields == nil:
			t.Fatal("a record without fields")
		case err == nil && r.Line < line:
			t.Fatalf("line %d after line %d", r.Line, line)
		case err == nil:
			line = r.Line
			for _, k := range []Kind{ForSupervised, ForPreference} {
				columns := make([]string, 0, len(r.Fields))
				for c := range r.Fields {
					columns = append(columns, c)
				}
				m, err := Detect(columns, k)
				if err != nil {
					continue
				}
				if row, reason, _ := m.row(r.Fields, k); reason == "" && row.Prompt() == "" {
					t.Fatalf("%v was taken as %+v", r.Fields, row)
				}
			}
		case !errors.As(err, &bad):
			ended = true
		}
	}
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{`[{"prompt":"a","response":"b"}]`, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"y\"}]}\n{}", `[{"prompt":"p","chosen":[{"from":"gpt","value":"c"}],"rejected":"r"},`, "[1, {", "\ufeff \n["} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzRecords(t, data, JSON)
		fuzzRecords(t, data, JSONLines)
	})
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{"prompt,response\na,b\n", "a,a\n", "prompt\tchosen\trejected\n\"x\ty\"\tb\tc\n", "\"", "messages\n[{\"role\":\"user\"}]\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzRecords(t, data, CSV)
		fuzzRecords(t, data, TSV)
	})
}

func FuzzParquet(f *testing.F) {
	data, err := os.ReadFile(filepath.Join("testdata", "pyarrow.parquet"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		readParquet("f", bytes.NewReader(data), int64(len(data)), func(r Record, err error) bool {
			if err == nil && r.Fields == nil {
				t.Fatal("a record without fields")
			}
			n++
			return n < 1000
		})
	})
}

func FuzzMapping(f *testing.F) {
	f.Add(`prompt="a+b"+"say ""x""" , chosen=c,rejected=" d",system=s`)
	f.Add("messages=m,")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMapping(s)
		if err != nil {
			return
		}
		again, err := ParseMapping(m.String())
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%q is %+v, written %q and read again %+v, %v", s, m, m, again, err)
		}
	})
}
