package svm

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/mt19937"
)

// Split is a partition of the rows of a data set (0-based row numbers).
type Split struct {
	Train, Validation, Test []int
}

// maxSeed bounds the seeds of cumulative splits, whose cost grows with the seed.
const maxSeed = 100000

// NewSplit shuffles the rows 0..n-1 as NumPy's legacy generator does and cuts
// the result into train, validation and test rows; test = 0 takes what is left.
// A fresh split shuffles the original order with the seed. A cumulative one
// applies the shuffles of the seeds 0, 1, ..., seed one after the other to the
// same array: so the loops of arXiv 2406.10148 and arXiv 2507.20400 visited
// their splits.
func NewSplit(n, train, validation, test int, seed uint64, cumulative bool) (*Split, error) {
	used := train + validation + test
	switch {
	case train < 1:
		return nil, &bilevel.SettingError{Field: "train", Value: train, Allowed: "an integer >= 1"}
	case validation < 1:
		return nil, &bilevel.SettingError{Field: "validation", Value: validation, Allowed: "an integer >= 1"}
	case test < 0:
		return nil, &bilevel.SettingError{Field: "test", Value: test, Allowed: "an integer >= 0 (0: all rows that are left)"}
	case train > n || validation > n || test > n || used > n || used == n && test == 0:
		return nil, &bilevel.SettingError{Field: "train + validation + test",
			Value:   fmt.Sprintf("%d + %d + %d", train, validation, test),
			Allowed: fmt.Sprintf("at most the %d rows of the data, with at least one test row", n)}
	case cumulative && seed > maxSeed:
		return nil, &bilevel.SettingError{Field: "seed", Value: seed, Allowed: fmt.Sprintf("0 to %d for cumulative splits", maxSeed)}
	case seed > math.MaxUint32:
		return nil, &bilevel.SettingError{Field: "seed", Value: seed, Allowed: "0 to 4294967295: splits are drawn by a generator with 32-bit seeds"}
	}
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i
	}
	first := seed
	if cumulative {
		first = 0
	}
	for s := first; s <= seed; s++ {
		mt19937.New(uint32(s)).Shuffle(ids)
	}
	end := n
	if test > 0 {
		end = used
	}
	return &Split{ids[:train], ids[train : train+validation], ids[train+validation : end]}, nil
}
