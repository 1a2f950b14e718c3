package transit

import "testing"

// The end of the published run is worth less than the best known design, and on
// 3 stations what the closed form x12 = sigma(u - d + (m-c)/gamma) gives, less the
// cost of what the floors leave.
func TestBaselines(t *testing.T) {
	for name, want := range map[string][2]float64{"transit/3node": {1.69, 1.7139}, "transit/9node": {8.62, 17.28}, "transit/seville": {39.09, 226.4}} {
		in := openInstance(t, name, nil)
		all, err := in.Compare(nil, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != 3 || all[0].Metrics["profit"] != 0 {
			t.Fatalf("%s: baselines %+v", name, all)
		}
		if p := all[2].Metrics["profit"]; !(p > want[0] && p < want[1]) {
			t.Errorf("%s: published run %v, want between %v and %v", name, p, want[0], want[1])
		}
	}
}
