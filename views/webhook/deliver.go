package webhook

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"weir/topology/alert"
)

// letter is an event that its receiver does not get, on its way to the dead letters.
type letter struct {
	record
	attempts int
	why      string // the last answer
	status   int    // of the last answer; 0: none came
}

// courier carries out what the schedule of one receiver says.
type courier struct {
	receiver Receiver
	post     func(ctx context.Context, e *alert.Event, raw []byte) Answer
	bury     func(ctx context.Context, l letter) error // returns an error only when ctx has ended
	stats    *receiverStats
	log      *slog.Logger

	mu       sync.Mutex // guards schedule
	schedule *schedule
	wake     chan struct{} // has one when the schedule has changed
	roomy    chan struct{} // has one when there may be room again

	work sync.WaitGroup // attempts and dead letters under way
}

func newCourier(r Receiver, stats *receiverStats, log *slog.Logger) *courier {
	return &courier{receiver: r, stats: stats, log: log, schedule: newSchedule(r.MaxAttempts),
		wake: make(chan struct{}, 1), roomy: make(chan struct{}, 1)}
}

// notify wakes who waits on a channel of capacity one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// accept takes records in the order of their partitions. Those of partitions not held are dropped: they are read again by whoever holds
// them.
func (c *courier) accept(ctx context.Context, records []record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range records {
		if r.value == nil {
			c.schedule.pass(r.partition, r.offset) // a marker of a transaction
			continue
		}
		e, err := parse(r.value)
		switch {
		case err != nil:
			if d := c.schedule.addRefused(r); d != nil {
				c.work.Go(func() { c.putAway(ctx, d, letter{record: r, why: err.Error()}) })
			}
		case c.receiver.Wants(e):
			c.schedule.add(r, e)
		default:
			c.schedule.pass(r.partition, r.offset)
		}
	}
	notify(c.wake)
}

// room is how many records may be accepted now.
func (c *courier) room() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.schedule.room()
}

// run begins attempts until ctx ends; those under way go on until sending ends.
func (c *courier) run(ctx, sending context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		c.mu.Lock()
		d, again := c.schedule.take(time.Now())
		c.mu.Unlock()
		if d != nil {
			c.work.Go(func() { c.attempt(sending, d) })
			continue
		}
		timer.Stop()
		if !again.IsZero() {
			timer.Reset(time.Until(again))
		}
		select {
		case <-ctx.Done():
		case <-c.wake:
		case <-timer.C:
		}
	}
}

func (c *courier) attempt(ctx context.Context, d *delivery) {
	if d.attempts > 1 {
		c.stats.retries.Inc()
	}
	a := c.post(ctx, d.event, d.value)
	c.mu.Lock()
	defer notify(c.wake)
	if ctx.Err() != nil && a.Status == 0 {
		c.schedule.giveBack(d)
		c.mu.Unlock()
		return
	}
	c.stats.seconds.Observe(a.Took.Seconds())
	wasOpen := c.schedule.circuitOpen
	l := letter{record: d.record, attempts: d.attempts, why: a.String(), status: a.Status}
	v := c.schedule.answered(d, a, time.Now())
	isOpen := c.schedule.circuitOpen
	c.mu.Unlock()
	switch {
	case isOpen && !wasOpen:
		c.log.Warn("a receiver of alerts fails; until it answers it is asked with one alert at a time", "receiver", c.receiver.Name, "answer", a.String())
	case wasOpen && !isOpen:
		c.log.Info("a receiver of alerts answers again", "receiver", c.receiver.Name)
	}
	switch v {
	case delivered:
		c.stats.delivered.Inc()
		notify(c.roomy)
	case buried:
		c.putAway(ctx, d, l)
	}
}

// putAway writes the dead letter of a delivery. Only then it is finished; until then its entity's next event waits.
func (c *courier) putAway(ctx context.Context, d *delivery, l letter) {
	if err := c.bury(ctx, l); err != nil {
		return // stopping: the event is not committed and comes again
	}
	c.stats.dead.Inc()
	c.log.Warn("an alert was not delivered; it is in the dead letters", "receiver", c.receiver.Name, "entity", l.key,
		"attempts", l.attempts, "answer", l.why, "partition", l.partition, "offset", l.offset)
	c.mu.Lock()
	c.schedule.finish(d)
	c.mu.Unlock()
	notify(c.wake)
	notify(c.roomy)
}

// settle takes nothing more of the partitions and waits until nothing of them is under way, but not for longer than most.
func (c *courier) settle(partitions []int32, most time.Duration) {
	var idle []<-chan struct{}
	c.mu.Lock()
	for _, p := range partitions {
		idle = append(idle, c.schedule.close(p))
	}
	c.mu.Unlock()
	timer := time.NewTimer(most)
	defer timer.Stop()
	for _, done := range idle {
		select {
		case <-done:
		case <-timer.C:
			return
		}
	}
}
