// Package response computes how travellers respond to link capacities, exactly and
// with a proof, and what a design is worth that is given by link prices.
//
// With q_k = w_k y_k the trips of pair k on the network, u' = u + m/gamma (gamma the
// penalty, +Inf for the lower level itself) and flows that use paths r, the lower
// level (arXiv 2406.10148, section 5.2) is
//
//	minimise  sum_k w_k [ y ln y + (1-y) ln(1-y) + u'_k (1-y) ] + sum_r d(r) f_r
//	subject to  sum_r f_r = q_k,  f >= 0,  sum of f over link ij <= x_ij,
//
// up to c'x/gamma and the constant sum w m/gamma. At the solution the multiplier
// lambda_ij >= 0 of a capacity is the price of the link, travellers take shortest
// paths under d + lambda, whose length is p_k, and y_k = sigma(u'_k - p_k). The dual
//
//	max over lambda >= 0 of  -sum_k w_k ln( exp(-u'_k) + exp(-p_k(lambda)) ) - lambda'x
//
// bounds the value from below at any prices, so primal and dual value prove an
// answer; both are reported with every answer.
//
// [Solver] is a primal-dual interior-point method on the paths found so far; every
// step looks for shorter ones at its prices. The Newton system is reduced to the
// open links' prices (start.go, anneal.go, interior.go, columns.go, centre.go, system.go),
// added up over the distinct differences of paths (differences.go, assembly.go) and
// factorised (cholesky.go), and the answer is
// polished on the links and paths that turn out to be in use (polish.go). Next to a design
// whose prices are known, an active-set method (active.go) takes its place, and beside tiny
// capacities the active set is followed from wider ones (narrow.go). Assumption:
// |u'_k - d_k| below about 40 where capacities bind, for otherwise demand
// does not react to prices within the precision of numbers; the solver then ends
// with [ErrNumerical] and the gap it reached.
//
// [Pricing] evaluates designs given by prices, [NewAudit] measures any answer
// again, and [NewSecond] solves the lower level by another method.
package response
