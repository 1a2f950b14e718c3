package hub

// The cache has the layout of Hugging Face's own tools. For a repository:
//
//	models--owner--name/blobs/HASH               the contents
//	models--owner--name/snapshots/COMMIT/FILE    links to the contents
//	models--owner--name/refs/REVISION            the commit of a branch or tag
//	.locks/models--owner--name/HASH.lock         held while HASH is downloaded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/bilevel-go/bilevel/internal/wholefile"
)

// path is where the reference's folder or file is for a commit.
func (c *client) path(commit string) string {
	return filepath.Join(c.repo, "snapshots", commit, filepath.FromSlash(c.ref.File))
}

// cached finds the reference in the cache; the error says what is missing.
func (c *client) cached() (string, error) {
	commit := c.ref.Revision
	if !commitRule.MatchString(commit) {
		data, err := os.ReadFile(filepath.Join(c.repo, "refs", c.ref.Revision))
		if err != nil {
			return "", fmt.Errorf("not in the cache %s", c.Cache)
		}
		if commit = strings.TrimSpace(string(data)); !commitRule.MatchString(commit) {
			return "", fmt.Errorf("the cache's entry %s holds %.60q, not a commit", filepath.Join(c.repo, "refs", c.ref.Revision), commit)
		}
	}
	path := c.path(commit)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("not in the cache %s", c.Cache)
	}
	if c.ref.File != "" {
		return path, nil
	}
	return path, complete(path)
}

// complete reports what a cached model lacks of its weights.
func complete(dir string) error {
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	if has("model.safetensors") || has("adapter_model.safetensors") {
		return nil
	}
	if data, err := os.ReadFile(filepath.Join(dir, "model.safetensors.index.json")); err == nil {
		var index struct {
			WeightMap map[string]string `json:"weight_map"`
		}
		if err := json.Unmarshal(data, &index); err != nil {
			return fmt.Errorf("%s: model.safetensors.index.json: %w", dir, err)
		}
		for _, shard := range index.WeightMap {
			if !has(shard) {
				return fmt.Errorf("the cache has only a part of it: %s is missing in %s", shard, dir)
			}
		}
		return nil
	}
	if gguf, _ := filepath.Glob(filepath.Join(dir, "*.gguf")); len(gguf) == 1 {
		return nil
	}
	return fmt.Errorf("the cache has only a part of it: no weights in %s", dir)
}

// writeRef remembers which commit a branch or tag stands for.
func (c *client) writeRef(commit string) error {
	if c.ref.Revision == commit {
		return nil
	}
	path := filepath.Join(c.repo, "refs", c.ref.Revision)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return wholefile.Write(path, func(w io.Writer) error {
		_, err := io.WriteString(w, commit)
		return err
	})
}

// link puts a blob into the snapshot of a commit: a relative symbolic link, or a
// hard link, or a copy, whatever the file system allows first.
func (c *client) link(commit, name, blob string) error {
	path := filepath.Join(c.repo, "snapshots", commit, filepath.FromSlash(name))
	blobInfo, err := os.Stat(blob)
	if err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil && (os.SameFile(info, blobInfo) || isCopy(path, info, blobInfo)) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	target, err := filepath.Rel(filepath.Dir(path), blob)
	if err != nil {
		return err
	}
	temporary := path + ".linking"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if os.Symlink(target, temporary) == nil || os.Link(blob, temporary) == nil {
		return wholefile.Rename(temporary, path)
	}
	return wholefile.Write(path, func(w io.Writer) error {
		from, err := os.Open(blob)
		if err != nil {
			return err
		}
		defer from.Close()
		_, err = io.Copy(w, from)
		return err
	})
}

// isCopy recognises the third kind of link: wholefile.Write left a full copy.
func isCopy(path string, info, blob os.FileInfo) bool {
	own, err := os.Lstat(path)
	return err == nil && own.Mode().IsRegular() && info.Size() == blob.Size() && !info.ModTime().Before(blob.ModTime())
}
