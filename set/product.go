package set

import (
	"fmt"
	"strings"
)

type product struct {
	factors []Set
	dim     int
	name    string
}

// Product is the Cartesian product of the sets, in order. It is an *Error if one
// is nil or has a negative dimension.
func Product(sets ...Set) (Set, error) {
	p := &product{factors: append([]Set(nil), sets...)}
	names := make([]string, len(sets))
	for i, s := range sets {
		if s == nil {
			return nil, &Error{"Product", fmt.Sprintf("sets[%d]", i), nil, "a set"}
		}
		if s.Dim() < 0 {
			return nil, &Error{"Product", fmt.Sprintf("sets[%d].Dim()", i), s.Dim(), "an integer >= 0"}
		}
		p.dim += s.Dim()
		names[i] = s.String()
	}
	p.name = strings.Join(names, " x ")
	if len(sets) > 4 {
		p.name = fmt.Sprintf("product of %d sets (%s, ...) in R^%d", len(sets), names[0], p.dim)
	}
	return p, nil
}

func (p *product) Dim() int       { return p.dim }
func (p *product) String() string { return p.name }

func (p *product) Project(dst, x []float64) {
	at := 0
	for _, s := range p.factors {
		end := at + s.Dim()
		s.Project(dst[at:end], x[at:end])
		at = end
	}
}

func (p *product) ProjectDeriv(dst, x, v []float64) bool {
	at, smooth := 0, true
	for _, s := range p.factors {
		end := at + s.Dim()
		// A factor that is not Differentiable leaves the derivative unknown;
		// differences of its projection stand in.
		d, ok := s.(Differentiable)
		if !ok {
			d = &function{dim: s.Dim(), project: s.Project, name: s.String()}
		}
		smooth = d.ProjectDeriv(dst[at:end], x[at:end], v[at:end]) && smooth
		at = end
	}
	return smooth
}

// Describe joins the descriptions of the factors; nil when one has none.
func (p *product) Describe() *Description {
	all := &Description{}
	for _, s := range p.factors {
		d := Describe(s, s.Dim())
		if d == nil {
			return nil
		}
		at := len(all.Lo)
		all.Lo = append(all.Lo, d.Lo...)
		all.Hi = append(all.Hi, d.Hi...)
		all.Equal = append(all.Equal, shifted(d.Equal, at)...)
		all.Below = append(all.Below, shifted(d.Below, at)...)
		for _, b := range d.Balls {
			b.First += at
			all.Balls = append(all.Balls, b)
		}
	}
	return all
}

func shifted(rows []Row, by int) []Row {
	moved := make([]Row, len(rows))
	for i, r := range rows {
		moved[i] = Row{make([]int, len(r.Index)), r.Coef, r.Bound}
		for k, j := range r.Index {
			moved[i].Index[k] = j + by
		}
	}
	return moved
}
