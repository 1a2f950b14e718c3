package run

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/internal/yamlfile"
)

// Config names a problem, a method and their settings: what a YAML file given to
// the program holds, and what a run directory keeps. Zero fields are defaults.
type Config struct {
	Problem       string        `yaml:"problem"`
	Method        string        `yaml:"method,omitempty"`
	Mode          string        `yaml:"mode,omitempty"`
	Seed          *uint64       `yaml:"seed,omitempty"`
	MaxIterations int           `yaml:"max_iterations,omitempty"`
	Tolerance     float64       `yaml:"tolerance,omitempty"`
	TimeLimit     time.Duration `yaml:"time_limit,omitempty"`
	// Data is a directory of external data.
	Data            string   `yaml:"data,omitempty"`
	ProblemSettings Settings `yaml:"problem_settings,omitempty"`
	MethodSettings  Settings `yaml:"method_settings,omitempty"`
	// Version is the program that wrote the file; it is not read back.
	Version string `yaml:"version,omitempty"`

	path  string         // the file read, for messages
	lines map[string]int // of its keys and its settings' keys
}

// Settings maps a setting's name to its value as text.
type Settings map[string]string

// UnmarshalYAML keeps the values' own text: 1e-3 stays 1e-3.
func (s *Settings) UnmarshalYAML(data []byte) error {
	var raw map[string]scalar
	if err := yaml.Unmarshal(data, &raw); err != nil {
		return err
	}
	*s = make(Settings, len(raw))
	for k, v := range raw {
		(*s)[k] = string(v)
	}
	return nil
}

// scalar is the text of a number, a word or a string.
type scalar string

func (s *scalar) UnmarshalYAML(data []byte) error {
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		return errors.New("a value is missing")
	case string:
		*s = scalar(v)
	case map[string]any:
		return errors.New("a setting is a number, a word or true/false, not a map")
	default:
		*s = scalar(bytes.TrimSpace(data))
	}
	return nil
}

// ReadConfig reads a configuration file. Errors name the file, the line and what
// is allowed there, and match bilevel.ErrInvalid.
func ReadConfig(path string) (Config, error) {
	data, err := yamlfile.Read("problem file", path)
	if err != nil {
		return Config{}, err
	}
	return ParseConfig(path, data)
}

// ParseConfig is ReadConfig on the contents of the file called path.
func ParseConfig(path string, data []byte) (Config, error) {
	if err := flat(path, data); err != nil {
		return Config{}, err
	}
	var c Config
	err := yaml.UnmarshalWithOptions(data, &c, yaml.Strict())
	if err != nil && !errors.Is(err, io.EOF) {
		return Config{}, configError(path, err)
	}
	if c.Problem == "" {
		return Config{}, &bilevel.SettingError{Field: path + ": problem", Value: `""`, Allowed: "the name of a problem (see `bilevel list problems`)"}
	}
	c.path, c.lines = path, keyLines(data)
	return c, nil
}

// flat refuses what no configuration needs and what lets a small file ask for
// all memory or stack: references, tags, lists and maps within maps of settings.
func flat(path string, data []byte) error {
	depth := 0
	for _, t := range lexer.Tokenize(string(data)) {
		found := ""
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			found = "a reference"
		case token.TagType:
			found = "a tag"
		case token.SequenceStartType, token.SequenceEntryType:
			found = "a list"
		case token.MappingKeyType:
			found = "an explicit key"
		case token.MappingStartType:
			if depth++; depth > 2 {
				found = "a map within a map of settings"
			}
		case token.MappingEndType:
			depth--
		}
		if found != "" {
			return &bilevel.SettingError{Field: fmt.Sprintf("%s:%d", path, t.Position.Line), Value: found, Allowed: "keys with plain values; a setting is a number, a word or true/false"}
		}
	}
	return nil
}

// keyLines finds the lines of the keys of a YAML file, a setting's under its own
// name.
func keyLines(data []byte) map[string]int {
	lines := map[string]int{}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return lines
	}
	for _, doc := range file.Docs {
		ast.Walk(lineVisitor(lines), doc.Body)
	}
	return lines
}

type lineVisitor map[string]int

func (v lineVisitor) Visit(n ast.Node) ast.Visitor {
	if m, ok := n.(*ast.MappingValueNode); ok {
		t := m.Key.GetToken()
		v[t.Value] = t.Position.Line
	}
	return v
}

// locate adds the file and the line to an error about something that c was read
// with.
func (c *Config) locate(err error) error {
	var s *bilevel.SettingError
	if c.path == "" || !errors.As(err, &s) {
		return err
	}
	line := c.lines[s.Field]
	if text, ok := s.Value.(string); ok && line == 0 {
		if key, e := strconv.Unquote(text); e == nil { // an unknown name is a quoted value
			if line = c.lines[key]; line == 0 {
				line = c.lines[s.Field]
			}
		}
	}
	if line == 0 {
		return err
	}
	return fmt.Errorf("%s:%d: %w", c.path, line, err)
}

func configError(path string, err error) error {
	where, message := yamlfile.Where(path, err)
	var unknown *yaml.UnknownFieldError
	if errors.As(err, &unknown) && unknown.Token != nil {
		if se, ok := option.Unknown("key", unknown.Token.Value, configKeys()).(*bilevel.SettingError); ok {
			return &bilevel.SettingError{Field: where + ": key", Value: se.Value, Allowed: se.Allowed}
		}
	}
	return &bilevel.SettingError{Field: where, Value: message, Allowed: "YAML with the keys " + strings.Join(configKeys(), ", ")}
}

func configKeys() []string {
	t := reflect.TypeFor[Config]()
	var keys []string
	for i := range t.NumField() {
		if !t.Field(i).IsExported() {
			continue
		}
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		keys = append(keys, name)
	}
	return keys
}

// Write writes c as YAML.
func (c Config) Write(w io.Writer) error {
	b, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, "# The settings of this run as resolved; `bilevel solve "+ConfigFile+"` runs the same again.\n"+string(b))
	return err
}
