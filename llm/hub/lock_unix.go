//go:build unix && !solaris && !aix

package hub

import (
	"os"
	"syscall"
)

// tryLock takes an advisory lock that closing the file gives back.
func tryLock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == syscall.EWOULDBLOCK || err == syscall.EINTR {
		return errLocked
	}
	return err
}
