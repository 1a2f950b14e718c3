package run

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bilevel-go/bilevel"
)

// The names in a run directory.
const (
	ConfigFile    = "config.yaml"
	ResultFile    = "result.json"
	DetailsFile   = "details.json"
	PointFile     = "point.json"
	TraceFile     = "trace.csv"
	LogFile       = "log.jsonl"
	ReportFile    = "report.html"
	CheckpointDir = "checkpoint"
)

// ownNames are what Create with force removes from an earlier run.
var ownNames = []string{ConfigFile, ResultFile, DetailsFile, PointFile, TraceFile, LogFile, ReportFile, CheckpointDir}

// Dir is a run directory.
type Dir struct {
	// Path is the directory as the user named it.
	Path string
	disk disk
	made []string // directories that were not there before Create, the deepest first
	own  []string // names that Discard removes
}

// disk is what a Dir writes through; tests put failing ones in its place.
type disk interface {
	create(path string) (file, error)
	append(path string) (file, error)
}

type file interface {
	io.WriteCloser
	Sync() error
}

type osDisk struct{}

func (osDisk) create(path string) (file, error) { return os.Create(path) }
func (osDisk) append(path string) (file, error) {
	return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
}

// Create makes path a fresh run directory. A directory that already holds
// something is refused unless force is true, which removes what an earlier run
// left there and nothing else. A directory that cannot be written to is refused.
// also names what this kind of run writes beside the files of all. Errors match
// bilevel.ErrInvalid.
func Create(path string, force bool, also ...string) (*Dir, error) {
	d := &Dir{Path: path, disk: osDisk{}, own: slices.Concat(ownNames, also)}
	entries, err := os.ReadDir(path)
	switch {
	case err == nil && len(entries) > 0 && !force:
		return nil, &bilevel.SettingError{Field: "output directory", Value: path,
			Allowed: "a new or empty directory (this one holds " + entries[0].Name() + "; --force overwrites an earlier run)"}
	case err == nil:
		for _, name := range d.own {
			if err := os.RemoveAll(filepath.Join(path, name)); err != nil {
				return nil, unwritable(path, err)
			}
		}
	case errors.Is(err, fs.ErrNotExist):
		if d.made, err = makeAll(path); err != nil {
			d.Discard()
			return nil, unwritable(path, err)
		}
	default:
		return nil, unwritable(path, err)
	}
	if err := d.probe(); err != nil {
		d.Discard()
		return nil, unwritable(path, err)
	}
	return d, nil
}

// CreateNext is Create for the first unused base-1, base-2, ... It never reuses
// a directory, also when several programs ask at once.
func CreateNext(base string, also ...string) (*Dir, error) {
	made, err := makeAll(filepath.Dir(base))
	if err != nil {
		return nil, unwritable(filepath.Dir(base), err)
	}
	for n := 1; ; n++ {
		path := base + "-" + strconv.Itoa(n)
		err := os.Mkdir(path, 0o777)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, unwritable(path, err)
		}
		return &Dir{Path: path, disk: osDisk{}, made: append([]string{path}, made...), own: slices.Concat(ownNames, also)}, nil
	}
}

// At is the run directory at path, which an earlier run made. One without a
// configuration is refused: the error matches bilevel.ErrInvalid.
func At(path string) (*Dir, error) {
	d := &Dir{Path: path, disk: osDisk{}}
	if !d.Has(ConfigFile) {
		return nil, &bilevel.SettingError{Field: "run directory", Value: path, Allowed: "a directory that an earlier run made (there is no " + ConfigFile + " in it)"}
	}
	return d, nil
}

// makeAll is os.MkdirAll that tells which directories it made, the deepest first.
func makeAll(path string) ([]string, error) {
	var missing []string
	for p := filepath.Clean(path); ; p = filepath.Dir(p) {
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) || p == filepath.Dir(p) {
			break
		}
		missing = append(missing, p)
	}
	return missing, os.MkdirAll(path, 0o777)
}

