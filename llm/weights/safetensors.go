package weights

// The safetensors format: 8 bytes N (little-endian), N bytes of JSON that begin
// with '{', then the data, which the tensors cover without overlap and without
// holes. The JSON maps a tensor's name to dtype, shape and data_offsets [begin,
// end) from the start of the data; "__metadata__" maps strings to strings.
//
// A tensor need not be aligned: values are decoded from bytes.

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
)

// maxHeader is the longest header the format's own library reads.
const maxHeader = 100_000_000

// dtypeBytes is the size of an element of every type the format knows.
var dtypeBytes = map[string]int{
	"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
	"I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}

// readable are the types of safetensors that become float32.
var readable = map[string]Type{"F32": F32, "F16": F16, "BF16": BF16}

// OpenSafetensors opens one safetensors file and returns its tensors and its
// metadata. Tensors of a type other than F32, F16 and BF16 are listed but cannot
// be read.
func OpenSafetensors(path string) (*Store, map[string]string, error) {
	s := newStore(path)
	metadata, err := s.addSafetensors(path)
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return s, metadata, nil
}

// addSafetensors enters the tensors of one file.
func (s *Store) addSafetensors(path string) (map[string]string, error) {
	f, size, err := s.openFile(path)
	if err != nil {
		return nil, err
	}
	tensors, metadata, err := readSafetensorsHeader(path, f, size)
	if err != nil {
		return nil, err
	}
	for _, t := range tensors {
		if err := s.add(t); err != nil {
			return nil, err
		}
	}
	return metadata, nil
}

// readSafetensorsHeader reads and checks everything but the data.
func readSafetensorsHeader(path string, f io.ReaderAt, size int64) ([]*tensor, map[string]string, error) {
	var lengthBytes [8]byte
	if size < int64(len(lengthBytes)) {
		return nil, nil, refuse(path, "file length", size, "at least 8 bytes")
	}
	if _, err := f.ReadAt(lengthBytes[:], 0); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	length := binary.LittleEndian.Uint64(lengthBytes[:])
	if most := min(uint64(size)-8, maxHeader); length > most || length < 2 {
		return nil, nil, refuse(path, "header length", length, fmt.Sprintf("2 to %d bytes in a file of %d", most, size))
	}
	header := make([]byte, length)
	if _, err := f.ReadAt(header, 8); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if header[0] != '{' {
		return nil, nil, refuse(path, "first byte of the header", string(header[:1]), "{")
	}
	p := &headerParser{path: path, file: f, start: 8 + int64(length), size: size, decoder: json.NewDecoder(bytes.NewReader(header))}
	p.decoder.UseNumber()
	if err := p.parse(); err != nil {
		return nil, nil, err
	}
	return p.tensors, p.metadata, nil
}

// headerParser reads the JSON token by token, so that a repeated key is seen.
type headerParser struct {
	path        string
	file        io.ReaderAt
	start, size int64
	decoder     *json.Decoder
	tensors     []*tensor
	metadata    map[string]string
}

func (p *headerParser) parse() error {
	extents, byName := []extent{}, map[string]*tensor{}
	sawMetadata := false
	err := p.object("header", func(name string) error {
		if name == "__metadata__" {
			if sawMetadata {
				return refuse(p.path, "__metadata__", "again", "one entry")
			}
			sawMetadata = true
			return p.parseMetadata()
		}
		t, end, err := p.parseTensor(name)
		if err != nil {
			return err
		}
		if byName[name] != nil {
			return refuse(p.path, "tensor "+clip(name), "again", "one tensor of a name")
		}
		byName[name] = t
		extents = append(extents, extent{name, t.offset, end})
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := p.decoder.Token(); !errors.Is(err, io.EOF) {
		return refuse(p.path, "header", "more after its end", "one JSON object")
	}
	if err := checkOverlap(p.path, extents); err != nil {
		return err
	}
	at := p.start
	for _, e := range extents {
		if e.begin != at {
			return refuse(p.path, "data of tensor "+clip(e.name), e.begin-p.start, fmt.Sprintf("%d, so that the tensors leave no hole", at-p.start))
		}
		at = e.end
		p.tensors = append(p.tensors, byName[e.name])
	}
	if at != p.size {
		return refuse(p.path, "file length", p.size, fmt.Sprintf("%d, where the last tensor ends", at))
	}
	return nil
}

func (p *headerParser) parseMetadata() error {
	p.metadata = map[string]string{}
	return p.object("__metadata__", func(key string) error {
		value, err := p.text("__metadata__ " + clip(key))
		if err != nil {
			return err
		}
		if _, again := p.metadata[key]; again {
			return refuse(p.path, "__metadata__ "+clip(key), "again", "one entry of a name")
		}
		p.metadata[key] = value
		return nil
	})
}

// parseTensor reads one entry and returns it with the end of its data.
func (p *headerParser) parseTensor(name string) (*tensor, int64, error) {
	what := "tensor " + clip(name)
	t := &tensor{name: name, typ: -1, file: p.file, path: p.path, shape: []int{}}
	var offsets []int
	seen := map[string]bool{}
	err := p.object(what, func(key string) (err error) {
		if seen[key] {
			return refuse(p.path, what+" "+clip(key), "again", "one entry")
		}
		seen[key] = true
		switch key {
		case "dtype":
			t.dtype, err = p.text(what + " dtype")
		case "shape":
			t.shape, err = p.integers(what + " shape")
		case "data_offsets":
			offsets, err = p.integers(what + " data_offsets")
		default:
			err = refuse(p.path, what, key, "dtype, shape and data_offsets")
		}
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	for _, key := range []string{"dtype", "shape", "data_offsets"} {
		if !seen[key] {
			return nil, 0, refuse(p.path, what+" "+key, "missing", "dtype, shape and data_offsets")
		}
	}
	width, known := dtypeBytes[t.dtype]
	if !known {
		return nil, 0, refuse(p.path, what+" dtype", t.dtype, "a type of the format, such as F32, F16 or BF16")
	}
	if typ, ok := readable[t.dtype]; ok {
		t.typ = typ
	}
	data := p.size - p.start
	var ok bool
	if t.n, ok = volume(t.shape); !ok || int64(t.n) > data/int64(width) {
		return nil, 0, refuse(p.path, what+" shape", t.shape, fmt.Sprintf("a shape whose %s values fit the file's %d bytes of data", t.dtype, data))
	}
	want := int64(t.n) * int64(width)
	if len(offsets) != 2 || offsets[0] > offsets[1] || int64(offsets[1]) > data || int64(offsets[1]-offsets[0]) != want {
		return nil, 0, refuse(p.path, what+" data_offsets", offsets,
			fmt.Sprintf("[begin, begin+%d] for shape %v of %s, within the file's %d bytes of data", want, t.shape, t.dtype, data))
	}
	t.offset = p.start + int64(offsets[0])
	return t, p.start + int64(offsets[1]), nil
}

func (p *headerParser) token() (json.Token, error) {
	t, err := p.decoder.Token()
	if err != nil {
		return nil, refuse(p.path, "header", err.Error(), "valid JSON")
	}
	return t, nil
}

// text reads a JSON string.
func (p *headerParser) text(what string) (string, error) {
	token, err := p.token()
	if err != nil {
		return "", err
	}
	s, ok := token.(string)
	if !ok {
		return "", refuse(p.path, what, fmt.Sprint(token), "a string")
	}
	return s, nil
}

// object reads a JSON object, calling member with each key before its value.
func (p *headerParser) object(what string, member func(key string) error) error {
	token, err := p.token()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return refuse(p.path, what, fmt.Sprint(token), "a JSON object")
	}
	for p.decoder.More() {
		key, err := p.token()
		if err != nil {
			return err
		}
		if err := member(key.(string)); err != nil {
			return err
		}
	}
	_, err = p.token()
	return err
}

// integers reads a JSON array of whole numbers >= 0.
func (p *headerParser) integers(what string) ([]int, error) {
	token, err := p.token()
	if err != nil {
		return nil, err
	}
	if token != json.Delim('[') {
		return nil, refuse(p.path, what, fmt.Sprint(token), "an array of integers >= 0")
	}
	list := []int{}
	for p.decoder.More() {
		token, err := p.token()
		if err != nil {
			return nil, err
		}
		number, _ := token.(json.Number)
		v, err := strconv.ParseInt(number.String(), 10, 63)
		if err != nil || v < 0 {
			return nil, refuse(p.path, what, fmt.Sprint(token), "integers >= 0")
		}
		list = append(list, int(v))
	}
	_, err = p.token()
	return list, err
}

// shardIndex is model.safetensors.index.json.
type shardIndex struct {
	WeightMap map[string]string `json:"weight_map"`
}

// OpenSharded opens the safetensors files that an index file (usually
// model.safetensors.index.json) names, which must lie beside it and hold every
// tensor that the index says they do.
func OpenSharded(index string) (*Store, error) {
	var list shardIndex
	if err := readJSON(index, &list); err != nil {
		return nil, err
	}
	if len(list.WeightMap) == 0 {
		return nil, refuse(index, "weight_map", "empty", "a map of tensor names to files")
	}
	s := newStore(filepath.Dir(index))
	if err := s.addShards(index, list); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) addShards(index string, list shardIndex) error {
	for _, file := range sortedValues(list.WeightMap) {
		if !filepath.IsLocal(file) || filepath.Base(file) != file {
			return refuse(index, "weight_map", file, "the name of a file beside the index")
		}
		if _, err := s.addSafetensors(filepath.Join(s.path, file)); err != nil {
			return err
		}
	}
	for _, name := range sortedKeys(list.WeightMap) {
		path := filepath.Join(s.path, list.WeightMap[name])
		if t := s.tensors[name]; t == nil || t.path != path {
			return refuse(path, "tensor "+clip(name), "missing", "every tensor that "+index+" says is there")
		}
	}
	return nil
}
