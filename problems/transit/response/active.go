package response

import (
	"math"
	"slices"
)

const (
	// A sign is wrong from signs on, and a path shorter than those in use from shorter
	// on, relative; guesses is how many are tried.
	signs   = 1e-9
	shorter = 1e-11
	guesses = 20
	// proximity is the weight of the proximal term, relative to capacities.
	proximity = 1e-4
	// few is the number of links on which the loads that prices induce may be wrong for
	// the prices to be near.
	few = 6
)

// settle solves the equations of polish.go for the present guess of the paths in use
// and the binding links, and corrects the guess until nothing shows it to be wrong: the
// active-set method of the lower level. Paths that are shorter than those in use are
// added. The answer is proven by its gap, as all are. It fails where too many guesses
// are wrong.
func (s *Solver) settle() bool {
	for range guesses {
		s.before.note(s)
		switch {
		case !s.equations():
			if !s.soften() {
				return false
			}
		case !s.amend() && !s.extend():
			s.plausible()
			s.polished = s.recover()
			return s.polished
		}
	}
	return false
}

// soften corrects a guess whose equations have no solution, as when of two links
// in series with the same travellers both are to be full and the capacity of one is changed. It
// goes back to where the equations began and takes one step of the proximal point
// method, by which the price of the link that cannot be filled falls until it is negative.
func (s *Solver) soften() bool {
	s.before.restore(s)
	s.carry()
	if math.IsNaN(s.residuals()) {
		return false
	}
	for _, e := range s.binding {
		s.diagonal[e] = proximity * s.x[e]
	}
	done := s.decompose(s.binding)
	for _, e := range s.binding {
		s.diagonal[e] = 0
	}
	if done {
		s.correct()
	}
	return done && (s.amend() || s.extend())
}

// near is settle from link prices, for capacities at which they nearly are the
// response's: the shortest paths at the prices, which meets has found, are in use, and the
// links that have a price, or too much on them, bind.
func (s *Solver) near() bool {
	if len(s.flow) > manyPaths {
		return false // solving the equations takes longer than all of the interior point's steps
	}
	s.binding, s.kept.flow = s.binding[:0], s.kept.flow[:0]
	wrong := 0
	for _, e := range s.open {
		s.diagonal[e] = 0
		misfits := s.misfits(e)
		if s.lambda[e] > 0 || misfits { // without a price, only too much misfits
			s.binding = append(s.binding, e)
		}
		if misfits {
			wrong++
		}
	}
	if wrong > few {
		return false
	}
	for r := range s.flow {
		s.used[r] = true
	}
	return s.settle()
}

// extend puts the paths in use that are shorter than those of their pair, and reports
// whether there are any.
func (s *Solver) extend() bool {
	found := false
	for _, e := range s.binding {
		s.length[e] = s.time[e] + max(0, s.lambda[e]) // negative by rounding: a tree needs lengths >= 0
	}
	s.sweep(func(k int, t *tree) {
		if s.paths.number[k] == 0 || !(s.dist[k] < s.p[k]-shorter*(1+math.Abs(s.p[k]))) {
			return
		}
		only := s.paths.number[k] == 1
		if !s.paths.add(k, t) {
			return
		}
		s.fit()
		r := len(s.flow) - 1
		s.flow[r], s.used[r], found = 0, true, true
		if only {
			s.used[s.paths.next[r]] = true
		}
	})
	for _, e := range s.binding {
		s.length[e] = s.time[e] + s.lambda[e]
	}
	return found
}

// amend corrects the guess where a sign is wrong by more than rounding, and reports
// whether there was anything to correct.
func (s *Solver) amend() bool {
	wrong := false
	kept := s.binding[:0]
	for _, e := range s.binding {
		if s.lambda[e] < -signs {
			s.lambda[e], s.length[e], wrong = 0, s.time[e], true
		} else {
			kept = append(kept, e)
		}
	}
	held := len(kept)
	for _, e := range s.open {
		if s.load[e] > s.x[e]*(1+signs) && !slices.Contains(kept[:held], e) {
			kept, wrong = append(kept, e), true
		}
	}
	slices.Sort(kept)
	s.binding = kept
	for _, k := range s.served {
		if s.paths.number[k] == 1 {
			continue
		}
		for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
			switch {
			case s.used[r] && s.flow[r] < -signs*s.m.Trips[k]:
				s.used[r], s.flow[r], wrong = false, 0, true
			case !s.used[r] && s.cost[r] < s.p[k]-signs*(1+math.Abs(s.p[k])):
				s.used[r], wrong = true, true
			}
		}
	}
	return wrong
}
