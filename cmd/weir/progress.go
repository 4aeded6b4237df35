package main

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a long piece of work is.
type progress interface {
	add(bytes int)  // read so far; from any goroutine
	events(n int64) // done so far, in all
	finish()
}

// newProgress is a bar on a terminal, and elsewhere a line every few seconds. total is 0 where it is not known.
func newProgress(w io.Writer, total int64) progress {
	if !isTerminal(w) {
		return &progressLines{w: w, total: total, began: time.Now(), told: time.Now()}
	}
	size := total
	if size == 0 {
		size = -1
	}
	return &progressBar{bar: progressbar.NewOptions64(size, progressbar.OptionSetWriter(w), progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(),
		progressbar.OptionFullWidth(), progressbar.OptionSetDescription("replaying"))}
}

type progressBar struct {
	bar  *progressbar.ProgressBar
	read atomic.Int64
	told time.Time
}

func (p *progressBar) add(n int) { p.read.Add(int64(n)) }

func (p *progressBar) events(n int64) {
	if time.Since(p.told) < 100*time.Millisecond {
		return
	}
	p.told = time.Now()
	p.bar.Describe(fmt.Sprintf("replaying, %d events", n))
	_ = p.bar.Set64(p.read.Load()) // a bar that cannot be drawn is no reason to stop
}

func (p *progressBar) finish() { _ = p.bar.Finish() } // likewise

const progressEvery = 5 * time.Second

type progressLines struct {
	w     io.Writer
	total int64
	read  atomic.Int64
	began time.Time
	told  time.Time
}

func (p *progressLines) add(n int) { p.read.Add(int64(n)) }

func (p *progressLines) events(n int64) {
	now := time.Now()
	if now.Sub(p.told) < progressEvery {
		return
	}
	p.told = now
	share := ""
	if p.total > 0 {
		share = fmt.Sprintf(", %d %% of the input", min(100, p.read.Load()*100/p.total))
	}
	fmt.Fprintf(p.w, "replaying: %d events in %v%s\n", n, now.Sub(p.began).Round(time.Second), share)
}

func (p *progressLines) finish() {}
