package data_test

import (
	"fmt"
	"strings"

	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/data/synthetic"
)

// From rows to the batches of both levels.
func Example() {
	set, err := synthetic.Generate(synthetic.Settings{Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	split, err := data.SplitRows(set.Pools(), data.SplitSettings{Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	tok, err := synthetic.Tokenizer()
	if err != nil {
		fmt.Println(err)
		return
	}
	template, err := data.NamedTemplate("plain")
	if err != nil {
		fmt.Println(err)
		return
	}
	encoder, err := data.NewEncoder(tok, template, data.EncodeSettings{MaxLength: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	lower, _, err := encoder.Supervised(split.Lower.Rows)
	if err != nil {
		fmt.Println(err)
		return
	}
	upper, report, err := encoder.Preference(split.Upper.Rows)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("upper:", report.Kept, "pairs,", report.Dropped.Total(), "left out")
	sft, err := data.NewStream(lower, data.StreamSettings{Name: "sft", Seed: 1, Examples: 4, Micro: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	dpo, err := data.NewStream(upper, data.StreamSettings{Name: "dpo", Seed: 1, Examples: 4, Micro: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	for step := range 2 {
		g, f := sft.Batch(step), dpo.Batch(step)
		fmt.Println("step", step, "rows of a micro-batch:", g[0].Rows, f[0].Rows)
	}
	fmt.Println("batches per epoch:", sft.Batches(), dpo.Batches())
	// Output:
	// upper: 1200 pairs, 0 left out
	// step 0 rows of a micro-batch: 4 8
	// step 1 rows of a micro-batch: 4 8
	// batches per epoch: 75 150
}

func ExampleReadRecords() {
	file := "question,answer\nWhat is 2+2?,4\nWhat is 3+3?\n"
	for record, err := range data.ReadRecords("sums.csv", strings.NewReader(file), data.CSV) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(record.Line, record.Fields["question"], record.Fields["answer"])
	}
	// Output:
	// 2 What is 2+2? 4
	// sums.csv:3: row 1: malformed: 1 cells, the header has 2
}

func ExampleParseMapping() {
	m, err := data.ParseMapping(`prompt=instruction+input, chosen=good, rejected="bad, worse"`)
	fmt.Println(m.Prompt, m.Chosen, m.Rejected, err)
	// Output: [instruction input] good bad, worse <nil>
}
