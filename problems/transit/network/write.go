package network

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strconv"

	"github.com/goccy/go-yaml"
)

// Encode returns the files of n's folder by name, in the form that [Read] takes.
// Every number survives to the last bit. n must be valid.
func Encode(n *Network) (map[string][]byte, error) {
	main, err := yaml.Marshal(header{Name: n.Name, Title: n.Title, Source: n.Source,
		Units: units{n.Time, n.Cost, n.Trips}, TimeWeight: n.TimeWeight, Coordinates: string(n.Coordinates)})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", MainFile, err)
	}
	files := map[string][]byte{MainFile: main}
	id := func(i int) string { return n.Stations[i].ID }
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	named, terminals := false, false
	for _, s := range n.Stations {
		named, terminals = named || s.Name != "", terminals || s.Terminal
	}
	located := n.Coordinates != None
	keep := map[string]bool{"name": named, "x": located, "y": located, "terminal": terminals}
	row := func(i int) []string {
		s := n.Stations[i]
		all := []string{s.ID, s.Name, number(s.X), number(s.Y), map[bool]string{true: "yes", false: "no"}[s.Terminal]}
		var kept []string
		for k, c := range tables[StationsFile] {
			if c.required || keep[c.name] {
				kept = append(kept, all[k])
			}
		}
		return kept
	}
	for file, t := range map[string]struct {
		rows int
		row  func(i int) []string
	}{
		StationsFile: {len(n.Stations), row},
		LinksFile: {len(n.Links), func(i int) []string {
			l := n.Links[i]
			return []string{id(l.From), id(l.To), number(l.Time), number(l.Cost)}
		}},
		DemandFile: {len(n.Pairs), func(i int) []string {
			p := n.Pairs[i]
			return []string{id(p.From), id(p.To), number(p.Trips), number(p.Alternative), number(p.Margin)}
		}},
	} {
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		var head []string
		for _, c := range tables[file] {
			if c.required || keep[c.name] {
				head = append(head, c.name)
			}
		}
		rows := [][]string{head}
		for i := range t.rows {
			rows = append(rows, t.row(i))
		}
		if err := w.WriteAll(rows); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		files[file] = b.Bytes()
	}
	return files, nil
}
