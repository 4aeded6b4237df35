//go:build !unix

package main

import (
	"fmt"
	"os"
)

// folderLock does nothing here: LevelDB's own lock keeps two processes from one table.
type folderLock struct{}

func lockFolder(dir string) (*folderLock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("the data folder cannot be made: %w; choose another with --data", err)
	}
	return &folderLock{}, nil
}

func (l *folderLock) release() {}
