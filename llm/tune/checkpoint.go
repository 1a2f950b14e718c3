package tune

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/wholefile"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// A checkpoint is a folder checkpoint/N with blocks.safetensors, the vectors of the
// method's state in float32, which is what they are on the device, and state.json,
// which has everything else and the SHA-256 of the first. state.json is written
// last: a folder without it is no checkpoint.
const (
	checkpointFolder = "checkpoint"
	blocksFile       = "blocks.safetensors"
	stateFile        = "state.json"
)

// ErrCheckpoint is matched by errors about a checkpoint that cannot be used.
var ErrCheckpoint = errors.New("unusable checkpoint")

// saved is a checkpoint: the stage it belongs to, the state of the method, and what
// was recorded of the stages before.
type saved struct {
	Stage  string         `json:"stage"`
	Config string         `json:"config"` // SHA-256 of the resolved settings
	Blocks string         `json:"blocks"` // SHA-256 of the file
	State  *bilevel.State `json:"state"`
	Work   Work           `json:"work"`
	// Before holds the summaries of finished stages.
	Before []StageSummary `json:"before,omitempty"`
	// First is the evaluation before the stage, Flatness what was measured so far and
	// Best the score of the best adapter and head kept.
	First    EvalSummary `json:"first"`
	Flatness []Flatness  `json:"flatness,omitempty"`
	Best     *float64    `json:"best,omitempty"`
	// Scalars are the state's, as text that keeps every bit.
	Scalars map[string]string `json:"scalars"`
}

// write makes the checkpoint in dir and removes older ones but keep.
func (s *saved) write(dir string, keep int) error {
	root := filepath.Join(dir, checkpointFolder)
	if err := os.MkdirAll(root, 0o777); err != nil {
		return err
	}
	old, err := checkpoints(root)
	if err != nil {
		return err
	}
	next := 1
	if len(old) > 0 {
		next = old[len(old)-1] + 1
	}
	folder := filepath.Join(root, strconv.Itoa(next))
	if err := s.writeIn(folder); err != nil {
		os.RemoveAll(folder)
		return err
	}
	for _, n := range old[:max(0, len(old)+1-keep)] {
		if err := os.RemoveAll(filepath.Join(root, strconv.Itoa(n))); err != nil {
			return err
		}
	}
	return nil
}

func (s *saved) writeIn(folder string) error {
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	var blocks []weights.Output
	for _, name := range slices.Sorted(maps.Keys(s.State.Blocks)) {
		blocks = append(blocks, weights.Output{Name: name, Shape: []int{len(s.State.Blocks[name])}, Values: narrow(s.State.Blocks[name])})
	}
	path := filepath.Join(folder, blocksFile)
	if err := weights.WriteSafetensors(path, blocks, nil); err != nil {
		return err
	}
	out := *s
	state := *s.State
	state.Blocks, state.Scalars, out.State = nil, nil, &state
	out.Scalars = map[string]string{}
	for name, v := range s.State.Scalars {
		out.Scalars[name] = strconv.FormatFloat(v, 'x', -1, 64)
	}
	var err error
	if out.Blocks, err = fileSum(path); err != nil {
		return err
	}
	return wholefile.Write(filepath.Join(folder, stateFile), func(w io.Writer) error { return json.NewEncoder(w).Encode(out) })
}

func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// checkpoints lists the checkpoints in a folder by rising number.
func checkpoints(root string) ([]int, error) {
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var all []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n > 0 {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}

// readCheckpoint reads the newest whole checkpoint of a run directory. The error
// matches ErrCheckpoint where there is none, and says what was wrong with those
// there are.
func readCheckpoint(dir string) (*saved, error) {
	root := filepath.Join(dir, checkpointFolder)
	all, err := checkpoints(root)
	if err != nil {
		return nil, err
	}
	var faults []string
	for _, n := range slices.Backward(all) {
		s, err := readSaved(filepath.Join(root, strconv.Itoa(n)))
		if err == nil {
			return s, nil
		}
		faults = append(faults, err.Error())
	}
	if len(faults) == 0 {
		return nil, fmt.Errorf("%w: %s holds none", ErrCheckpoint, root)
	}
	return nil, fmt.Errorf("%w: %s", ErrCheckpoint, strings.Join(faults, "; "))
}

func readSaved(folder string) (*saved, error) {
	path := filepath.Join(folder, stateFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var s saved
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if s.State == nil || s.State.Iteration < 0 || s.State.Elapsed < 0 {
		return nil, fmt.Errorf("%s: it has no state of a training", path)
	}
	blocks := filepath.Join(folder, blocksFile)
	sum, err := fileSum(blocks)
	if err != nil {
		return nil, err
	}
	if sum != s.Blocks {
		return nil, fmt.Errorf("%s: damaged, its checksum does not match", blocks)
	}
	store, _, err := weights.OpenSafetensors(blocks)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	s.State.Blocks = map[string][]float64{}
	for _, name := range store.Names() {
		values, _, err := store.Tensor(name)
		if err != nil {
			return nil, err
		}
		wide := make([]float64, len(values))
		for i, v := range values {
			wide[i] = float64(v)
		}
		s.State.Blocks[name] = wide
	}
	s.State.Scalars = map[string]float64{}
	for name, text := range s.Scalars {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: scalar %q: %w", path, name, err)
		}
		s.State.Scalars[name] = v
	}
	return &s, nil
}

// dropCheckpoints removes the checkpoints of a training that has ended.
func dropCheckpoints(dir string) error { return os.RemoveAll(filepath.Join(dir, checkpointFolder)) }

// StageSummary is a finished stage.
type StageSummary struct {
	Name      string         `json:"name"`
	Algorithm string         `json:"algorithm"`
	Status    bilevel.Status `json:"status"`
	Steps     int            `json:"steps"`
	Elapsed   time.Duration  `json:"elapsed_ns"` // training time, evaluations left out
	Work      Work           `json:"work"`
	Counts    bilevel.Counts `json:"counts"`
	Before    EvalSummary    `json:"before"`
	After     EvalSummary    `json:"after"`
	Notes     []bilevel.Note `json:"notes,omitempty"`
}

// EvalSummary is the held-out figures of both levels; absent ones are null.
type EvalSummary struct {
	UpperLoss *float64 `json:"upper_loss"`
	Accuracy  *float64 `json:"accuracy"`
	Margin    *float64 `json:"margin"`
	LowerLoss *float64 `json:"lower_loss"`
}

func summarize(e *Evaluation) EvalSummary {
	if e == nil {
		return EvalSummary{}
	}
	known := func(v float64) *float64 {
		if v-v != 0 {
			return nil
		}
		return &v
	}
	return EvalSummary{known(e.Upper.Loss), known(e.Upper.Accuracy), known(e.Upper.Margin), known(e.Lower.Loss)}
}
