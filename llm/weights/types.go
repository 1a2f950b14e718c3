package weights

import (
	"fmt"
	"math/bits"
)

// Type is how a file stores the numbers of a tensor.
type Type int

// The types that can be read. F32, F16 and BF16 can be written too.
const (
	F32  Type = iota // IEEE 754 binary32
	F16              // IEEE 754 binary16
	BF16             // the upper half of a binary32
	Q8_0             // blocks of 32, 8 bits each
	Q4_0             // blocks of 32, 4 bits each
	Q4_1             // blocks of 32, 4 bits each, with a minimum
	Q5_0             // blocks of 32, 5 bits each
	Q5_1             // blocks of 32, 5 bits each, with a minimum
	Q4_K             // blocks of 256 in 8 groups, 4 bits each, with minima
	Q5_K             // blocks of 256 in 8 groups, 5 bits each, with minima
	Q6_K             // blocks of 256 in 16 groups, 6 bits each
	numType
)

// typeTable is the single source of a type's name, block and decoder. A block is
// the smallest run of values that can be decoded by itself.
var typeTable = [numType]struct {
	name          string
	values, bytes int
	decode        func(dst []float32, src []byte)
}{
	F32:  {"F32", 1, 4, decodeF32},
	F16:  {"F16", 1, 2, decodeF16},
	BF16: {"BF16", 1, 2, decodeBF16},
	Q8_0: {"Q8_0", 32, 34, decodeQ8_0},
	Q4_0: {"Q4_0", 32, 18, decodeQ4_0},
	Q4_1: {"Q4_1", 32, 20, decodeQ4_1},
	Q5_0: {"Q5_0", 32, 22, decodeQ5_0},
	Q5_1: {"Q5_1", 32, 24, decodeQ5_1},
	Q4_K: {"Q4_K", 256, 144, decodeQ4_K},
	Q5_K: {"Q5_K", 256, 176, decodeQ5_K},
	Q6_K: {"Q6_K", 256, 210, decodeQ6_K},
}

// String is the type's name as its file format spells it.
func (t Type) String() string {
	if t < 0 || t >= numType {
		return fmt.Sprintf("Type(%d)", int(t))
	}
	return typeTable[t].name
}

// volume is the product of the dimensions, refused (ok false) when one is
// negative or the product exceeds what an int64 of float32 bytes can count.
func volume(shape []int) (n int, ok bool) {
	product := uint64(1)
	zero := false
	for _, d := range shape {
		if d < 0 {
			return 0, false
		}
		if d == 0 {
			zero = true
			continue
		}
		hi, lo := bits.Mul64(product, uint64(d))
		if hi != 0 || lo > 1<<60 {
			return 0, false
		}
		product = lo
	}
	if zero {
		return 0, true
	}
	return int(product), true
}

// storedBytes is the size of n values of a type; ok is false when they are not a
// whole number of blocks.
func storedBytes(t Type, n int) (size int64, ok bool) {
	info := &typeTable[t]
	if n%info.values != 0 {
		return 0, false
	}
	return int64(n/info.values) * int64(info.bytes), true
}
