package simulated

import (
	"path/filepath"
	"strings"
	"testing"

	"weir/topology/sim/scenario"
)

// TestScenarios plays every scenario file under every schedule. Run it with -rewrite after a change that is meant to change what
// scenarios print, and read the differences.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("../../../../processors/*/testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 12 {
		t.Fatalf("found %d scenario files only", len(files))
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			for _, s := range scenario.Schedules(3) {
				t.Run(s.String(), func(t *testing.T) {
					scenario.Run(t, path, s, func(t testing.TB, setup scenario.Setup) scenario.Runner {
						w, err := New(setup)
						if err != nil {
							t.Fatal(err)
						}
						return w
					})
				})
			}
		})
	}
}
