package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/bilevel-go/bilevel"
)

// client serves one Fetch.
type client struct {
	Settings
	ref  Reference
	repo string // the repository's folder in the cache
}

// file is one file of a repository as the hub lists it.
type file struct {
	Name string `json:"rfilename"`
	Size int64  `json:"size"`
	Blob string `json:"blobId"` // git's hash of the blob
	LFS  *struct {
		SHA256 string `json:"sha256"`
		Size   int64  `json:"size"`
	} `json:"lfs"`
}

// hash is the name of the file's content: SHA-256 or git's hash, in hexadecimal.
func (f *file) hash() string {
	if f.LFS != nil {
		return f.LFS.SHA256
	}
	return f.Blob
}

func (f *file) size() int64 {
	if f.LFS != nil {
		return f.LFS.Size
	}
	return f.Size
}

// listing is a repository at one commit.
type listing struct {
	Commit string `json:"sha"`
	Files  []file `json:"siblings"`
}

// networkError marks a failure to reach the hub, as against its answer.
type networkError struct{ err error }

func (e *networkError) Error() string { return "the hub cannot be reached: " + e.err.Error() }
func (e *networkError) Unwrap() error { return e.err }

const maxListing = 64 << 20

var hashRule = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// list asks the hub for the repository's files.
func (c *client) list(ctx context.Context) (*listing, error) {
	address := fmt.Sprintf("%s/api/models/%s/%s/revision/%s?blobs=true", c.Endpoint, c.ref.Owner, c.ref.Name, url.PathEscape(c.ref.Revision))
	var last error
	for n := range c.Retries + 1 {
		if n > 0 {
			if err := c.wait(ctx, n-1); err != nil {
				return nil, err
			}
		}
		body, retry, err := c.getListing(ctx, address)
		if err == nil {
			return c.parseListing(address, body)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if last = err; !retry {
			break
		}
	}
	return nil, fmt.Errorf("%s: %w", c.ref, last)
}

func (c *client) getListing(ctx context.Context, address string) (body []byte, retry bool, err error) {
	ctx, guard := c.guard(ctx)
	defer guard.stop()
	resp, err := c.request(ctx, address, 0)
	if err != nil {
		return nil, true, &networkError{guard.reason(err)}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		retry, err := c.refusal(address, resp)
		return nil, retry, err
	}
	body, err = io.ReadAll(io.LimitReader(guard.reader(resp.Body), maxListing+1))
	switch {
	case err != nil:
		return nil, true, &networkError{err}
	case len(body) > maxListing:
		return nil, false, fmt.Errorf("%s: a list of files longer than %d bytes", address, maxListing)
	}
	return body, false, nil
}

func (c *client) parseListing(address string, body []byte) (*listing, error) {
	l := &listing{}
	if err := json.Unmarshal(body, l); err != nil {
		return nil, fmt.Errorf("%s: the answer is not a list of files: %w", address, err)
	}
	if !commitRule.MatchString(l.Commit) {
		return nil, fmt.Errorf("%s: commit %.60q: a hub answers with 40 hexadecimal digits", address, l.Commit)
	}
	for i := range l.Files {
		f := &l.Files[i]
		if !localName(f.Name) {
			return nil, fmt.Errorf("%s: file name %.120q leaves the model's folder", address, f.Name)
		}
	}
	return l, nil
}

// request asks for address from byte offset on.
func (c *client) request(ctx context.Context, address string, offset int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	if c.Token != "" { // net/http drops it when redirected to another domain
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	return c.Client.Do(req)
}

// refusal is the error for a status that is not a success, and whether trying
// again may help.
func (c *client) refusal(address string, resp *http.Response) (retry bool, err error) {
	switch s := resp.StatusCode; {
	case s == http.StatusNotFound:
		return false, fmt.Errorf("%s: not found: there is no such model, revision or file at the hub", address)
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		return false, fmt.Errorf("%s: %s: the model does not exist, or it needs a token (HF_TOKEN) of a user who may read it", address, resp.Status)
	case s == http.StatusTooManyRequests || s >= 500:
		return true, &networkError{fmt.Errorf("%s: %s", address, resp.Status)}
	}
	return false, fmt.Errorf("%s: %s", address, resp.Status)
}

// small are the files that belong to a model beside its weights.
var small = []string{
	"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
	"chat_template.jinja", "adapter_config.json",
}

// choose picks what a reference needs.
func (l *listing) choose(ref Reference) ([]file, error) {
	byName := map[string]file{}
	for _, f := range l.Files {
		byName[f.Name] = f
	}
	dir := ""
	if ref.File != "" {
		if _, ok := byName[ref.File]; !ok {
			return nil, &bilevel.SettingError{Field: ref.String() + ": file", Value: ref.File, Allowed: "one of " + l.names("")}
		}
		if dir = path.Dir(ref.File); dir == "." {
			dir = ""
		}
	}
	var chosen []file
	take := func(name string) bool {
		f, ok := byName[name]
		if ok {
			chosen = append(chosen, f)
		}
		return ok
	}
	for _, name := range small {
		if name = path.Join(dir, name); name != ref.File {
			take(name)
		}
	}
	if ref.File != "" {
		take(ref.File)
		return chosen, l.checkHashes(chosen)
	}
	adapter := take("adapter_model.safetensors")
	switch {
	case take("model.safetensors"):
	case take("model.safetensors.index.json"):
		for _, f := range l.Files {
			if strings.HasPrefix(f.Name, "model-") && strings.HasSuffix(f.Name, ".safetensors") {
				chosen = append(chosen, f)
			}
		}
	case adapter:
	default:
		var gguf []file
		for _, f := range l.Files {
			if !strings.Contains(f.Name, "/") && strings.EqualFold(path.Ext(f.Name), ".gguf") {
				gguf = append(gguf, f)
			}
		}
		if len(gguf) != 1 {
			allowed := "a model with model.safetensors, model.safetensors.index.json or a GGUF file"
			if len(gguf) > 1 {
				allowed = "one of its GGUF files, as in hf:owner/name/FILE.gguf: " + l.names(".gguf")
			}
			return nil, &bilevel.SettingError{Field: "model reference", Value: ref.String(), Allowed: allowed}
		}
		chosen = append(chosen, gguf[0])
	}
	return chosen, l.checkHashes(chosen)
}

// checkHashes refuses a listing that gives nothing to check a file against.
func (l *listing) checkHashes(files []file) error {
	for i := range files {
		f := &files[i]
		if !hashRule.MatchString(f.hash()) || f.size() < 0 || (f.LFS != nil) != (len(f.hash()) == 64) {
			return fmt.Errorf("the hub lists %q with size %d and hash %.80q: a file needs a size and a SHA-256 or git hash", f.Name, f.size(), f.hash())
		}
	}
	return nil
}

// names lists up to 20 file names with an ending.
func (l *listing) names(ending string) string {
	const most = 20
	var list []string
	for _, f := range l.Files {
		if !strings.HasSuffix(f.Name, ending) {
			continue
		}
		if len(list) == most {
			list = append(list, "...")
			break
		}
		list = append(list, f.Name)
	}
	return strings.Join(list, ", ")
}
