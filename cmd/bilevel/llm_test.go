package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A model of a hub is downloaded with its checksum compared, and stays.
func TestPullFromHub(t *testing.T) {
	content := "weights of a model"
	sum := sha256.Sum256([]byte(content))
	var downloads int
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			fmt.Fprintf(w, `{"sha":"%040d","siblings":[{"rfilename":"a.gguf","lfs":{"sha256":"%s","size":%d}}]}`, 7, hex.EncodeToString(sum[:]), len(content))
			return
		}
		downloads++
		fmt.Fprint(w, content)
	}))
	defer hub.Close()
	s := newSession(t)
	t.Setenv("HF_ENDPOINT", hub.URL)
	t.Setenv("HF_HUB_CACHE", filepath.Join(t.TempDir(), "cache"))
	t.Setenv("HF_HUB_OFFLINE", "")
	for range 2 {
		s.run("llm", "pull", "hf:someone/model/a.gguf", "--json").want(exitSolved)
		if got := read(t, s.object()["path"].(string)); got != content {
			t.Fatalf("%q", got)
		}
	}
	if downloads != 1 {
		t.Errorf("%d downloads, want 1", downloads)
	}
	content = strings.ToUpper(content)
	if err := os.RemoveAll(os.Getenv("HF_HUB_CACHE")); err != nil {
		t.Fatal(err)
	}
	s.run("llm", "pull", "hf:someone/model/a.gguf").want(exitInput)
	if !strings.Contains(s.err, "checksum") {
		t.Errorf("%s", s.err)
	}
}

func TestPullByName(t *testing.T) {
	s := newSession(t)
	noPlugins(t)
	s.run("llm", "pull", "smollm2").want(exitInput)
	if !strings.Contains(s.err, "Python") {
		t.Errorf("without Python: %s", s.err)
	}
	s.run("llm", "pull", "smolm2").want(exitInput)
	if !strings.Contains(s.err, `did you mean "smollm2"`) {
		t.Errorf("%s", s.err)
	}
	s.run("llm", "pull").want(exitInput)
	s.run("llm", "pul").want(exitInput)
	s.run("llm", "pull", "--help").want(exitSolved)
	if !strings.Contains(s.out, "smollm2") {
		t.Errorf("%s", s.out)
	}
}
