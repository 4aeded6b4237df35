package engine

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestPartitionsThatDoNotGetOnAreNamed(t *testing.T) {
	var said bytes.Buffer
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	g := &generation{rt: &Runtime{log: slog.New(slog.NewTextHandler(&said, nil))}, paused: map[topicPartition]struct{}{}, claims: map[topicPartition]*claim{}}
	for partition, c := range []*claim{
		{position: 10, end: 10, lastAt: now.Add(-time.Hour)},                // read to its end
		{position: -1, end: 10, lastAt: now.Add(-time.Hour)},                // not begun
		{position: 9, end: 10, lastAt: now.Add(-stuckFor + time.Second)},    // not for long
		{position: 7, end: 10, lastAt: now.Add(-2 * time.Hour)},             // waits for slower topics
		{position: 8, end: 10, lastAt: now.Add(-stuckFor - 20*time.Second)}, // stuck
	} {
		c.topicPartition = topicPartition{"deltas", int32(partition)}
		g.claims[c.topicPartition] = c
	}
	g.paused[topicPartition{"deltas", 3}] = struct{}{}
	g.claims[topicPartition{"deltas", 5}] = &claim{topicPartition: topicPartition{"deltas", 5}, position: 10, end: 10, lastAt: now.Add(-time.Hour)} // the fetches know of no more
	for _, after := range []time.Duration{0, 10 * time.Second, stuckFor} {
		g.claims[topicPartition{"deltas", 2}].lastAt = now.Add(after)
		g.warnOfStuck(now.Add(after))
	}
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	if len(lines) != 2 {
		t.Errorf("said %d times, want at once and a minute later:\n%s", len(lines), said.String())
	}
	for _, line := range lines {
		if !strings.Contains(line, "partition=4 from=8 to=10") || !strings.Contains(line, "find-hanging") {
			t.Error(line)
		}
	}

	said.Reset()
	g.claims = map[topicPartition]*claim{{"deltas", 5}: g.claims[topicPartition{"deltas", 5}]}
	g.ends.Store(&ends{now, kadm.ListedOffsets{"deltas": {5: {Topic: "deltas", Partition: 5, Offset: 12}}}})
	for _, after := range []time.Duration{time.Second, fetchWithin, fetchWithin + time.Second} {
		g.warnOfStuck(now.Add(after))
	}
	if text := said.String(); strings.Count(text, "partition=5 from=10 to=12") != 1 {
		t.Errorf("of records that no fetch brings it is said: %q, want once", text)
	}
}
