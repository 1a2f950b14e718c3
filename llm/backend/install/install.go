// Package install brings PJRT plugins for package backend: out of Python packages,
// through the user's own pip, with versions and checksums that are fixed here.
package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/bilevel-go/bilevel/internal/option"
	"github.com/bilevel-go/bilevel/internal/wheel"
	"github.com/bilevel-go/bilevel/internal/wholefile"
	"github.com/bilevel-go/bilevel/llm/backend"
)

// The kinds of failure, for errors.Is.
var (
	ErrUnsupported = wheel.ErrUnsupported
	ErrPython      = wheel.ErrPython
	ErrPip         = wheel.ErrPip
	ErrDownload    = wheel.ErrDownload
	ErrChecksum    = wheel.ErrChecksum
)

// Plugin is a plugin that can be installed.
type Plugin struct {
	Name     string // as in `bilevel backend install NAME`
	Platform string // "cpu" or "cuda"
	Doc      string // one line
	wheel.File
}

// plugins are what can be installed. The hashes are of the wheels that the packages'
// authors published under these versions; both plugins are Apache-2.0.
var plugins = []Plugin{
	{
		Name: "cpu", Platform: "cpu", Doc: "XLA on the processor",
		File: wheel.File{
			Package: "lammps-jax-pjrt-cpu", Version: "0.11.2",
			Wheel: "1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1", WheelBytes: 62711338,
			Member: "lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so",
			SHA256: "ad1309ac822b1b24d51b7f9947c7c9fa9ef5d67f390584cbc3d1fa2428fed9c2", Bytes: 201600336,
			Systems: []string{"linux/amd64"}, Needs: "glibc 2.27 or later",
		},
	},
	{
		Name: "cuda12", Platform: "cuda", Doc: "XLA on NVIDIA GPUs, with CUDA 12's libraries",
		File: wheel.File{
			Package: "jax-cuda12-pjrt", Version: "0.12.0.1",
			Wheel: "5ec28e06198d094031c37590b4ea753ae8cde4879ab4b60baf40f0dffb673286", WheelBytes: 191846358,
			Member: "jax_plugins/xla_cuda12/xla_cuda_plugin.so",
			SHA256: "921aaa9c635255fb7b7a660d11c8f702c78a70e7f7d005d4f377c2dc5f0fede2", Bytes: 486596368,
			Systems: []string{"linux/amd64"}, Needs: "glibc 2.27 or later",
		},
	},
}

// Plugins lists what can be installed.
func Plugins() []Plugin { return append([]Plugin(nil), plugins...) }

// Lookup finds a plugin by name; the error for another name matches
// bilevel.ErrInvalid.
func Lookup(name string) (Plugin, error) {
	var names []string
	for _, p := range plugins {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Plugin{}, option.Unknown("plugin", name, names)
}

// Options of Install.
type Options struct {
	// Wheel is the path of a wheel that is already there; pip is not asked then.
	Wheel string
	// Log, when not nil, is told what is being done, one sentence at a time.
	Log func(string)
}

// Install makes a plugin available to backend.Open: the file in a folder of its own
// in backend.Dir, beside it what it is. It is there as a whole or not at all, and a
// whole one stays. For CUDA the folder of NVIDIA's libraries is linked to where the
// plugin looks for them, if the user's Python has them (see Libraries).
//
// Errors match one of this package's kinds, or are the file system's.
func (p Plugin) Install(ctx context.Context, o Options) (backend.Candidate, error) {
	root, err := backend.Dir()
	if err != nil {
		return backend.Candidate{}, err
	}
	if err := p.Supported(); err != nil {
		return backend.Candidate{}, err
	}
	dir := filepath.Join(root, p.Name+"-"+p.Version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return backend.Candidate{}, fmt.Errorf("installing %s: %w", p, err)
	}
	file := filepath.Join(dir, path.Base(p.Member))
	if err := p.Fetch(ctx, file, wheel.Options{Wheel: o.Wheel, Log: o.Log}); err != nil {
		os.Remove(dir) // succeeds when nothing is in it
		return backend.Candidate{}, fmt.Errorf("installing %s: %w", p.Name, err)
	}
	manifest := backend.Installed{File: filepath.Base(file), Platform: p.Platform, Package: p.Package, Version: p.Version, SHA256: p.SHA256, Bytes: p.Bytes}
	err = wholefile.Write(filepath.Join(dir, backend.Manifest), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(manifest)
	})
	if err != nil {
		return backend.Candidate{}, fmt.Errorf("installing %s: %w", p.Name, err)
	}
	if p.Platform == "cuda" {
		if err := linkLibraries(ctx, root); err != nil {
			return backend.Candidate{}, fmt.Errorf("installing %s: %w", p.Name, err)
		}
	}
	return backend.Candidate{Path: file, Platform: p.Platform, Package: p.Package, Version: p.Version, From: "`bilevel backend install`"}, nil
}

// Remove deletes what Install put there; nothing there is no error.
func (p Plugin) Remove() error {
	root, err := backend.Dir()
	if err != nil {
		return err
	}
	dir := filepath.Join(root, p.Name+"-"+p.Version)
	for _, name := range []string{backend.Manifest, path.Base(p.Member)} { // the manifest first: without it the rest is not found
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
