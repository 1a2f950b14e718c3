package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// fakeHub serves one repository on the loopback interface and can misbehave.
type fakeHub struct {
	*httptest.Server
	files map[string][]byte
	lfs   map[string]bool

	mu       sync.Mutex
	requests []string // "path range"
	// breakAfter cuts each of the first breaks transfers of a large file after so many bytes.
	breakAfter, breaks int
	stallFor           time.Duration // pause in the middle of a transfer
	ignoreRange        bool
	wrongRange         bool
	status             int // answered instead of anything else
	statusTimes        int
	listing            func(map[string]any)
	serve              func(name string, content []byte) []byte // changes what is sent
	redirect           string
	tokens             []string
}

func newHub(t *testing.T) *fakeHub {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	large := make([]byte, 300_000)
	for i := range large {
		large[i] = byte(rng.Uint32())
	}
	h := &fakeHub{
		files: map[string][]byte{
			"config.json": []byte(`{"model_type":"llama"}`), "tokenizer.json": []byte("{}"), "model.safetensors": large,
			"README.md": []byte("not needed"), "onnx/model.onnx": []byte("not needed"),
		},
		lfs: map[string]bool{"model.safetensors": true},
	}
	h.Server = httptest.NewServer(http.HandlerFunc(h.handle))
	t.Cleanup(h.Close)
	return h
}

func gitHash(content []byte) string {
	s := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(content)), content...))
	return hex.EncodeToString(s[:])
}

func (h *fakeHub) list() []byte {
	var files []map[string]any
	for name, content := range h.files {
		f := map[string]any{"rfilename": name, "size": len(content), "blobId": gitHash(content)}
		if h.lfs[name] {
			s := sha256.Sum256(content)
			f["blobId"] = gitHash([]byte("pointer"))
			f["lfs"] = map[string]any{"sha256": hex.EncodeToString(s[:]), "size": len(content), "pointerSize": 134}
		}
		files = append(files, f)
	}
	answer := map[string]any{"id": "someone/model", "sha": commit, "siblings": files}
	if h.listing != nil {
		h.listing(answer)
	}
	b, _ := json.Marshal(answer)
	return b
}

