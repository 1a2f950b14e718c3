package csvrows_test

import (
	"math"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/internal/csvrows"
)

func TestReader(t *testing.T) {
	r, err := csvrows.New(strings.NewReader("name,n,v\na,1,2.5\n\"b,c\",2,\nd,3,x\ne,4"), "table", "n")
	if err != nil {
		t.Fatal(err)
	}
	next := func(name string, n int64, v float64, damaged bool) {
		t.Helper()
		if !r.Next() {
			t.Fatalf("no row %s", name)
		}
		got := r.Float("v")
		if r.Text("name") != name || r.Int("n") != n || got != v && !(math.IsNaN(got) && math.IsNaN(v)) && !damaged || r.Damaged() != damaged {
			t.Errorf("row %s: %q %d %g, damaged %v", name, r.Text("name"), r.Int("n"), got, r.Damaged())
		}
		if r.Text("none") != "" || !math.IsNaN(r.Float("none")) {
			t.Error("a column that is not there has something in it")
		}
	}
	next("a", 1, 2.5, false)
	next("b,c", 2, math.NaN(), false)
	next("d", 3, 0, true)
	if r.Next() {
		t.Error("a line cut short is a row")
	}
	for text, what := range map[string]string{"": "no header", "a,b\n": `no column "n"`} {
		if _, err := csvrows.New(strings.NewReader(text), "table", "n"); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
