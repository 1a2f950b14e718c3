// Package hub turns "hf:owner/name" references into local files: it downloads
// what a model needs from a Hugging Face style hub into the cache that Hugging
// Face's own tools use, so that a model fetched by one is found by the other.
//
// Every file is checked against the size and hash that the hub lists (SHA-256 for
// large files, the git blob hash for small ones) before it gets its name; an
// interrupted transfer continues where it stopped, in the same run or a later one.
// What is in the cache can be used without a network.
//
// Environment: HF_ENDPOINT (the hub's address), HF_HUB_CACHE or HF_HOME or
// XDG_CACHE_HOME (where the cache is), HF_TOKEN (for models that need one),
// HF_HUB_OFFLINE=1 (use the cache only). Settings override each of them.
package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bilevel-go/bilevel"
)

// DefaultEndpoint is the hub that "hf:" means where neither Settings nor
// HF_ENDPOINT names another.
const DefaultEndpoint = "https://huggingface.co"

// Prefix is what a reference to the hub begins with.
const Prefix = "hf:"

// Settings say where the hub and the cache are. The zero value takes everything
// from the environment.
type Settings struct {
	// Endpoint is the hub's address, http or https. Default: HF_ENDPOINT, then DefaultEndpoint.
	Endpoint string
	// Cache is the folder of the cache. Default: HF_HUB_CACHE, then hub in HF_HOME,
	// then huggingface/hub in XDG_CACHE_HOME or .cache of the home folder.
	Cache string
	// Token is sent to the endpoint, not to other domains that it redirects to.
	// Default: HF_TOKEN.
	Token string
	// Offline uses the cache alone. Default: HF_HUB_OFFLINE.
	Offline bool
	// Client makes the requests. Default: http.DefaultClient.
	Client *http.Client
	// Retries is how often a transfer may fail in a row without a byte gained
	// before it is given up. Default 5.
	Retries int
	// Stall is how long a transfer may stand still. Default one minute.
	Stall time.Duration
	// Progress, when not nil, is told how many bytes of a file are there.
	Progress func(file string, done, total int64)
	// Log, when not nil, is told when the cache is used because the hub cannot be reached.
	Log *slog.Logger
	// pause before retry number n; a field so that tests need not wait.
	pause func(n int) time.Duration
}

// withDefaults fills in what is not set.
func (s Settings) withDefaults() (Settings, error) {
	if s.Endpoint == "" {
		s.Endpoint = os.Getenv("HF_ENDPOINT")
	}
	if s.Endpoint == "" {
		s.Endpoint = DefaultEndpoint
	}
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return s, &bilevel.SettingError{Field: "hub endpoint (HF_ENDPOINT)", Value: s.Endpoint, Allowed: "an http or https address"}
	}
	s.Endpoint = strings.TrimRight(s.Endpoint, "/")
	if s.Cache == "" {
		if s.Cache, err = defaultCache(); err != nil {
			return s, err
		}
	}
	if s.Token == "" {
		s.Token = os.Getenv("HF_TOKEN")
	}
	switch strings.ToLower(os.Getenv("HF_HUB_OFFLINE")) {
	case "1", "true", "yes", "on":
		s.Offline = true
	}
	if s.Client == nil {
		s.Client = http.DefaultClient
	}
	if s.Retries < 0 {
		return s, &bilevel.SettingError{Field: "Retries", Value: s.Retries, Allowed: "an integer >= 0"}
	}
	if s.Retries == 0 {
		s.Retries = 5
	}
	if s.Stall < 0 {
		return s, &bilevel.SettingError{Field: "Stall", Value: s.Stall, Allowed: "a duration >= 0"}
	}
	if s.Stall == 0 {
		s.Stall = time.Minute
	}
	if s.pause == nil {
		s.pause = func(n int) time.Duration { return min(500*time.Millisecond<<n, 10*time.Second) }
	}
	return s, nil
}

