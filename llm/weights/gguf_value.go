package weights

import (
	"encoding/binary"
	"fmt"
	"math"
)

// value reads one metadata value of the format's type number.
func (r *ggufReader) value(kind uint32, depth int) (any, error) {
	switch kind {
	case 0:
		return scalar(r, 1, func(b []byte) uint8 { return b[0] })
	case 1:
		return scalar(r, 1, func(b []byte) int8 { return int8(b[0]) })
	case 2:
		return scalar(r, 2, binary.LittleEndian.Uint16)
	case 3:
		return scalar(r, 2, func(b []byte) int16 { return int16(binary.LittleEndian.Uint16(b)) })
	case 4:
		return scalar(r, 4, binary.LittleEndian.Uint32)
	case 5:
		return scalar(r, 4, func(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) })
	case 6:
		return scalar(r, 4, f32Of)
	case 7:
		return r.boolean()
	case 8:
		return r.text()
	case 9:
		element, err := r.u32()
		if err != nil {
			return nil, err
		}
		return r.array(element, depth+1)
	case 10:
		return scalar(r, 8, binary.LittleEndian.Uint64)
	case 11:
		return scalar(r, 8, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) })
	case 12:
		return scalar(r, 8, f64Of)
	}
	return nil, refuse(r.path, r.what+" type", kind, "0 to 12")
}

func f32Of(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }
func f64Of(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }

func (r *ggufReader) boolean() (bool, error) {
	b, err := scalar(r, 1, func(b []byte) uint8 { return b[0] })
	if err == nil && b > 1 {
		err = refuse(r.path, r.what, b, "0 or 1 for a boolean")
	}
	return b == 1, err
}

// scalar reads one number of the given size.
func scalar[T any](r *ggufReader, size int, decode func([]byte) T) (T, error) {
	var b [8]byte
	err := r.full(b[:size])
	return decode(b[:size]), err
}

// array reads an array of the given element type.
func (r *ggufReader) array(element uint32, depth int) (any, error) {
	if depth > ggufMaxNesting {
		return nil, refuse(r.path, r.what, fmt.Sprintf("arrays nested %d deep", depth), fmt.Sprintf("at most %d", ggufMaxNesting))
	}
	each := map[uint32]int64{0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 8: 8, 9: 12, 10: 8, 11: 8, 12: 8}[element]
	if each == 0 {
		return nil, refuse(r.path, r.what+" element type", element, "0 to 12")
	}
	n, err := r.count(ggufMaxArray, each)
	if err != nil {
		return nil, err
	}
	switch element {
	case 0:
		return elements[uint8](r, element, n, depth)
	case 1:
		return elements[int8](r, element, n, depth)
	case 2:
		return elements[uint16](r, element, n, depth)
	case 3:
		return elements[int16](r, element, n, depth)
	case 4:
		return elements[uint32](r, element, n, depth)
	case 5:
		return elements[int32](r, element, n, depth)
	case 6:
		return elements[float32](r, element, n, depth)
	case 7:
		return elements[bool](r, element, n, depth)
	case 8:
		return elements[string](r, element, n, depth)
	case 10:
		return elements[uint64](r, element, n, depth)
	case 11:
		return elements[int64](r, element, n, depth)
	case 12:
		return elements[float64](r, element, n, depth)
	}
	return elements[any](r, element, n, depth)
}

// elements grows with what is really read, so that a false length costs nothing.
func elements[T any](r *ggufReader, kind uint32, n, depth int) ([]T, error) {
	list := make([]T, 0, min(n, 1<<12))
	for range n {
		v, err := r.value(kind, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v.(T))
	}
	return list, nil
}
