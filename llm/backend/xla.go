//go:build cgo && (linux || darwin || windows)

package backend

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/go-xla/compute/xla"
	"k8s.io/klog/v2"

	"github.com/bilevel-go/bilevel"
)

// linked says whether XLA is in this build.
const linked = true

// loading guards the process-wide logger while a plugin is loaded.
var loading sync.Mutex

// openPlugin loads a plugin and opens its client.
func openPlugin(c Candidate) (b compute.Backend, info Info, err error) {
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, Info{}, fmt.Errorf("%s: %w", c.Path, err)
	}
	if strings.Contains(path, ",") { // go-xla reads options after a comma
		return nil, Info{}, &bilevel.SettingError{Field: "path of the PJRT plugin", Value: path, Allowed: "a path without a comma"}
	}
	if f, err := os.Stat(path); err != nil {
		return nil, Info{}, fmt.Errorf("PJRT plugin from %s: %w", c.From, err)
	} else if !f.Mode().IsRegular() {
		return nil, Info{}, fmt.Errorf("PJRT plugin from %s: %s is no file", c.From, path)
	}
	loading.Lock()
	defer loading.Unlock()
	// The library logs failures as well as returning them; the caller prints them once.
	defer klog.CaptureState().Restore()
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	defer func() {
		if p := recover(); p != nil {
			b, info, err = nil, Info{}, fmt.Errorf("PJRT plugin %s: %v", path, p)
		}
	}()
	if c.Platform == "cuda" {
		setCUDAData(path)
	}
	// Shared memory is for the host's own processor; go-xla would guess from the whole path.
	x, err := xla.New(fmt.Sprintf("%s,shared_buffers=%t", path, c.Platform == "cpu"))
	if err != nil {
		return nil, Info{}, fmt.Errorf("PJRT plugin %s does not load: %w", path, err)
	}
	return x, Info{Name: XLA, Platform: c.Platform, Plugin: path, Package: c.Package, Version: c.Version, Devices: devices(x)}, nil
}

// setCUDAData tells XLA where CUDA's compiler is, in the folder nvidia that the
// plugin takes its libraries from; XLA reads the environment when the plugin starts.
// A user's own setting stays.
func setCUDAData(plugin string) {
	const variable, flag = "XLA_FLAGS", "--xla_gpu_cuda_data_dir="
	flags := os.Getenv(variable)
	if strings.Contains(flags, flag) {
		return
	}
	for _, up := range []string{"..", "../.."} {
		for _, name := range []string{"cuda_nvcc", "cu13"} {
			dir := filepath.Join(filepath.Dir(plugin), filepath.FromSlash(up), "nvidia", name)
			if info, err := os.Stat(dir); err == nil && info.IsDir() {
				os.Setenv(variable, strings.TrimSpace(flags+" "+flag+dir))
				return
			}
		}
	}
}
