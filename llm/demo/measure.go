package demo

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel/llm/data"
	"github.com/bilevel-go/bilevel/llm/data/synthetic"
	"github.com/bilevel-go/bilevel/llm/evaluate"
	"github.com/bilevel-go/bilevel/llm/tune"
)

// Estimate is a figure of held-out rows with its 95 % interval.
type Estimate struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Measured are the figures of one model on held-out rows.
type Measured struct {
	DPO      Estimate `json:"dpo_loss"`     // mean over pairs, in nats
	Accuracy Estimate `json:"dpo_accuracy"` // share of pairs whose chosen reward is larger
	Margin   float64  `json:"dpo_margin"`   // mean of chosen - rejected reward
	SFT      Estimate `json:"sft_loss"`     // mean over response tokens, in nats
	// Perplexity is exp of SFT.
	Perplexity Estimate `json:"perplexity"`
	Answers    Answers  `json:"answers"`

	nll []rowLoss // of the supervised rows
}

// Answers count what the model writes to held-out prompts, with greedy decoding.
type Answers struct {
	Asked int `json:"asked"`
	// Exact is how many are the supervised response, word for word; Courteous how
	// many are the right answer in the preferred style.
	Exact     int      `json:"exact"`
	Courteous int      `json:"courteous"`
	Texts     []string `json:"texts"`
}

// normal is the two-sided 95 % point of the normal distribution.
const normal = 1.959963984540054

// rowLoss is the negative log-likelihood of a response and its number of tokens.
type rowLoss struct{ nll, tokens float64 }

// ratio is the sum of nll over that of tokens, with the interval of a ratio
// estimator by linearisation: rows, not tokens, are the sample.
func ratio(rows []rowLoss) Estimate {
	var sum, tokens float64
	for _, r := range rows {
		sum += r.nll
		tokens += r.tokens
	}
	value, n := sum/tokens, float64(len(rows))
	spread := 0.0
	for _, r := range rows {
		d := r.nll - value*r.tokens
		spread += d * d
	}
	half := normal * math.Sqrt(spread*n/math.Max(n-1, 1)) / tokens
	return Estimate{value, value - half, value + half}
}

// mean is the mean with its interval.
func mean(v []float64) Estimate {
	rows := make([]rowLoss, len(v))
	for i, x := range v {
		rows[i] = rowLoss{x, 1}
	}
	return ratio(rows)
}

// share is k of n with Wilson's interval.
func share(k, n int) Estimate {
	p, m := float64(k)/float64(n), float64(n)
	z := normal * normal / m
	centre, half := (p+z/2)/(1+z), normal/(1+z)*math.Sqrt(p*(1-p)/m+z/(4*m))
	return Estimate{p, math.Max(0, centre-half), math.Min(1, centre+half)}
}

// reference computes the log-probabilities of pairs under the base model: that with
// updates that change nothing yet, whose program the measurements need too.
func reference(ctx context.Context, t *tune.Trainer, pairs []*data.Batch) (tune.LogProbs, error) {
	all := tune.LogProbs{}
	for _, b := range pairs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		logs, err := t.Score(nil, nil, b)
		if err != nil {
			return nil, err
		}
		p := b.Rows / 2
		for i, row := range b.Source[:p] {
			if row != data.NoRow {
				all[row] = [2]float32{logs[i], logs[p+i]}
			}
		}
	}
	return all, nil
}

// scores measures a model's losses from the log-probabilities of single rows.
func scores(t *tune.Trainer, l *lesson, reference tune.LogProbs, x, y []float32) (*Measured, error) {
	m := &Measured{}
	for _, b := range l.heldLower {
		logs, err := t.Score(x, y, b)
		if err != nil {
			return nil, err
		}
		first := len(m.nll)
		for r, source := range b.Source {
			if source != data.NoRow {
				m.nll = append(m.nll, rowLoss{nll: -float64(logs[r])})
			}
		}
		for i, w := range b.Weight {
			if w != 0 {
				m.nll[first+int(b.Row[i])].tokens++ // rows of padding are the last
			}
		}
	}
	var losses []float64
	right, margins := 0, 0.0
	for _, b := range l.heldUpper {
		logs, err := t.Score(x, y, b)
		if err != nil {
			return nil, err
		}
		p := b.Rows / 2
		for i, source := range b.Source[:p] {
			if source == data.NoRow {
				continue
			}
			chosen, rejected := reference.Lookup(source)
			margin := beta * (float64(logs[i]) - float64(logs[p+i]) - float64(chosen) + float64(rejected))
			losses = append(losses, math.Log1p(math.Exp(-math.Abs(margin)))+math.Max(-margin, 0))
			margins += margin
			if margin > 0 {
				right++
			}
		}
	}
	m.DPO, m.Accuracy, m.Margin = mean(losses), share(right, len(losses)), margins/float64(len(losses))
	m.SFT = ratio(m.nll)
	m.Perplexity = Estimate{math.Exp(m.SFT.Value), math.Exp(m.SFT.Low), math.Exp(m.SFT.High)}
	return m, nil
}

// gained is by how much the second model's supervised loss is lower, on the same
// rows.
func gained(before, after *Measured) Estimate {
	d := make([]rowLoss, len(before.nll))
	for i, r := range before.nll {
		d[i] = rowLoss{r.nll - after.nll[i].nll, r.tokens}
	}
	return ratio(d)
}

// count sorts the texts that a model wrote.
func count(rows []data.Row, texts []string) Answers {
	a := Answers{Asked: len(rows), Texts: texts}
	for i := range rows {
		text := evaluate.Normalize(texts[i])
		answer := strings.TrimSuffix(evaluate.Normalize(rows[i].Response), " .")
		switch {
		case evaluate.ExactMatch(text, rows[i].Response):
			a.Exact++
		case slices.Contains(synthetic.Courteous(answer), text):
			a.Courteous++
		}
	}
	return a
}
