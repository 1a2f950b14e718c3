package response

// Adjoint sets dst (Links) to the transposed derivative of the last answer in the
// capacities, applied to weights on the shares (Pairs, may be nil) and on the
// flows by origin (Origins x Links, may be nil).
//
// At the solution, M dlambda = -dx with the matrix M of the Newton system, and for
// the paths r of pair k, theta_r = f_r/z_r, Theta = sum theta_r,
//
//	dp_k = sum_r theta_r dlambda(r) / (Theta + h_k),  w_k dy_k = -h_k dp_k,
//	df_r = -theta_r (dlambda(r) - dp_k).
//
// Where the answer came at once from the prices to start from, it is computed again
// by the interior-point method. Where the response is not differentiable (a price or a path flow that is just
// zero) this is the derivative of the central path there, a mean of those around.
func (s *Solver) Adjoint(dst, shares, flows []float64) error {
	m := s.m
	clear(dst)
	if s.uncongested {
		return nil
	}
	if s.met { // an interior point is needed
		if s.met = false; !s.run(s.begin) && !s.anneal() {
			return ErrNumerical
		}
	}
	if !s.polished {
		s.resume()
		if !s.factorise() {
			return ErrNumerical
		}
	}
	if flows != nil {
		for v, e := range s.paths.link {
			if e < 0 {
				s.perNode[v] = 0
				continue
			}
			s.perNode[v] = s.perNode[s.paths.parent[v]] + flows[int(s.paths.root[v])*m.Links+int(e)]
		}
		for r, v := range s.paths.node {
			s.change[r] = s.perNode[v]
		}
	} else {
		clear(s.change)
	}
	for _, k := range s.served {
		theta, h := s.theta[k], s.base[k]
		mean, first := 0.0, s.paths.first[k]
		if s.paths.number[k] == 1 {
			s.change[first] *= h
			if shares != nil {
				s.change[first] += h * shares[k] / m.Trips[k]
			}
			continue
		}
		for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
			mean += s.ratio[r] * s.change[r] / theta
		}
		toward := mean
		if shares != nil {
			toward += shares[k] / m.Trips[k]
		}
		toward *= h / (theta + h)
		for r := s.paths.first[k]; r >= 0; r = s.paths.next[r] {
			s.change[r] = s.ratio[r] * (s.change[r] - mean + toward)
		}
	}
	clear(s.dLambda)
	s.along(s.dLambda, s.change)
	for i, e := range s.chosen {
		s.rhs[i] = s.dLambda[e]
	}
	s.solve()
	for i, e := range s.chosen {
		dst[e] = s.rhs[i]
	}
	return nil
}

// resume puts the interior point of the last answer back in place.
func (s *Solver) resume() {
	copy(s.flow, s.kept.flow)
	for r := len(s.kept.flow); r < len(s.flow); r++ {
		s.flow[r] = 0
	}
	copy(s.lambda, s.kept.lambda)
	copy(s.slack, s.kept.slack)
	copy(s.p, s.kept.p)
	copy(s.alt, s.kept.alt)
	for _, e := range s.open {
		s.length[e] = s.time[e] + s.lambda[e]
	}
	s.across(s.cost, s.length)
	for r, c := range s.cost {
		if k := s.paths.pair[r]; s.paths.number[k] > 1 {
			s.z[r] = c - s.p[k]
		}
	}
	for _, k := range s.served {
		s.total(k)
	}
}
