package svm

import "fmt"

// quadratic maps every row z of d to (1, z_1..z_p, z_1^2..z_p^2, z_i z_j for
// i < j in lexicographic order): 1 + 2p + p(p-1)/2 columns, 45 for p = 8, the
// map of arXiv 2406.10148 and arXiv 2507.20400. The constant column stands
// beside the bias of the classifier, as it does there.
func quadratic(d *Data) (*Data, error) {
	p := d.features
	m := 1 + 2*p + p*(p-1)/2
	if m > maxFeatures || m*d.Rows() > maxCells {
		return nil, &DataError{d.Name, 0, fmt.Sprintf("%d features, which make %d quadratic ones", p, m), fmt.Sprintf("at most %d columns and %d numbers in all; use features=raw", maxFeatures, maxCells)}
	}
	q := &Data{Name: d.Name, Labels: d.Labels, lines: d.lines, features: m, A: make([]float64, 0, m*d.Rows())}
	for i := range d.Rows() {
		z := d.Row(i)
		q.A = append(append(q.A, 1), z...)
		for _, v := range z {
			q.A = append(q.A, v*v)
		}
		for j, v := range z {
			for _, u := range z[j+1:] {
				q.A = append(q.A, v*u)
			}
		}
	}
	q.Columns = append(append(q.Columns, "1"), d.Columns...)
	for _, c := range d.Columns {
		q.Columns = append(q.Columns, c+"^2")
	}
	for j, c := range d.Columns {
		for _, e := range d.Columns[j+1:] {
			q.Columns = append(q.Columns, c+"*"+e)
		}
	}
	return q, nil
}

// scale maps every feature of d linearly to [-1, 1] by its range over the given
// rows (nil: all rows), as LIBSVM's svm-scale does. A feature that is constant
// on them becomes 0.
func scale(d *Data, rows []int) (scaled *Data, lo, hi []float64) {
	p := d.features
	s := &Data{Name: d.Name, Columns: d.Columns, Labels: d.Labels, lines: d.lines, features: p, A: make([]float64, len(d.A))}
	if rows == nil {
		rows = make([]int, d.Rows())
		for i := range rows {
			rows[i] = i
		}
	}
	lo, hi = append(lo, d.Row(rows[0])...), append(hi, d.Row(rows[0])...)
	for j := range p {
		for _, i := range rows {
			lo[j], hi[j] = min(lo[j], d.Row(i)[j]), max(hi[j], d.Row(i)[j])
		}
		if hi[j] > lo[j] {
			for i := range d.Rows() {
				s.A[i*p+j] = -1 + 2*(d.A[i*p+j]-lo[j])/(hi[j]-lo[j])
			}
		}
	}
	return s, lo, hi
}

// checkFinite refuses features that the scaling or the map has made infinite.
func checkFinite(d *Data) error {
	for i := range d.Rows() {
		for j, v := range d.Row(i) {
			if v-v != 0 {
				return &DataError{d.Name, d.lines[i], fmt.Sprintf("feature %s becomes %v", d.Columns[j], v), "finite features after scaling and the feature map"}
			}
		}
	}
	return nil
}
