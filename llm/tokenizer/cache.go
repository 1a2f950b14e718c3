package tokenizer

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// cache remembers the ids of short words. It has a fixed number of slots, a
// newer word takes the place of an older one, and readers never wait. It is a
// memory, not a source: results are the same without it.
type cache struct {
	seed  maphash.Seed
	slots []atomic.Pointer[cached]
}

type cached struct {
	word string
	ids  []int32 // never nil
}

func newCache() *cache {
	return &cache{maphash.MakeSeed(), make([]atomic.Pointer[cached], slots)}
}

func (c *cache) hash(s string) uint64 { return maphash.String(c.seed, s) }

func (c *cache) get(h uint64, s string) []int32 {
	if e := c.slots[h%slots].Load(); e != nil && e.word == s {
		return e.ids
	}
	return nil
}

// put keeps copies: a cached word must not hold on to the document it came from.
func (c *cache) put(h uint64, s string, ids []int32) {
	c.slots[h%slots].Store(&cached{strings.Clone(s), append(make([]int32, 0, len(ids)), ids...)})
}
