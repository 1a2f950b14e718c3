package method

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
)

// Entry describes one method for lists and help texts.
type Entry struct {
	// Name is the method's name on the command line.
	Name string
	// Doc says in one line what the method does.
	Doc string
	// Applies says in a few words which problems it accepts.
	Applies string
	// New returns the method with its default parameters: a pointer to its
	// struct, whose fields carry names, defaults, ranges and meanings as tags.
	New func() bilevel.Method
}

// table lists every method, in the order of lists and help texts.
var table = []Entry{
	{"auto", "chooses and combines the methods below, until the certificate verifies; needs no parameter",
		"any problem on []float64", func() bilevel.Method { return new(Auto) }},
	{"pbgd-free", "penalty method without the value-function terms: one loop, no y_g",
		"any problem; right only where f is flat in y near the lower solution", func() bilevel.Method { return new(PBGDFree) }},
	{"v-pbgd", "value-function penalty method with a fixed or ramped gamma",
		"no coupling constraint", func() bilevel.Method { return new(VPBGD) }},
	{"switching", "pbgd-free while the terms it omits are small, v-pbgd from where they are not",
		"no coupling constraint", func() bilevel.Method { return new(Switching) }},
	{"f2sa", "value-function penalty method with an increasing multiplier and decreasing steps",
		"no coupling constraint; g strongly convex in y", func() bilevel.Method { return new(F2SA) }},
	{"blocc", "penalty method for lower levels with coupling constraints, primal-dual or exact inner solves",
		"variables on []float64", func() bilevel.Method { return new(BLOCC) }},
	{"lv-hba", "descent on f and a Lagrangian value gap over the joint set, one projection on it per step",
		"h convex in (x, y) together; lower level convex; variables on []float64", func() bilevel.Method { return new(LVHBA) }},
	{"bic-gaffa", "descent on f and a regularised gap function, without coupled projections",
		"lower level convex; adaptive steps on []float64", func() bilevel.Method { return new(BiCGAFFA) }},
	{"gam", "descent on the hyper-objective by differentiating the optimality conditions on the active set",
		"second derivatives; strongly convex lower level on []float64", func() bilevel.Method { return new(GAM) }},
	{"implicit-cg", "descent on the hyper-objective, hypergradient by conjugate gradients",
		"second derivatives; lower level convex near its solution", func() bilevel.Method { return new(ImplicitCG) }},
	{"implicit-neumann", "the same with the hypergradient by a Neumann series, whole or sampled",
		"second derivatives; g strongly convex in y", func() bilevel.Method { return new(ImplicitNeumann) }},
	{"unrolled", "descent on the hyper-objective of an unrolled lower loop, differentiated step by step",
		"no coupling constraint; second derivatives", func() bilevel.Method { return new(Unrolled) }},
	{"bome", "descent on f bent by a dynamic barrier on the value gap",
		"no coupling constraint, y_g interior to Y", func() bilevel.Method { return new(BOME) }},
	{"alright", "sampled trade-off of f and g, for comparison: not a bilevel method",
		"no coupling constraint", func() bilevel.Method { return new(ALRIGHT) }},
	{"sequential", "descent on one objective after the other, or on one alone, for comparison: not a bilevel method",
		"no coupling constraint", func() bilevel.Method { return new(Sequential) }},
}

// Entries lists the methods with their descriptions.
func Entries() []Entry { return append([]Entry(nil), table...) }

// All returns every method with its default parameters.
func All() []bilevel.Method {
	all := make([]bilevel.Method, len(table))
	for i, e := range table {
		all[i] = e.New()
	}
	return all
}

// Lookup returns the method of that name with its default parameters. An
// unknown name is a *bilevel.SettingError that suggests the nearest one.
func Lookup(name string) (bilevel.Method, error) {
	names := make([]string, len(table))
	for i, e := range table {
		if e.Name == name {
			return e.New(), nil
		}
		names[i] = e.Name
	}
	return nil, option.Unknown("method", name, names)
}
