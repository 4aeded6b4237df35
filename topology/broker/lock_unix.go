//go:build unix

package broker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// folderLock keeps a second broker out of a data folder. The kernel lets go of it when the process ends, however it ends.
type folderLock struct{ f *os.File }

func lockFolder(dir string) (*folderLock, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("broker: data folder %s cannot be written: %w; give this user the right to, or choose another with --data", dir, err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		by, _ := os.ReadFile(path) // the pid is only for the message
		f.Close()
		return nil, fmt.Errorf("broker: data folder %s is in use by process %s; stop that weir, or choose another folder with --data", dir, orUnknown(string(by)))
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("broker: lock %s: %w; choose a folder on a local disk with --data", path, err)
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid()))); err != nil {
		f.Close()
		return nil, fmt.Errorf("broker: data folder %s cannot be written: %w", dir, err)
	}
	return &folderLock{f}, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

func orUnknown(pid string) string {
	if pid = strings.TrimSpace(pid); pid == "" {
		return "(unknown)"
	}
	return pid
}

func (l *folderLock) release() { l.f.Close() }
