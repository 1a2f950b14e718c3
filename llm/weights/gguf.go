package weights

// The GGUF format, versions 2 and 3, little-endian:
//
//	magic "GGUF", version u32, tensor count u64, metadata count u64
//	metadata: key string, type u32, value     (string = length u64 + bytes;
//	                                           array = type u32, length u64, values)
//	tensors: name string, dimensions u32, sizes u64 (fastest first), type u32, offset u64
//	padding to general.alignment (default 32), data; offsets count from the data's start

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Bounds on what a header may hold, well above any known file's.
const (
	ggufMaxEntries = 1 << 20 // tensors, metadata entries
	ggufMaxArray   = 1 << 24 // elements of a metadata array
	ggufMaxString  = 1 << 24 // bytes of a string
	ggufMaxNesting = 4       // arrays in arrays
	ggufMaxDims    = 4
	ggufMaxAlign   = 1 << 20
)

// ggufTypes are the tensor types that can be read, by the format's numbers.
var ggufTypes = map[uint32]Type{
	0: F32, 1: F16, 2: Q4_0, 3: Q4_1, 6: Q5_0, 7: Q5_1, 8: Q8_0, 12: Q4_K, 13: Q5_K, 14: Q6_K, 30: BF16,
}

// GGUF is an open GGUF file. Its tensors have the file's own names and order of
// rows; Open gives the Hugging Face view.
type GGUF struct {
	*Store
	// Version is 2 or 3.
	Version int
	// Metadata holds every entry: uint8 to uint64, int8 to int64, float32, float64,
	// bool, string, or a slice of one of them ([]any for arrays of arrays).
	Metadata map[string]any
}

// OpenGGUF opens a GGUF file of version 2 or 3.
func OpenGGUF(path string) (*GGUF, error) {
	s := newStore(path)
	g := &GGUF{Store: s, Metadata: map[string]any{}}
	f, size, err := s.openFile(path)
	if err == nil {
		err = g.parse(f, size)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return g, nil
}

// ggufReader reads the header, counting what is left of the file.
type ggufReader struct {
	path string
	r    *bufio.Reader
	at   int64
	size int64
	what string // what is being read, for errors
}

func (r *ggufReader) left() int64 { return r.size - r.at }

// full fills b.
func (r *ggufReader) full(b []byte) error {
	n, err := io.ReadFull(r.r, b)
	r.at += int64(n)
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return refuse(r.path, r.what, fmt.Sprintf("cut off at byte %d", r.at), "a whole header")
		}
		return fmt.Errorf("%s: %s: %w", r.path, r.what, err)
	}
	return nil
}

func (r *ggufReader) u32() (uint32, error) {
	var b [4]byte
	err := r.full(b[:])
	return binary.LittleEndian.Uint32(b[:]), err
}

func (r *ggufReader) u64() (uint64, error) {
	var b [8]byte
	err := r.full(b[:])
	return binary.LittleEndian.Uint64(b[:]), err
}

// count reads a number of things of at least the given size each, and refuses one
// that the rest of the file cannot hold.
func (r *ggufReader) count(most uint64, each int64) (int, error) {
	n, err := r.u64()
	if err != nil {
		return 0, err
	}
	if room := uint64(r.left() / each); n > min(most, room) {
		return 0, refuse(r.path, r.what, n, fmt.Sprintf("a count of at most %d, with %d bytes left of the file", min(most, room), r.left()))
	}
	return int(n), nil
}

func (r *ggufReader) text() (string, error) {
	n, err := r.count(ggufMaxString, 1)
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	err = r.full(b)
	return string(b), err
}

func (g *GGUF) parse(f io.ReaderAt, size int64) error {
	r := &ggufReader{path: g.path, r: bufio.NewReaderSize(io.NewSectionReader(f, 0, size), 1<<16), size: size, what: "magic"}
	magic, err := r.u32()
	if err != nil {
		return err
	}
	if magic != 0x46554747 {
		return refuse(g.path, "magic", fmt.Sprintf("%#x", magic), "GGUF")
	}
	r.what = "version"
	version, err := r.u32()
	if err != nil {
		return err
	}
	if version != 2 && version != 3 {
		return refuse(g.path, "version", version, "2 or 3, little-endian")
	}
	g.Version = int(version)
	r.what = "number of tensors"
	tensors, err := r.count(ggufMaxEntries, 24) // an empty name, no dimensions, type, offset
	if err != nil {
		return err
	}
	r.what = "number of metadata entries"
	entries, err := r.count(ggufMaxEntries, 13) // an empty key, a type, one byte
	if err != nil {
		return err
	}
	for range entries {
		if err := g.parseEntry(r); err != nil {
			return err
		}
	}
	align, err := g.alignment()
	if err != nil {
		return err
	}
	list := []*tensor{}
	for i := range tensors {
		r.what = fmt.Sprintf("tensor %d", i)
		t, err := g.parseTensor(r, align)
		if err != nil {
			return err
		}
		t.file = f
		list = append(list, t)
	}
	return g.place(list, (r.at+align-1)/align*align, size)
}

