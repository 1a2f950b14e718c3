package install

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bilevel-go/bilevel/internal/wheel"
	"github.com/bilevel-go/bilevel/llm/backend"
)

// The CUDA plugin looks for NVIDIA's libraries in the folder nvidia beside its own
// folder (its RPATH is $ORIGIN/../nvidia/LIBRARY/lib), as the Python packages of
// NVIDIA lay them out in site-packages. A link there brings both together.

// libraries are the folders in nvidia that the plugin needs, with the Python
// packages that bring them.
var libraries = []struct{ folder, pkg string }{
	{"cublas", "nvidia-cublas-cu12"}, {"cuda_cupti", "nvidia-cuda-cupti-cu12"}, {"cuda_nvcc", "nvidia-cuda-nvcc-cu12"},
	{"cuda_nvrtc", "nvidia-cuda-nvrtc-cu12"}, {"cuda_runtime", "nvidia-cuda-runtime-cu12"}, {"cudnn", "nvidia-cudnn-cu12"},
	{"cufft", "nvidia-cufft-cu12"}, {"cusolver", "nvidia-cusolver-cu12"}, {"cusparse", "nvidia-cusparse-cu12"},
	{"nccl", "nvidia-nccl-cu12"}, {"nvjitlink", "nvidia-nvjitlink-cu12"}, {"nvshmem", "nvidia-nvshmem-cu12"},
}

// Libraries says where the CUDA plugin finds NVIDIA's libraries and which Python
// packages are missing there. Beside them the machine needs NVIDIA's driver.
func Libraries() (folder string, missing []string, err error) {
	root, err := backend.Dir()
	if err != nil {
		return "", nil, err
	}
	folder = filepath.Join(root, "nvidia")
	return folder, missingIn(folder), nil
}

func missingIn(folder string) []string {
	var missing []string
	for _, l := range libraries {
		if _, err := os.Stat(filepath.Join(folder, l.folder)); err != nil {
			missing = append(missing, l.pkg)
		}
	}
	return missing
}

// linkLibraries links root/nvidia to the user's Python's, where that has more of the
// libraries than what is there. A folder that the user put there stays.
func linkLibraries(ctx context.Context, root string) error {
	link := filepath.Join(root, "nvidia")
	info, err := os.Lstat(link)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink == 0:
		return nil
	}
	best, lacks := "", len(missingIn(link))
	for _, folder := range pythonLibraries(ctx) {
		if n := len(missingIn(folder)); n < lacks {
			best, lacks = folder, n
		}
	}
	if best == "" {
		return nil
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(best, link)
}

// pythonLibraries lists the folders named nvidia of the user's Python.
func pythonLibraries(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, wheel.Python, "-c", "import importlib.util as u\ns = u.find_spec('nvidia')\nprint('\\n'.join(s.submodule_search_locations or []) if s else '')")
	c.WaitDelay = time.Second
	out, err := c.Output()
	if err != nil {
		return nil
	}
	var folders []string
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); filepath.IsAbs(line) {
			folders = append(folders, line)
		}
	}
	return folders
}
