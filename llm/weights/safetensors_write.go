package weights

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/bilevel-go/bilevel/internal/wholefile"
)

// Output is one tensor to be written.
type Output struct {
	Name  string
	Shape []int // outermost dimension first; empty for a single value
	Type  Type  // F32, F16 or BF16
	// Values are the numbers, row-major. When nil, Load is called for them at the
	// moment they are written, so that a large model is never in memory at once.
	Values []float32
	Load   func() ([]float32, error)
}

// WriteSafetensors writes the tensors to path: all of the file or none of it.
// Numbers are rounded to the nearest value of their type, ties to even; a finite
// number beyond the type's range is refused. The bytes depend only on the
// arguments. Metadata may be nil; readers in the Python world want the entry
// "format": "pt", which is added when there is none.
func WriteSafetensors(path string, tensors []Output, metadata map[string]string) error {
	list := slices.Clone(tensors)
	// The format's own library puts wide types first and sorts by name.
	slices.SortStableFunc(list, func(a, b Output) int {
		return cmp.Or(cmp.Compare(width(b.Type), width(a.Type)), cmp.Compare(a.Name, b.Name))
	})
	header, err := safetensorsHeader(path, list, metadata)
	if err != nil {
		return err
	}
	return wholefile.Write(path, func(w io.Writer) error {
		if _, err := w.Write(header); err != nil {
			return err
		}
		for i := range list {
			if err := writeValues(w, path, &list[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// width is the bytes of one value of a writable type, 0 for the others.
func width(t Type) int {
	switch t {
	case F32, F16, BF16:
		return typeTable[t].bytes
	}
	return 0
}

// safetensorsHeader is the length and the JSON, padded so that the data begin at
// a multiple of 8.
func safetensorsHeader(path string, list []Output, metadata map[string]string) ([]byte, error) {
	full := map[string]string{"format": "pt"}
	for k, v := range metadata {
		full[k] = v
	}
	b := bytes.NewBuffer(make([]byte, 8))
	b.WriteString(`{"__metadata__":`)
	writeJSONValue(b, full)
	seen := map[string]bool{}
	at := int64(0)
	for i := range list {
		t := &list[i]
		what := "tensor " + clip(t.Name)
		n, ok := volume(t.Shape)
		switch {
		case t.Name == "" || t.Name == "__metadata__":
			return nil, refuse(path, "tensor name", t.Name, "a name other than \"\" and \"__metadata__\"")
		case seen[t.Name]:
			return nil, refuse(path, what, "again", "one tensor of a name")
		case width(t.Type) == 0:
			return nil, refuse(path, what+" type", t.Type.String(), "F32, F16 or BF16")
		case !ok:
			return nil, refuse(path, what+" shape", t.Shape, "dimensions >= 0 of a product that can be stored")
		case t.Values != nil && len(t.Values) != n || t.Values == nil && t.Load == nil && n > 0:
			return nil, refuse(path, what+" values", len(t.Values), fmt.Sprintf("%d values for shape %v", n, t.Shape))
		}
		seen[t.Name] = true
		end := at + int64(n)*int64(width(t.Type))
		b.WriteByte(',')
		writeJSONValue(b, t.Name)
		b.WriteByte(':')
		writeJSONValue(b, struct {
			DType   string   `json:"dtype"`
			Shape   []int    `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}{t.Type.String(), append([]int{}, t.Shape...), [2]int64{at, end}})
		at = end
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	if b.Len()-8 > maxHeader {
		return nil, refuse(path, "header length", b.Len()-8, fmt.Sprintf("at most %d bytes", maxHeader))
	}
	binary.LittleEndian.PutUint64(b.Bytes(), uint64(b.Len()-8))
	return b.Bytes(), nil
}

// writeJSONValue writes strings, maps of strings and plain structs, which cannot
// fail to be encoded.
func writeJSONValue(b *bytes.Buffer, v any) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	b.Truncate(b.Len() - 1) // the encoder's newline
}

func writeValues(w io.Writer, path string, t *Output) error {
	values := t.Values
	n, _ := volume(t.Shape)
	if values == nil && t.Load != nil {
		var err error
		if values, err = t.Load(); err != nil {
			return fmt.Errorf("tensor %s: %w", clip(t.Name), err)
		}
		if len(values) != n {
			return refuse(path, "tensor "+clip(t.Name)+" values", len(values), fmt.Sprintf("%d values for shape %v", n, t.Shape))
		}
	}
	const piece = 1 << 16
	buffer := make([]byte, 0, piece*width(t.Type))
	for len(values) > 0 {
		part := values[:min(piece, len(values))]
		buffer = buffer[:0]
		for i, v := range part {
			switch t.Type {
			case F32:
				buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(v))
				continue
			case F16:
				buffer = binary.LittleEndian.AppendUint16(buffer, toHalf(v))
			case BF16:
				buffer = binary.LittleEndian.AppendUint16(buffer, toBrain(v))
			}
			if beyond(t.Type, v) {
				at := n - len(values) + i
				return refuse(path, fmt.Sprintf("tensor %s value %d", clip(t.Name), at), v, "a number within the range of "+t.Type.String())
			}
		}
		if _, err := w.Write(buffer); err != nil {
			return err
		}
		values = values[len(part):]
	}
	return nil
}

// beyond reports whether a finite v rounds to infinity in the type.
func beyond(t Type, v float32) bool {
	a := math.Float32bits(v) &^ (1 << 31)
	if a >= 0x7f800000 {
		return false
	}
	if t == F16 {
		return a >= 0x477ff000 // 65520, half-way between the largest binary16 and the next
	}
	return a >= 0x7f7f8000
}

// toHalf rounds to binary16, ties to even; a NaN stays one.
func toHalf(v float32) uint16 {
	b := math.Float32bits(v)
	sign := uint16(b >> 16 & 0x8000)
	a := b &^ (1 << 31)
	switch {
	case a > 0x7f800000: // NaN, made quiet so that its payload cannot vanish
		return sign | 0x7e00 | uint16(a>>13&0x3ff)
	case a >= 0x477ff000:
		return sign | 0x7c00
	case a < 0x38800000: // below 2^-14: a multiple of 2^-24
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(a))*0x1p24))
	}
	a += 0xfff + a>>13&1 // round at bit 13; a carry moves into the exponent
	return sign | uint16((a-112<<23)>>13)
}

// toBrain rounds to bfloat16, ties to even; a NaN stays one.
func toBrain(v float32) uint16 {
	b := math.Float32bits(v)
	if b&^(1<<31) > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}
