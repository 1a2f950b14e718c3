package svm

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/bilevel-go/bilevel/internal/parallel"
	"github.com/bilevel-go/bilevel/problems"
	"gonum.org/v1/gonum/blas/blas64"
)

// folds of the cross-validated grid search.
const folds = 5

// compare measures what is usually done instead: a plain SVM with the default
// C = 1, and a search over a grid of C, once with the validation rows and once
// with cross-validation over the training and validation rows. All train
// 1/2 |w|^2 + C sum max(1 - s (w'a + b), 0)^2 exactly; the test rows play no
// part in the choice.
func (t *instanceTask) compare(_, _ []float64, workers int) ([]problems.Baseline, error) {
	begin := time.Now()
	y, err := t.plain(t.train, 1)
	if err != nil {
		return nil, err
	}
	plain := t.baseline("plain SVM, C = 1", y, begin, 1, "trained on the training rows")
	search, err := t.searchValidation(workers)
	if err != nil {
		return nil, err
	}
	cross, err := t.searchCross(workers)
	if err != nil {
		return nil, err
	}
	return []problems.Baseline{plain, search, cross}, nil
}

func (t *instanceTask) baseline(name string, y []float64, begin time.Time, solves int, note string) problems.Baseline {
	b := problems.Baseline{Name: name, Metrics: map[string]float64{}, Seconds: time.Since(begin).Seconds(), Note: note}
	t.measure(b.Metrics, "", y)
	b.Metrics["lower_solves"] = float64(solves)
	return b
}

// grid is C = 2^-15, 2^-14, ..., 2^15.
func grid() []float64 {
	var g []float64
	for e := -15; e <= 15; e++ {
		g = append(g, math.Ldexp(1, e))
	}
	return g
}

// searchValidation takes the C with the best accuracy on the validation rows;
// among equals the smallest.
func (t *instanceTask) searchValidation(workers int) (problems.Baseline, error) {
	begin := time.Now()
	g := grid()
	ys, score := make([][]float64, len(g)), make([]float64, len(g))
	err := parallel.Do(workers, len(g), func(k int) (err error) {
		ys[k], err = t.plain(t.train, g[k])
		if err == nil {
			score[k] = accuracy(t.validation, ys[k])
		}
		return err
	})
	if err != nil {
		return problems.Baseline{}, err
	}
	best := argmax(score)
	return t.baseline("grid search over C, validation rows", ys[best], begin, len(g),
		fmt.Sprintf("C = %g of %d values, by validation accuracy; trained on the training rows", g[best], len(g))), nil
}

// searchCross takes the C with the best mean accuracy over the folds of the
// training and validation rows together, and trains on all of them.
func (t *instanceTask) searchCross(workers int) (problems.Baseline, error) {
	begin := time.Now()
	g := grid()
	all := rowsMatrix{Rows: t.n() + t.validation.Rows, Cols: t.d, Stride: t.d, Data: slices.Concat(t.train.Data, t.validation.Data)}
	score := make([]float64, len(g)*folds)
	err := parallel.Do(workers, len(score), func(job int) error {
		in, out := fold(all, job%folds)
		y, err := t.plain(in, g[job/folds])
		if err == nil {
			score[job] = accuracy(out, y)
		}
		return err
	})
	if err != nil {
		return problems.Baseline{}, err
	}
	means := make([]float64, len(g))
	for job, s := range score {
		means[job/folds] += s / folds
	}
	best := argmax(means)
	y, err := t.plain(all, g[best])
	if err != nil {
		return problems.Baseline{}, err
	}
	return t.baseline(fmt.Sprintf("grid search over C, %d-fold cross-validation", folds), y, begin, len(score)+1,
		fmt.Sprintf("C = %g of %d values, by mean accuracy; trained on training and validation rows", g[best], len(g))), nil
}

// fold splits rows into those outside and those inside fold k: every folds-th
// row from k. The rows are in shuffled order already.
func fold(all rowsMatrix, k int) (in, out rowsMatrix) {
	in = blas64.General{Cols: all.Cols, Stride: all.Cols}
	out = in
	for i := range all.Rows {
		part := &in
		if i%folds == k {
			part = &out
		}
		part.Rows++
		part.Data = append(part.Data, all.Data[i*all.Stride:i*all.Stride+all.Cols]...)
	}
	return in, out
}

// argmax is the first index of the greatest value.
func argmax(v []float64) int {
	best := 0
	for i, a := range v {
		if a > v[best] {
			best = i
		}
	}
	return best
}
