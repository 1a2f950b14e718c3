package report

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

func TestWriteSVG(t *testing.T) {
	p := Plot{Title: "a < b", XLabel: "stations", Log: true, Series: []Series{{"one", []float64{1, 2, 3}, []float64{0.1, 1, 10}}, {"two", []float64{1, 3}, []float64{0.2, 5}}}}
	var b bytes.Buffer
	if err := p.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	circles := 0
	for d := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
			circles++
		}
	}
	if circles != 5 || !strings.Contains(b.String(), "a &lt; b") || !strings.Contains(b.String(), "two, stations 3: 5") {
		t.Errorf("%d dots in %s", circles, b.String())
	}
	for _, bad := range []Plot{{Title: "none"}, {Series: []Series{{"x", []float64{1}, nil}}}, {Log: true, Series: []Series{{"x", []float64{1}, []float64{-1}}}}} {
		if err := bad.WriteSVG(io.Discard); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
}
