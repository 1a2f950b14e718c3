package svm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/svm/margin"
)

// Family opens SVM hyper-parameter problems.
type Family struct{}

// Names lists svm, svm/diabetes and svm/fourclass.
func (Family) Names() []problems.Entry {
	return []problems.Entry{
		{Name: "svm", Title: "SVM hyper-parameters on the Pima diabetes figures (the same as svm/diabetes), or on a file of yours (file=PATH)"},
		{Name: "svm/diabetes", Title: "SVM hyper-parameters on the Pima diabetes figures, 768 rows, 45 quadratic features; compiled in"},
		{Name: "svm/fourclass", Title: "SVM hyper-parameters on fourclass, 862 rows, 2 features; needs external data"},
	}
}

// Settings is a zero Options.
func (Family) Settings() any { return new(Options) }

// Open builds an instance: reads and checks the figures, cuts them by the seed
// and sets up the formulation. Errors are *bilevel.SettingError, or *DataError
// with file and line.
func (f Family) Open(r problems.Request) (*problems.Instance, error) {
	t, err := open(r)
	if err != nil {
		return nil, err
	}
	o := &t.o
	p, err := t.formulate()
	if err != nil {
		return nil, err
	}
	p.Name = r.Name
	if p.X0, err = t.start(p.NX, r.Seed); err != nil {
		return nil, err
	}
	p.Y0 = make([]float64, p.NY)
	switch o.Formulation {
	case "normalised", "normalised-slack": // w = 1, b = 0, xi = 1
		for j := range p.Y0 {
			p.Y0[j] = 1
		}
		p.Y0[t.d-1] = 0
	default: // w = 0, b = 1, xi = 1
		for j := t.d - 1; j < p.NY; j++ {
			p.Y0[j] = 1
		}
	}
	in := &problems.Instance{
		Name:  r.Name,
		Title: fmt.Sprintf("SVM hyper-parameters, %s formulation: %d upper variables, %d training, %d validation, %d test rows", o.Formulation, p.NX, t.n(), t.validation.Rows, t.test.Rows),
		Doc:   docs[o.Formulation],
		Source: fmt.Sprintf("%s. Split: seed %d, %s; +1 is the class %q. Formulations: arXiv 2406.10148, arXiv 2507.20400, arXiv 2302.01970",
			t.text, r.Seed, o.Splits, t.positive),
		Problem:     p,
		Published:   published(o.Formulation),
		Recommended: recommended(o.Formulation),
		Metrics:     t.metrics,
		Files:       t.files,
		Compare:     t.compare,
		Options:     map[string]string{},
	}
	for _, field := range option.Fields(o) {
		in.Options[field.Name] = field.Value
	}
	return in, nil
}

// docs says per formulation who decides what.
var docs = map[string]string{
	"slack-free": "The leader sets a slack bound C_i for every training row; the follower finds the classifier of least norm whose margins fall short of 1 by at most C_i. " +
		"The leader wants a small exponential loss on the validation rows and small bounds. Where every C_i >= 1 the follower's answer is 0 and the leader's choice has no effect.",
	"slack":      "The leader sets a bound C_i on the slack of every training row; the follower finds the separating classifier of least norm with slacks within their bounds. The bias is not regularised.",
	"log-weight": "The leader sets a log-weight for the squared slack of every training row; the follower trains an SVM with them. The leader wants a small exponential loss on the validation rows.",
	"ridge": "The leader sets the logarithm of one ridge weight per feature; the follower trains an L2-regularised SVM with squared hinge loss. " +
		"The leader wants a small logistic loss on the validation rows.",
	"blocc-code":       "The slack-free problem as the published code of arXiv 2406.10148 computes it: half the weight on the penalised regulariser, |C| instead of |C|^2/2 above.",
	"normalised":       "The slack-free problem as the published code of BiC-GAFFA has it: margins of the upper loss divided by |w|.",
	"normalised-slack": "The problem of the published code of LV-HBA: variables (w, b, xi), margins of the upper loss divided by |w|, mini-batches of 256 whose samples are paired with slacks by position.",
}

// instanceTask is a task with its settings and where it comes from.
type instanceTask struct {
	task
	o        Options
	text     string // where the figures come from
	positive string // the label that is +1
	base     *Data  // before scaling and the feature map
	columns  []string
	lo, hi   []float64
	ids      *Split
}

