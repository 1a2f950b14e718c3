package training

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/internal/yamlfile"
	"github.com/bilevel-go/bilevel/llm/tune"
)

// Config is the settings of a training with where they were read.
type Config struct {
	tune.Config
	path  string
	lines map[string]int // of the settings in the file
}

// maxDepth is that of maps and lists in braces and brackets.
const maxDepth = 4

// versionKey is written for people and not read back.
const versionKey = "version"

// Read reads a configuration file: YAML whose keys are the dotted names of the
// settings, nested or in one. Paths in it are relative to the file. Errors match
// bilevel.ErrInvalid and name the file, the line and what is allowed.
func Read(path string) (Config, error) {
	data, err := yamlfile.Read("configuration", path)
	if err != nil {
		return Config{}, err
	}
	c, err := Parse(path, data)
	if err == nil {
		err = c.Absolute(filepath.Dir(path))
	}
	return c, err
}

// Parse is Read on the contents of the file called path, with paths as they are.
func Parse(path string, data []byte) (Config, error) {
	c := Config{path: path, lines: map[string]int{}}
	if !utf8.Valid(data) {
		return c, &bilevel.SettingError{Field: path, Value: "bytes that are no UTF-8", Allowed: "YAML in UTF-8"}
	}
	if err := shape(path, data); err != nil {
		return c, err
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		where, message := yamlfile.Where(path, err)
		return c, &bilevel.SettingError{Field: where, Value: message, Allowed: "YAML, see `bilevel llm config --yaml`"}
	}
	seen := false
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if seen {
			return c, c.bad(doc.Body, "a second document", "one document")
		}
		seen = true
		if err := c.walk("", doc.Body); err != nil {
			return c, err
		}
	}
	return c, nil
}

// shape refuses what no configuration needs and what lets a small file ask for all
// memory or stack.
func shape(path string, data []byte) error {
	depth, entry := 0, 0
	for _, t := range lexer.Tokenize(string(data)) {
		found := ""
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			found = "a reference"
		case token.TagType:
			found = "a tag"
		case token.DirectiveType:
			found = "a directive"
		case token.MappingKeyType:
			found = "an explicit key"
		case token.SequenceEntryType:
			if entry == t.Position.Line {
				found = "a list within a list"
			}
			entry = t.Position.Line
		case token.MappingStartType, token.SequenceStartType:
			if depth++; depth > maxDepth {
				found = "a map within a map within a map"
			}
		case token.MappingEndType, token.SequenceEndType:
			depth--
		}
		if found != "" {
			return &bilevel.SettingError{Field: fmt.Sprintf("%s:%d", path, t.Position.Line), Value: found, Allowed: "keys with numbers, words, true or false, and lists of them"}
		}
	}
	return nil
}

// bad is the error about what stands at n.
func (c *Config) bad(n ast.Node, value, allowed string) error {
	return &bilevel.SettingError{Field: fmt.Sprintf("%s:%d", c.path, line(n)), Value: value, Allowed: allowed}
}

func line(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// walk sets what stands at n, the value of the key prefix.
func (c *Config) walk(prefix string, n ast.Node) error {
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		if prefix == "" {
			return c.bad(n, "no map", "keys with values, see `bilevel llm config --yaml`")
		}
		return c.set(prefix, n)
	}
	if option.Has(&c.Config, prefix) { // columns written as a map
		return c.columns(prefix, n, pairs)
	}
	for _, p := range pairs {
		name := key(p)
		if prefix != "" {
			name = prefix + "." + name
		}
		if name == versionKey {
			continue
		}
		if _, null := p.Value.(*ast.NullNode); null && c.group(name) {
			continue
		}
		if _, value := p.Value.(ast.ScalarNode); !value || !c.group(name) || option.Has(&c.Config, name) {
			if isMap(p.Value) && !c.group(name) && !option.Has(&c.Config, name) {
				return c.unknown(name, line(p.Key))
			}
			if err := c.walk(name, p.Value); err != nil {
				return err
			}
			continue
		}
		return c.bad(p.Key, name+", which is no setting by itself", "a map of the settings "+strings.Join(c.members(name), ", "))
	}
	return nil
}

