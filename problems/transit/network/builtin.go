package network

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed data
var data embed.FS

// BuiltIn lists the names of the built-in networks.
func BuiltIn() []string { return []string{"3node", "9node", "seville"} }

// Open returns a built-in network: 3node, 9node or seville, the networks of the
// experiments of arXiv 2406.10148, with their figures in the project's format.
func Open(name string) (*Network, error) {
	folder, err := fs.Sub(data, "data/"+name)
	if err != nil {
		return nil, fmt.Errorf("built-in network %q: %w", name, err)
	}
	n, err := Read(folder)
	if err != nil {
		return nil, fmt.Errorf("built-in network %q: %w", name, err)
	}
	return n, nil
}
