package main

import (
	"context"
	"strconv"
	"time"

	"weir/topology/event"
)

// pace lets events pass at a multiple of their own time. The zero pace lets them pass at once.
type pace struct {
	factor float64
	first  event.UnixMilli
	began  time.Time
}

func paceOf(speed string) *pace {
	factor, err := strconv.ParseFloat(speed, 64)
	if err != nil {
		return &pace{} // max; Validate has refused the rest
	}
	return &pace{factor: factor}
}

func (p *pace) wait(ctx context.Context, at event.UnixMilli) {
	if p.factor == 0 {
		return
	}
	if p.began.IsZero() {
		p.first, p.began = at, time.Now()
		return
	}
	due := p.began.Add(time.Duration(float64(at-p.first) / p.factor * float64(time.Millisecond)))
	if d := time.Until(due); d > time.Millisecond {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
}
