package tokenizer

import "unicode/utf8"

// appendLossy appends b to dst with U+FFFD in the place of every maximal part
// that is not valid UTF-8 (Unicode standard, section 3.9, "substitution of
// maximal subparts"), so three bytes of a broken four-byte character become one
// U+FFFD.
func appendLossy(dst, b []byte) []byte {
	for len(b) > 0 {
		n, ok := nextChar(b)
		if ok {
			dst = append(dst, b[:n]...)
		} else {
			dst = utf8.AppendRune(dst, utf8.RuneError)
		}
		b = b[n:]
	}
	return dst
}

// nextChar returns the length of the character, or of the maximal invalid part,
// at the start of b.
func nextChar(b []byte) (n int, ok bool) {
	if r, size := utf8.DecodeRune(b); r != utf8.RuneError || size > 1 {
		return size, true
	}
	need, lo, hi := lead(b[0])
	n = 1
	for n <= need && n < len(b) && b[n] >= lo && b[n] <= hi {
		n++
		lo, hi = 0x80, 0xBF
	}
	return n, false
}

// lead returns how many bytes must follow the byte c and the range of the first
// of them.
func lead(c byte) (need int, lo, hi byte) {
	switch {
	case c >= 0xC2 && c <= 0xDF:
		return 1, 0x80, 0xBF
	case c == 0xE0:
		return 2, 0xA0, 0xBF
	case c == 0xED:
		return 2, 0x80, 0x9F
	case c >= 0xE1 && c <= 0xEF:
		return 2, 0x80, 0xBF
	case c == 0xF0:
		return 3, 0x90, 0xBF
	case c >= 0xF1 && c <= 0xF3:
		return 3, 0x80, 0xBF
	case c == 0xF4:
		return 3, 0x80, 0x8F
	}
	return 0, 0, 0
}

// incompleteTail returns how many bytes at the end of b are the beginning of a
// character that more bytes could complete.
func incompleteTail(b []byte) int {
	for k := 1; k <= 3 && k <= len(b); k++ {
		c := b[len(b)-k]
		if c&0xC0 == 0x80 {
			continue
		}
		if need, _, _ := lead(c); need >= k {
			if n, ok := nextChar(b[len(b)-k:]); !ok && n == k {
				return k
			}
		}
		return 0
	}
	return 0
}
