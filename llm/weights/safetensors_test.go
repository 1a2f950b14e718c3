package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// safetensorsBytes puts a header and a number of data bytes together.
func safetensorsBytes(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func TestSafetensorsRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	rng := rand.New(rand.NewPCG(1, 2))
	values := func(n int, typ Type) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rng.NormFloat64())
			switch typ { // numbers that the type holds exactly
			case F16:
				v[i] = fromHalf(toHalf(v[i]))
			case BF16:
				v[i] = math.Float32frombits(uint32(toBrain(v[i])) << 16)
			}
		}
		return v
	}
	long := values(200_001, BF16) // more than one piece, and an odd number
	list := []Output{
		{Name: "b", Shape: []int{3, 5}, Type: F16, Values: values(15, F16)},
		{Name: "long", Shape: []int{len(long)}, Type: BF16, Load: func() ([]float32, error) { return long, nil }},
		{Name: "a \"<&>\u00e9", Shape: []int{2, 1, 7}, Type: F32, Values: values(14, F32)},
		{Name: "scalar", Type: F32, Values: []float32{-0.5}},
		{Name: "none", Shape: []int{0, 4}, Type: F32, Values: []float32{}},
	}
	if err := WriteSafetensors(path, list, map[string]string{"who": "<me>"}); err != nil {
		t.Fatal(err)
	}
	if start := 8 + binary.LittleEndian.Uint64(read(t, path)); start%8 != 0 {
		t.Errorf("data begin at %d, want a multiple of 8", start)
	}
	s, metadata, err := OpenSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if metadata["who"] != "<me>" || metadata["format"] != "pt" || len(metadata) != 2 {
		t.Errorf("metadata %v", metadata)
	}
	if got := fmt.Sprint(s.Names()); got != "[a \"<&>\u00e9 none scalar b long]" {
		t.Errorf("names %s", got)
	}
	for _, o := range list {
		want := o.Values
		if want == nil {
			want = long
		}
		got, shape, err := s.Tensor(o.Name)
		if err != nil {
			t.Fatal(err)
		}
		mustEqual(t, o.Name, got, want)
		if len(shape) != len(o.Shape) || s.StoredAs(o.Name) != o.Type.String() {
			t.Errorf("%s: shape %v, type %s", o.Name, shape, s.StoredAs(o.Name))
		}
	}
	if err := s.ReadInto("b", make([]float32, 14)); err == nil || !strings.Contains(err.Error(), "15 values") {
		t.Errorf("a short destination: %v", err)
	}
	again := filepath.Join(t.TempDir(), "y.safetensors")
	list[0], list[3] = list[3], list[0]
	if err := WriteSafetensors(again, list, map[string]string{"who": "<me>"}); err != nil {
		t.Fatal(err)
	}
	if string(read(t, again)) != string(read(t, path)) {
		t.Error("the order of the arguments changes the file")
	}
}

func TestWriteSafetensorsRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.safetensors")
	one := []float32{1}
	fails := errors.New("cannot load")
	for name, list := range map[string][]Output{
		"again":       {{Name: "a", Shape: []int{1}, Values: one}, {Name: "a", Shape: []int{1}, Values: one}},
		"type":        {{Name: "a", Shape: []int{1}, Type: Q4_0, Values: one}},
		"shape":       {{Name: "a", Shape: []int{-1}, Values: one}},
		"values":      {{Name: "a", Shape: []int{2}, Values: one}},
		"tensor name": {{Name: "__metadata__", Shape: []int{1}, Values: one}},
		"value 1":     {{Name: "a", Shape: []int{2}, Type: F16, Values: []float32{1, 1e6}}},
		"cannot load": {{Name: "a", Shape: []int{1}, Load: func() ([]float32, error) { return nil, fails }}},
		"2 values":    {{Name: "a", Shape: []int{2}, Load: func() ([]float32, error) { return one, nil }}},
	} {
		err := WriteSafetensors(path, list, nil)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("%d files left behind", len(entries))
	}
}