func (h *fakeHub) handle(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
	h.tokens = append(h.tokens, r.Header.Get("Authorization"))
	if h.statusTimes > 0 {
		h.statusTimes--
		w.WriteHeader(h.status)
		return
	}
	if r.URL.Path == "/api/models/someone/model/revision/main" || r.URL.Path == "/api/models/someone/model/revision/"+commit {
		w.Write(h.list())
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/someone/model/resolve/"+commit+"/")
	content, there := h.files[name]
	if !ok || !there {
		http.NotFound(w, r)
		return
	}
	if h.redirect != "" {
		http.Redirect(w, r, h.redirect+r.URL.Path, http.StatusFound)
		return
	}
	if h.serve != nil {
		content = h.serve(name, content)
	}
	first := 0
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &first); err == nil && !h.ignoreRange {
		if first >= len(content) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		from := first
		if h.wrongRange {
			from--
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
		w.Header().Set("Content-Length", fmt.Sprint(len(content)-from))
		w.WriteHeader(http.StatusPartialContent)
		content = content[from:]
	} else {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	}
	if h.lfs[name] && h.breaks > 0 && len(content) > h.breakAfter {
		h.breaks--
		w.Write(content[:h.breakAfter])
		w.(http.Flusher).Flush()
		if h.stallFor > 0 {
			select {
			case <-r.Context().Done():
			case <-time.After(h.stallFor):
			}
		}
		panic(http.ErrAbortHandler) // the connection drops
	}
	w.Write(content)
}

func (h *fakeHub) count(part string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, r := range h.requests {
		if strings.Contains(r, part) {
			n++
		}
	}
	return n
}

func (h *fakeHub) settings(t *testing.T) Settings {
	t.Setenv("HF_TOKEN", "")
	t.Setenv("HF_HUB_OFFLINE", "")
	return Settings{Endpoint: h.URL, Cache: filepath.Join(t.TempDir(), "cache"), pause: func(int) time.Duration { return 0 }}
}

func fetch(t *testing.T, reference string, s Settings) string {
	t.Helper()
	path, err := Fetch(context.Background(), reference, s)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (h *fakeHub) check(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != string(h.files[name]) {
			t.Errorf("%s: %d bytes, %v; want the hub's %d", name, len(b), err, len(h.files[name]))
		}
	}
}

func mustFail(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one that says %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestFetch(t *testing.T) {
	h := newHub(t)
	s := h.settings(t)
	s.Token = "secret"
	var last [2]int64
	s.Progress = func(file string, done, total int64) {
		if file == "model.safetensors" {
			last = [2]int64{done, total}
		}
	}
	dir := fetch(t, "hf:someone/model", s)
	h.check(t, dir, "config.json", "tokenizer.json", "model.safetensors")
	if want := filepath.Join(s.Cache, "models--someone--model", "snapshots", commit); dir != want {
		t.Errorf("folder %s, want %s", dir, want)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 3 {
		t.Errorf("%d files in the folder, want 3", len(entries))
	}
	if b, err := os.ReadFile(filepath.Join(s.Cache, "models--someone--model", "refs", "main")); err != nil || string(b) != commit {
		t.Errorf("refs/main holds %q, %v", b, err)
	}
	if last != [2]int64{300_000, 300_000} {
		t.Errorf("progress ended at %v", last)
	}
	for i, token := range h.tokens {
		if token != "Bearer secret" {
			t.Errorf("request %d carried %q", i, token)
		}
	}
	// A second call asks for the list alone; one for a commit asks for nothing.
	fetch(t, "hf:someone/model", s)
	if h.count("resolve") != 3 || h.count("/api/") != 2 {
		t.Errorf("requests %q", h.requests)
	}
	before := len(h.requests)
	if got := fetch(t, "hf:someone/model@"+commit, s); got != dir || len(h.requests) != before {
		t.Errorf("folder %s, %d more requests", got, len(h.requests)-before)
	}
}

func TestInterruptedTransferContinues(t *testing.T) {
	for name, misbehave := range map[string]func(*fakeHub){
		"within a call":     func(h *fakeHub) { h.breaks, h.breakAfter = 4, 60_000 },
		"range ignored":     func(h *fakeHub) { h.breaks, h.breakAfter, h.ignoreRange = 4, 60_000, true },
		"slow then dropped": func(h *fakeHub) { h.breaks, h.breakAfter, h.stallFor = 1, 60_000, time.Minute },
		"busy at first":     func(h *fakeHub) { h.status, h.statusTimes = http.StatusServiceUnavailable, 3 },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t)
			misbehave(h)
			s := h.settings(t)
			if h.stallFor > 0 {
				s.Stall = 50 * time.Millisecond
			}
			h.check(t, fetch(t, "hf:someone/model", s), "model.safetensors")
			if name == "within a call" && (h.count("bytes=60000-") != 1 || h.count("bytes=240000-") != 1) {
				t.Errorf("requests %q", h.requests)
			}
		})
	}
}

func TestTransferContinuesInALaterCall(t *testing.T) {
	h := newHub(t)
	s := h.settings(t)
	s.Retries = 1
	h.breaks, h.breakAfter = 1, 100_000
	ctx, cancel := context.WithCancel(context.Background())
	s.Progress = func(file string, done, total int64) {
		if file == "model.safetensors" && done == 100_000 {
			cancel()
		}
	}
	_, err := Fetch(ctx, "hf:someone/model", s)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	mustFail(t, err, "100000 of 300000 bytes are kept", "model.safetensors")
	if links, _ := filepath.Glob(filepath.Join(s.Cache, "*", "snapshots", "*", "model.safetensors")); len(links) != 0 {
		t.Fatal("a part got the name of the whole")
	}
	s.Progress = nil
	h.check(t, fetch(t, "hf:someone/model", s), "model.safetensors")
	if h.count("model.safetensors bytes=100000-") != 1 {
		t.Errorf("requests %q", h.requests)
	}
	if parts, _ := filepath.Glob(filepath.Join(s.Cache, "*", "blobs", "*.incomplete")); len(parts) != 0 {
		t.Errorf("left behind: %v", parts)
	}
}

