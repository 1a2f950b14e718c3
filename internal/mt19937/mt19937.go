// Package mt19937 is the 32-bit Mersenne Twister of Matsumoto and Nishimura (1998)
// as NumPy's legacy generator seeds and reads it. It exists so that published
// splits and starts can be replayed bit for bit; everything else draws from
// math/rand/v2.
package mt19937

// Generator is the generator's state.
type Generator struct {
	state [624]uint32
	next  int
}

// New seeds by init_genrand, which is what numpy.random.seed(int) does.
func New(seed uint32) *Generator {
	m := &Generator{next: 624}
	m.state[0] = seed
	for i := 1; i < len(m.state); i++ {
		prev := m.state[i-1]
		m.state[i] = 1812433253*(prev^prev>>30) + uint32(i)
	}
	return m
}

// uint32 is the next output.
func (m *Generator) uint32() uint32 {
	if m.next == len(m.state) {
		m.twist()
	}
	y := m.state[m.next]
	m.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

func (m *Generator) twist() {
	const n, shift = 624, 397
	for i := range m.state {
		y := m.state[i]&0x80000000 | m.state[(i+1)%n]&0x7fffffff
		v := m.state[(i+shift)%n] ^ y>>1
		if y&1 == 1 {
			v ^= 0x9908b0df
		}
		m.state[i] = v
	}
	m.next = 0
}

// atMost draws from 0..limit by masked rejection, one output per try.
func (m *Generator) atMost(limit uint32) uint32 {
	mask := limit
	for s := 1; s < 32; s *= 2 {
		mask |= mask >> s
	}
	for {
		if v := m.uint32() & mask; v <= limit {
			return v
		}
	}
}

// Shuffle permutes ids in place as numpy.random.shuffle does.
func (m *Generator) Shuffle(ids []int) {
	for i := len(ids) - 1; i > 0; i-- {
		j := m.atMost(uint32(i))
		ids[i], ids[j] = ids[j], ids[i]
	}
}

// Float64 draws from [0, 1) with 53 bits as numpy.random.random_sample does.
func (m *Generator) Float64() float64 {
	a, b := m.uint32()>>5, m.uint32()>>6
	return (float64(a)*(1<<26) + float64(b)) / (1 << 53)
}
