package backend_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/userdir"
	"github.com/bilevel-go/bilevel/llm/backend"
	"github.com/bilevel-go/bilevel/llm/backend/backendtest"
)

// Products that do not depend on each other must not wait for each other's workers.
func TestIndependentProductsEnd(t *testing.T) {
	b := backendtest.Open(t, backend.Go)
	g := graph.NewGraph(b, "products")
	defer g.Finalize()
	x := graph.Parameter(g, "x", shapes.Make(dtypes.Float32, 8, 192, 192))
	var products []*graph.Node
	for i := range 8 {
		a := graph.Reshape(graph.Slice(x, graph.AxisElem(i)), 192, 192)
		products = append(products, graph.DotGeneral(a, []int{1}, nil, a, []int{0}, nil))
	}
	if err := g.Compile(products...); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		in := tensors.FromShape(x.Shape())
		for range 20 {
			g.Run(in)
		}
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("20 runs of 8 products are not over after a minute")
	}
}

// withXLA says whether this build has XLA.
var withXLA = slices.Contains(backend.Available(), backend.XLA)

func TestCheck(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, b compute.Backend) {
		r, err := backend.Check(b)
		if err != nil || r.Compile <= 0 || r.Run <= 0 {
			t.Fatalf("%+v, %v", r, err)
		}
	})
}

// A backend that computes wrongly does not pass.
func TestCheckRefuses(t *testing.T) {
	b := backendtest.Open(t, backend.Go)
	if _, err := backend.Check(wrong{b}); err == nil || !strings.Contains(err.Error(), "right is") {
		t.Errorf("a backend that loses a number passed: %v", err)
	}
	b.Finalize()
	if _, err := backend.Check(b); err == nil {
		t.Error("a finalized backend passed")
	}
}

// wrong is a backend that loses the first number of what is sent to it.
type wrong struct{ compute.Backend }

func (wrong) HasSharedBuffers() bool { return false }

func (w wrong) BufferFromFlatData(device compute.DeviceNum, flat any, shape shapes.Shape) (compute.Buffer, error) {
	if f, ok := flat.([]float32); ok {
		f = slices.Clone(f)
		f[0] = 0
		flat = f
	}
	return w.Backend.BufferFromFlatData(device, flat, shape)
}

func TestOpen(t *testing.T) {
	alone(t)
	for _, spec := range []string{"", "go"} {
		b, info, err := backend.Open(t.Context(), spec)
		if err != nil || info.Name != backend.Go || info.Platform != "cpu" || len(info.Devices) != 1 || info.Note != "" || info.String() != "go" {
			t.Fatalf("%q: %+v, %v", spec, info, err)
		}
		b.Finalize()
	}
	for _, spec := range []string{"Go", "go:2", "tpu", "auto:x", "xla:", " xla"} {
		if _, _, err := backend.Open(t.Context(), spec); !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%q: %v; want a refusal", spec, err)
		}
	}
	b, info, err := backend.Open(t.Context(), "auto")
	if err != nil || info.Name != backend.Go || !strings.Contains(info.Note, "pure Go") || !strings.Contains(info.Note, "twentieth") {
		t.Fatalf("auto without a plugin: %+v, %v", info, err)
	}
	b.Finalize()
}

// Results have the same bits for any number of processors.
func TestProcessors(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, e compute.Backend) {
		const products, n = 16, 256
		rng := rand.New(rand.NewPCG(1, 2))
		x := normal(rng, 1, n, n)
		exec := must(graph.NewExec(e, func(x *graph.Node) []*graph.Node {
			out := make([]*graph.Node, products)
			for i := range out {
				y := graph.MatMul(x, graph.AddScalar(x, float64(i)))
				out[i] = graph.Gradient(graph.ReduceAllMean(graph.Tanh(y)), x)[0]
			}
			return out
		}))
		defer exec.Finalize()
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
		var want [][]float32
		for _, procs := range []int{1, 2, 5} {
			runtime.GOMAXPROCS(procs)
			for i, y := range must(exec.Call(x)) {
				got := tensors.MustCopyFlatData[float32](y)
				y.MustFinalizeAll()
				if want = append(want, got); !slices.Equal(got, want[i]) {
					t.Errorf("gradient %d differs between 1 and %d processors", i, procs)
				}
			}
		}
	})
}

