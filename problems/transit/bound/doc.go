// Package bound bounds the profit of every transit design from above.
//
// # The problem
//
// A design is a set of link prices lambda >= 0 (+Inf: closed): every one is
// implemented by building exactly the flow it induces, and capacity beyond the flow
// only costs. With p_st the length of the shortest path between stations s and t
// under time + lambda, and among equally long paths the one of least cost,
//
//	profit = sum over pairs k of  w_k (m_k - c_k) sigma(u_k - p_k).
//
// The bound that leaves pairs to themselves takes for each its best path at price
// 0. It is far too high because link prices are common: what opens a way for one
// pair opens all its parts to others, of which some lose money, and two ways that
// meet open a third.
//
// # The relaxation
//
// Openness is x_st = exp(D_st - p_st) in [0, 1], D_st the least travel time. Three
// facts hold in every design.
//
//  1. A pair k that travels on a path P at the cumulated price -ln z travels, with
//     every two stations s, t on P, on a shortest path of s and t, so that
//     x_st >= z exp(D_st - D_P[st]), with D_P[st] the time of that part of P; the
//     pair s, t travels there too, and its cost is that of this part.
//  2. x_st >= exp(D_st - D_sv - D_vt) x_sv x_vt, unless v may not be passed.
//  3. A pair with m < c for the cheapest path (cost C_st) loses at least
//     w (C_st - m) sigma(u - D_st + ln x_st).
//
// Openness is measured by x and by Y = h(x) = 2x/(1+x), which is nearly proportional
// to shares, so that half a way earns and costs about half. Fact 2 becomes
// inequalities that are linear in both measures (triangles.go). With multipliers
//
//	a_kst, b_kst >= 0   for fact 1: pair k pays a_kst Y + b_kst x for what its way opens,
//	alpha_kst >= 0      the part of the loss of pair s, t on P that pair k bears, sum over k <= 1,
//	beta >= 0           for each inequality  Y_st or x_st >= f (Y_sv + Y_vt) + g (x_sv + x_vt) - e,
//
// the profit of every design is at most
//
//	sum over k of  max over ways (P, z) or 0 of  w (m - c_P) sigma(u - D_P + ln z)
//	        - sum over s, t on P, with r = z exp(D_st - D_P[st]), of
//	            [ a_kst h(r) + b_kst r + alpha_kst w_st (c_P[st] - m_st)^+ sigma(u_st - D_P[st] + ln z) ]
//	+ sum over s, t of  max over 0 <= x <= 1 of  A_st Y + B_st x - (1 - sum_k alpha_kst) loss_st(x)
//	+ sum of beta e,
//
// A_st and B_st being what a, b and beta make of the measures of s, t, and where the
// price on the way lies on its links where it costs least. Proof: put a
// design's own ways and openness into the expression; every multiplied difference is
// >= 0, and the rest is its profit. Charges are first bounded at the cumulated price z for
// all parts, then for prices on links (placing.go).
//
// # The computation
//
// The expression is convex in the multipliers. It is minimised by a subgradient
// method with Polyak's step for a target just below the best value and averaged
// subgradients (Camerini, Fratta and Maffioli 1975); inequalities that averages of Y violate
// are added, idle ones dropped. Prices are placed on links once the descent with the
// simpler charges has nearly ended. Any multipliers give a valid bound, so that the
// descent may end at any time. Ways are found by depth-first branch and bound,
// exactly or, beyond a number of partial ways, bounded from above (finder.go). The
// maxima over z replace charges by chords on a grid, from below, and have closed forms on
// its intervals (curve.go). Limits of the planner are moved into costs by
// multipliers of their own (limits.go).
//
// Rounding: all figures are sums of products of numbers computed to a few units in
// the last place; 2e-10 of the sum of the sizes of all terms is added.
//
// Assumptions: those of the transit model. Failure modes: the inequalities are
// those of two ways at a time and leave a gap where the best designs mix open and
// half-open ways; utilities far from travel times (|u - D| above about 5) make Y a
// poor measure of shares; in networks of many stations the pairs whose ways could lie
// almost anywhere keep the bound of pairs by themselves (maxEntries), and so does the
// whole network above maxStations.
package bound
