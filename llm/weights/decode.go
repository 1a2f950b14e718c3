package weights

// The stored types in float32. Source of the block layouts: the GGUF format's
// reference de-quantiser, whose order of operations is kept, with every product
// rounded to float32 before it is added to (the conversions forbid fused
// multiply-add), so that values are equal to the reference bit for bit.
//
// Within a block of 32 (types _0 and _1): a half-precision scale d, for _1 also a
// half-precision minimum m, for Q5 the 32 fifth bits, then 16 bytes whose low
// nibbles are values 0..15 and whose high nibbles are values 16..31:
//
//	Q4_0: d (q-8)   Q4_1: d q + m   Q5_0: d (q-16)   Q5_1: d q + m   Q8_0: d q
//
// Within a block of 256 (types _K) each group has its own integer scale s and,
// for Q4_K and Q5_K, integer minimum u of 6 bits:
//
//	Q4_K, Q5_K: (d s) q - (e u)     Q6_K: (d s) (q-32)

import (
	"encoding/binary"
	"math"
)

func decodeF32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

func decodeF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = halfAt(src[2*i:])
	}
}

func decodeBF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}

// halfAt is the binary16 number at the start of b.
func halfAt(b []byte) float32 { return fromHalf(binary.LittleEndian.Uint16(b)) }

// fromHalf widens a binary16 number; exact for every pattern, NaN payloads kept.
func fromHalf(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exponent := uint32(h>>10) & 0x1f
	fraction := uint32(h & 0x3ff)
	switch exponent {
	case 0: // zero or subnormal: fraction * 2^-24 is exact
		v := float32(fraction) * 0x1p-24
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

func decodeQ8_0(dst []float32, src []byte) {
	for ; len(dst) >= 32; dst, src = dst[32:], src[34:] {
		d := halfAt(src)
		for j, q := range src[2:34] {
			dst[j] = d * float32(int8(q))
		}
	}
}

func decodeQ4_0(dst []float32, src []byte) {
	for ; len(dst) >= 32; dst, src = dst[32:], src[18:] {
		d := halfAt(src)
		for j, q := range src[2:18] {
			dst[j] = d * float32(int(q&15)-8)
			dst[j+16] = d * float32(int(q>>4)-8)
		}
	}
}

func decodeQ4_1(dst []float32, src []byte) {
	for ; len(dst) >= 32; dst, src = dst[32:], src[20:] {
		d, m := halfAt(src), halfAt(src[2:])
		for j, q := range src[4:20] {
			dst[j] = float32(d*float32(q&15)) + m
			dst[j+16] = float32(d*float32(q>>4)) + m
		}
	}
}

func decodeQ5_0(dst []float32, src []byte) {
	for ; len(dst) >= 32; dst, src = dst[32:], src[22:] {
		d, high := halfAt(src), binary.LittleEndian.Uint32(src[2:])
		for j, q := range src[6:22] {
			dst[j] = d * float32(int(q&15)|int(high>>j&1)<<4-16)
			dst[j+16] = d * float32(int(q>>4)|int(high>>(j+16)&1)<<4-16)
		}
	}
}

func decodeQ5_1(dst []float32, src []byte) {
	for ; len(dst) >= 32; dst, src = dst[32:], src[24:] {
		d, m, high := halfAt(src), halfAt(src[2:]), binary.LittleEndian.Uint32(src[4:])
		for j, q := range src[8:24] {
			dst[j] = float32(d*float32(int(q&15)|int(high>>j&1)<<4)) + m
			dst[j+16] = float32(d*float32(int(q>>4)|int(high>>(j+16)&1)<<4)) + m
		}
	}
}

// groupScale is scale and minimum of group g (0..7) from the 12 packed bytes of
// Q4_K and Q5_K: groups 0..3 have 6 bits each in bytes g and g+4, whose upper two
// bits are the upper bits of groups 4..7.
func groupScale(packed []byte, g int) (scale, minimum float32) {
	if g < 4 {
		return float32(packed[g] & 63), float32(packed[g+4] & 63)
	}
	return float32(packed[g+4]&15 | packed[g-4]>>6<<4), float32(packed[g+4]>>4 | packed[g]>>6<<4)
}

func decodeQ4_K(dst []float32, src []byte) {
	for ; len(dst) >= 256; dst, src = dst[256:], src[144:] {
		d, e, packed := halfAt(src), halfAt(src[2:]), src[4:16]
		for pair := range 4 { // 32 bytes hold groups 2*pair (low nibbles) and 2*pair+1
			s0, u0 := groupScale(packed, 2*pair)
			s1, u1 := groupScale(packed, 2*pair+1)
			d0, m0, d1, m1 := d*s0, e*u0, d*s1, e*u1
			out := dst[64*pair : 64*pair+64]
			for j, q := range src[16+32*pair : 48+32*pair] {
				out[j] = float32(d0*float32(q&15)) - m0
				out[j+32] = float32(d1*float32(q>>4)) - m1
			}
		}
	}
}

func decodeQ5_K(dst []float32, src []byte) {
	for ; len(dst) >= 256; dst, src = dst[256:], src[176:] {
		d, e, packed, high := halfAt(src), halfAt(src[2:]), src[4:16], src[16:48]
		for pair := range 4 {
			s0, u0 := groupScale(packed, 2*pair)
			s1, u1 := groupScale(packed, 2*pair+1)
			d0, m0, d1, m1 := d*s0, e*u0, d*s1, e*u1
			out := dst[64*pair : 64*pair+64]
			for j, q := range src[48+32*pair : 80+32*pair] {
				h := high[j] >> (2 * pair)
				out[j] = float32(d0*float32(q&15|h&1<<4)) - m0
				out[j+32] = float32(d1*float32(q>>4|h&2<<3)) - m1
			}
		}
	}
}

func decodeQ6_K(dst []float32, src []byte) {
	for ; len(dst) >= 256; dst, src = dst[256:], src[210:] {
		d := halfAt(src[208:])
		for half := range 2 { // 128 values from 64 low bytes and 32 high bytes
			low, high := src[64*half:64*half+64], src[128+32*half:160+32*half]
			scales, out := src[192+8*half:200+8*half], dst[128*half:128*half+128]
			for j := range 32 {
				h := high[j]
				for k, q := range [4]byte{
					low[j]&15 | h&3<<4,
					low[j+32]&15 | h>>2&3<<4,
					low[j]>>4 | h>>4&3<<4,
					low[j+32]>>4 | h>>6<<4,
				} {
					s := d * float32(int8(scales[2*k+j/16]))
					out[32*k+j] = s * float32(int(q)-32)
				}
			}
		}
	}
}