func open(r problems.Request) (*instanceTask, error) {
	t := new(instanceTask)
	o := &t.o
	for name, value := range r.Set {
		if err := option.Set(o, name, value); err != nil {
			return nil, err
		}
	}
	if err := option.Fill(o); err != nil {
		return nil, err
	}
	known := false
	for _, e := range (Family{}).Names() {
		known = known || e.Name == r.Name
	}
	if !known {
		return nil, option.Unknown("problem", r.Name, []string{"svm", "svm/diabetes", "svm/fourclass"})
	}
	if !(o.LogMin < o.LogMax) {
		return nil, &bilevel.SettingError{Field: "log_min", Value: o.LogMin, Allowed: fmt.Sprintf("a number below log_max = %v", o.LogMax)}
	}
	src, err := o.load(r)
	if err != nil {
		return nil, err
	}
	d := src.data
	signs, err := d.Signs(src.plus)
	if err != nil {
		return nil, err
	}
	for i, s := range signs {
		if s > 0 {
			t.positive = d.Labels[i]
			break
		}
	}
	o.resolve(src, r)
	if t.ids, err = NewSplit(d.Rows(), o.Train, o.Validation, o.Test, r.Seed, o.Splits == "cumulative"); err != nil {
		return nil, err
	}
	o.Test = len(t.ids.Test)
	if count(signs, t.ids.Train) == 0 || count(signs, t.ids.Train) == len(t.ids.Train) {
		return nil, &DataError{d.Name, 0, fmt.Sprintf("all %d training rows have one class", len(t.ids.Train)), "training rows of both classes; use another seed or a larger train"}
	}
	t.text, t.base = src.text, d
	switch o.Scale {
	case "train":
		d, t.lo, t.hi = scale(d, t.ids.Train)
	case "all":
		d, t.lo, t.hi = scale(d, nil)
	}
	if o.Features == "quadratic" {
		if d, err = quadratic(d); err != nil {
			return nil, err
		}
	}
	if err := checkFinite(d); err != nil {
		return nil, err
	}
	t.columns = d.Columns
	t.train, t.validation, t.test = signed(d, signs, t.ids.Train), signed(d, signs, t.ids.Validation), signed(d, signs, t.ids.Test)
	t.d = d.features + 1
	return t, nil
}

// count is the number of rows of class +1 among ids.
func count(signs []float64, ids []int) (plus int) {
	for _, i := range ids {
		if signs[i] > 0 {
			plus++
		}
	}
	return plus
}

// formulate sets up the problem with its oracle.
func (t *instanceTask) formulate() (*bilevel.Problem, error) {
	o := &t.o
	switch o.Formulation {
	case "slack":
		return t.slack()
	case "log-weight":
		return t.logWeight(o.LogMin, o.LogMax)
	case "ridge":
		return t.ridge(o.LogMin, o.LogMax)
	case "blocc-code":
		return t.bloccCode(o.Penalty)
	case "normalised":
		return t.normalised()
	case "normalised-slack":
		return t.normalisedSlack()
	}
	return t.slackFree()
}

// start is the first x.
func (t *instanceTask) start(nx int, seed uint64) ([]float64, error) {
	f := t.o.Formulation
	switch t.o.Start {
	case "uniform":
		lo, hi := 1.0, 5.0
		if f == "log-weight" || f == "ridge" {
			lo, hi = -7, -6
		}
		rng := rand.New(rand.NewPCG(seed, startStream))
		x := make([]float64, nx)
		for i := range x {
			x[i] = lo + (hi-lo)*rng.Float64()
		}
		return x, nil
	case "svm":
		switch f {
		case "ridge": // C = 1
			return constant(nx, -math.Log(float64(t.n()))), nil
		case "log-weight": // e^c = 2 C
			return constant(nx, math.Ln2), nil
		}
		y, err := t.plain(t.train, 1)
		if err != nil {
			return nil, err
		}
		x := make([]float64, nx)
		hinge(x, t.train, y, floorC)
		for i := range x {
			x[i] += startRoom
		}
		return x, nil
	}
	v, ok := number(t.o.Start)
	if !ok {
		return nil, &bilevel.SettingError{Field: "start", Value: strconv.Quote(t.o.Start), Allowed: "a finite number, uniform or svm"}
	}
	return constant(nx, v), nil
}

const (
	// startStream tells the stream of the first x from others of the same seed.
	startStream = 0x43
	// startRoom is added to the slacks of the plain SVM: with it the margins
	// can be met with room, and the lower level is not degenerate at the start.
	startRoom = 0.1
)

// plain trains the usual SVM, min 1/2 |w|^2 + C sum max(1 - m_i, 0)^2, exactly.
func (t *task) plain(rows rowsMatrix, c float64) ([]float64, error) {
	s, err := margin.NewSquaredHinge(rows)
	if err != nil {
		return nil, err
	}
	y, xi, ridge := make([]float64, t.d), make([]float64, rows.Rows), constant(t.d, 1)
	ridge[t.d-1] = 0
	if _, err := s.Solve(y, xi, ridge, constant(rows.Rows, 2*c)); err != nil {
		return nil, fmt.Errorf("training a plain SVM with C = %g: %w", c, err)
	}
	return y, nil
}
