package data

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// benchRows are rows as long as those of the instruction data: about 48 characters of response.
func benchRows(n int) []Row {
	rows := make([]Row, n)
	for i := range rows {
		rows[i] = Row{ID: i, Instruction: fmt.Sprintf("Rewrite the sentence number %d%s in the passive voice.", i, strings.Repeat(" again", i%9)), Response: "The sentence was rewritten" + strings.Repeat(" and read", i%7) + "."}
		rows[i].Chosen, rows[i].Rejected = rows[i].Response, "No"+strings.Repeat(" way", i%11)+"."
	}
	return rows
}

// benchRead reads a file again and again and reports rows per second.
func benchRead(b *testing.B, name, content string, n int) {
	file := write(b, name, content)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		rows, err := Read([]string{file}, ReadSettings{})
		if err != nil || len(rows.Rows) != n {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkReadJSON(b *testing.B) {
	var s []string
	for _, r := range benchRows(5000) {
		s = append(s, fmt.Sprintf("{\"instruction\":%q,\"input\":\"\",\"output\":%q}", r.Instruction, r.Response))
	}
	b.Run("lines", func(b *testing.B) { benchRead(b, "a.jsonl", strings.Join(s, "\n"), len(s)) })
	b.Run("array", func(b *testing.B) { benchRead(b, "a.json", "["+strings.Join(s, ",\n")+"]", len(s)) })
}

func BenchmarkReadCSV(b *testing.B) {
	s := []string{"instruction,input,output"}
	for _, r := range benchRows(5000) {
		s = append(s, fmt.Sprintf("%q,,%q", r.Instruction, r.Response))
	}
	benchRead(b, "a.csv", strings.Join(s, "\n"), len(s)-1)
}

func BenchmarkReadParquet(b *testing.B) {
	type row struct {
		Prompt   string `parquet:"prompt"`
		Response string `parquet:"response"`
	}
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[row](&buf)
	for _, r := range benchRows(5000) {
		if _, err := w.Write([]row{{r.Instruction, r.Response}}); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	benchRead(b, "a.parquet", buf.String(), 5000)
}

// BenchmarkEncode tokenises pairs, three texts a row.
func BenchmarkEncode(b *testing.B) {
	tok := stories(b)
	rows := benchRows(2000)
	for _, workers := range []int{1, 0} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			e := encoder(b, tok, "plain", EncodeSettings{Workers: workers})
			tokens := 0
			for b.Loop() {
				_, report, err := e.Preference(rows)
				if err != nil {
					b.Fatal(err)
				}
				tokens = report.Tokens
			}
			b.ReportMetric(float64(tokens)*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

func BenchmarkChatTemplate(b *testing.B) {
	own, err := JinjaTemplate(jinjaSmol, JinjaSettings{})
	if err != nil {
		b.Fatal(err)
	}
	for _, t := range []*Template{named(b, "smollm2"), own} {
		b.Run(t.Name, func(b *testing.B) {
			for b.Loop() {
				if _, err := t.Prompt(&conversation); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFill lays out batches, a new epoch's order included.
func BenchmarkFill(b *testing.B) {
	s, p := someExamples(5000, 1)
	b.Run("supervised", func(b *testing.B) { benchFill(b, s) })
	b.Run("preference", func(b *testing.B) { benchFill(b, p) })
}

func benchFill[E Example](b *testing.B, examples []E) {
	st := stream(b, examples, StreamSettings{})
	var batch Batch
	k, tokens := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		st.Fill(&batch, k, 0)
		tokens += batch.Tokens
		k++
	}
	b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
}

func BenchmarkNewStream(b *testing.B) {
	s, _ := someExamples(5000, 1)
	for b.Loop() {
		stream(b, s, StreamSettings{})
	}
}
