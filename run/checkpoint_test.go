package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
)

func sampleState(t testing.TB) *bilevel.State {
	src := rand.NewPCG(3, 4)
	src.Uint64()
	stream, err := src.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	long := make([]float64, 5000)
	for i := range long {
		long[i] = math.Sqrt(float64(i))
	}
	return &bilevel.State{Problem: "toy/blocc-2", Method: "auto", Iteration: 17, Elapsed: 12345, Counts: bilevel.Counts{F: 1 << 60, LowerSolves: 3},
		Notes:   []bilevel.Note{{Iteration: 2, Text: "because \"so\"\n<b>"}},
		Blocks:  map[string][]float64{"x": {0.1, math.Copysign(0, -1), math.Inf(1), math.SmallestNonzeroFloat64}, "a/empty": {}, "long": long},
		Scalars: map[string]float64{"step": 1.0 / 3, "best": math.Inf(-1)},
		Streams: map[string][]byte{"noise": stream}}
}

func encode(t testing.TB, s *bilevel.State, cpu float64) []byte {
	var b bytes.Buffer
	if err := WriteState(&b, s, cpu); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestStateRoundTrip(t *testing.T) {
	want := sampleState(t)
	got, cpu, err := ReadState(encode(t, want, 1.25))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) || cpu != 1.25 {
		t.Errorf("read back %+v, want %+v", got, want)
	}
	if !math.Signbit(got.Blocks["x"][1]) {
		t.Error("the sign of -0 was lost")
	}
	payload := math.Float64frombits(0x7ff8000000000123) // DeepEqual cannot compare NaN
	want.Scalars["best"] = payload
	got, _, err = ReadState(encode(t, want, 0))
	if err != nil || math.Float64bits(got.Scalars["best"]) != math.Float64bits(payload) {
		t.Errorf("bits of a NaN: %x, %v", math.Float64bits(got.Scalars["best"]), err)
	}
}

// resum makes a forged file pass the checksum, so that what is behind it is tested.
func resum(b []byte) []byte {
	sum := sha256.Sum256(b[:len(b)-sha256.Size])
	copy(b[len(b)-sha256.Size:], sum[:])
	return b
}

func TestStateRefused(t *testing.T) {
	good := encode(t, sampleState(t), 0)
	edit := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	header := func(old, new string) []byte { // same length
		return edit(func(b []byte) []byte {
			if len(old) != len(new) || !bytes.Contains(b, []byte(old)) {
				t.Fatalf("cannot put %q for %q", new, old)
			}
			return resum(bytes.Replace(b, []byte(old), []byte(new), 1))
		})
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "not a checkpoint"},
		{"other file", []byte("PK\x03\x04 and a long enough tail of some other format, to pass the length test"), "not a checkpoint"},
		{"cut in the head", good[:25], "cut short"},
		{"cut in the numbers", good[:len(good)/2], "cut short"},
		{"cut by one", good[:len(good)-1], "cut short"},
		{"one bit", edit(func(b []byte) []byte { b[len(b)/2] ^= 1; return b }), "damaged"},
		{"version", edit(func(b []byte) []byte {
			binary.LittleEndian.PutUint32(b[len(checkpointMagic):], 2)
			return resum(b)
		}), "version 2"},
		{"header too long", edit(func(b []byte) []byte {
			binary.LittleEndian.PutUint64(b[len(checkpointMagic)+4:], math.MaxUint64)
			return resum(b)
		}), "longer than the file"},
		{"block too long", header(`"length":5000`, `"length":9999`), `block "long"`},
		{"numbers missing", header(`"length":5000`, `"length":4999`), "announces"},
		{"iteration", header(`"iteration":17`, `"iteration":-1`), "iteration -1"},
		{"stream", header(`"streams":{"noise":"cGNn`, `"streams":{"noise":"AAAA`), `stream "noise"`},
		{"header not JSON", header(`{"problem"`, `["problem"`), "header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := ReadState(c.data)
			if !errors.Is(err, ErrCheckpoint) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func FuzzReadState(f *testing.F) {
	f.Add(encode(f, sampleState(f), 1))
	f.Add(encode(f, &bilevel.State{}, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > sha256.Size {
			data = resum(data) // else every change ends at the checksum
		}
		s, cpu, err := ReadState(data)
		if err != nil {
			if !errors.Is(err, ErrCheckpoint) {
				t.Fatalf("error %v does not match ErrCheckpoint", err)
			}
			return
		}
		var b bytes.Buffer
		if err := WriteState(&b, s, cpu); err != nil {
			t.Fatal(err)
		}
		again, _, err := ReadState(b.Bytes())
		if err != nil || len(again.Blocks) != len(s.Blocks) || again.Iteration != s.Iteration {
			t.Fatalf("not read back: %v", err)
		}
	})
}
