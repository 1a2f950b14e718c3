//go:build unix

package run

import (
	"runtime"
	"syscall"
)

// PeakMemory is the largest resident memory that the process has had, in bytes; 0
// where the system does not tell.
func PeakMemory() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return int64(u.Maxrss)
	}
	return int64(u.Maxrss) << 10
}

// CPUSeconds is the processor time that the process has used.
func CPUSeconds() float64 { return cpuSeconds() }
