//go:build !unix

package run

// PeakMemory is the largest resident memory that the process has had, in bytes; 0
// where the system does not tell.
func PeakMemory() int64 { return 0 }

// CPUSeconds is the processor time that the process has used.
func CPUSeconds() float64 { return cpuSeconds() }
