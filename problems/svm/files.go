package svm

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/bilevel-go/bilevel/problems"
)

// files writes the classifier of y_g:
//
//   - model.txt, a LIBLINEAR model: liblinear-predict reads it. Class +1 is
//     the label 1, the other -1; the bias is the last weight.
//   - test.libsvm, the test rows after scaling and the feature map, in the form
//     that the model expects: liblinear-predict test.libsvm model.txt out.txt
//     finds the test accuracy reported.
//   - features.csv, how the model's features are computed from raw figures, for
//     rows of one's own.
func (t *instanceTask) files(_, y, _ []float64, create func(name string) (problems.File, error)) error {
	for _, f := range []struct {
		name  string
		write func(w *bufio.Writer)
	}{
		{"model.txt", func(w *bufio.Writer) { t.writeModel(w, y[:t.d]) }},
		{"test.libsvm", func(w *bufio.Writer) { writeRows(w, t.test) }},
		{"features.csv", func(w *bufio.Writer) { t.writeFeatures(w, y[:t.d]) }},
	} {
		file, err := create(f.name)
		if err != nil {
			return err
		}
		w := bufio.NewWriter(file)
		f.write(w)
		if err := errors.Join(w.Flush(), file.Close()); err != nil {
			return fmt.Errorf("writing %s: %w", f.name, err)
		}
	}
	return nil
}

func exact(v float64) string { return strconv.FormatFloat(v, 'g', 17, 64) }

// writeModel: the format is that of LIBLINEAR's save_model. The solver type
// names the loss nearest to what was trained; liblinear-predict uses it only to
// know that the model has one weight vector and no probabilities.
func (t *instanceTask) writeModel(w io.Writer, y []float64) {
	fmt.Fprintf(w, "solver_type L2R_L2LOSS_SVC\nnr_class 2\nlabel 1 -1\nnr_feature %d\nbias 1\nw\n", t.d-1)
	for _, v := range y {
		fmt.Fprintf(w, "%s \n", exact(v))
	}
}

// writeRows writes signed augmented rows as LIBSVM text.
func writeRows(w io.Writer, r rowsMatrix) {
	d := r.Cols
	for i := range r.Rows {
		row := r.Data[i*r.Stride : i*r.Stride+d]
		s := row[d-1]
		fmt.Fprintf(w, "%+d", int(s))
		for j, v := range row[:d-1] {
			if v != 0 {
				fmt.Fprintf(w, " %d:%s", j+1, exact(s*v))
			}
		}
		fmt.Fprintln(w)
	}
}

// writeFeatures lists the columns of the model with their weights, after the
// scaling of the raw figures as comments.
func (t *instanceTask) writeFeatures(w io.Writer, y []float64) {
	fmt.Fprintf(w, "# Features of model.txt, in order; the decision is +1 (class %q) where the sum of weight times feature, plus the bias, is positive.\n", t.positive)
	for j, c := range t.base.Columns {
		if t.lo == nil {
			fmt.Fprintf(w, "# %s: as in the file\n", c)
		} else {
			fmt.Fprintf(w, "# %s: -1 + 2 (raw - %s) / (%s - %s)\n", c, exact(t.lo[j]), exact(t.hi[j]), exact(t.lo[j]))
		}
	}
	fmt.Fprintln(w, "index,feature,weight")
	for j, c := range t.columns {
		fmt.Fprintf(w, "%d,%s,%s\n", j+1, strconv.Quote(c), exact(y[j]))
	}
	fmt.Fprintf(w, "%d,\"bias\",%s\n", t.d, exact(y[t.d-1]))
}
