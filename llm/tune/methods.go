package tune

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/method"
)

// Algorithm names a way to train.
type Algorithm struct {
	Name, Doc string
	// Inner is the published number of inner steps, where there is a choice.
	Inner int
	make  func(c Choice) bilevel.Method
}

// Choice is the parameters that algorithms share. Steps in x and y are as long as
// the run's optimisers make them.
type Choice struct {
	Gamma         float64
	Inner         int // 0: the algorithm's own
	FlatnessEvery int
	Probability   float64 // of ALRIGHT
	Barrier       float64 // of BOME
	First         int     // steps of the first of two stages; 0: half
}

// unit is the step that methods are told: theirs only scales what they report, for
// the optimisers of the run make the steps.
const unit = 1

// algorithms lists the ways to train, in the order of lists and help texts.
var algorithms = []Algorithm{
	{"pbgd-free", "one step of y on f/gamma + g, one of x on f, in a single loop", 1, func(c Choice) bilevel.Method {
		return &method.PBGDFree{Gamma: c.Gamma, Beta: unit, Eta: unit, Inner: c.Inner, FlatnessEvery: c.FlatnessEvery}
	}},
	{"v-pbgd", "two heads, inner steps each, and the value-function terms in the step of x", 3, func(c Choice) bilevel.Method {
		return &method.VPBGD{Gamma: c.Gamma, Beta: unit, Eta: unit, Inner: c.Inner}
	}},
	{"f2sa", "v-pbgd with an increasing gamma", 3, func(c Choice) bilevel.Method {
		return &method.F2SA{Gamma: c.Gamma, Rho: unit, Inner: c.Inner}
	}},
	{"bome", "descent on f bent by a dynamic barrier on the value gap", 3, func(c Choice) bilevel.Method {
		return &method.BOME{Beta: unit, Eta: unit, Inner: c.Inner, Barrier: c.Barrier}
	}},
	{"alright", "one of the objectives at random per step", 0, func(c Choice) bilevel.Method {
		return &method.ALRIGHT{Beta: unit, Eta: unit, Probability: c.Probability}
	}},
	{"auto", "pbgd-free while f is flat in y, v-pbgd from where it is not", 0, func(c Choice) bilevel.Method {
		return &method.Switching{Gamma: c.Gamma, Beta: unit, Eta: unit, Inner: c.Inner, FlatnessEvery: c.FlatnessEvery}
	}},
	{"dpo", "the upper objective alone, on x and y", 0, sequence("f")},
	{"sft", "the lower objective alone, on y", 0, sequence("g")},
	{"dpo-then-sft", "the upper objective on x and y, then the lower on y", 0, sequence("f-then-g")},
	{"sft-then-dpo", "the lower objective on y, then the upper on x and y", 0, sequence("g-then-f")},
}

func sequence(order string) func(c Choice) bilevel.Method {
	return func(c Choice) bilevel.Method {
		return &method.Sequential{Order: order, First: c.First, Beta: unit, Eta: unit}
	}
}

// Algorithms lists the ways to train.
func Algorithms() []Algorithm { return append([]Algorithm(nil), algorithms...) }

// algorithm is the way to train of that name. An unknown name is a
// *bilevel.SettingError that suggests the nearest one.
func algorithm(name string) (Algorithm, error) {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		if a.Name == name {
			return a, nil
		}
		names[i] = a.Name
	}
	return Algorithm{}, option.Unknown("algorithm", name, names)
}

// Method is the algorithm as a method of package method.
func (a *Algorithm) Method(c Choice) bilevel.Method {
	if c.Inner == 0 {
		c.Inner = a.Inner
	}
	return a.make(c)
}

// penalised is the second stage on f/gamma + g: descent of y alone.
var penalised = Algorithm{Name: "f/gamma + g", Doc: "the penalised lower objective alone, on y", make: func(c Choice) bilevel.Method {
	return &method.Sequential{Order: "g", Beta: unit, Eta: unit, Gamma: c.Gamma}
}}
