package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/certify"
)

// A checkpoint file is
//
//	magic "bilevel checkpoint\n" | version uint32 | header length uint64 | header (JSON) | numbers (float64) | SHA-256 of all before
//
// little-endian. The header holds what is not float64, with the names and
// lengths of the blocks and scalars in the order of the numbers, so that every
// number keeps its bits, not-a-number included.
const (
	checkpointMagic   = "bilevel checkpoint\n"
	checkpointVersion = 1
	checkpointName    = "state.bin"
)

type checkpointHeader struct {
	bilevel.State                // Blocks and Scalars are empty here
	Blocks        []blockHeader  `json:"blocks"`
	Scalars       []string       `json:"scalars"`
	CPU           certify.Number `json:"cpu_s"`
}

type blockHeader struct {
	Name   string `json:"name"`
	Length uint64 `json:"length"`
}

// ErrCheckpoint is matched by errors about a checkpoint that cannot be used.
var ErrCheckpoint = errors.New("unusable checkpoint")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCheckpoint, fmt.Sprintf(format, args...))
}

// WriteState writes a checkpoint of s. cpu is the processor time used so far, in seconds.
func WriteState(w io.Writer, s *bilevel.State, cpu float64) error {
	h := checkpointHeader{State: *s, CPU: certify.Number(cpu)}
	h.State.Blocks, h.State.Scalars = nil, nil
	for _, name := range slices.Sorted(maps.Keys(s.Blocks)) {
		h.Blocks = append(h.Blocks, blockHeader{name, uint64(len(s.Blocks[name]))})
	}
	h.Scalars = slices.Sorted(maps.Keys(s.Scalars))
	head, err := json.Marshal(h)
	if err != nil {
		return err
	}
	sum := sha256.New()
	out := io.MultiWriter(w, sum)
	prefix := append([]byte(checkpointMagic), make([]byte, 12)...)
	binary.LittleEndian.PutUint32(prefix[len(checkpointMagic):], checkpointVersion)
	binary.LittleEndian.PutUint64(prefix[len(checkpointMagic)+4:], uint64(len(head)))
	if _, err := out.Write(append(prefix, head...)); err != nil {
		return err
	}
	buf := make([]byte, 0, 1<<15)
	flush := func() error {
		_, err := out.Write(buf)
		buf = buf[:0]
		return err
	}
	put := func(v float64) error {
		buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(v))
		if len(buf) == cap(buf) {
			return flush()
		}
		return nil
	}
	for _, b := range h.Blocks {
		for _, v := range s.Blocks[b.Name] {
			if err := put(v); err != nil {
				return err
			}
		}
	}
	for _, name := range h.Scalars {
		if err := put(s.Scalars[name]); err != nil {
			return err
		}
	}
	if err := flush(); err != nil {
		return err
	}
	_, err = w.Write(sum.Sum(nil))
	return err
}

// ReadState reads what WriteState wrote. Anything else - another file, another
// version, a truncated or altered one - is refused with an error that matches
// ErrCheckpoint; nothing larger than data is allocated for it.
func ReadState(data []byte) (s *bilevel.State, cpu float64, err error) {
	const fixed = len(checkpointMagic) + 12
	if len(data) < fixed+sha256.Size || string(data[:len(checkpointMagic)]) != checkpointMagic {
		if len(data) >= len(checkpointMagic) && string(data[:len(checkpointMagic)]) == checkpointMagic {
			return nil, 0, refuse("it is cut short at %d bytes", len(data))
		}
		return nil, 0, refuse("it is not a checkpoint of this program")
	}
	if v := binary.LittleEndian.Uint32(data[len(checkpointMagic):]); v != checkpointVersion {
		return nil, 0, refuse("it has version %d, and this program reads version %d", v, checkpointVersion)
	}
	body, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if want := sha256.Sum256(body); !bytes.Equal(want[:], sum) {
		return nil, 0, refuse("it is damaged or cut short: its checksum does not match")
	}
	n := binary.LittleEndian.Uint64(data[len(checkpointMagic)+4:])
	rest := body[fixed:]
	if n > uint64(len(rest)) {
		return nil, 0, refuse("its header is longer than the file")
	}
	var h checkpointHeader
	if err := json.Unmarshal(rest[:n], &h); err != nil {
		return nil, 0, refuse("its header cannot be read: %v", err)
	}
	numbers := rest[n:]
	if err := h.check(uint64(len(numbers))); err != nil {
		return nil, 0, err
	}
	take := func() float64 {
		v := math.Float64frombits(binary.LittleEndian.Uint64(numbers))
		numbers = numbers[8:]
		return v
	}
	s = &h.State
	s.Blocks = make(map[string][]float64, len(h.Blocks))
	for _, b := range h.Blocks {
		v := make([]float64, b.Length)
		for i := range v {
			v[i] = take()
		}
		s.Blocks[b.Name] = v
	}
	s.Scalars = make(map[string]float64, len(h.Scalars))
	for _, name := range h.Scalars {
		s.Scalars[name] = take()
	}
	return s, float64(h.CPU), nil
}

// check compares the header with the number of bytes of numbers and with what a
// run can have left behind.
func (h *checkpointHeader) check(size uint64) error {
	total := uint64(len(h.Scalars))
	names := map[string]bool{}
	for _, b := range h.Blocks {
		if b.Length > size/8 || names[b.Name] {
			return refuse("its header does not describe its numbers (block %q)", b.Name)
		}
		names[b.Name] = true
		total += b.Length
	}
	if total*8 != size {
		return refuse("its header announces %d numbers and it holds %d bytes", total, size)
	}
	if h.Iteration < 0 || h.Elapsed < 0 {
		return refuse("it has iteration %d and elapsed time %v", h.Iteration, h.Elapsed)
	}
	for name, b := range h.Streams {
		if err := new(rand.PCG).UnmarshalBinary(b); err != nil {
			return refuse("its random stream %q cannot be read", name)
		}
	}
	return nil
}

// SaveState replaces the run's checkpoint.
func (d *Dir) SaveState(s *bilevel.State, cpu float64) error {
	if err := os.MkdirAll(d.Join(CheckpointDir), 0o777); err != nil {
		return fmt.Errorf("writing %s: %w", d.Join(CheckpointDir), reason(err))
	}
	return d.WriteFile(filepath.Join(CheckpointDir, checkpointName), func(w io.Writer) error { return WriteState(w, s, cpu) })
}

// LoadState reads the run's checkpoint.
func (d *Dir) LoadState() (s *bilevel.State, cpu float64, err error) {
	path := d.Join(filepath.Join(CheckpointDir, checkpointName))
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, &bilevel.SettingError{Field: "checkpoint", Value: path, Allowed: "the checkpoint of an interrupted or limited run (" + reason(err).Error() + ")"}
	}
	if s, cpu, err = ReadState(data); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	return s, cpu, nil
}

// dropState removes the checkpoint of a run that has ended.
func (d *Dir) dropState() error { return os.RemoveAll(d.Join(CheckpointDir)) }
