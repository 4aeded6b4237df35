//go:build !unix

package broker

// folderLock is not kept here: the occupied port is what keeps a second broker out.
type folderLock struct{}

func lockFolder(string) (*folderLock, error) { return &folderLock{}, nil }

func (l *folderLock) release() {}
