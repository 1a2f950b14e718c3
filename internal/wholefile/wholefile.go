// Package wholefile writes files of which either all is there or nothing.
package wholefile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Write writes the file at path through write: into a temporary file beside it,
// made durable, then renamed over path. When anything fails, path is as it was
// before, the temporary file is removed, and the error names path.
func Write(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	part := f.Name()
	defer func() {
		if err != nil {
			os.Remove(part)
			err = fmt.Errorf("writing %s: %w; nothing of it was kept", path, err)
		}
	}()
	b := bufio.NewWriterSize(f, 1<<16)
	if err = write(b); err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Chmod(0o644) // a temporary file is its owner's alone; a result is for others to read
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return Rename(part, path)
}

// Rename moves a file over another within a folder, and makes the change last
// through a power failure where the system can.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if f, err := os.Open(filepath.Dir(to)); err == nil {
		f.Sync() // some file systems cannot; the rename itself is done
		f.Close()
	}
	return nil
}
