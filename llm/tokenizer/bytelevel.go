package tokenizer

// Byte-level tokenizers write every byte as one printable character: the bytes
// that are printable in Latin-1 as themselves, the others from U+0100 on
// (GPT-2's table).
var (
	byteChar   [256]string
	charToByte [0x100 + 68]int16 // -1: not a byte-level character
)

func init() {
	for i := range charToByte {
		charToByte[i] = -1
	}
	other := rune(0x100)
	for b := range 256 {
		r := rune(b)
		printable := b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE
		if !printable {
			r = other
			other++
		}
		byteChar[b] = string(r)
		charToByte[r] = int16(b)
	}
}

// byteChars writes the bytes of s in byte-level characters.
func byteChars(s string) string {
	b := make([]byte, 0, 2*len(s))
	for i := range len(s) {
		b = append(b, byteChar[s[i]]...)
	}
	return string(b)
}

// appendBytes appends the bytes that the byte-level characters of s stand for,
// or s itself when one of its characters is not of this kind.
func appendBytes(dst []byte, s string) []byte {
	n := len(dst)
	for _, r := range s {
		if int(r) >= len(charToByte) || charToByte[r] < 0 {
			return append(dst[:n], s...)
		}
		dst = append(dst, byte(charToByte[r]))
	}
	return dst
}
