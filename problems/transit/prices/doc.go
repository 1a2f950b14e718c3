// Package prices searches for the most profitable transit design over link
// prices instead of capacities.
//
// For a price lambda_l >= 0 of every link (infinite: closed) each pair k of
// demand travels on a shortest path under time + lambda, of length p_k, with the
// share sigma(u_k - p_k). Building exactly the flow x that this induces makes
// lambda a multiplier of the capacity constraints at x, so that the travellers'
// response to x is this one. Conversely an optimal design wastes no capacity.
// The bilevel problem is therefore
//
//	max over lambda of  profit(lambda) = sum_k w_k (m_k - c_k(lambda)) sigma(u_k - p_k(lambda)),
//
// c_k the construction cost along the path of pair k, the cheaper path where two
// are equally long (the operator decides which one gets the capacity). One
// evaluation is a shortest-path tree per station.
//
// In one price lambda_l, profit is piecewise smooth and known exactly: pair k
// travels over l while lambda_l is below theta_k, what its best path without l
// costs more, and gains w_k (m_k - c_k) sigma(u_k - p_k - lambda_l) there. The
// search maximises over one price at a time ([State.Line]) until no price alone
// improves, leaves that local optimum by a random change of a few links, and
// keeps what is better; several chains do so in parallel and exchange designs.
//
// Assumptions: those of the transit model (no congestion but through capacity).
// Failure modes: many local optima; the best one found is not proven to be the
// global one.
package prices
