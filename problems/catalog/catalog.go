// Package catalog opens the problems of every family by name.
package catalog

import (
	"strings"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/problems"
	"github.com/bilevel-go/bilevel/problems/svm"
	"github.com/bilevel-go/bilevel/problems/toy"
	"github.com/bilevel-go/bilevel/problems/transit"
)

// families lists the families in the order of lists.
var families = []problems.Family{
	svm.Family{},
	toy.Family{},
	transit.Family{},
}

// List lists every problem that can be opened, family by family.
func List() []problems.Entry {
	var all []problems.Entry
	for _, f := range families {
		all = append(all, f.Names()...)
	}
	return all
}

// Open opens the problem called name; r.Name is ignored. An unknown name is a
// *bilevel.SettingError that suggests the nearest one; other errors are the
// family's.
func Open(name string, r problems.Request) (*problems.Instance, error) {
	f, err := find(name)
	if err != nil {
		return nil, err
	}
	r.Name = name
	return f.Open(r)
}

// Settings lists the settings of the family that the problem called name
// belongs to.
func Settings(name string) ([]option.Field, error) {
	f, err := find(name)
	if err != nil {
		return nil, err
	}
	return option.Fields(f.Settings()), nil
}

func find(name string) (problems.Family, error) {
	var names []string
	for _, f := range families {
		for _, e := range f.Names() {
			if e.Name == name {
				return f, nil
			}
			names = append(names, e.Name)
		}
	}
	return nil, option.Unknown("problem", name, names)
}

// Split tells the settings of the problem called name from those of a method: a
// pointer to the method's options struct, or nil when there is none. A key that
// both have must be written problem.key or method.key, which is allowed for
// every key. Errors are *bilevel.SettingError.
func Split(name string, method any, set map[string]string) (forProblem, forMethod map[string]string, err error) {
	f, err := find(name)
	if err != nil {
		return nil, nil, err
	}
	ofProblem, ofMethod := keys(f.Settings()), keys(method)
	forProblem, forMethod = map[string]string{}, map[string]string{}
	for key, value := range set {
		owner, bare, qualified := strings.Cut(key, ".")
		inProblem, inMethod := ofProblem[key], ofMethod[key]
		kind, names := "setting", append(option.Names(f.Settings()), option.Names(method)...)
		switch {
		case qualified && owner == "problem":
			key, inProblem, inMethod, kind, names = bare, ofProblem[bare], false, "problem setting", option.Names(f.Settings())
		case qualified && owner == "method":
			key, inProblem, inMethod, kind, names = bare, false, ofMethod[bare], "method setting", option.Names(method)
		}
		to := forMethod
		if inProblem {
			to = forProblem
		}
		_, twice := to[key]
		switch {
		case inProblem && inMethod:
			return nil, nil, &bilevel.SettingError{Field: "setting", Value: key, Allowed: "problem." + key + " or method." + key + ", for both have one"}
		case twice:
			return nil, nil, &bilevel.SettingError{Field: "setting", Value: key, Allowed: "given once, not with its qualified name too"}
		case inProblem || inMethod:
			to[key] = value
		default:
			return nil, nil, option.Unknown(kind, key, names)
		}
	}
	return forProblem, forMethod, nil
}

func keys(ptr any) map[string]bool {
	has := map[string]bool{}
	for _, n := range option.Names(ptr) {
		has[n] = true
	}
	return has
}
