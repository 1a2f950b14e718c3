package margin

import (
	"bufio"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/gonum/blas/blas64"
)

// diabetes returns the training and validation rows of the seed-0 split of the
// 45-feature diabetes problem, or skips.
func diabetes(tb testing.TB) (train, validation blas64.General) {
	tb.Helper()
	dir := os.Getenv("BILEVEL_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "svm", "diabete.txt"))
	if err != nil {
		tb.Skipf("the diabetes data are not there (set BILEVEL_DATA): %v", err)
	}
	order, err := os.Open(filepath.Join(dir, "svm", "svm_splits_cumulative.csv"))
	if err != nil {
		tb.Skipf("the splits are not there (set BILEVEL_DATA): %v", err)
	}
	defer order.Close()
	var samples [][]float64
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		s := number(tb, f[0])
		x := make([]float64, 8)
		for _, pair := range f[1:] {
			k, v, _ := strings.Cut(pair, ":")
			x[int(number(tb, k))-1] = number(tb, v)
		}
		a := append([]float64{1}, x...)
		for _, v := range x {
			a = append(a, v*v)
		}
		for i := range x {
			for _, v := range x[i+1:] {
				a = append(a, x[i]*v)
			}
		}
		a = append(a, 1)
		for j := range a {
			a[j] *= s
		}
		samples = append(samples, a)
	}
	lines := bufio.NewScanner(order)
	for lines.Scan() {
		f := strings.Split(lines.Text(), ",")
		if f[0] != "diabetes" || f[1] != "0" {
			continue
		}
		train, validation = dense(500, 46), dense(150, 46)
		for i := range 650 {
			v := samples[int(number(tb, f[i+2]))]
			if i < 500 {
				copy(row(train, i), v)
			} else {
				copy(row(validation, i-500), v)
			}
		}
		return train, validation
	}
	tb.Fatal("no seed-0 split of diabetes")
	return
}

func number(tb testing.TB, s string) float64 {
	tb.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// random returns a normal matrix.
func random(rng *rand.Rand, n, d int) blas64.General {
	m := dense(n, d)
	for i := range m.Data {
		m.Data[i] = rng.NormFloat64()
	}
	return m
}

func dot(a, b []float64) float64 { return blas64.Dot(vector(a), vector(b)) }

func maxDiff(a, b []float64) float64 {
	worst := 0.0
	for i := range a {
		worst = math.Max(worst, math.Abs(a[i]-b[i]))
	}
	return worst
}

func support(mu []float64) int {
	k := 0
	for _, m := range mu {
		if m > 0 {
			k++
		}
	}
	return k
}
