package played

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/cmd/weir/internal/atonce"
	"weir/topology/broker"
	"weir/topology/broker/kafkatest"
	"weir/topology/sim/scenario"
)

// Playing scenarios is waiting, nearly all of the time.
func TestMain(m *testing.M) {
	atonce.Run(8)
	os.Exit(m.Run())
}

// TestScenariosOnTheEmbeddedBroker plays the scenario files, whose prints the simulator has been held to, with real groups.
func TestScenariosOnTheEmbeddedBroker(t *testing.T) {
	b, err := broker.Start(broker.Config{Listen: "127.0.0.1:0", DataDir: t.TempDir(), TidyEvery: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	play(t, b.Addr())
}

// TestScenariosOnKafka is the same on an Apache Kafka.
func TestScenariosOnKafka(t *testing.T) { play(t, kafkatest.Start(t)) }

// The schedules. None is the one that writes files anew: what is right is what the simulator says.
var (
	calm    = scenario.Schedule{Name: "calm", Seed: 1, Partitions: 4, Instances: 1}
	hostile = scenario.Schedule{Name: "crashes and duplicates", Seed: 2, Partitions: 4, Instances: 2, Crash: 0.3, Abort: 0.3, Rebalance: 0.3, Duplicate: 0.4}
)

// Files that are played under the hostile schedule too: they hold what could be lost or doubled by a crash, and timers that fire.
var disturbed = []string{"duplicates", "payment_before_order", "overcapture", "retention", "sessions", "late", "malformed", "window_retention",
	"two_entities", "late_withdrawn", "late_policies", "cap", "expiry", "episodes", "orders_own"}

// seedsEnv names how many more hostile schedules to play every file under, for who looks for what one does not show.
const seedsEnv = "WEIR_TEST_SEEDS"

// The files of a short run.
var short = []string{"happy_path", "retention", "sessions", "two_entities", "episodes"}

func play(t *testing.T, bootstrap string) {
	files, err := filepath.Glob("../../../../processors/*/testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 12 {
		t.Fatalf("found %d scenario files only", len(files))
	}
	extra, _ := strconv.Atoi(os.Getenv(seedsEnv))
	var total tally
	t.Cleanup(func() { total.check(t) })
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		if testing.Short() && !slices.Contains(short, name) {
			continue
		}
		schedules := []scenario.Schedule{calm}
		if slices.Contains(disturbed, name) || extra > 0 {
			schedules = append(schedules, hostile)
		}
		for n := range extra {
			s := hostile
			s.Seed += uint64(n) + 1
			s.Instances = 1 + n%3
			schedules = append(schedules, s)
		}
		for _, s := range schedules {
			t.Run(name+"/"+s.String(), func(t *testing.T) {
				t.Parallel()
				playOne(t, bootstrap, path, s, &total)
			})
		}
	}
}

func playOne(t *testing.T, bootstrap, path string, s scenario.Schedule, total *tally) {
	log := new(journal)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log:\n%s", log)
		}
	})
	place := Place{Brokers: []string{bootstrap}, Prefix: kafkatest.Unique("scenario") + "-", DataDir: t.TempDir(), Patience: 4 * time.Minute,
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo}))}
	scenario.Run(t, path, s, func(t testing.TB, setup scenario.Setup) scenario.Runner {
		w, err := New(place, setup)
		if err != nil {
			t.Fatal(err)
		}
		return &counted{w, total}
	})
}

// counted adds up what was done to the weirs of all files.
type counted struct {
	*Weir
	total *tally
}

func (c *counted) Close() error {
	c.total.add(c.Stats(), c.Aborts())
	return c.Weir.Close()
}

type tally struct {
	mu     sync.Mutex
	stats  Stats
	aborts int
}

func (a *tally) add(s Stats, aborts int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stats.Crashes += s.Crashes
	a.stats.Wipes += s.Wipes
	a.stats.Kicks += s.Kicks
	a.stats.Joins += s.Joins
	a.stats.Leaves += s.Leaves
	a.aborts += aborts
}

// check sees to it that the hostile schedule was one.
func (a *tally) check(t *testing.T) {
	t.Logf("%+v, %d transactions aborted", a.stats, a.aborts)
	if s := a.stats; !t.Failed() && (s.Crashes == 0 || s.Kicks == 0 || s.Joins == 0 || s.Leaves == 0 || a.aborts == 0) {
		t.Errorf("nothing went wrong: %+v, %d transactions aborted", s, a.aborts)
	}
}

// journal keeps a log until it is known whether anybody wants to read it.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}
