package backtest

import (
	"fmt"
	"os"
)

// rows keeps a table's rows in memory up to a limit.
type rows struct {
	dir    string
	limit  int64
	memory map[string][]byte
	bytes  int64
	file   *os.File
	err    error
}

func newRows(dir string, limit int64) *rows {
	return &rows{dir: dir, limit: limit, memory: map[string][]byte{}}
}

func (s *rows) Get(key string) []byte { return s.memory[key] }

func (s *rows) Set(key string, row []byte) {
	if row == nil {
		delete(s.memory, key)
		return
	}
	s.memory[key] = row
}

func (s *rows) All(yield func(key string, row []byte) bool) {
	for key, row := range s.memory {
		if !yield(key, row) {
			return
		}
	}
}

func (s *rows) fail(err error) {
	if s.err == nil {
		s.err = fmt.Errorf("rows of the backtest cannot be kept on disk: %w", err)
	}
}

func (s *rows) close() {
	if s.file != nil {
		s.file.Close()
	}
}