func (g *GGUF) parseEntry(r *ggufReader) error {
	r.what = fmt.Sprintf("key of metadata entry %d", len(g.Metadata))
	key, err := r.text()
	if err != nil {
		return err
	}
	r.what = "metadata " + clip(key)
	if _, again := g.Metadata[key]; again {
		return refuse(g.path, r.what, "again", "one entry of a key")
	}
	kind, err := r.u32()
	if err != nil {
		return err
	}
	v, err := r.value(kind, 0)
	if err != nil {
		return err
	}
	g.Metadata[key] = v
	return nil
}

func (g *GGUF) alignment() (int64, error) {
	v, there := g.Metadata["general.alignment"]
	if !there {
		return 32, nil
	}
	a, ok := v.(uint32)
	if !ok || a == 0 || a > ggufMaxAlign || a&(a-1) != 0 {
		return 0, refuse(g.path, "general.alignment", v, fmt.Sprintf("a power of two as uint32, at most %d", ggufMaxAlign))
	}
	return int64(a), nil
}

// parseTensor reads one entry; offset counts from the start of the data until
// place moves it.
func (g *GGUF) parseTensor(r *ggufReader, align int64) (*tensor, error) {
	name, err := r.text()
	if err != nil {
		return nil, err
	}
	r.what = "tensor " + clip(name)
	dims, err := r.u32()
	if err != nil {
		return nil, err
	}
	if dims > ggufMaxDims {
		return nil, refuse(g.path, r.what+" dimensions", dims, fmt.Sprintf("at most %d", ggufMaxDims))
	}
	t := &tensor{name: name, path: g.path, shape: make([]int, dims)}
	for i := range t.shape {
		d, err := r.u64()
		if err != nil {
			return nil, err
		}
		if d > math.MaxInt32*2+1 {
			return nil, refuse(g.path, r.what+" size", d, "less than 2^32 in one dimension")
		}
		t.shape[i] = int(d)
	}
	row := 1
	if dims > 0 {
		row = t.shape[0]
	}
	slices.Reverse(t.shape)
	kind, err := r.u32()
	if err != nil {
		return nil, err
	}
	var known bool
	if t.typ, known = ggufTypes[kind]; !known {
		return nil, refuse(g.path, r.what+" type", kind, "a type this program reads: "+typeList())
	}
	t.dtype = t.typ.String()
	offset, err := r.u64()
	if err != nil {
		return nil, err
	}
	if offset > uint64(r.size) || int64(offset)%align != 0 {
		return nil, refuse(g.path, r.what+" offset", offset, fmt.Sprintf("a multiple of %d within the file's %d bytes", align, r.size))
	}
	t.offset = int64(offset)
	var ok bool
	if t.n, ok = volume(t.shape); !ok || row%typeTable[t.typ].values != 0 {
		return nil, refuse(g.path, r.what+" shape", t.shape, fmt.Sprintf("rows of a multiple of %d values for %s, of a size that can be stored", typeTable[t.typ].values, t.dtype))
	}
	return t, nil
}

// place moves the offsets to where the data start and refuses data that leave the
// file or share bytes.
func (g *GGUF) place(list []*tensor, start, size int64) error {
	extents := make([]extent, 0, len(list))
	for _, t := range list {
		bytes, ok := storedBytes(t.typ, t.n)
		if !ok || start > size || t.offset > size-start || bytes > size-start-t.offset {
			return refuse(g.path, "data of tensor "+clip(t.name), fmt.Sprintf("%d bytes at %d", bytes, start+t.offset), fmt.Sprintf("data within the file's %d bytes", size))
		}
		t.offset += start
		extents = append(extents, extent{t.name, t.offset, t.offset + bytes})
		if err := g.add(t); err != nil {
			return err
		}
	}
	return checkOverlap(g.path, extents)
}

// typeList names the readable types with the format's numbers.
func typeList() string {
	numbers := []uint32{}
	for n := range ggufTypes {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	s := ""
	for i, n := range numbers {
		if i > 0 {
			s += ", "
		}
		s += fmt.Sprintf("%d (%s)", n, ggufTypes[n])
	}
	return s
}
