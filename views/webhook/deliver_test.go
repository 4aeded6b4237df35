package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/topology/alert"
)

// desk is a receiver in memory with its courier. Time stands still unless everybody waits (synctest).
type desk struct {
	*courier
	mu      sync.Mutex
	got     []string // ids, in the order of the requests
	at      []time.Duration
	letters []letter
	stop    func()
}

// open runs a courier whose receiver answers as told: n counts the requests for one event.
func open(t *testing.T, r Receiver, answer func(ctx context.Context, e *alert.Event, n int) Answer) *desk {
	r.Name = "desk"
	d := &desk{courier: newCourier(r.Filled(), newStats(nil).of("desk"), slog.New(slog.DiscardHandler))}
	d.schedule.random = func() float64 { return 0.5 }
	d.schedule.begin(0, 0, true)
	started := time.Now()
	requests := map[string]int{}
	d.post = func(ctx context.Context, e *alert.Event, _ []byte) Answer {
		d.mu.Lock()
		requests[e.ID]++
		n := requests[e.ID]
		d.got, d.at = append(d.got, e.ID), append(d.at, time.Since(started))
		d.mu.Unlock()
		return answer(ctx, e, n)
	}
	d.bury = func(_ context.Context, l letter) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.letters = append(d.letters, l)
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	var loop sync.WaitGroup
	loop.Go(func() { d.run(ctx, ctx) })
	d.stop = func() {
		cancel()
		loop.Wait()
		d.work.Wait()
	}
	return d
}

// tell gives the courier the next records of the topic.
func (d *desk) tell(t *testing.T, records ...record) {
	t.Helper()
	if room := d.room(); room < len(records) {
		t.Fatalf("room for %d records, not for %d", room, len(records))
	}
	d.accept(t.Context(), records)
}

func recordOf(t *testing.T, offset int64, entity string) record {
	t.Helper()
	_, raw := told(t, "opened", entity, offset)
	return record{key: entity, value: raw, offset: offset}
}

func idOf(offset int64) string { return fmt.Sprintf("3f0c%d/%d", offset, offset) }

// committed is the position that may be committed.
func (d *desk) position() int64 {
	d.courier.mu.Lock()
	defer d.courier.mu.Unlock()
	return d.schedule.partitions[0].upTo()
}

func TestAnEventIsTriedAgainWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, Receiver{}, func(_ context.Context, _ *alert.Event, n int) Answer {
			if n < 4 {
				return down
			}
			return accepted
		})
		defer d.stop()
		d.tell(t, recordOf(t, 0, "card:a"))
		time.Sleep(time.Minute)
		synctest.Wait()
		want := []time.Duration{0, 250 * time.Millisecond, 750 * time.Millisecond, 1750 * time.Millisecond}
		if !slices.Equal(d.at, want) || len(d.letters) != 0 || d.position() != 1 {
			t.Errorf("sent at %v, want %v; %d dead letters, position %d", d.at, want, len(d.letters), d.position())
		}
		if slices.ContainsFunc(d.got, func(id string) bool { return id != idOf(0) }) {
			t.Errorf("ids %v", d.got)
		}
	})
}

func TestARefusedEventIsADeadLetterAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, Receiver{}, func(_ context.Context, e *alert.Event, _ int) Answer {
			if e.ID == idOf(0) {
				return notFound
			}
			return accepted
		})
		defer d.stop()
		d.tell(t, recordOf(t, 0, "card:a"), recordOf(t, 1, "card:a"))
		synctest.Wait()
		if len(d.letters) != 1 || d.letters[0].status != 404 || d.letters[0].attempts != 1 || d.letters[0].key != "card:a" || len(d.letters[0].value) == 0 {
			t.Errorf("dead letters %+v", d.letters)
		}
		if !slices.Equal(d.got, []string{idOf(0), idOf(1)}) || d.position() != 2 {
			t.Errorf("sent %v, position %d", d.got, d.position())
		}
	})
}

