package weights

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Store is a set of named tensors in one or several open files. Nothing is held
// in memory but the index; values are read when asked for. Its methods may be
// called from several goroutines at once.
type Store struct {
	path    string
	files   []*os.File
	names   []string
	tensors map[string]*tensor
}

// tensor is one entry: where its bytes are and how they become values.
type tensor struct {
	name   string
	shape  []int
	typ    Type   // -1 when the values cannot be read as float32
	dtype  string // the file's own word for the type
	file   io.ReaderAt
	path   string
	offset int64
	n      int // number of values
	// values, when not nil, are the tensor itself: it lies in memory.
	values []float32
	// rearrange, when not nil, brings the values read into Hugging Face's order.
	rearrange func(values []float32)
}

func newStore(path string) *Store {
	return &Store{path: path, tensors: map[string]*tensor{}}
}

// openFile opens a regular file and keeps it for Close.
func (s *Store) openFile(path string) (f *os.File, size int64, err error) {
	f, err = os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	s.files = append(s.files, f)
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, refuse(path, "file", info.Mode().String(), "a regular file")
	}
	return f, info.Size(), nil
}

// add enters a tensor; its name must be new.
func (s *Store) add(t *tensor) error {
	if old := s.tensors[t.name]; old != nil {
		return refuse(t.path, "tensor "+clip(t.name), "again", "one tensor of a name (another is in "+old.path+")")
	}
	s.tensors[t.name] = t
	s.names = append(s.names, t.name)
	return nil
}

// rename gives a tensor another name, unless that one is taken.
func (s *Store) rename(old, name string) {
	t := s.tensors[old]
	if t == nil || s.tensors[name] != nil {
		return
	}
	t.name = name
	s.names[slices.Index(s.names, old)] = name
	delete(s.tensors, old)
	s.tensors[name] = t
}

// Path is the file or folder the store was opened from.
func (s *Store) Path() string { return s.path }

// Names lists the tensors in their order in the files.
func (s *Store) Names() []string { return slices.Clone(s.names) }

// Has reports whether there is a tensor of that name.
func (s *Store) Has(name string) bool { return s.tensors[name] != nil }

// Shape is the shape of a tensor, outermost dimension first; nil when there is none.
func (s *Store) Shape(name string) []int {
	if t := s.tensors[name]; t != nil {
		return slices.Clone(t.shape)
	}
	return nil
}

// StoredAs is the file's own word for a tensor's type ("BF16", "Q4_K", "I64"),
// empty when there is no such tensor.
func (s *Store) StoredAs(name string) string {
	if t := s.tensors[name]; t != nil {
		return t.dtype
	}
	return ""
}

// Tensor reads a tensor in full: its values, row-major, and its shape.
func (s *Store) Tensor(name string) ([]float32, []int, error) {
	t, err := s.find(name)
	if err != nil {
		return nil, nil, err
	}
	values := make([]float32, t.n)
	if err := t.read(values); err != nil {
		return nil, nil, err
	}
	return values, slices.Clone(t.shape), nil
}

// ReadInto reads a tensor into dst, whose length must be the number of its values.
func (s *Store) ReadInto(name string, dst []float32) error {
	t, err := s.find(name)
	if err != nil {
		return err
	}
	if len(dst) != t.n {
		return refuse(t.path, "destination of tensor "+clip(name), len(dst), fmt.Sprintf("%d values", t.n))
	}
	return t.read(dst)
}

func (s *Store) find(name string) (*tensor, error) {
	t := s.tensors[name]
	if t == nil {
		return nil, refuse(s.path, "tensor "+clip(name), "missing", "one of the "+fmt.Sprint(len(s.names))+" tensors there")
	}
	if t.typ < 0 {
		return nil, refuse(t.path, "type of tensor "+clip(name), t.dtype, "F32, F16 or BF16")
	}
	return t, nil
}

// Close closes the files.
func (s *Store) Close() error {
	var all []error
	for _, f := range s.files {
		all = append(all, f.Close())
	}
	s.files = nil
	return errors.Join(all...)
}

// read decodes the stored bytes into dst, a bounded piece at a time.
func (t *tensor) read(dst []float32) error {
	if t.values != nil {
		copy(dst, t.values)
		return nil
	}
	info := &typeTable[t.typ]
	values := dst
	const piece = 1 << 18
	step := max(1, piece/info.bytes)
	total := len(dst) / info.values
	buffer := make([]byte, min(step, total)*info.bytes)
	at := t.offset
	for total > 0 {
		n := min(step, total)
		b := buffer[:n*info.bytes]
		if _, err := t.file.ReadAt(b, at); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("%s: tensor %s: %w", t.path, clip(t.name), err)
		}
		info.decode(values[:n*info.values], b)
		values, at, total = values[n*info.values:], at+int64(len(b)), total-n
	}
	if t.rearrange != nil {
		t.rearrange(dst)
	}
	return nil
}

// extent is a tensor's run of bytes in its file, for the test of overlaps.
type extent struct {
	name       string
	begin, end int64
}

// checkOverlap refuses two extents that share a byte. It sorts them by position.
func checkOverlap(path string, extents []extent) error {
	slices.SortFunc(extents, func(a, b extent) int {
		if a.begin != b.begin {
			return int(min(max(a.begin-b.begin, -1), 1))
		}
		if a.end != b.end {
			return int(min(max(a.end-b.end, -1), 1))
		}
		return strings.Compare(a.name, b.name)
	})
	for i := 1; i < len(extents); i++ {
		if a, b := extents[i-1], extents[i]; b.begin < a.end {
			return refuse(path, "data of tensor "+clip(b.name), b.begin, fmt.Sprintf("a place at or after %d, where tensor %s ends", a.end, clip(a.name)))
		}
	}
	return nil
}
