package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bilevel-go/bilevel/internal/wholefile"
)

// ensure makes one file available in the snapshot of a commit.
func (c *client) ensure(ctx context.Context, commit string, f file) error {
	blob := filepath.Join(c.repo, "blobs", f.hash())
	if err := os.MkdirAll(filepath.Dir(blob), 0o755); err != nil {
		return err
	}
	unlock, err := c.lock(ctx, f.hash())
	if err != nil {
		return err
	}
	defer unlock()
	if info, err := os.Stat(blob); err != nil || info.Size() != f.size() {
		if err := c.download(ctx, commit, f, blob); err != nil {
			return fmt.Errorf("%s: %s: %w", c.ref, f.Name, err)
		}
	}
	return c.link(commit, f.Name, blob)
}

// download brings a file's content into blob by way of blob.incomplete, which is
// kept when the transfer breaks off, so that it can continue.
func (c *client) download(ctx context.Context, commit string, f file, blob string) error {
	part := blob + ".incomplete"
	out, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	t := &transfer{client: c, file: f, out: out, address: c.fileAddress(commit, f.Name)}
	if err := t.begin(); err != nil {
		return err
	}
	resumed := t.done > 0
	failures, furthest := 0, t.done // only what was never reached before counts as progress
	for {
		retry, err := t.attempt(ctx)
		if err == nil {
			if err = t.verify(); err == nil {
				break
			}
			if !resumed {
				return errors.Join(err, out.Close(), os.Remove(part))
			}
			// The part that an earlier run left may be the wrong one: begin anew once.
			resumed, furthest = false, 0
			if err := t.restart(); err != nil {
				return err
			}
			continue
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w; %d of %d bytes are kept and the next call continues", ctx.Err(), t.done, f.size())
		}
		if failures++; t.done > furthest {
			failures, furthest = 0, t.done
		}
		if !retry || failures > c.Retries {
			return err
		}
		if err := c.wait(ctx, failures); err != nil {
			return err
		}
	}
	if err := out.Sync(); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return wholefile.Rename(part, blob)
}

func (c *client) fileAddress(commit, name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return fmt.Sprintf("%s/%s/%s/resolve/%s/%s", c.Endpoint, c.ref.Owner, c.ref.Name, commit, strings.Join(parts, "/"))
}

// transfer is the download of one file.
type transfer struct {
	*client
	file    file
	out     *os.File
	address string
	done    int64 // bytes in out, all of them in sum
	sum     hash.Hash
}

// newSum begins the hash that the hub lists: SHA-256 of the content, or git's
// SHA-1 of "blob", the length, a zero byte and the content.
func (t *transfer) newSum() hash.Hash {
	if t.file.LFS != nil {
		return sha256.New()
	}
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", t.file.size())
	return h
}

// begin takes up what an earlier transfer left.
func (t *transfer) begin() error {
	info, err := t.out.Stat()
	if err != nil {
		return err
	}
	if info.Size() > t.file.size() {
		return t.restart()
	}
	t.sum = t.newSum()
	t.done, err = io.Copy(t.sum, io.NewSectionReader(t.out, 0, info.Size()))
	return err
}

// restart forgets what is there.
func (t *transfer) restart() error {
	t.sum, t.done = t.newSum(), 0
	return t.out.Truncate(0)
}

// attempt makes one request for what is missing. Its error says what broke off;
// retry whether another attempt may help.
func (t *transfer) attempt(ctx context.Context) (retry bool, err error) {
	if t.done == t.file.size() {
		return false, nil
	}
	ctx, guard := t.guard(ctx)
	defer guard.stop()
	resp, err := t.request(ctx, t.address, t.done)
	if err != nil {
		return true, &networkError{guard.reason(err)}
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK: // the whole file, whatever was asked for
		if t.done > 0 {
			if err := t.restart(); err != nil {
				return false, err
			}
		}
	case http.StatusPartialContent:
		if want := fmt.Sprintf("bytes %d-", t.done); !strings.HasPrefix(resp.Header.Get("Content-Range"), want) {
			return false, fmt.Errorf("%s: Content-Range %q: the answer to a request from byte %d begins with %q", t.address, resp.Header.Get("Content-Range"), t.done, want)
		}
	case http.StatusRequestedRangeNotSatisfiable:
		return true, errors.Join(fmt.Errorf("%s: %s", t.address, resp.Status), t.restart())
	default:
		return t.refusal(t.address, resp)
	}
	return t.receive(guard.reader(resp.Body))
}

// receive appends the body, no more than the listed size.
func (t *transfer) receive(body io.Reader) (retry bool, err error) {
	buffer := make([]byte, 1<<18)
	for {
		n, readErr := body.Read(buffer)
		if int64(n) > t.file.size()-t.done {
			return false, errors.Join(fmt.Errorf("%s: more than the %d bytes that the hub lists", t.address, t.file.size()), t.restart())
		}
		if n > 0 {
			if _, err := t.out.WriteAt(buffer[:n], t.done); err != nil {
				return false, err
			}
			t.sum.Write(buffer[:n])
			t.done += int64(n)
			if t.Progress != nil {
				t.Progress(t.file.Name, t.done, t.file.size())
			}
		}
		switch {
		case errors.Is(readErr, io.EOF) && t.done == t.file.size():
			return false, nil
		case errors.Is(readErr, io.EOF):
			return true, &networkError{fmt.Errorf("%s: the transfer ended at %d of %d bytes", t.address, t.done, t.file.size())}
		case readErr != nil:
			return true, &networkError{fmt.Errorf("%s: at %d of %d bytes: %w", t.address, t.done, t.file.size(), readErr)}
		}
	}
}

// verify compares the content's hash with the hub's.
func (t *transfer) verify() error {
	if got := hex.EncodeToString(t.sum.Sum(nil)); got != t.file.hash() {
		return fmt.Errorf("%s: checksum %s: the hub lists %s; the download was refused", t.address, got, t.file.hash())
	}
	return nil
}

// wait pauses before another attempt.
func (c *client) wait(ctx context.Context, n int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(c.pause(n)):
		return nil
	}
}

// guard cancels a request that stands still for longer than Stall.
type guard struct {
	ctx    context.Context
	timer  *time.Timer
	cancel context.CancelCauseFunc
	stall  time.Duration
	body   io.Reader
}

func (c *client) guard(ctx context.Context) (context.Context, *guard) {
	ctx, cancel := context.WithCancelCause(ctx)
	g := &guard{ctx: ctx, cancel: cancel, stall: c.Stall}
	g.timer = time.AfterFunc(c.Stall, func() { cancel(fmt.Errorf("nothing came for %s", c.Stall)) })
	return ctx, g
}

func (g *guard) stop() {
	g.timer.Stop()
	g.cancel(nil)
}

func (g *guard) reader(body io.Reader) io.Reader {
	g.body = body
	return g
}

// Read reads the body and winds the timer up again.
func (g *guard) Read(p []byte) (int, error) {
	n, err := g.body.Read(p)
	if n > 0 {
		g.timer.Reset(g.stall)
	}
	return n, g.reason(err)
}

// reason puts why the request was cancelled in the place of that it was.
func (g *guard) reason(err error) error {
	if err != nil && !errors.Is(err, io.EOF) && g.ctx.Err() != nil {
		return context.Cause(g.ctx)
	}
	return err
}