func TestNoPlugin(t *testing.T) {
	alone(t)
	want := backend.ErrNoPlugin
	if !withXLA {
		want = backend.ErrLeftOut
	}
	for _, spec := range []string{"xla", "xla:cpu", "xla:cuda"} {
		if _, _, err := backend.Open(t.Context(), spec); !errors.Is(err, want) {
			t.Errorf("%s: %v; want %v", spec, err, want)
		}
	}
}

// A file that is no plugin gives an error that names it, and auto goes on to the
// Go backend.
func TestBadPlugin(t *testing.T) {
	if !withXLA {
		t.Skip("this build has no XLA")
	}
	alone(t)
	dir := t.TempDir()
	bad := filepath.Join(dir, "pjrt_c_api_cpu_plugin.so")
	if err := os.WriteFile(bad, []byte("\x7fELF and no more"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{bad, dir, filepath.Join(dir, "absent.so"), filepath.Join(dir, "a,b.so")} {
		if _, _, err := backend.Open(t.Context(), "xla:"+path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	t.Setenv(backend.Variable, bad)
	if _, _, err := backend.Open(t.Context(), "xla"); !errors.Is(err, backend.ErrNoPlugin) || !strings.Contains(err.Error(), bad) {
		t.Errorf("xla: %v", err)
	}
	b, info, err := backend.Open(t.Context(), "auto")
	if err != nil || info.Name != backend.Go || !strings.Contains(info.Note, bad) {
		t.Fatalf("auto: %+v, %v", info, err)
	}
	b.Finalize()
}

func TestFind(t *testing.T) {
	home := alone(t)
	at := func(path string) string {
		path = filepath.Join(home, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	own := at("own [cpu]/plugin.so")
	t.Setenv(backend.Variable, own)
	t.Setenv(userdir.Variable, filepath.Join(home, "data"))
	put := func(name, platform string) string {
		path := at("data/backends/" + name + "/p.so")
		manifest, err := json.Marshal(backend.Installed{File: "p.so", Platform: platform, Package: "the-package", Version: "1.2"})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), backend.Manifest), manifest, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cpu, cuda := put("cpu-1.2", "cpu"), put("cuda12-1.2", "cuda")
	hostile := at("data/backends/hostile/" + backend.Manifest)
	if err := os.WriteFile(hostile, []byte(`{"file":"../../x.so"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	goxla := at(".local/lib/go-xla/pjrt_c_api_cpu_v0.83.4_plugin.so")
	site := at("site/jax_plugins/xla_cuda12/xla_cuda_plugin.so")
	// The user's Python lists a plugin of its own, one seen before, and noise.
	script := "#!/bin/sh\ncat <<'E'\nnoise\n" + `{"path": "` + site + `", "package": "jax-cuda12-pjrt", "version": "0.9"}` + "\n" + `{"path": "` + cpu + `", "package": "again", "version": "0"}` + "\nE\n"
	if err := os.WriteFile(filepath.Join(home, "bin", "python3"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range backend.Find(t.Context()) {
		got = append(got, c.Path+" "+c.Platform+" "+c.Version)
	}
	want := []string{own + " cpu ", cuda + " cuda 1.2", cpu + " cpu 1.2", goxla + " cpu ", site + " cuda 0.9"}
	if !slices.Equal(got, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// alone hides every plugin of the machine and returns an empty home folder, whose
// bin is the whole path.
func alone(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/bin/cat", filepath.Join(home, "bin", "cat")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	t.Setenv("PATH", filepath.Join(home, "bin"))
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv(userdir.Variable, "")
	t.Setenv(backend.Variable, "")
	return home
}
