package svm

import (
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
)

// The slack formulation (the paper form of arXiv 2406.10148). x = C, y = (w, b, xi):
//
//	lower  g = 1/2 |w|^2   subject to   1 - xi_i - s_i (w'a_i + b) <= 0,   xi_i - C_i <= 0,   xi >= 0
//	upper  f = sum over the validation rows of exp(1 - s (w'a + b)) + 1/2 |C|^2,   C >= 1e-4
//
// Neither b nor xi is in g: lower solutions are not unique in them, and f
// depends on b.
func (t *task) slack() (*bilevel.Problem, error) {
	x, err := set.AtLeast(t.n(), floorC)
	if err != nil {
		return nil, err
	}
	y, err := set.Product(set.Whole(t.d), set.NonNegative(t.n()))
	if err != nil {
		return nil, err
	}
	d := t.d
	loss := newMarginLoss(t.validation, exponential, 1)
	p := &bilevel.Problem{
		NX: t.n(), NY: d + t.n(), X: x, Y: y,
		Upper: plusHalfSquare(
			func(y []float64) float64 { return loss.value(y[:d]) },
			func(dst, y []float64) { loss.grad(dst[:d], y[:d]); clear(dst[d:]) },
			func(dst, y, v []float64) { loss.hess(dst[:d], y[:d], v[:d]); clear(dst[d:]) }),
		Lower:     halfSquare(d - 1),
		Coupling:  newSlackRows(t.train, 0).coupling(),
		Structure: bilevel.Structure{LowerConvex: true, LowerQuadratic: true, JointlyConvex: true},
	}
	exact, err := newSlackOracle(t, p, true)
	if err != nil {
		return nil, err
	}
	relaxation, err := newRelaxed(t)
	p.Oracle = &relaxedSlack{exact, relaxation, p.Upper.Value}
	return p, err
}

// batchSize is that of the published SVM code of LV-HBA.
const batchSize = 256

// normalisedSlack is the problem of the published SVM code of LV-HBA: the slack
// formulation with b in the regulariser, xi and C free, and the margins of the upper loss
// divided by |w|. Its lower level is seen in shuffled mini-batches whose k-th
// sample is paired with the k-th slack, not with its own; an incomplete last
// batch is dropped (which the published curves confirm: they decay by one step
// an epoch), so that a pass over 500 rows is one batch of 256.
func (t *task) normalisedSlack() (*bilevel.Problem, error) {
	d := t.d
	loss := newNormalisedLoss(t.validation)
	rows := newSlackRows(t.train, max(1, t.n()/batchSize))
	p := &bilevel.Problem{
		NX: t.n(), NY: d + t.n(),
		Upper: plusHalfSquare(
			func(y []float64) float64 { return loss.value(y[:d]) },
			func(dst, y []float64) { loss.grad(dst[:d], y[:d]); clear(dst[d:]) }, nil),
		Lower:     halfSquare(d),
		Coupling:  rows.coupling(),
		Structure: bilevel.Structure{LowerConvex: true, LowerQuadratic: true},
	}
	exact, err := newSlackOracle(t, p, false)
	p.Oracle = &publishedSlack{slackOracle: exact, slackRows: rows}
	return p, err
}

// slackRows are the 2n constraints 1 - xi_i - row_i.(w, b) <= 0 and
// xi_i - C_i <= 0, of which a mini-batch sees a part; rows that it does not see are 0.
type slackRows struct {
	all, seen blas64.General // seen: the batch's samples, at the places of the slacks they are paired with
	lo, hi    int            // the places of the batch
	batches   int
	order     []int
}

// newSlackRows sees all rows; with batches > 0 it may be asked to see parts of a copy.
func newSlackRows(r blas64.General, batches int) *slackRows {
	s := &slackRows{all: r, seen: r, hi: r.Rows, batches: batches, order: make([]int, r.Rows)}
	if batches > 0 {
		s.seen.Data = append([]float64(nil), r.Data...)
	}
	return s
}

// Batches is the number of mini-batches of one pass.
func (s *slackRows) Batches() int { return s.batches }

// UseBatch selects mini-batch k, of the order shuffled when k = 0; -1 selects
// all samples, each paired with its own slack.
func (s *slackRows) UseBatch(k int, rng *rand.Rand) {
	n, d := s.all.Rows, s.all.Cols
	if k <= 0 {
		for i := range s.order {
			s.order[i] = i
		}
		if k == 0 {
			rng.Shuffle(n, func(i, j int) { s.order[i], s.order[j] = s.order[j], s.order[i] })
		}
		for i, from := range s.order {
			copy(s.seen.Data[i*d:(i+1)*d], s.all.Data[from*d:(from+1)*d])
		}
	}
	s.lo, s.hi = 0, n
	if k >= 0 {
		s.lo, s.hi = k*batchSize, min(n, (k+1)*batchSize)
	}
}

// batch is the seen samples of the present batch.
func (s *slackRows) batch() blas64.General {
	b := s.seen
	b.Rows, b.Data = s.hi-s.lo, b.Data[s.lo*b.Stride:s.hi*b.Stride]
	return b
}

func (s *slackRows) coupling() *bilevel.Coupling {
	n, d := s.all.Rows, s.all.Cols
	return &bilevel.Coupling{
		Rows: 2 * n,
		Value: func(dst, x, y []float64) {
			clear(dst)
			mul(dst[s.lo:s.hi], s.batch(), y[:d])
			for i := s.lo; i < s.hi; i++ {
				dst[i] = 1 - y[d+i] - dst[i]
				dst[n+i] = y[d+i] - x[i]
			}
		},
		JacXT: func(dst, _, _, mu []float64) {
			clear(dst)
			floats.SubTo(dst[s.lo:s.hi], dst[s.lo:s.hi], mu[n+s.lo:n+s.hi])
		},
		JacX: func(dst, _, _, u []float64) {
			clear(dst)
			floats.ScaleTo(dst[n+s.lo:n+s.hi], -1, u[s.lo:s.hi])
		},
		JacYT: func(dst, _, _, mu []float64) {
			clear(dst)
			mulT(dst[:d], s.batch(), mu[s.lo:s.hi])
			floats.Scale(-1, dst[:d])
			floats.SubTo(dst[d+s.lo:d+s.hi], mu[n+s.lo:n+s.hi], mu[s.lo:s.hi])
		},
		JacY: func(dst, _, _, v []float64) {
			clear(dst)
			mul(dst[s.lo:s.hi], s.batch(), v[:d])
			for i := s.lo; i < s.hi; i++ {
				dst[i] = -dst[i] - v[d+i]
				dst[n+i] = v[d+i]
			}
		},
		Affine: true,
	}
}
