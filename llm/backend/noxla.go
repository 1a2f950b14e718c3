//go:build !cgo || !(linux || darwin || windows)

package backend

import "github.com/gomlx/compute"

// linked says whether XLA is in this build.
const linked = false

func openPlugin(Candidate) (compute.Backend, Info, error) { return nil, Info{}, ErrLeftOut }
