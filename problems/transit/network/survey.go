package network

// Findings are entries that are legal and have no effect.
type Findings struct {
	Unserved []int // pairs without any path over the candidate links
	Useless  []int // links on no way from the origin to the destination of any pair
	Isolated []int // stations without links
}

// Survey finds the pairs that cannot be served, the links that nobody could use
// and the stations without links. n must be valid.
func Survey(n *Network) Findings {
	out := n.outgoing()
	touched := make([]bool, len(n.Stations))
	for _, l := range n.Links {
		touched[l.From], touched[l.To] = true, true
	}
	var found Findings
	for i, t := range touched {
		if !t {
			found.Isolated = append(found.Isolated, i)
		}
	}
	// reach[i] is the set of stations that a journey standing at i (and free to
	// leave it) can get to.
	reach := make([][]bool, len(n.Stations))
	from := func(start int) []bool {
		if reach[start] != nil {
			return reach[start]
		}
		seen, queue := make([]bool, len(n.Stations)), []int{start}
		seen[start] = true
		for len(queue) > 0 {
			i := queue[0]
			queue = queue[1:]
			if i != start && n.Stations[i].Terminal {
				continue
			}
			for _, e := range out[i] {
				if j := n.Links[e].To; !seen[j] {
					seen[j] = true
					queue = append(queue, j)
				}
			}
		}
		reach[start] = seen
		return seen
	}
	used := make([]bool, len(n.Links))
	left := len(used)
	for k, p := range n.Pairs {
		seen := from(p.From)
		if !seen[p.To] {
			found.Unserved = append(found.Unserved, k)
			continue
		}
		if left == 0 || p.Trips == 0 {
			continue
		}
		for e, l := range n.Links {
			switch {
			case used[e] || !seen[l.From] || l.To == p.From || l.From == p.To:
			case l.From != p.From && n.Stations[l.From].Terminal:
			case l.To != p.To && (n.Stations[l.To].Terminal || !from(l.To)[p.To]):
			default:
				used[e] = true
				left--
			}
		}
	}
	for e, u := range used {
		if !u {
			found.Useless = append(found.Useless, e)
		}
	}
	return found
}