// hostileHeaders are headers with the size of the data behind them and what the
// refusal must say.
var hostileHeaders = []struct {
	header string
	data   int
	says   string
}{
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}`, 16, "again"},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"shape":[2]}}`, 8, "again"},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12, "ends"},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]}}`, 20, "no hole"},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12, "no hole"},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 12, "file length"},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 4, "shape"},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,9]}}`, 9, "data_offsets"},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`, 8, "data_offsets"},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}`, 8, "data_offsets"},
	{`{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,8]}}`, 8, "shape"},
	{`{"a":{"dtype":"F32","shape":[9223372036854775807],"data_offsets":[0,8]}}`, 8, "shape"},
	{`{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}`, 8, "shape"},
	{`{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}`, 8, "shape"},
	{`{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}`, 8, "shape"},
	{`{"a":{"dtype":"Q9","shape":[2],"data_offsets":[0,8]}}`, 8, "dtype"},
	{`{"a":{"dtype":7,"shape":[2],"data_offsets":[0,8]}}`, 8, "dtype"},
	{`{"a":{"dtype":"F32","shape":[2]}}`, 8, "missing"},
	{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1}}`, 8, "more"},
	{`{"a":[1]}`, 0, "JSON object"},
	{`{"a":`, 0, "valid JSON"},
	{`{} {}`, 0, "one JSON object"},
	{`[{}]`, 0, "first byte"},
	{`{"__metadata__":{"a":1}}`, 0, "a string"},
	{`{"__metadata__":{"a":"1","a":"2"}}`, 0, "again"},
	{`{"__metadata__":{},"__metadata__":{}}`, 0, "again"},
	{`{"a":` + strings.Repeat("[", 20_000), 0, "JSON"},
}

func TestSafetensorsRefusesHostileHeaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hostile.safetensors")
	for _, c := range hostileHeaders {
		write(t, path, safetensorsBytes(c.header, c.data))
		_, _, err := OpenSafetensors(path)
		if err == nil {
			t.Errorf("accepted: %.80s", c.header)
			continue
		}
		mustRefuse(t, err, path, c.says)
	}
	for _, b := range [][]byte{
		{}, make([]byte, 7), make([]byte, 8),
		binary.LittleEndian.AppendUint64(nil, math.MaxUint64),
		append(binary.LittleEndian.AppendUint64(nil, 1<<40), '{', '}'),
		append(binary.LittleEndian.AppendUint64(nil, 3), '{', '}'),
	} {
		write(t, path, b)
		_, _, err := OpenSafetensors(path)
		mustRefuse(t, err, path, "length")
	}
	if _, _, err := OpenSafetensors(t.TempDir()); err == nil {
		t.Error("a folder was accepted")
	}
}

// A header that promises much must cost little.
func TestHostileHeaderAllocatesLittle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hostile.safetensors")
	write(t, path, append(binary.LittleEndian.AppendUint64(nil, 99_000_000), '{', '}'))
	if n := allocated(func() {
		if _, _, err := OpenSafetensors(path); err == nil {
			t.Error("accepted")
		}
	}); n > 1<<16 {
		t.Errorf("%d bytes allocated", n)
	}
}

func TestSafetensorsOtherTypesAreListedNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	write(t, path, safetensorsBytes(`{"flag":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]},"odd":{"dtype":"F32","shape":[1],"data_offsets":[3,7]}}   `, 7))
	s, _, err := OpenSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !s.Has("flag") || s.StoredAs("flag") != "BOOL" || len(s.Shape("flag")) != 1 {
		t.Errorf("names %v", s.Names())
	}
	_, _, err = s.Tensor("flag")
	mustRefuse(t, err, path, "flag", "BOOL", "F32, F16 or BF16")
	if v, _, err := s.Tensor("odd"); err != nil || v[0] != 0 {
		t.Errorf("a tensor at an odd place: %v, %v", v, err)
	}
	_, _, err = s.Tensor("none")
	mustRefuse(t, err, path, "none", "missing")
}

// A file cut off after it was opened gives an error, not a signal.
func TestFileShrinksWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := WriteSafetensors(path, []Output{{Name: "a", Shape: []int{100}, Values: make([]float32, 100)}}, nil); err != nil {
		t.Fatal(err)
	}
	s, _, err := OpenSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := os.Truncate(path, 300); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Tensor("a"); err == nil || !strings.Contains(err.Error(), `tensor "a"`) {
		t.Errorf("error %v", err)
	}
}

func TestSharded(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"a", "b"} {
		path := filepath.Join(dir, fmt.Sprintf("model-%d.safetensors", i))
		if err := WriteSafetensors(path, []Output{{Name: name, Shape: []int{1}, Values: []float32{float32(i)}}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	index := filepath.Join(dir, "model.safetensors.index.json")
	try := func(weightMap string) (*Store, error) {
		write(t, index, []byte(`{"metadata":{"total_size":8},"weight_map":`+weightMap+`}`))
		return OpenSharded(index)
	}
	s, err := try(`{"a":"model-0.safetensors","b":"model-1.safetensors"}`)
	if err != nil {
		t.Fatal(err)
	}
	if v, _, err := s.Tensor("b"); err != nil || v[0] != 1 {
		t.Errorf("b = %v, %v", v, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	_, err = try(`{"a":"model-0.safetensors","c":"model-1.safetensors"}`)
	mustRefuse(t, err, `"c"`, "model-1.safetensors", "missing")
	_, err = try(`{"a":"model-1.safetensors","b":"model-0.safetensors"}`)
	mustRefuse(t, err, `"a"`, "missing")
	_, err = try(`{"a":"../model-0.safetensors"}`)
	mustRefuse(t, err, "..", "beside the index")
	_, err = try(`{}`)
	mustRefuse(t, err, "weight_map")
	if _, err = try(`{"a":"model-7.safetensors"}`); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a shard that is not there: %v", err)
	}
	write(t, filepath.Join(dir, "model-2.safetensors"), read(t, filepath.Join(dir, "model-0.safetensors")))
	_, err = try(`{"a":"model-0.safetensors","b":"model-2.safetensors"}`)
	mustRefuse(t, err, `"a"`, "again")
}

func FuzzSafetensors(f *testing.F) {
	for _, c := range hostileHeaders {
		if len(c.header) < 1000 {
			f.Add(safetensorsBytes(c.header, c.data))
		}
	}
	f.Add(safetensorsBytes(`{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}}`, 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		tensors, _, err := readSafetensorsHeader("fuzz", bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		total := 0
		for _, x := range tensors {
			if x.typ < 0 {
				continue
			}
			if n, ok := volume(x.shape); !ok || n != x.n {
				t.Fatalf("%q: %d values for shape %v", x.name, x.n, x.shape)
			}
			if err := x.read(make([]float32, x.n)); err != nil {
				t.Fatalf("%q was accepted and cannot be read: %v", x.name, err)
			}
			total += x.n
		}
		if total > len(b) {
			t.Fatalf("%d values from %d bytes", total, len(b))
		}
	})
}
