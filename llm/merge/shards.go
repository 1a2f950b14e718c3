package merge

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"github.com/bilevel-go/bilevel/internal/wholefile"
	"github.com/bilevel-go/bilevel/llm/weights"
)

// writeShards writes the tensors as one file, or as several of at most limit bytes
// with an index.
func writeShards(dir string, outputs []weights.Output, limit int64, r *Report) error {
	var shards [][]weights.Output
	room := int64(0)
	for _, o := range outputs {
		if n := size(o); len(shards) == 0 || n > room {
			shards, room = append(shards, nil), limit
		}
		last := len(shards) - 1
		shards[last] = append(shards[last], o)
		room -= size(o)
	}
	write := func(name string, list []weights.Output) error {
		r.Files = append(r.Files, name)
		return weights.WriteSafetensors(filepath.Join(dir, name), list, nil)
	}
	if len(shards) == 1 {
		return write("model.safetensors", shards[0])
	}
	index := struct {
		Metadata struct {
			TotalSize int64 `json:"total_size"`
		} `json:"metadata"`
		Map map[string]string `json:"weight_map"`
	}{Map: map[string]string{}}
	for i, list := range shards {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		if err := write(name, list); err != nil {
			return err
		}
		for _, o := range list {
			index.Map[o.Name] = name
			index.Metadata.TotalSize += size(o)
		}
	}
	const name = "model.safetensors.index.json"
	r.Files = append(r.Files, name)
	return wholefile.Write(filepath.Join(dir, name), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(index)
	})
}
