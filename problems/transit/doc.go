// Package transit designs transit networks by bilevel optimization: the leader
// buys capacity on candidate links, travellers choose between the network and an
// alternative by a logit and take their cheapest paths under the capacities, and
// the leader wants the fares that follow minus the construction cost.
//
// With d the travel times, c the costs of one unit of capacity, and for every pair
// of stations w the trips, u the disutility of the alternative and m the margin,
//
//	f(x, y) = sum_ij c_ij x_ij - sum_k w_k m_k y_k
//	g(y)    = sum_k w_k ( y_k ln y_k + (1-y_k) ln(1-y_k) + u_k (1-y_k) ) + sum_o sum_ij d_ij phi^o_ij
//	h       : flow of origin o conserved at every other station; sum_o phi^o_ij <= x_ij
//
// (arXiv 2406.10148, section 5.2, with the flows added up by origin, which loses
// nothing since link times do not depend on the destination). The lower variable
// is y = (shares y_k; flows phi^o_ij in trips, origin after origin), its multipliers
// the cost of getting from o to each other station and the link prices lambda_ij.
// Package network describes networks, package response solves the lower level.
package transit
