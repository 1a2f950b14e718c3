package weights

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"math"
	"testing"
)

// decodeFixture is testdata/decode.json, made by the format's Python package.
type decodeFixture struct {
	Blocks map[string]struct {
		Raw, Values string
	} `json:"blocks"`
	CRC map[string]uint32 `json:"crc32"`
}

func readFixture(t *testing.T) decodeFixture {
	t.Helper()
	var f decodeFixture
	if err := json.Unmarshal(read(t, "testdata/decode.json"), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestBlocksEqualTheReferenceBitForBit(t *testing.T) {
	f := readFixture(t)
	for typ := Q8_0; typ < numType; typ++ {
		fixture, ok := f.Blocks[typ.String()]
		if !ok {
			t.Errorf("no fixture for %s", typ)
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(fixture.Raw)
		if err != nil {
			t.Fatal(err)
		}
		want, err := base64.StdEncoding.DecodeString(fixture.Values)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, 512)
		if size, ok := storedBytes(typ, len(got)); !ok || size != int64(len(raw)) {
			t.Fatalf("%s: 512 values in %d bytes, the fixture has %d", typ, size, len(raw))
		}
		typeTable[typ].decode(got, raw)
		for i, v := range got {
			if w := math.Float32frombits(binary.LittleEndian.Uint32(want[4*i:])); math.Float32bits(v) != math.Float32bits(w) {
				t.Fatalf("%s: value %d is %v, the reference has %v", typ, i, v, w)
			}
		}
	}
}

func TestConversionsEqualNumPy(t *testing.T) {
	want := readFixture(t).CRC
	var b []byte
	for i := range 1 << 16 {
		if v := fromHalf(uint16(i)); v == v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	if got := crc32.ChecksumIEEE(b); got != want["half_to_single"] {
		t.Errorf("half to single: checksum %d, want %d", got, want["half_to_single"])
	}
	var half, brain []byte
	for i := range uint64(1 << 20) {
		if v := math.Float32frombits(uint32(i * 4097)); v == v {
			half = binary.LittleEndian.AppendUint16(half, toHalf(v))
			brain = binary.LittleEndian.AppendUint16(brain, toBrain(v))
		}
	}
	if got := crc32.ChecksumIEEE(half); got != want["single_to_half"] {
		t.Errorf("single to half: checksum %d, want %d", got, want["single_to_half"])
	}
	if got := crc32.ChecksumIEEE(brain); got != want["single_to_bfloat16"] {
		t.Errorf("single to bfloat16: checksum %d, want %d", got, want["single_to_bfloat16"])
	}
}

func TestHalfRoundTrip(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		v := fromHalf(h)
		if v != v { // a NaN stays a NaN of the same sign
			if g := toHalf(v); g&0x8000 != h&0x8000 || fromHalf(g) == fromHalf(g) {
				t.Fatalf("NaN %#x became %#x", h, g)
			}
			continue
		}
		if g := toHalf(v); g != h {
			t.Fatalf("half %#x became %#x", h, g)
		}
		if beyond(F16, v) {
			t.Fatalf("half %#x counts as beyond the range", h)
		}
	}
	for _, c := range []struct {
		typ  Type
		v    float32
		want bool
	}{
		{F16, 65519, false}, {F16, 65520, true}, {F16, -1e10, true}, {F16, float32(math.Inf(1)), false},
		{BF16, math.MaxFloat32, true}, {BF16, 3.38e38, false}, {BF16, float32(math.NaN()), false},
	} {
		if got := beyond(c.typ, c.v); got != c.want {
			t.Errorf("beyond(%s, %g) = %v", c.typ, c.v, got)
		}
	}
	if n := math.Float32frombits(uint32(toBrain(float32(math.NaN()))) << 16); n == n {
		t.Error("NaN became a number in bfloat16")
	}
}

func TestDecodingAllocatesNothing(t *testing.T) {
	dst := make([]float32, 512)
	for typ := F32; typ < numType; typ++ {
		size, _ := storedBytes(typ, len(dst))
		src := make([]byte, size)
		if n := testing.AllocsPerRun(10, func() { typeTable[typ].decode(dst, src) }); n != 0 {
			t.Errorf("%s: %g allocations", typ, n)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	dst := make([]float32, 1<<16)
	for typ := F32; typ < numType; typ++ {
		size, _ := storedBytes(typ, len(dst))
		src := make([]byte, size)
		b.Run(typ.String(), func(b *testing.B) {
			b.SetBytes(int64(4 * len(dst)))
			for b.Loop() {
				typeTable[typ].decode(dst, src)
			}
		})
	}
}
