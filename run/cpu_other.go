//go:build !unix

package run

import "math"

// cpuSeconds is not known on this system.
func cpuSeconds() float64 { return math.NaN() }
