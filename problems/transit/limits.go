package transit

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/problems/transit/bound"
	"github.com/bilevel-go/bilevel/problems/transit/network"
	"github.com/bilevel-go/bilevel/set"
	"gonum.org/v1/gonum/floats"
)

// limits are the planner's constraints on capacities:
//
//	X = { x : least <= x <= most, x_l = x_mirror(l), sum_l c_l x_l <= budget }.
type limits struct {
	least, most []float64
	mirror      []int32 // nil: directions are apart
	budget      float64 // +Inf: none
	cost        []float64
	any, least0 bool // some limit; no least capacity
}

// newLimits reads the settings budget, symmetric, force and forbid.
func newLimits(n *network.Network, o *Options) (*limits, error) {
	l := &limits{budget: math.Inf(1), least0: true}
	for _, a := range n.Links {
		l.least, l.most, l.cost = append(l.least, 0), append(l.most, math.Inf(1)), append(l.cost, a.Cost)
	}
	if o.Budget > 0 {
		l.budget, l.any = o.Budget, true
	}
	for _, item := range items(o.Forbid) {
		e, err := findLink(n, "forbid", item)
		if err != nil {
			return nil, err
		}
		l.most[e], l.any = 0, true
	}
	for _, item := range items(o.Force) {
		name, text, ok := strings.Cut(item, ":")
		v, err := strconv.ParseFloat(text, 64)
		if !ok || err != nil || !(v > 0) || math.IsInf(v, 1) {
			return nil, &bilevel.SettingError{Field: "force", Value: strconv.Quote(item), Allowed: "FROM>TO:CAPACITY with a finite capacity > 0, such as 1>2:0.5"}
		}
		e, err := findLink(n, "force", name)
		if err != nil {
			return nil, err
		}
		if l.most[e] == 0 {
			return nil, &bilevel.SettingError{Field: "force", Value: strconv.Quote(item), Allowed: "a link that is not in forbid too"}
		}
		l.least[e], l.any, l.least0 = v, true, false
	}
	if o.Symmetric {
		l.any = true
		if err := l.reflect(n); err != nil {
			return nil, err
		}
	}
	if need := floats.Dot(l.cost, l.least); need > l.budget {
		return nil, &bilevel.SettingError{Field: "budget", Value: o.Budget, Allowed: fmt.Sprintf("at least %.6g, the cost of the capacities in force", need)}
	}
	return l, nil
}

func items(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ';' || r == ' ' })
}

// findLink is the link written FROM>TO, by station ids.
func findLink(n *network.Network, setting, name string) (int, error) {
	from, to, ok := strings.Cut(strings.TrimSpace(name), ">")
	if ok {
		for e, l := range n.Links {
			if n.Stations[l.From].ID == from && n.Stations[l.To].ID == to {
				return e, nil
			}
		}
	}
	return 0, &bilevel.SettingError{Field: setting, Value: strconv.Quote(name), Allowed: "candidate links written FROM>TO by station ids, such as " + linkName(n, 0)}
}

// linkName writes a link as findLink reads it.
func linkName(n *network.Network, e int) string {
	return n.Stations[n.Links[e].From].ID + ">" + n.Stations[n.Links[e].To].ID
}

// reflect pairs every link with its opposite, with the tighter limits of both.
func (l *limits) reflect(n *network.Network) error {
	at := make(map[[2]int]int32, len(n.Links))
	for e, a := range n.Links {
		at[[2]int{a.From, a.To}] = int32(e)
	}
	l.mirror = make([]int32, len(n.Links))
	for e, a := range n.Links {
		r, ok := at[[2]int{a.To, a.From}]
		if !ok {
			return &bilevel.SettingError{Field: "symmetric", Value: true, Allowed: fmt.Sprintf("false, for link %s has no opposite link", linkName(n, e))}
		}
		l.mirror[e] = r
	}
	for e, r := range l.mirror {
		l.least[e], l.most[e] = math.Max(l.least[e], l.least[r]), math.Min(l.most[e], l.most[r])
		l.least[r], l.most[r] = l.least[e], l.most[e]
		if l.least[e] > l.most[e] {
			return &bilevel.SettingError{Field: "force", Value: strconv.Quote(linkName(n, e)), Allowed: "a link whose opposite is not in forbid, with symmetric"}
		}
	}
	return nil
}

// set is X.
func (l *limits) set() (set.Set, error) {
	switch {
	case !l.any:
		return set.NonNegative(len(l.cost)), nil
	case l.mirror == nil && math.IsInf(l.budget, 1):
		return set.Box(l.least, l.most)
	}
	var words []string
	if l.mirror != nil {
		words = append(words, "opposite links equal")
	}
	if !math.IsInf(l.budget, 1) {
		words = append(words, fmt.Sprintf("construction cost at most %g", l.budget))
	}
	return set.Func(len(l.cost), l.project, "capacities >= 0, "+strings.Join(words, ", "))
}

// project is the projection on X: with a the mean of x and its mirror image, and
// c the mean costs, it is clip(a - nu c) for the least nu >= 0 within the budget,
// which is found between the nu at which links reach their bounds.
func (l *limits) project(dst, x []float64) {
	n := len(l.cost)
	a, c := append([]float64(nil), x...), l.cost
	if l.mirror != nil {
		c = make([]float64, n)
		for e, r := range l.mirror {
			a[e], c[e] = (x[e]+x[r])/2, (l.cost[e]+l.cost[r])/2
		}
	}
	spend := func(nu float64) float64 {
		sum := 0.0
		for e := range dst {
			dst[e] = math.Min(math.Max(a[e]-nu*c[e], l.least[e]), l.most[e])
			sum += l.cost[e] * dst[e]
		}
		return sum
	}
	if !(spend(0) > l.budget) {
		return
	}
	lo, hi := 0.0, 1.0
	for spend(hi) > l.budget && hi < 1e300 {
		lo, hi = hi, 2*hi
	}
	for range 200 {
		mid := lo + (hi-lo)/2
		if mid <= lo || mid >= hi {
			break
		}
		if spend(mid) > l.budget {
			lo = mid
		} else {
			hi = mid
		}
	}
	spend(hi)
}

// options are the limits as the bound takes them.
func (l *limits) options() bound.Options {
	o := bound.Options{Mirror: l.mirror}
	if !math.IsInf(l.budget, 1) {
		o.Budget = l.budget
	}
	if !l.least0 {
		o.Least = l.least
	}
	for e, v := range l.most {
		if v == 0 {
			if o.Forbidden == nil {
				o.Forbidden = make([]bool, len(l.most))
			}
			o.Forbidden[e] = true
		}
	}
	return o
}