// A part of something else is found out by the checksum and replaced.
func TestSpoiledPartIsReplaced(t *testing.T) {
	for _, size := range []int{1000, 300_000, 300_001} {
		h := newHub(t)
		s := h.settings(t)
		sum := sha256.Sum256(h.files["model.safetensors"])
		blobs := filepath.Join(s.Cache, "models--someone--model", "blobs")
		if err := os.MkdirAll(blobs, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(blobs, hex.EncodeToString(sum[:])+".incomplete"), make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
		h.check(t, fetch(t, "hf:someone/model", s), "model.safetensors")
	}
}

func TestChecksumMismatchIsRefused(t *testing.T) {
	for _, name := range []string{"model.safetensors", "config.json"} { // SHA-256 and git's hash
		h := newHub(t)
		s := h.settings(t)
		h.serve = func(file string, content []byte) []byte {
			if file == name {
				content = append([]byte{}, content...)
				content[len(content)/2] ^= 1
			}
			return content
		}
		_, err := Fetch(context.Background(), "hf:someone/model", s)
		mustFail(t, err, name, "checksum", "refused")
		if found, _ := filepath.Glob(filepath.Join(s.Cache, "*", "snapshots", "*", name)); len(found) != 0 {
			t.Error("the file is in the cache")
		}
		if parts, _ := filepath.Glob(filepath.Join(s.Cache, "*", "blobs", "*.incomplete")); len(parts) != 0 {
			t.Errorf("left behind: %v", parts)
		}
		h.serve = nil
		h.check(t, fetch(t, "hf:someone/model", s), name)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		misbehave func(*fakeHub)
		reference string
		says      []string
	}{
		"no such model":    {nil, "hf:someone/other", []string{"not found", "someone/other"}},
		"no such revision": {nil, "hf:someone/model@v9", []string{"not found", "v9"}},
		"no such file":     {nil, "hf:someone/model/other.gguf", []string{"other.gguf", "config.json"}},
		"token wanted":     {func(h *fakeHub) { h.status, h.statusTimes = 401, 9 }, "", []string{"HF_TOKEN", "401"}},
		"always busy":      {func(h *fakeHub) { h.status, h.statusTimes = 503, 99 }, "", []string{"cannot be reached", "503"}},
		"another status":   {func(h *fakeHub) { h.status, h.statusTimes = 418, 9 }, "", []string{"418"}},
		"commit":           {func(h *fakeHub) { h.listing = func(m map[string]any) { m["sha"] = "../x" } }, "", []string{"../x", "40 hexadecimal"}},
		"not a list":       {func(h *fakeHub) { h.listing = func(m map[string]any) { m["siblings"] = 3 } }, "", []string{"not a list of files"}},
		"longer than said": {func(h *fakeHub) {
			h.serve = func(_ string, b []byte) []byte { return append(append([]byte{}, b...), 0) }
		}, "", []string{"more than the"}},
		"shorter than said": {func(h *fakeHub) { h.serve = func(_ string, b []byte) []byte { return b[:len(b)-1] } }, "", []string{"bytes"}},
		"wrong range":       {func(h *fakeHub) { h.breaks, h.breakAfter, h.wrongRange = 1, 1000, true }, "", []string{"Content-Range"}},
		"leaves the folder": {func(h *fakeHub) { h.files["../../etc"] = nil }, "", []string{"leaves the model's folder"}},
		"hash": {func(h *fakeHub) {
			h.listing = func(m map[string]any) {
				for _, f := range m["siblings"].([]map[string]any) {
					f["blobId"] = "../../x"
				}
			}
		}, "", []string{"hash"}},
		"no weights": {func(h *fakeHub) { delete(h.files, "model.safetensors") }, "", []string{"model.safetensors"}},
		"which GGUF?": {func(h *fakeHub) {
			delete(h.files, "model.safetensors")
			h.files["a.gguf"] = nil
			h.files["b.gguf"] = nil
		}, "", []string{"a.gguf", "b.gguf"}},
		"gone file": {func(h *fakeHub) { h.redirect = "/nowhere" }, "", []string{"not found", "config.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t)
			if c.misbehave != nil {
				c.misbehave(h)
			}
			if c.reference == "" {
				c.reference = "hf:someone/model"
			}
			_, err := Fetch(context.Background(), c.reference, h.settings(t))
			mustFail(t, err, c.says...)
		})
	}
}

func TestOfflineAndUnreachable(t *testing.T) {
	h := newHub(t)
	s := h.settings(t)
	s.Offline = true
	_, err := Fetch(context.Background(), "hf:someone/model", s)
	mustFail(t, err, "not in the cache", s.Cache, "offline")
	s.Offline = false
	dir := fetch(t, "hf:someone/model", s)
	before := len(h.requests)
	t.Setenv("HF_HUB_OFFLINE", "1")
	if got := fetch(t, "hf:someone/model", s); got != dir || len(h.requests) != before {
		t.Errorf("offline: %s, %d requests", got, len(h.requests)-before)
	}
	if got := fetch(t, "hf:someone/model/config.json", s); got != filepath.Join(dir, "config.json") {
		t.Errorf("offline file: %s", got)
	}
	t.Setenv("HF_HUB_OFFLINE", "0")
	h.Close()
	var log strings.Builder
	s.Log = slog.New(slog.NewTextHandler(&log, nil))
	if got := fetch(t, "hf:someone/model", s); got != dir || !strings.Contains(log.String(), "using the cache") {
		t.Errorf("unreachable: %s, log %q", got, log.String())
	}
	if err := os.Remove(filepath.Join(dir, "model.safetensors")); err != nil {
		t.Fatal(err)
	}
	_, err = Fetch(context.Background(), "hf:someone/model", s)
	mustFail(t, err, "cannot be reached")
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), []byte(`{"weight_map":{"a":"model-1.safetensors"}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	s.Offline = true
	_, err = Fetch(context.Background(), "hf:someone/model", s)
	mustFail(t, err, "model-1.safetensors is missing")
}

func TestWhatIsFetched(t *testing.T) {
	for name, c := range map[string]struct {
		files     string
		reference string
		want      string
	}{
		"shards":            {"config.json model.safetensors.index.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors consolidated.safetensors original/a.pth", "", "config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json"},
		"one before shards": {"config.json model.safetensors model.safetensors.index.json model-00001-of-00001.safetensors", "", "config.json model.safetensors"},
		"adapter":           {"adapter_config.json adapter_model.safetensors README.md", "", "adapter_config.json adapter_model.safetensors"},
		"only GGUF":         {"a.Q4_K.gguf README.md", "", "a.Q4_K.gguf"},
		"one of the GGUFs":  {"a.gguf b.gguf tokenizer.json", "/b.gguf", "b.gguf tokenizer.json"},
		"in a folder":       {"config.json sub/config.json sub/model.safetensors", "/sub/model.safetensors", "sub/config.json sub/model.safetensors"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t)
			h.files = map[string][]byte{}
			for _, f := range strings.Fields(c.files) {
				h.files[f] = []byte(f)
			}
			s := h.settings(t)
			path := fetch(t, "hf:someone/model"+c.reference, s)
			if b, err := os.ReadFile(path); c.reference != "" && (err != nil || string(b) != c.reference[1:]) {
				t.Errorf("%s holds %q, %v", path, b, err)
			}
			root := filepath.Join(s.Cache, "models--someone--model", "snapshots", commit)
			var got []string
			filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					rel, _ := filepath.Rel(root, p)
					got = append(got, filepath.ToSlash(rel))
				}
				return err
			})
			if strings.Join(got, " ") != c.want {
				t.Errorf("fetched %v, want %s", got, c.want)
			}
		})
	}
}

// The token is the endpoint's; where that sends the transfer to does not learn it.
func TestTokenStaysWithTheEndpoint(t *testing.T) {
	h, other := newHub(t), newHub(t)
	other.files = h.files
	h.redirect = strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	s := h.settings(t)
	s.Token = "secret"
	h.check(t, fetch(t, "hf:someone/model", s), "model.safetensors")
	for _, token := range other.tokens {
		if token != "" {
			t.Errorf("the other host was told %q", token)
		}
	}
	if len(other.tokens) != 3 {
		t.Errorf("%d requests at the other host, want 3", len(other.tokens))
	}
}

func TestConcurrentFetches(t *testing.T) {
	h := newHub(t)
	s := h.settings(t)
	var group sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		group.Go(func() { _, errs[i] = Fetch(context.Background(), "hf:someone/model", s) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if n := h.count("resolve"); n != 3 {
		t.Errorf("%d downloads, want 3", n)
	}
}

func TestParse(t *testing.T) {
	for s, want := range map[string]Reference{
		"hf:a/b":                  {"a", "b", "main", ""},
		"hf:A_1/b.c-d@v1.0":       {"A_1", "b.c-d", "v1.0", ""},
		"hf:a/b/x.gguf":           {"a", "b", "main", "x.gguf"},
		"hf:a/b@dev/sub/x.gguf":   {"a", "b", "dev", "sub/x.gguf"},
		"hf:a/b@" + commit + "/x": {"a", "b", commit, "x"},
	} {
		got, err := Parse(s)
		if err != nil || got != want || got.String() != s {
			t.Errorf("%s: %+v (%s), %v", s, got, got, err)
		}
	}
	for _, s := range []string{"", "a/b", "hf:", "hf:a", "hf:/b", "hf:a/", "hf:../b", "hf:a/..", "hf:a/b@", "hf:a/b@..", "hf:a/b@x..y", "hf:a/b/", "hf:a/b/../c", "hf:a/b//c", "hf:a/b/./c", "hf:a/b/c\\d", "hf:a--x/b", "hf:a b/c", "hf:a/b@x y", "hf:-a/b", "hf:a/b/c\x00"} {
		if got, err := Parse(s); !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%q: %+v, %v; want a refusal", s, got, err)
		}
	}
}

func TestSettings(t *testing.T) {
	for _, s := range []Settings{{Endpoint: "ftp://x"}, {Endpoint: "no address"}, {Endpoint: "http://"}, {Retries: -1}, {Stall: -1}} {
		if _, err := Fetch(context.Background(), "hf:a/b", s); !errors.Is(err, bilevel.ErrInvalid) {
			t.Errorf("%+v: %v; want a refusal", s, err)
		}
	}
	for _, key := range []string{"HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE"} {
		t.Setenv(key, "")
	}
	for _, c := range []struct{ key, value, want string }{
		{"XDG_CACHE_HOME", "/x", "/x/huggingface/hub"}, {"HF_HOME", "/h", "/h/hub"}, {"HF_HUB_CACHE", "/c", "/c"},
	} {
		t.Setenv(c.key, c.value)
		if s, err := (Settings{}).withDefaults(); err != nil || s.Cache != filepath.FromSlash(c.want) || s.Endpoint != DefaultEndpoint || s.Offline {
			t.Errorf("%s=%s: %+v, %v", c.key, c.value, s, err)
		}
	}
	t.Setenv("HF_ENDPOINT", "http://127.0.0.1:1/")
	t.Setenv("HF_TOKEN", "secret")
	if s, err := (Settings{}).withDefaults(); err != nil || s.Endpoint != "http://127.0.0.1:1" || s.Token != "secret" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := Fetch(context.Background(), "hf:a/b", Settings{Cache: t.TempDir(), pause: func(int) time.Duration { return 0 }}); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("a port where nobody listens: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"hf:a/b", "hf:a/b@v1/x.gguf", "hf:a/b/../../c", "hf:../.."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(r.String())
		if err != nil || again != r {
			t.Fatalf("%q: %+v became %+v, %v", s, r, again, err)
		}
		c := &client{ref: r, repo: filepath.Join("cache", "models--"+r.Owner+"--"+r.Name)}
		if rel, err := filepath.Rel(filepath.Join("cache"), c.path(commit)); err != nil || !filepath.IsLocal(rel) {
			t.Fatalf("%q leaves the cache: %s", s, c.path(commit))
		}
	})
}

func FuzzListing(f *testing.F) {
	f.Add([]byte(`{"sha":"` + commit + `","siblings":[{"rfilename":"config.json","size":2,"blobId":"` + commit + `"},{"rfilename":"model.safetensors","size":5,"lfs":{"sha256":"` + commit + `","size":5}}]}`))
	f.Add([]byte(`{"sha":"` + commit + `","siblings":[{"rfilename":"../x"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &client{}
		l, err := c.parseListing("address", b)
		if err != nil {
			return
		}
		files, err := l.choose(Reference{"a", "b", "main", ""})
		if err != nil {
			return
		}
		for _, f := range files {
			if !filepath.IsLocal(f.Name) || strings.ContainsAny(f.hash(), "/.") || f.size() < 0 {
				t.Fatalf("accepted %+v", f)
			}
		}
	})
}
