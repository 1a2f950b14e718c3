// Package yamlfile reads configuration files and says where in them a mistake is.
package yamlfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/bilevel-go/bilevel"
)

// most bounds the size of a file.
const most = 1 << 20

// Read reads the file at path, which what names in errors. They are
// *bilevel.SettingError.
func Read(what, path string) ([]byte, error) {
	unreadable := func(err error) error {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return &bilevel.SettingError{Field: what, Value: path, Allowed: "a file that can be read (" + err.Error() + ")"}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, unreadable(err)
	}
	if len(data) > most {
		return nil, &bilevel.SettingError{Field: "size of " + path, Value: "more than 1 MiB", Allowed: "a YAML file of at most 1 MiB"}
	}
	return data, nil
}

// Where is the place of a mistake in the file called path, with its line where the
// parser knows it, and the mistake in one line.
func Where(path string, err error) (where, message string) {
	where, message = path, err.Error()
	var y yaml.Error
	if errors.As(err, &y) {
		message = y.GetMessage()
		if t := y.GetToken(); t != nil && t.Position != nil {
			where = fmt.Sprintf("%s:%d", path, t.Position.Line)
		}
	}
	return where, strings.Join(strings.Fields(message), " ")
}
