// Package capacities searches for the most profitable transit design where
// capacities have limits that make the operator build more than the flow: least
// capacities, and equal capacities of opposite links. Links of equal capacity are a
// group; with C_g the cost of one unit in all its links, f_l the flows and y(z) the
// travellers' response to the capacities z,
//
//	max over z >= least  of  sum_k w_k m_k y_k(z) - sum_g C_g z_g,   sum_g C_g z_g <= budget.
//
// The search has two parts. Proposals come from a problem over link prices (package
// prices) in which the cost of a group is shared out over its links,
//
//	C_g z_g  >=  C_g max(least_g, f_l over l in g)  >=  C_g (alpha_0 least_g + sum_l alpha_l f_l),   alpha >= 0, sum alpha = 1,
//
// whose profit, at its best prices, is at least that of every design, for any alpha. The
// shares alpha move along the subgradient (least_g, f_l), that is, towards the fullest
// link, so that what is free beside a full link is used. Folded into capacities, a
// proposal is the start of a climb over z at the exact response; the best design is then
// changed at random in a few groups (opened, closed, resized) and climbed from again.
//
// Climbing is the method of Broyden, Fletcher, Goldfarb and Shanno with a line search for
// the weak Wolfe conditions. Profit is locally Lipschitz and piecewise smooth in z;
// on such functions the method is known in practice to end at stationary points, for
// its curvature learns the kinks. Cost above the budget has a penalty.
//
// Assumptions: those of the transit model. Failure modes: many local optima, as without
// limits; a climb may end short of the bottom where many kinks meet, and on networks
// whose response takes seconds it has few steps.
//
// Source: A. S. Lewis and M. L. Overton, Nonsmooth optimization via quasi-Newton
// methods, Mathematical Programming 141 (2013) 135-163.
package capacities
