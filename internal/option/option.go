// Package option reads the parameters of methods and problem families from
// struct tags, so that each has its name, default, range and meaning in one
// place:
//
//	type PBGDFree struct {
//		Gamma float64 `opt:"gamma" default:"10" range:"(0,inf)" doc:"penalty gamma"`
//	}
//
// Fields may be float64, int, bool or string. A zero field means its default; a
// default that is not zero can therefore not be overridden by zero, and ranges
// are written so that this does not matter. A string's range lists the allowed
// words, separated by |.
package option

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/bilevel-go/bilevel"
)

// Field describes one parameter.
type Field struct {
	Name, Default, Range, Doc string
	Value                     string // the present value; the default when unset
}

// Fields lists the parameters of the struct that ptr points to.
func Fields(ptr any) []Field {
	var fields []Field
	each(ptr, func(f reflect.StructField, v reflect.Value) error {
		field := Field{Name: f.Tag.Get("opt"), Default: f.Tag.Get("default"), Range: f.Tag.Get("range"), Doc: f.Tag.Get("doc")}
		if field.Value = text(v); v.IsZero() && field.Default != "" {
			field.Value = field.Default
		}
		fields = append(fields, field)
		return nil
	})
	return fields
}

// Names lists the names of the parameters of the struct that ptr points to; nil
// has none.
func Names(ptr any) []string {
	if ptr == nil {
		return nil
	}
	var names []string
	for _, f := range Fields(ptr) {
		names = append(names, f.Name)
	}
	return names
}

// Fill sets the zero fields of *ptr to their defaults and checks every field
// against its range. Errors are *bilevel.SettingError.
func Fill(ptr any) error {
	return each(ptr, func(f reflect.StructField, v reflect.Value) error {
		if d := f.Tag.Get("default"); d != "" && v.IsZero() {
			if err := assign(f, v, d); err != nil {
				return err
			}
		}
		return check(f, v)
	})
}

// Set assigns the parameter called name from its text. No text leaves a parameter
// that has no default unset. An unknown name is a *bilevel.SettingError that
// suggests the nearest one.
func Set(ptr any, name, value string) error {
	found := false
	var names []string
	err := each(ptr, func(f reflect.StructField, v reflect.Value) error {
		names = append(names, f.Tag.Get("opt"))
		if f.Tag.Get("opt") != name {
			return nil
		}
		found = true
		if value == "" && f.Tag.Get("default") == "" {
			v.SetZero()
			return nil
		}
		if err := assign(f, v, value); err != nil {
			return err
		}
		if v.IsZero() && !isZero(v, f.Tag.Get("default")) {
			return bad(f, value, "a value other than "+text(v)+", which stands for the default "+f.Tag.Get("default"))
		}
		return check(f, v)
	})
	if err == nil && !found {
		err = Unknown("setting", name, names)
	}
	return err
}

// isZero reports whether the default of a field like v is its zero value.
func isZero(v reflect.Value, text string) bool {
	d := reflect.New(v.Type()).Elem()
	return text == "" || assign(reflect.StructField{}, d, text) == nil && d.IsZero()
}

// Has reports whether *ptr has a parameter called name.
func Has(ptr any, name string) bool {
	has := false
	each(ptr, func(f reflect.StructField, _ reflect.Value) error {
		has = has || f.Tag.Get("opt") == name
		return nil
	})
	return has
}

// Unknown is the error for a name that is not among names: it lists what there
// is, shortened where that is much, and suggests the nearest one.
func Unknown(kind, name string, names []string) error {
	const most = 20
	allowed := "one of " + strings.Join(names[:min(len(names), most)], ", ")
	switch more := len(names) - most; {
	case len(names) == 0:
		allowed = "no " + kind + " at all here"
	case more > 0:
		allowed += fmt.Sprintf(" and %d more", more)
	}
	if near := Nearest(name, names); near != "" {
		allowed += fmt.Sprintf("; did you mean %q?", near)
	}
	return &bilevel.SettingError{Field: kind, Value: strconv.Quote(name), Allowed: allowed}
}

// Nearest is the name at the smallest edit distance, or "" when none is near: a
// third of the letters may be wrong, and one of a short name.
func Nearest(name string, names []string) string {
	best, at := "", max(1, len(name)/3)+1
	for _, n := range names {
		if d := distance(strings.ToLower(name), strings.ToLower(n)); d < at {
			best, at = n, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour (the restricted Damerau-Levenshtein distance).
func distance(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			cost := row[j]
			if a[i] != b[j] {
				cost++
			}
			next[j+1] = min(cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}

func each(ptr any, do func(reflect.StructField, reflect.Value) error) error {
	v := reflect.ValueOf(ptr).Elem()
	t := v.Type()
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("opt") == "" {
			continue
		}
		if err := do(t.Field(i), v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func text(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	default:
		return fmt.Sprint(v.Interface())
	}
}

func bad(f reflect.StructField, value any, allowed string) error {
	return &bilevel.SettingError{Field: f.Tag.Get("opt"), Value: value, Allowed: allowed}
}

func assign(f reflect.StructField, v reflect.Value, value string) error {
	switch v.Kind() {
	case reflect.Float64:
		x, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return bad(f, strconv.Quote(value), "a number in "+f.Tag.Get("range"))
		}
		v.SetFloat(x)
	case reflect.Int:
		x, err := strconv.Atoi(value)
		if err != nil {
			return bad(f, strconv.Quote(value), "an integer in "+f.Tag.Get("range"))
		}
		v.SetInt(int64(x))
	case reflect.Bool:
		x, err := strconv.ParseBool(value)
		if err != nil {
			return bad(f, strconv.Quote(value), "true or false")
		}
		v.SetBool(x)
	default:
		v.SetString(value)
	}
	return nil
}

func check(f reflect.StructField, v reflect.Value) error {
	r := f.Tag.Get("range")
	if r == "" {
		return nil
	}
	switch v.Kind() {
	case reflect.Float64, reflect.Int:
		x := 0.0
		if v.Kind() == reflect.Int {
			x = float64(v.Int())
		} else {
			x = v.Float()
		}
		if !within(x, r) {
			return bad(f, text(v), "a number in "+r)
		}
	case reflect.String:
		for _, word := range strings.Split(r, "|") {
			if v.String() == word {
				return nil
			}
		}
		return bad(f, strconv.Quote(v.String()), "one of "+strings.ReplaceAll(r, "|", ", "))
	}
	return nil
}

// within reports whether x lies in an interval written [a,b], (a,b], [a,b) or
// (a,b); inf is infinity.
func within(x float64, r string) bool {
	lo, hi, ok := strings.Cut(r[1:len(r)-1], ",")
	a, err1 := strconv.ParseFloat(strings.TrimSpace(lo), 64)
	b, err2 := strconv.ParseFloat(strings.TrimSpace(hi), 64)
	if !ok || err1 != nil || err2 != nil || math.IsNaN(x) {
		return false
	}
	return (x > a || r[0] == '[' && x == a) && (x < b || r[len(r)-1] == ']' && x == b)
}
