package backend

import (
	"context"
	"encoding/json"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/bilevel-go/bilevel/internal/userdir"
)

// Variable is the environment variable with the path of a PJRT plugin.
const Variable = "BILEVEL_XLA_PLUGIN"

// Candidate is a PJRT plugin that was found, not yet loaded.
type Candidate struct {
	Path     string `json:"path"`
	Platform string `json:"platform"`          // "cpu" or "cuda", by the file's name
	Package  string `json:"package,omitempty"` // the package it came in, where known
	Version  string `json:"version,omitempty"`
	From     string `json:"from"` // where it was found, in words
}

// Find lists the PJRT plugins of this machine in the order in which Open tries them:
//
//  1. the file that the environment variable BILEVEL_XLA_PLUGIN names;
//  2. what `bilevel backend install` put into the folder of Dir;
//  3. go-xla's own folders (lib/go-xla below ~/.local and /usr/local);
//  4. the Python packages that bring a plugin, in the environment of the python3
//     on the user's path.
//
// Within each, plugins for NVIDIA GPUs come before those for the CPU; Open skips
// them where the system shows no such GPU. A plugin found twice is listed once.
func Find(ctx context.Context) []Candidate {
	var all []Candidate
	for stage := range stages(ctx) {
		all = append(all, stage...)
	}
	return all
}

// Dir is the folder into which plugins are installed, one folder for each.
func Dir() (string, error) { return userdir.Path("backends") }

// stages yields the candidates source by source, so that the slow ones are asked
// only when the others have nothing.
func stages(ctx context.Context) iter.Seq[[]Candidate] {
	return func(yield func([]Candidate) bool) {
		seen := map[string]bool{}
		for _, source := range []func(context.Context) []Candidate{fromVariable, installed, fromGoXLA, fromPython} {
			fresh := slices.DeleteFunc(source(ctx), func(c Candidate) bool {
				key := c.Path
				if real, err := filepath.EvalSymlinks(c.Path); err == nil {
					key = real
				}
				again := seen[key]
				seen[key] = true
				return again
			})
			slices.SortStableFunc(fresh, func(a, b Candidate) int { return rank(a) - rank(b) })
			if !yield(fresh) {
				return
			}
		}
	}
}

func rank(c Candidate) int {
	if c.Platform == "cuda" {
		return 0
	}
	return 1
}

// platformOf reads a plugin's platform from its path: the file's name, then the
// folder's, as jax's CUDA plugin has the platform in both.
func platformOf(path string) string {
	for _, name := range []string{filepath.Base(path), filepath.Base(filepath.Dir(path))} {
		name = strings.ToLower(name)
		if strings.Contains(name, "cuda") || strings.Contains(name, "nvidia") {
			return "cuda"
		}
		if strings.Contains(name, "cpu") {
			return "cpu"
		}
	}
	return "cpu"
}

// hasNVIDIA reports whether the system shows an NVIDIA GPU.
func hasNVIDIA() bool {
	if runtime.GOOS != "linux" {
		return true // nothing to look at: loading the plugin tells
	}
	for _, pattern := range []string{"/dev/nvidia[0-9]*", "/dev/dxg"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return true
		}
	}
	return false
}

func fromVariable(context.Context) []Candidate {
	path := os.Getenv(Variable)
	if path == "" {
		return nil
	}
	return []Candidate{{Path: path, Platform: platformOf(path), From: "the environment variable " + Variable}}
}

// Manifest is the name of the file that says what an installed plugin is.
const Manifest = "plugin.json"

// Installed is the content of a Manifest.
type Installed struct {
	File     string `json:"file"` // the plugin, in the manifest's folder
	Platform string `json:"platform"`
	Package  string `json:"package"`
	Version  string `json:"version"`
	SHA256   string `json:"sha256"` // of the file
	Bytes    int64  `json:"bytes"`
}

// installed reads the manifests in the folder of Dir.
func installed(context.Context) []Candidate {
	dir, err := Dir()
	if err != nil {
		return nil
	}
	found, _ := filepath.Glob(filepath.Join(escape(dir), "*", Manifest))
	var all []Candidate
	for _, path := range found {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		var m Installed
		if json.Unmarshal(data, &m) != nil || !filepath.IsLocal(m.File) {
			continue
		}
		all = append(all, Candidate{Path: filepath.Join(filepath.Dir(path), m.File), Platform: m.Platform, Package: m.Package, Version: m.Version, From: "`bilevel backend install`"})
	}
	return all
}

// escape makes a folder's name literal in a glob pattern.
func escape(dir string) string {
	if runtime.GOOS == "windows" { // no escapes there
		return dir
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

func fromGoXLA(context.Context) []Candidate {
	dirs := []string{"/usr/local/lib/go-xla"}
	if home, err := os.UserHomeDir(); err == nil {
		own := map[string]string{"darwin": "Library/Application Support/go-xla", "windows": "AppData/Local/go-xla"}[runtime.GOOS]
		if own == "" {
			own = ".local/lib/go-xla"
		}
		dirs = slices.Insert(dirs, 0, filepath.Join(home, filepath.FromSlash(own)))
	}
	var all []Candidate
	for _, dir := range dirs {
		for _, pattern := range []string{"pjrt_c_api_*_plugin.*", "nvidia/pjrt_c_api_*_plugin.*"} {
			found, _ := filepath.Glob(filepath.Join(escape(dir), filepath.FromSlash(pattern)))
			for _, path := range found {
				all = append(all, Candidate{Path: path, Platform: platformOf(path), From: "go-xla's folder"})
			}
		}
	}
	return all
}

// PythonPackages are the Python packages with a PJRT plugin inside that are looked for.
var PythonPackages = []string{"jax-cuda13-pjrt", "jax-cuda12-pjrt", "lammps-jax-pjrt-cpu", "xla-cpu-pjrt"}

// pythonScript prints one JSON object for each plugin of the packages it is given.
const pythonScript = `
import importlib.metadata as m, json, sys
for name in sys.argv[1:]:
    try:
        d = m.distribution(name)
        for f in d.files or []:
            if f.name.startswith(("pjrt_c_api_", "xla_cuda_plugin", "xla_cpu_pjrt")) and f.suffix in (".so", ".dylib", ".dll"):
                print(json.dumps({"path": str(d.locate_file(f)), "package": name, "version": d.version}))
    except m.PackageNotFoundError:
        pass
`

// pythonLimit is how long the user's Python may take to answer.
const pythonLimit = 20 * time.Second

func fromPython(ctx context.Context) []Candidate {
	python, err := exec.LookPath("python3")
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pythonLimit)
	defer cancel()
	c := exec.CommandContext(ctx, python, append([]string{"-c", pythonScript}, PythonPackages...)...)
	c.WaitDelay = time.Second
	out, err := c.Output()
	if err != nil {
		return nil
	}
	var all []Candidate
	for line := range strings.Lines(string(out)) {
		var p Candidate
		if json.Unmarshal([]byte(line), &p) != nil || p.Path == "" {
			continue
		}
		p.Platform, p.From = platformOf(p.Path), "the Python package "+p.Package
		all = append(all, p)
	}
	return all
}