func TestAReceiverThatStaysAwayCostsItsAlertsTheirAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, Receiver{MaxAttempts: 3}, func(context.Context, *alert.Event, int) Answer { return Answer{Err: errors.New("connection refused")} })
		defer d.stop()
		d.tell(t, recordOf(t, 0, "card:a"), recordOf(t, 1, "card:b"))
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if len(d.letters) != 2 || d.letters[0].attempts != 3 || d.letters[0].why != "connection refused" || d.letters[0].status != 0 || d.position() != 2 {
			t.Errorf("dead letters %+v, position %d", d.letters, d.position())
		}
	})
}

func TestWhatIsNoAlertIsADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, Receiver{}, func(context.Context, *alert.Event, int) Answer { return accepted })
		defer d.stop()
		d.tell(t, record{key: "card:a", value: []byte("{"), offset: 0}, record{key: "card:a", value: []byte{}, offset: 1},
			record{key: "card:a", value: []byte(`{"id":"a b","type":"weir.alert.opened","data":{}}`), offset: 2},
			record{key: "card:a", value: []byte(`{"id":"a","type":"order.created","data":{}}`), offset: 3},
			record{key: "card:a", value: []byte(`{"id":"a","type":"weir.alert.opened"}`), offset: 4},
			record{offset: 5}, // a transaction's marker
			recordOf(t, 6, "card:a"))
		synctest.Wait()
		if len(d.letters) != 5 || d.position() != 7 || !slices.Equal(d.got, []string{idOf(6)}) {
			t.Errorf("%d dead letters, position %d, sent %v", len(d.letters), d.position(), d.got)
		}
	})
}

func TestASlowReceiverHoldsNoOtherBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := open(t, Receiver{}, func(context.Context, *alert.Event, int) Answer {
			time.Sleep(9 * time.Second)
			return accepted
		})
		defer slow.stop()
		quick := open(t, Receiver{}, func(context.Context, *alert.Event, int) Answer { return accepted })
		defer quick.stop()
		for i := range int64(100) {
			slow.tell(t, recordOf(t, i, fmt.Sprint("card:", i%10)))
			quick.tell(t, recordOf(t, i, fmt.Sprint("card:", i%10)))
		}
		synctest.Wait()
		if len(quick.got) != 100 || quick.position() != 100 {
			t.Errorf("the quick one has %d", len(quick.got))
		}
		if len(slow.got) != 10 || slow.position() != 0 {
			t.Errorf("the slow one has %d under way, want one of each entity", len(slow.got))
		}
		time.Sleep(10*9*time.Second + time.Second)
		synctest.Wait()
		if slow.position() != 100 {
			t.Errorf("the slow one is at %d", slow.position())
		}
	})
}

func TestAStopBreaksOffWhatLastsAndCommitsNothingOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, Receiver{MaxAttempts: 1}, func(ctx context.Context, e *alert.Event, _ int) Answer {
			if e.ID == idOf(0) {
				return accepted
			}
			<-ctx.Done()
			return Answer{Err: ctx.Err()}
		})
		d.tell(t, recordOf(t, 0, "card:a"), recordOf(t, 1, "card:b"), recordOf(t, 2, "card:b"))
		synctest.Wait()
		d.stop()
		if d.position() != 1 || len(d.letters) != 0 || d.schedule.flying != 0 {
			t.Errorf("position %d, %d dead letters, %d under way", d.position(), len(d.letters), d.schedule.flying)
		}
	})
}

func TestPartitionsAreGivenAwayWhenNothingIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, Receiver{}, func(context.Context, *alert.Event, int) Answer {
			time.Sleep(time.Second)
			return accepted
		})
		defer d.stop()
		d.tell(t, recordOf(t, 0, "card:a"), recordOf(t, 1, "card:a"))
		synctest.Wait()
		started := time.Now()
		d.settle([]int32{0}, settleMost)
		if took := time.Since(started); took != time.Second || d.position() != 1 {
			t.Errorf("after %s at position %d", took, d.position())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(d.got) != 1 {
			t.Errorf("sent %v although the partition is going", d.got)
		}
	})
}
