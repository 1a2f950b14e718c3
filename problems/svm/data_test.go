package svm

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
)

// external is the published data, or a skip with the reason.
func external(t testing.TB) fs.FS {
	t.Helper()
	dir := os.Getenv("BILEVEL_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(filepath.Join(dir, "svm")); err != nil {
		t.Skipf("the published SVM files are not there: %v", err)
	}
	return os.DirFS(dir)
}

func mustRead(t testing.TB, name string) *Data {
	t.Helper()
	content, err := fs.ReadFile(external(t), "svm/"+name)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Read(name, content, "")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestBuiltInIsTheCleanData(t *testing.T) {
	d, err := Read(pima, pimaCSV, "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Signs("negative")
	if err != nil {
		t.Fatal(err)
	}
	all := make([]int, d.Rows())
	for i := range all {
		all[i] = i
	}
	if d.Rows() != 768 || d.Features() != 8 || count(s, all) != 500 {
		t.Fatalf("%d rows, %d features, %d of class +1: want 768, 8, 500", d.Rows(), d.Features(), count(s, all))
	}
	want := []float64{6, 148, 72, 35, 0, 33.6, 0.627, 50}
	if !slices.Equal(d.Row(0), want) || d.Columns[5] != "bmi" {
		t.Errorf("first row %v of %v: want %v", d.Row(0), d.Columns, want)
	}
}

// The published file is the clean data scaled to [-1, 1], but for nine cells.
func TestPublishedFileAgainstTheCleanData(t *testing.T) {
	published := mustRead(t, "diabete.txt")
	clean, err := Read(pima, pimaCSV, "")
	if err != nil {
		t.Fatal(err)
	}
	scaled, _, _ := scale(clean, nil)
	var differ [][2]int
	for i := range scaled.Rows() {
		for j, v := range scaled.Row(i) {
			if math.Abs(v-published.Row(i)[j]) > 1e-4 {
				differ = append(differ, [2]int{i + 1, j + 1})
			}
		}
		if (clean.Labels[i] == "negative") != (published.Labels[i] == "+1") {
			t.Errorf("row %d: label %s against %s", i+1, clean.Labels[i], published.Labels[i])
		}
	}
	want := [][2]int{{15, 8}, {25, 8}, {237, 8}, {260, 8}, {286, 8}, {402, 3}, {459, 8}, {518, 8}, {659, 8}}
	if !slices.Equal(differ, want) {
		t.Errorf("cells that differ: %v, want %v", differ, want)
	}
}

func TestFourclassIsReadSparsely(t *testing.T) {
	d := mustRead(t, "fourclass.txt")
	s, err := d.Signs("")
	if err != nil {
		t.Fatal(err)
	}
	all := make([]int, d.Rows())
	for i := range all {
		all[i] = i
	}
	if d.Rows() != 862 || d.Features() != 2 || count(s, all) != 307 {
		t.Fatalf("%d rows, %d features, %d of class +1: want 862, 2, 307", d.Rows(), d.Features(), count(s, all))
	}
	for i, v := range map[int]float64{241: 0.54386, 400: 0.403509, 847: -0.953216} {
		if r := d.Row(i); r[0] != 0 || r[1] != v {
			t.Errorf("row %d = %v: want 0 %v", i, r, v)
		}
	}
}

func TestShuffleFirstIDs(t *testing.T) {
	want := [][]int{
		{661, 122, 113, 14, 529, 103, 338, 588, 395, 204},
		{190, 156, 703, 521, 714, 120, 764, 30, 44, 706},
		{0, 422, 417, 631, 336, 557, 758, 269, 540, 686},
	}
	for seed, ids := range want {
		s, err := NewSplit(768, 500, 150, 0, uint64(seed), true)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(s.Train[:10], ids) || len(s.Test) != 118 {
			t.Errorf("seed %d: %v and %d test rows, want %v and 118", seed, s.Train[:10], len(s.Test), ids)
		}
	}
	fresh, err := NewSplit(768, 500, 150, 0, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(fresh.Train[:10], want[1]) {
		t.Error("the fresh split of seed 1 equals the cumulative one")
	}
}

func TestSplitsEqualThePublishedOnes(t *testing.T) {
	f, err := external(t).Open("svm/svm_splits_cumulative.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = -1
	records, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range records[1:] {
		seed, err := strconv.ParseUint(rec[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ids := rec[2:]
		if len(ids) == 1 {
			ids = strings.Fields(strings.ReplaceAll(ids[0], ",", " "))
		}
		s, err := NewSplit(len(ids), 500, 150, 0, seed, true)
		if err != nil {
			t.Fatal(err)
		}
		got := slices.Concat(s.Train, s.Validation, s.Test)
		for i, id := range ids {
			if v, err := strconv.Atoi(id); err != nil || v != got[i] {
				t.Fatalf("%s, seed %d, place %d: %d, published %s", rec[0], seed, i, got[i], id)
			}
		}
	}
}

func TestPublishedClassShares(t *testing.T) {
	s, err := mustRead(t, "diabete.txt").Signs("")
	if err != nil {
		t.Fatal(err)
	}
	for seed, want := range [][3]float64{{.646, .64, .6864}, {.652, .6533, .6441}, {.658, .64, .6356}} {
		sp, err := NewSplit(768, 500, 150, 0, uint64(seed), true)
		if err != nil {
			t.Fatal(err)
		}
		for k, ids := range [][]int{sp.Train, sp.Validation, sp.Test} {
			if got := float64(count(s, ids)) / float64(len(ids)); math.Abs(got-want[k]) > 5e-5 {
				t.Errorf("seed %d, part %d: share of +1 %.5f, published %v", seed, k, got, want[k])
			}
		}
	}
}

func TestSplitSizesAreChecked(t *testing.T) {
	for _, c := range []struct {
		train, validation, test int
		seed                    uint64
		names                   string
	}{
		{0, 10, 0, 0, "train"}, {10, 0, 0, 0, "validation"}, {10, 10, -1, 0, "test"}, {60, 40, 0, 0, "60 + 40 + 0"},
		{60, 30, 20, 0, "60 + 30 + 20"}, {math.MaxInt, 1, 1, 0, "at most the 100 rows"}, {50, 20, 0, 1 << 40, "seed"},
	} {
		_, err := NewSplit(100, c.train, c.validation, c.test, c.seed, false)
		if !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%+v: error %v", c, err)
		}
	}
}

func TestQuadraticOrder(t *testing.T) {
	d, err := ReadTable("t.csv", []byte("2,3,5,1\n1,1,1,-1\n"), "")
	if err != nil {
		t.Fatal(err)
	}
	q, err := quadratic(d)
	if err != nil {
		t.Fatal(err)
	}
	if want := []float64{1, 2, 3, 5, 4, 9, 25, 6, 10, 15}; !slices.Equal(q.Row(0), want) {
		t.Errorf("%v, want %v", q.Row(0), want)
	}
	if want := []string{"1", "x1", "x2", "x3", "x1^2", "x2^2", "x3^2", "x1*x2", "x1*x3", "x2*x3"}; !slices.Equal(q.Columns, want) {
		t.Errorf("%v, want %v", q.Columns, want)
	}
}

func TestReadersAcceptWhatIsUsual(t *testing.T) {
	for name, text := range map[string]string{
		"libsvm":      "+1 1:0.5 3:-1 \r\n-1 2:2",
		"comments":    "# made by hand\n+1 1:0.5 3:-1 # first\n\n-1 2:2\n",
		"csv":         "a,b,c,class\n0.5,0,-1,1\n0,2,0,-1\n",
		"label first": "label;a;b;c\n1;0.5;0;-1\n-1;0;2;0\n",
		"tsv":         "# c\n0.5\t0\t-1\t1\n0\t2\t0\t-1",
		"bom, spaces": "\ufeff0.5, 0, -1, 1\r\n0, 2, 0, -1\r\n",
	} {
		d, err := Read(name, []byte(text), "")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s, err := d.Signs("")
		if err != nil || !slices.Equal(s, []float64{1, -1}) || !slices.Equal(d.A, []float64{0.5, 0, -1, 0, 2, 0}) {
			t.Errorf("%s: %v %v %v", name, s, d.A, err)
		}
	}
	d, err := Read("named", []byte("spam,1,2\nham,3,4\n"), "1")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := d.Signs("ham"); err != nil || !slices.Equal(s, []float64{-1, 1}) {
		t.Errorf("%v %v", s, err)
	}
}

func TestReadersRefuse(t *testing.T) {
	for _, c := range []struct{ name, text, label, want string }{
		{"empty", "", "", "the file is empty"},
		{"blank", " \n\n", "", "the file is empty"},
		{"only comments", "# a\n# b\n", "", "no row of data"},
		{"binary", "\x1f\x8b\x08\x00\x00", "", "byte 0x00"},
		{"not UTF-8", "1 1:2\n\xff\xfe 1:3\n", "", "x:2: byte 0xff"},
		{"libsvm value cut short", "+1 1:1 2:2\n-1 1:3 2:", "", `x:2: value "" of feature 2`},
		{"libsvm pair cut short", "+1 1:1 2:2\n-1 1:3 2", "", `x:2: field "2"`},
		{"word label", "+1 1:1\nyes 1:2\n", "", `x:2: label "yes"`},
		{"NaN label", "+1 1:1\nnan 1:2\n", "", `x:2: label "nan"`},
		{"unsorted", "+1 2:1 1:1\n", "", "x:1: feature index 1 after 2"},
		{"duplicate", "+1 2:1 2:1\n", "", "x:1: feature index 2 twice"},
		{"index zero", "+1 0:1\n", "", `x:1: feature index "0"`},
		{"huge index", "+1 1:1\n-1 99999999999999999999:1\n", "", `x:2: feature index "99999999999999999999"`},
		{"large index", "+1 1:1\n-1 70000:1\n", "", "1 to 65536"},
		{"NaN value", "+1 1:NaN\n", "", `x:1: value "NaN" of feature 1`},
		{"Inf value", "+1 1:1e999\n", "", `x:1: value "1e999" of feature 1`},
		{"no features", "+1 1:1\n-1\n", "", ""},
		{"csv NaN", "1,2,a\n3,nan,b\n", "", `x:2: value "nan" in column 2`},
		{"csv missing value", "1,2,a\n3,,b\n", "", `x:2: value "" in column 2`},
		{"csv word", "1,2,a\n3,?,b\n", "", `x:2: value "?" in column 2`},
		{"csv bad first line", "1,?,a\n3,4,b\n", "", `x:1: value "?" in column 2`},
		{"csv cut short", "1,2,a\n3,4\n", "", "x:2: 2 columns: allowed is 3 columns"},
		{"csv empty label", "1,2,a\n3,4,\n", "", "x:2: an empty label"},
		{"csv header only", "a,b,class\n", "", "no row of data"},
		{"one column", "1\n2\n", "", "1 column"},
		{"open quote", "1,2,a\n3,\"4,b\n", "", "x:"},
		{"unknown label column", "a,b,class\n1,2,3\n", "clas", `did you mean "class"`},
		{"label for libsvm", "+1 1:1\n-1 1:2\n", "class", "LIBSVM text"},
	} {
		_, err := Read("x", []byte(c.text), c.label)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "allowed is") {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestSignsRefuse(t *testing.T) {
	for _, c := range []struct{ text, plus, want string }{
		{"1,a\n2,a\n", "", `every row has the label "a"`},
		{"1,0\n2,1\n3,2\n", "", `x:3: a third label "2"`},
		{"1,a\n2,b\n", "", "cannot be told"},
		{"1,a\n2,b\n", "c", `"c": allowed is a label of x, "a" or "b"`},
	} {
		d, err := Read("x", []byte(c.text), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Signs(c.plus); !errors.Is(err, bilevel.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want %q", c.text, err, c.want)
		}
	}
}

// checkRead holds for every input: an error that names the file, or a data set
// with finite numbers in consistent shapes.
func checkRead(t *testing.T, d *Data, err error) {
	if err != nil {
		if !errors.Is(err, bilevel.ErrInvalid) {
			t.Fatalf("not a user's error: %v", err)
		}
		return
	}
	if d.Rows() < 1 || d.Features() < 1 || len(d.A) != d.Rows()*d.Features() || len(d.Columns) != d.Features() || len(d.lines) != d.Rows() {
		t.Fatalf("%d rows, %d features, %d numbers, %d columns, %d lines", d.Rows(), d.Features(), len(d.A), len(d.Columns), len(d.lines))
	}
	for _, v := range d.A {
		if v-v != 0 {
			t.Fatalf("value %v", v)
		}
	}
	_, _ = d.Signs("")
}

func FuzzReadLIBSVM(f *testing.F) {
	for _, s := range []string{"+1 1:0.5 3:-1 \r\n-1 2:2", "# c\n1 1:1\n", "1 1:", "a 1:1", "1 2:1 1:1", "1 65536:1\n2 1:1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		d, err := ReadLIBSVM("fuzz", content)
		checkRead(t, d, err)
	})
}

func FuzzReadTable(f *testing.F) {
	for _, s := range []string{"a,b,class\n1,2,x\n3,4,y\n", "1\t2\t0\n3\t4\t1", "1;2;0\n", "\"1\",2\n", "1,2\n3", "#\n,\n"} {
		f.Add([]byte(s), "")
	}
	f.Add([]byte("x,1\ny,2\n"), "1")
	f.Fuzz(func(t *testing.T, content []byte, label string) {
		d, err := ReadTable("fuzz", content, label)
		checkRead(t, d, err)
	})
}
