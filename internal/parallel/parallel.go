// Package parallel runs independent jobs on a bounded number of goroutines.
package parallel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Do calls job(0), ..., job(n-1) on at most workers goroutines (0: one per
// core) and waits for them. Jobs write their results to places of their own, so
// that results do not depend on workers. After an error no further job is
// started; the error returned is that of the lowest index among the failed.
func Do(workers, n int, job func(i int) error) error {
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	var next atomic.Int64
	var failed atomic.Bool
	errs := make([]error, n)
	var wait sync.WaitGroup
	for range min(workers, n) {
		wait.Go(func() {
			for !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[i] = job(i); errs[i] != nil {
					failed.Store(true)
				}
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
