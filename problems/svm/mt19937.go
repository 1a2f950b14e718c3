package svm

// mt19937 is the 32-bit Mersenne Twister of Matsumoto and Nishimura (1998) as
// NumPy's legacy generator seeds and reads it. It exists so that published
// splits can be replayed bit for bit; everything else draws from math/rand/v2.
type mt19937 struct {
	state [624]uint32
	next  int
}

// newMT19937 seeds by init_genrand, which is what numpy.random.seed(int) does.
func newMT19937(seed uint32) *mt19937 {
	m := &mt19937{next: 624}
	m.state[0] = seed
	for i := 1; i < len(m.state); i++ {
		prev := m.state[i-1]
		m.state[i] = 1812433253*(prev^prev>>30) + uint32(i)
	}
	return m
}

// uint32 is the next output.
func (m *mt19937) uint32() uint32 {
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

func (m *mt19937) twist() {
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
func (m *mt19937) atMost(limit uint32) uint32 {
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

// shuffle permutes ids in place as numpy.random.shuffle does.
func (m *mt19937) shuffle(ids []int) {
	for i := len(ids) - 1; i > 0; i-- {
		j := m.atMost(uint32(i))
		ids[i], ids[j] = ids[j], ids[i]
	}
}