func isMap(n ast.Node) bool {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

func key(p *ast.MappingValueNode) string { return p.Key.GetToken().Value }

// members are the settings whose names begin with a group's.
func (c *Config) members(group string) []string {
	var all []string
	for _, name := range option.Names(&c.Config) {
		if strings.HasPrefix(name, group+".") {
			all = append(all, name)
		}
	}
	return all
}

func (c *Config) group(name string) bool { return len(c.members(name)) > 0 }

// columns writes a map of columns as the text that the setting takes.
func (c *Config) columns(name string, n ast.Node, pairs []*ast.MappingValueNode) error {
	if !strings.HasSuffix(name, ".columns") {
		return c.bad(n, "a map for "+name, "a number, a word or true/false")
	}
	var parts []string
	for _, p := range pairs {
		v, err := c.text(name, p.Value)
		if err != nil {
			return err
		}
		parts = append(parts, key(p)+"="+strings.ReplaceAll(v, ",", "+"))
	}
	return c.assign(name, strings.Join(parts, ","), line(n))
}

func (c *Config) set(name string, n ast.Node) error {
	v, err := c.text(name, n)
	if err != nil {
		return err
	}
	return c.assign(name, v, line(n))
}

func (c *Config) assign(name, value string, line int) error {
	if c.lines[name] > 0 {
		return &bilevel.SettingError{Field: fmt.Sprintf("%s:%d: %s", c.path, line, name), Value: value, Allowed: fmt.Sprintf("once, and line %d has it", c.lines[name])}
	}
	if !option.Has(&c.Config, name) {
		return c.unknown(name, line)
	}
	c.lines[name] = line
	return c.Locate(c.Config.Set(name, value))
}

func (c *Config) unknown(name string, line int) error {
	return fmt.Errorf("%s:%d: %w", c.path, line, option.Unknown("setting", name, option.Names(&c.Config)))
}

// text is a scalar's own text, 1e-3 staying 1e-3, and a list's with commas between.
func (c *Config) text(name string, n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.NullNode:
		return "", nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value), nil
	case *ast.InfinityNode:
		return strconv.FormatFloat(n.Value, 'g', -1, 64), nil
	case *ast.SequenceNode:
		var parts []string
		for _, v := range n.Values {
			if _, list := v.(*ast.SequenceNode); list {
				return "", c.bad(v, "a list within a list", "a list of words")
			}
			part, err := c.text(name, v)
			if err != nil {
				return "", err
			}
			if strings.Contains(part, ",") {
				return "", c.bad(v, strconv.Quote(part), "names without commas")
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, ","), nil
	case ast.ScalarNode:
		return n.GetToken().Value, nil
	}
	return "", c.bad(n, "a "+strings.ToLower(n.Type().String())+" for "+name, "a number, a word or true/false")
}

// Override assigns a setting from elsewhere than the file.
func (c *Config) Override(name, value string) error {
	delete(c.lines, name)
	return c.Config.Set(name, value)
}

// Locate adds the file and the line to an error about a setting that was read there.
func (c *Config) Locate(err error) error {
	var s *bilevel.SettingError
	if err == nil || c.path == "" || !errors.As(err, &s) || c.lines[s.Field] == 0 {
		return err
	}
	return fmt.Errorf("%s:%d: %w", c.path, c.lines[s.Field], err)
}

// Absolute makes the paths among the settings absolute, relative ones taken from
// dir. What is no path, a model's name, stays.
func (c *Config) Absolute(dir string) error {
	path := func(p string) (string, error) {
		if filepath.IsAbs(p) {
			return p, nil
		}
		return filepath.Abs(filepath.Join(dir, p))
	}
	for _, p := range []*string{&c.UpperFiles, &c.UpperEval, &c.LowerFiles, &c.LowerEval} {
		if *p == "" {
			continue
		}
		parts := strings.Split(*p, ",")
		for i := range parts {
			if parts[i] = strings.TrimSpace(parts[i]); parts[i] == "" {
				continue
			}
			var err error
			if parts[i], err = path(parts[i]); err != nil {
				return err
			}
		}
		*p = strings.Join(parts, ",")
	}
	for _, p := range []*string{&c.Model, &c.Tokenizer, &c.Adapter, &c.Teacher} {
		if *p == "" || strings.HasPrefix(*p, "hf:") {
			continue
		}
		full, err := path(*p)
		if err != nil {
			return err
		}
		if _, err := os.Stat(full); err == nil || strings.ContainsRune(*p, '/') || strings.ContainsRune(*p, filepath.Separator) {
			*p = full
		}
	}
	return nil
}
