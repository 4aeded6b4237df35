package engine

import (
	"errors"
	"sync"
	"testing"
)

// A processor that is stopped while its tables recover leaves goroutines behind that still open some. They must not keep the folder
// from the next runtime.
func TestAStoppedRuntimeKeepsNoTableOpen(t *testing.T) {
	dir := t.TempDir()
	start := func() *Runtime {
		rt, err := New(Config{Instance: "t", DataDir: dir}, "g", func(*Runtime) Spec { return Spec{} })
		if err != nil {
			t.Fatal(err)
		}
		rt.levels.id["g-table"] = []byte("identity")
		rt.levels.logStart = func(string, int32) (int64, error) { return 0, nil }
		return rt
	}
	const partitions = 8
	for range 10 {
		rt := start()
		var opening sync.WaitGroup
		for p := range int32(partitions) {
			opening.Go(func() {
				if _, err := rt.levels.open("g-table", p); err != nil && !errors.Is(err, errStopped) {
					t.Error(err)
				}
			})
		}
		rt.levels.close()
		opening.Wait()
		next := start()
		for p := range int32(partitions) {
			if _, err := next.levels.open("g-table", p); err != nil {
				t.Fatalf("after the stop: %v", err)
			}
		}
		next.levels.close()
	}
}
