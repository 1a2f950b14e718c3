package weights

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
)

// maxJSON bounds the JSON files read whole (configurations and shard indices).
const maxJSON = 64 << 20

// readJSON reads a JSON file of bounded size into v.
func readJSON(path string, v any) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return refuse(path, "file", info.Mode().String(), "a regular file")
	}
	if info.Size() > maxJSON {
		return refuse(path, "file length", info.Size(), fmt.Sprintf("at most %d bytes", maxJSON))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return refuse(path, "JSON", err.Error(), "valid JSON of the expected types")
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// sortedValues lists each value once.
func sortedValues(m map[string]string) []string {
	return slices.Compact(slices.Sorted(maps.Values(m)))
}
