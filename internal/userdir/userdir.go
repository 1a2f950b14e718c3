// Package userdir says where the program keeps what it fetched for its user.
package userdir

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Variable is the environment variable that names the folder; it goes before the
// system's custom.
const Variable = "BILEVEL_HOME"

// Path joins elem to the user's folder: $BILEVEL_HOME, or bilevel in the system's
// folder for programs' data ($XDG_DATA_HOME or ~/.local/share on Unix,
// ~/Library/Application Support on macOS, %LocalAppData% on Windows). Nothing is
// created.
func Path(elem ...string) (string, error) {
	root := os.Getenv(Variable)
	if root == "" {
		data, err := data()
		if err != nil {
			return "", fmt.Errorf("no folder for the program's data: set %s: %w", Variable, err)
		}
		root = filepath.Join(data, "bilevel")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return "", fmt.Errorf("%s = %q: %w", Variable, root, err)
	}
	return filepath.Join(append([]string{root}, elem...)...), nil
}

func data() (string, error) {
	switch runtime.GOOS {
	case "windows":
		return os.UserCacheDir() // %LocalAppData%
	case "darwin", "ios":
		return os.UserConfigDir() // ~/Library/Application Support
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) { // the specification ignores relative ones
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local", "share"), nil
}
