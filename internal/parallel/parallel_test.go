package parallel

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
)

func TestDoRunsEveryJobOnce(t *testing.T) {
	for _, workers := range []int{0, 1, 3, 100} {
		done := make([]int32, 57)
		var busy, most atomic.Int32
		if err := Do(workers, len(done), func(i int) error {
			most.Store(max(most.Load(), busy.Add(1)))
			atomic.AddInt32(&done[i], 1)
			busy.Add(-1)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for i, n := range done {
			if n != 1 {
				t.Errorf("%d workers: job %d ran %d times", workers, i, n)
			}
		}
		if workers > 0 && int(most.Load()) > workers {
			t.Errorf("%d jobs at a time with %d workers", most.Load(), workers)
		}
	}
}

func TestDoReturnsTheFirstError(t *testing.T) {
	ran := 0
	err := Do(1, 10, func(i int) error {
		ran++
		if i >= 3 {
			return fmt.Errorf("job %d", i)
		}
		return nil
	})
	if err == nil || err.Error() != "job 3" || ran != 4 {
		t.Errorf("%v after %d jobs: want job 3 after 4", err, ran)
	}
	if err := Do(2, 0, func(int) error { return errors.New("called") }); err != nil {
		t.Error(err)
	}
}
