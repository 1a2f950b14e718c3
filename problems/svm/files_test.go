package svm

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/problems"
)

// writeTo writes the files of an answer into dir.
func writeTo(t *testing.T, in *problems.Instance, y []float64, dir string) {
	t.Helper()
	if err := in.Files(in.Problem.X0, y, nil, func(name string) (problems.File, error) {
		return os.Create(filepath.Join(dir, name))
	}); err != nil {
		t.Fatal(err)
	}
}

// someClassifier is a plain SVM trained on the instance's training rows.
func someClassifier(t *testing.T, set string) (*problems.Instance, []float64) {
	t.Helper()
	task, err := open(problems.Request{Name: "svm", Set: settings(set)})
	if err != nil {
		t.Fatal(err)
	}
	y, err := task.plain(task.train, 1)
	if err != nil {
		t.Fatal(err)
	}
	return openBuiltIn(t, set), y
}

func TestLiblinearReadsTheModel(t *testing.T) {
	predict, err := exec.LookPath("liblinear-predict")
	if err != nil {
		t.Skip("liblinear-predict is not installed (Debian: liblinear-tools)")
	}
	for _, set := range []string{"features=quadratic", "features=raw scaling=train"} {
		in, y := someClassifier(t, set)
		dir := t.TempDir()
		writeTo(t, in, y, dir)
		out, err := exec.Command(predict, filepath.Join(dir, "test.libsvm"), filepath.Join(dir, "model.txt"), filepath.Join(dir, "out.txt")).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var percent float64
		var right, rows int
		if _, err := fmt.Sscanf(string(out), "Accuracy = %f%% (%d/%d)", &percent, &right, &rows); err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		want := in.Metrics(in.Problem.X0, y, nil)["test_accuracy"]
		if rows != 118 || math.Abs(float64(right)/float64(rows)-want) > 1e-12 {
			t.Errorf("%s: liblinear-predict finds %d of %d right, test_accuracy is %v", set, right, rows, want)
		}
		predicted, err := os.ReadFile(filepath.Join(dir, "out.txt"))
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Fields(string(predicted)); len(lines) != 118 || lines[0] != "1" && lines[0] != "-1" {
			t.Errorf("predictions %v", lines)
		}
	}
}