// DefaultBase is the base of the directories that are made when none is named:
// runs/<name>-<method>, with what a file name cannot hold replaced.
func DefaultBase(problem, method string) string {
	clean := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}
	return filepath.Join("runs", strings.Trim(strings.Map(clean, problem+"-"+method), "-."))
}

// unwritable is the error for a directory that no run can be kept in.
func unwritable(path string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &bilevel.SettingError{Field: "output directory", Value: path, Allowed: "a directory that can be written to (" + err.Error() + ")"}
}

func (d *Dir) probe() error {
	f, err := os.CreateTemp(d.Path, ".probe-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// Discard removes the directories that Create made, with what the run wrote in
// them: the run was refused before any work.
func (d *Dir) Discard() {
	for _, name := range d.own {
		os.RemoveAll(filepath.Join(d.Path, name))
	}
	for _, path := range d.made {
		os.Remove(path) // only if empty
	}
}

// Join is the path of a file of the run.
func (d *Dir) Join(name string) string { return filepath.Join(d.Path, name) }

// Has reports whether the run holds name.
func (d *Dir) Has(name string) bool {
	_, err := os.Stat(d.Join(name))
	return err == nil
}

// WriteFile writes a file of the run through write: all of it or none.
func (d *Dir) WriteFile(name string, write func(io.Writer) error) error {
	return writeFile(d.disk, d.Join(name), write)
}

// WriteFile writes the file at path through write: all of it or none.
func WriteFile(path string, write func(io.Writer) error) error {
	return writeFile(osDisk{}, path, write)
}

func writeFile(to disk, path string, write func(io.Writer) error) (err error) {
	part := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".part")
	defer func() {
		if err != nil {
			os.Remove(part)
			err = fmt.Errorf("writing %s: %w; nothing of it was kept", path, reason(err))
		}
	}()
	f, err := to.create(part)
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(f, 1<<16)
	if err = errors.Join(write(b), b.Flush()); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(part, path); err != nil {
		return err
	}
	syncDir(filepath.Dir(path))
	return nil
}

// reason strips the path, which the caller names, from a file error, and the
// repetitions from a joined one.
func reason(err error) error {
	if j, ok := err.(interface{ Unwrap() []error }); ok && len(j.Unwrap()) > 0 {
		err = j.Unwrap()[0]
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// syncDir makes a rename last through a power failure where the system can.
func syncDir(path string) {
	if f, err := os.Open(path); err == nil {
		f.Sync() // some file systems cannot; the rename itself is done
		f.Close()
	}
}

// create opens a file of the problem family: local names only, none of the run's own.
func (d *Dir) create(name string) (*familyFile, error) {
	if !filepath.IsLocal(name) {
		return nil, fmt.Errorf("file %q: not a name inside the run directory", name)
	}
	for _, own := range ownNames {
		if filepath.Clean(name) == own {
			return nil, fmt.Errorf("file %q: the name is taken by the run itself", name)
		}
	}
	path := d.Join(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	part := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".part")
	f, err := d.disk.create(part)
	if err != nil {
		return nil, err
	}
	return &familyFile{f: f, part: part, path: path}, nil
}

// familyFile is renamed to its name when it is closed after writes that all
// succeeded.
type familyFile struct {
	f          file
	part, path string
	err        error
}

func (f *familyFile) Write(p []byte) (int, error) {
	n, err := f.f.Write(p)
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("writing %s: %w", f.path, reason(err))
	}
	return n, f.err
}

func (f *familyFile) Close() error {
	err := f.err
	if err == nil {
		err = f.f.Sync()
	}
	if err = errors.Join(err, f.f.Close()); err == nil {
		err = os.Rename(f.part, f.path)
	}
	if err == nil {
		return nil
	}
	os.Remove(f.part)
	if f.err != nil {
		return f.err
	}
	return fmt.Errorf("writing %s: %w", f.path, reason(err))
}
