package flow_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/views/flow"
)

// way is a small shop: two sources, one topic between two groups, and a table that a copy reads.
var way = []flow.Stage{{Reader: "orders", Topics: []string{"sales", "payments"}}, {Reader: "metrics", Topics: []string{"deltas"}}, {Reader: "copy", Topics: []string{"table"}}}

// shop is the same as lists of records: each tells when its event was sent.
type shop struct {
	now     int
	records map[string][2][]int
	read    map[flow.Key]*[2]int64 // what each reader has committed
}

const partitions = 2

func openShop() *shop {
	s := &shop{records: map[string][2][]int{}, read: map[flow.Key]*[2]int64{}}
	for _, stage := range way {
		for _, topic := range stage.Topics {
			s.read[flow.Key{Group: stage.Reader, Topic: topic}] = new([2]int64)
		}
	}
	return s
}

func (s *shop) write(topic string, partition, sent int) {
	r := s.records[topic]
	r[partition] = append(r[partition], sent)
	s.records[topic] = r
}

// step lets something happen: an event is sent, or a stage reads some records, writes what follows of them and commits.
func (s *shop) step(t *rapid.T) {
	s.now++
	stage := rapid.IntRange(-1, len(way)-1).Draw(t, "stage")
	p := rapid.IntRange(0, partitions-1).Draw(t, "partition")
	if stage < 0 {
		s.write(rapid.SampledFrom(way[0].Topics).Draw(t, "source"), p, s.now)
		return
	}
	topic := rapid.SampledFrom(way[stage].Topics).Draw(t, "topic")
	at := &s.read[flow.Key{Group: way[stage].Reader, Topic: topic}][p]
	n := rapid.IntRange(0, len(s.records[topic][p])-int(*at)).Draw(t, "records")
	for _, sent := range s.records[topic][p][*at : int(*at)+n] {
		if stage+1 < len(way) {
			s.write(way[stage+1].Topics[0], rapid.IntRange(0, partitions-1).Draw(t, "to"), sent)
		}
	}
	*at += int64(n)
}

func moment(step int) time.Time { return noon.Add(time.Duration(step) * 100 * time.Millisecond) }

// look takes a sample as the status does: commits, then ends, then the copy, while the shop goes on.
func (s *shop) look(t *rapid.T) flow.Sample {
	meanwhile := func() {
		for range rapid.IntRange(0, 3).Draw(t, "meanwhile") {
			s.step(t)
		}
	}
	out := flow.Sample{AskedAt: moment(s.now), Offsets: map[flow.Key][]int64{}}
	for _, stage := range way {
		for _, topic := range stage.Topics {
			if k := (flow.Key{Group: stage.Reader, Topic: topic}); stage.Reader != "copy" {
				out.Offsets[k] = append([]int64(nil), s.read[k][:]...)
			}
		}
	}
	meanwhile()
	for _, stage := range way {
		for _, topic := range stage.Topics {
			for p := range partitions {
				out.Set(flow.Key{Topic: topic}, int32(p), int64(len(s.records[topic][p])))
			}
		}
	}
	meanwhile()
	k := flow.Key{Group: "copy", Topic: "table"}
	out.Offsets[k] = append([]int64(nil), s.read[k][:]...)
	s.now++
	out.At = moment(s.now)
	return out
}

// missing are the events sent until a moment that the copy has not read, looked for one by one.
func (s *shop) missing(until time.Time) (n int) {
	for i, stage := range way {
		for _, topic := range stage.Topics {
			for p := range partitions {
				for _, sent := range s.records[topic][p][s.read[flow.Key{Group: way[i].Reader, Topic: topic}][p]:] {
					if !moment(sent).After(until) {
						n++
					}
				}
			}
		}
	}
	return n
}

// What is said to be in the table is in it, however the samples fall between what happens; and where all rests it is said of now.
func TestCaughtUpIsTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, h := openShop(), &flow.History{}
		for range rapid.IntRange(1, 8).Draw(t, "samples") {
			for range rapid.IntRange(0, 8).Draw(t, "steps") {
				s.step(t)
			}
			h.Add(s.look(t))
			if until, ok := h.CaughtUp(way); ok && s.missing(until) > 0 {
				t.Fatalf("%d events sent until %v are not in the table", s.missing(until), until.Sub(noon))
			}
		}
		for i, stage := range way { // all is read, and nothing is sent
			for _, topic := range stage.Topics {
				for p := range partitions {
					at := &s.read[flow.Key{Group: stage.Reader, Topic: topic}][p]
					for _, sent := range s.records[topic][p][*at:] {
						if i+1 < len(way) {
							s.write(way[i+1].Topics[0], p, sent)
						}
					}
					*at = int64(len(s.records[topic][p]))
				}
			}
		}
		s.now++
		rests := moment(s.now)
		last := flow.Sample{At: rests, AskedAt: rests, Offsets: map[flow.Key][]int64{}}
		for k, at := range s.read {
			last.Offsets[k] = at[:]
			last.Offsets[flow.Key{Topic: k.Topic}] = at[:]
		}
		h.Add(last)
		if until, ok := h.CaughtUp(way); !ok || !until.Equal(rests) {
			t.Fatalf("%v %v, want %v", until, ok, rests)
		}
	})
}

func TestCaughtUpIsNotGuessed(t *testing.T) {
	stage := []flow.Stage{{Reader: read.Group, Topics: []string{read.Topic}}}
	for what, s := range map[string]flow.Sample{
		"a record waits":                    sample(0, 10, 9),
		"nothing was ever committed":        sample(0, 10, -1),
		"where the topic ends is not known": sample(0, -1, 10),
	} {
		if at, ok := history(s).CaughtUp(stage); ok {
			t.Errorf("%s: caught up at %v", what, at)
		}
	}
	if _, ok := history().CaughtUp(stage); ok {
		t.Error("caught up without a sample")
	}
	for what, s := range map[string]flow.Sample{"nothing waits": sample(0, 10, 10), "nothing was ever sent": sample(0, 0, -1)} {
		if _, ok := history(s).CaughtUp(stage); !ok {
			t.Errorf("%s: not caught up", what)
		}
	}
	// A backlog that is worked off: what was there at first is passed at last.
	busy := history(flow.Sample{At: noon, AskedAt: noon, Offsets: map[flow.Key][]int64{ends: {100}, read: {0}}}, sample(5, 500, 90), sample(9, 900, 100))
	if at, ok := busy.CaughtUp(stage); !ok || !at.Equal(noon) {
		t.Errorf("%v %v, want noon", at, ok)
	}
}