// What the files say is what the classifier is: the model and the rows in them
// give the margins back to the last bit.
func TestFilesGiveTheMarginsBack(t *testing.T) {
	in, y := someClassifier(t, "features=quadratic")
	dir := t.TempDir()
	writeTo(t, in, y, dir)
	content, err := os.ReadFile(filepath.Join(dir, "test.libsvm"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := ReadLIBSVM("test.libsvm", content)
	if err != nil {
		t.Fatal(err)
	}
	model, err := os.ReadFile(filepath.Join(dir, "model.txt"))
	if err != nil {
		t.Fatal(err)
	}
	head, weights, ok := strings.Cut(string(model), "\nw\n")
	if !ok || !strings.Contains(head, "nr_class 2\nlabel 1 -1\nnr_feature 45\nbias 1") {
		t.Fatalf("model header %q", head)
	}
	var w []float64
	for _, line := range strings.Fields(weights) {
		v, ok := number(line)
		if !ok {
			t.Fatalf("weight %q", line)
		}
		w = append(w, v)
	}
	if len(w) != 46 {
		t.Fatalf("%d weights, want 46", len(w))
	}
	right := 0
	for i := range d.Rows() {
		sum := w[45]
		for j, v := range d.Row(i) {
			sum += w[j] * v
		}
		if (sum > 0) == (d.Labels[i] == "+1") {
			right++
		}
	}
	if want := in.Metrics(in.Problem.X0, y, nil)["test_accuracy"]; float64(right)/float64(d.Rows()) != want {
		t.Errorf("%d of %d right from the files, test_accuracy is %v", right, d.Rows(), want)
	}
	features, err := os.ReadFile(filepath.Join(dir, "features.csv"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# glucose: -1 + 2 (raw - 0) / (199 - 0)\n", "\n1,\"1\",", "\n18,\"pregnancies*glucose\",", "\n46,\"bias\","} {
		if !bytes.Contains(features, []byte(want)) {
			t.Errorf("features.csv lacks %q", want)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
func (f failing) Close() error              { return nil }

func TestFilesReportAFailingDisk(t *testing.T) {
	in, y := someClassifier(t, "")
	full := errors.New("disk full")
	err := in.Files(in.Problem.X0, y, nil, func(string) (problems.File, error) { return failing{full}, nil })
	if !errors.Is(err, full) || !strings.Contains(err.Error(), "model.txt") {
		t.Errorf("error %v", err)
	}
	err = in.Files(in.Problem.X0, y, nil, func(string) (problems.File, error) { return nil, full })
	if !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
}

func TestCompare(t *testing.T) {
	in := openBuiltIn(t, "")
	one, err := in.Compare(in.Problem.X0, in.Problem.Y0, 1)
	if err != nil {
		t.Fatal(err)
	}
	two, err := in.Compare(in.Problem.X0, in.Problem.Y0, 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(one) != 3 {
		t.Fatalf("%d baselines, want 3", len(one))
	}
	for i, b := range one {
		for k, v := range b.Metrics {
			if two[i].Metrics[k] != v {
				t.Errorf("%s, %s: %v with one worker, %v with two", b.Name, k, v, two[i].Metrics[k])
			}
		}
		if a := b.Metrics["test_accuracy"]; a < 0.7 || a > 0.85 {
			t.Errorf("%s: test accuracy %.3f; any sound classifier of these figures lies between 0.7 and 0.85", b.Name, a)
		}
		if !(b.Seconds > 0) {
			t.Errorf("%s: %v seconds", b.Name, b.Seconds)
		}
	}
	if one[1].Metrics["validation_accuracy"] < one[0].Metrics["validation_accuracy"] {
		t.Error("the grid holds C = 1, yet its best validation accuracy is lower than that of C = 1")
	}
	if one[0].Metrics["lower_solves"] != 1 || one[1].Metrics["lower_solves"] != 31 || one[2].Metrics["lower_solves"] != 156 {
		t.Errorf("lower solves %v, %v, %v", one[0].Metrics["lower_solves"], one[1].Metrics["lower_solves"], one[2].Metrics["lower_solves"])
	}
}

// liblinear-train solves the same problem, up to its own tolerance and to its
// regularised bias: the two classifiers hardly differ.
func TestPlainAgainstLiblinear(t *testing.T) {
	train, err := exec.LookPath("liblinear-train")
	if err != nil {
		t.Skip("liblinear-train is not installed (Debian: liblinear-tools)")
	}
	task, err := open(problems.Request{Name: "svm"})
	if err != nil {
		t.Fatal(err)
	}
	var rows bytes.Buffer
	writeRows(&rows, task.train)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "train.libsvm"), rows.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	// -B -1: no bias of its own. The constant column, regularised by both, does
	// its work; ours has a free bias beside it, so that it is compared by value.
	out, err := exec.Command(train, "-s", "2", "-c", "1", "-e", "1e-9", "-B", "-1", filepath.Join(dir, "train.libsvm"), filepath.Join(dir, "model")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	model, err := os.ReadFile(filepath.Join(dir, "model"))
	if err != nil {
		t.Fatal(err)
	}
	_, weights, _ := strings.Cut(string(model), "\nw\n")
	y := make([]float64, task.d)
	for j, f := range strings.Fields(weights) {
		y[j], _ = number(f)
	}
	value := func(y []float64) float64 {
		s := make([]float64, task.n())
		hinge(s, task.train, y, 0)
		sum := task.halfNorm2(y)
		for _, v := range s {
			sum += v * v
		}
		return sum
	}
	ours, err := task.plain(task.train, 1)
	if err != nil {
		t.Fatal(err)
	}
	a, b := value(ours), value(y)
	if a > b+1e-9 || b > a*1.01 {
		t.Errorf("objective %.9g, of liblinear's classifier %.9g: ours must be the smaller, by less than 1 %%", a, b)
	}
}