func defaultCache() (string, error) {
	if dir := os.Getenv("HF_HUB_CACHE"); dir != "" {
		return dir, nil
	}
	if dir := os.Getenv("HF_HOME"); dir != "" {
		return filepath.Join(dir, "hub"), nil
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "huggingface", "hub"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the hub's cache: set HF_HUB_CACHE: %w", err)
	}
	return filepath.Join(home, ".cache", "huggingface", "hub"), nil
}

// Reference is a parsed reference: hf:owner/name[@revision][/file].
type Reference struct {
	Owner, Name string
	Revision    string // a branch, a tag or a commit; "main" when not given
	File        string // a file of the repository, empty for the model as a whole
}

var (
	nameRule     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,95}$`)
	revisionRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$`)
	commitRule   = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// IsReference reports whether s means the hub and not a path.
func IsReference(s string) bool { return strings.HasPrefix(s, Prefix) }

// Parse reads a reference.
func Parse(s string) (Reference, error) {
	bad := func() (Reference, error) {
		return Reference{}, &bilevel.SettingError{Field: "model reference", Value: s, Allowed: "hf:owner/name[@revision][/file]"}
	}
	rest, ok := strings.CutPrefix(s, Prefix)
	owner, rest, found := strings.Cut(rest, "/")
	if !ok || !found {
		return bad()
	}
	name, file, hasFile := strings.Cut(rest, "/")
	name, revision, hasRevision := strings.Cut(name, "@")
	if !hasRevision {
		revision = "main"
	}
	if !nameRule.MatchString(owner) || !nameRule.MatchString(name) || strings.Contains(owner+name, "--") || strings.Contains(name, "..") ||
		!revisionRule.MatchString(revision) || strings.Contains(revision, "..") || hasFile && !localName(file) {
		return bad()
	}
	return Reference{owner, name, revision, file}, nil
}

// String is the reference as Parse reads it.
func (r Reference) String() string {
	s := Prefix + r.Owner + "/" + r.Name
	if r.Revision != "main" {
		s += "@" + r.Revision
	}
	if r.File != "" {
		s += "/" + r.File
	}
	return s
}

// localName reports whether a repository's file name stays inside its folder.
func localName(name string) bool {
	return name != "" && filepath.IsLocal(filepath.FromSlash(name)) && !strings.ContainsAny(name, "\\\x00") &&
		!slices.ContainsFunc(strings.Split(name, "/"), func(part string) bool { return part == "" || part == "." || part == ".." })
}

// Fetch makes what a reference means available and returns its local path: the
// folder of the model, or the file when the reference names one. A whole model is
// its configuration, tokenizer and weights (one safetensors file before shards
// before a single GGUF file), or an adapter.
func Fetch(ctx context.Context, reference string, settings Settings) (string, error) {
	ref, err := Parse(reference)
	if err != nil {
		return "", err
	}
	s, err := settings.withDefaults()
	if err != nil {
		return "", err
	}
	c := &client{Settings: s, ref: ref, repo: filepath.Join(s.Cache, "models--"+ref.Owner+"--"+ref.Name)}
	if s.Offline || commitRule.MatchString(ref.Revision) {
		path, missing := c.cached()
		if missing == nil {
			return path, nil
		}
		if s.Offline {
			return "", fmt.Errorf("%s: %w (offline: the hub was not asked)", ref, missing)
		}
	}
	list, err := c.list(ctx)
	if err != nil {
		var network *networkError
		if errors.As(err, &network) && ctx.Err() == nil {
			if path, missing := c.cached(); missing == nil {
				if s.Log != nil {
					s.Log.Warn("the hub cannot be reached; using the cache", "reference", ref.String(), "error", err)
				}
				return path, nil
			}
		}
		return "", err
	}
	files, err := list.choose(ref)
	if err != nil {
		return "", err
	}
	for _, f := range files {
		if err := c.ensure(ctx, list.Commit, f); err != nil {
			return "", err
		}
	}
	if err := c.writeRef(list.Commit); err != nil {
		return "", err
	}
	return c.path(list.Commit), nil
}
