package dashboard_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"weir/dashboard"
	"weir/topology/table"
	"weir/views/api"
	"weir/views/live"
	"weir/views/query/querytest"
)

type noOrders struct{ *querytest.Table }

func (noOrders) Get(string) (*table.Order, int32, error) { return nil, 0, nil }

// site is the view server over tables in memory.
type site struct {
	*querytest.Table
	url    string
	server *http.Server
	stop   context.CancelFunc
	hub    *live.Hub
}

func serve(t *testing.T, db *querytest.Table, address string, more ...func(*api.Deps, *live.Config)) *site {
	t.Helper()
	pushed := live.Config{
		Topics:    live.MetricTopics{Catalogue: querytest.Catalogue(), Source: db},
		Freshness: func() live.Freshness { return live.FreshnessOf(db.Progress()) }, Build: "test",
	}
	served := api.Deps{Catalogue: querytest.Catalogue(), Metrics: db, Orders: noOrders{db}, Version: "test",
		Ready: func() (bool, string) { return true, "" }, Dashboard: dashboard.Handler()}
	for _, f := range more {
		f(&served, &pushed)
	}
	db.Written(db.Progress().AsOf, time.Now().Add(time.Hour)) // a test that takes its time is no shop whose records wait
	hub := live.New(pushed)
	db.Subscribe(hub)
	served.Live = hub
	handler := api.New(served)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &site{Table: db, url: "http://" + listener.Addr().String(), server: &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}, hub: hub}
	done := make(chan struct{})
	go func() { defer close(done); _ = hub.Run(ctx) }()
	go func() { _ = s.server.Serve(listener) }()
	s.stop = func() { cancel(); <-done; _ = s.server.Close() }
	t.Cleanup(s.stop)
	return s
}

const tile = `document.querySelector('section[aria-label^="%s"] .v').textContent`

func tileOf(label string) string { return strings.Replace(tile, "%s", label, 1) }

func TestBrowserShowsWhatChanges(t *testing.T) {
	db := querytest.New()
	s := serve(t, db, "127.0.0.1:0")
	// A replay: the newest event is years old, so ranges must count back from it and not from the clock.
	head := time.Date(2017, 11, 24, 10, 30, 20, 0, time.UTC)
	put := func(metric string, minutesAgo int, count, sum int64, labels ...string) {
		for _, w := range querytest.Windows {
			db.Add(querytest.Key(metric, w.Name, head.Add(-time.Duration(minutesAgo)*time.Minute).Truncate(w.Length), labels...), count, sum)
		}
	}
	for i := range 60 {
		put("orders", i, 30, 0, "eu", "DE", "web", "EUR")
		put("orders", i, 5, 0, "us", "US", "web", "USD")
		put("revenue", i, 30, 100_00, "card", "eu", "DE", "EUR")
		put("revenue", i, 5, 7_00, "card", "us", "US", "USD")
		put("payments_captured", i, 95, 0, "card", "eu", "DE")
		put("payments_failed", i, 5, 0, "card", "eu", "DE", "x")
		put("funnel", i, 30, 0, "created", "eu", "DE")
		put("funnel", i, 15, 0, "paid", "eu", "DE")
		put("item_revenue", i, 1, 50_00, "Outdoor", "EUR")
	}
	db.Watermark(head)

	p := startBrowser(t).open(s.url+"/", 1280, 900)
	p.until("revenue in the currency of most orders", tileOf("Revenue"), "€6,000")
	p.until("orders per minute", tileOf("Orders per minute"), "35")
	p.until("payment success", tileOf("Payment success"), "95.0%")
	p.until("the freshness chip", `document.querySelector('.fresh').textContent.split('·')[0]`, "Live")
	p.until("both charts", `document.querySelectorAll('.bars-t svg .lg-bar').length`, "2")
	p.until("the funnel", `[...document.querySelectorAll('.fun b')].map(e => e.textContent).slice(0, 3).join(' ')`, "1,800 50.0 % 900")
	p.until("categories", `document.querySelector('.bars li').textContent`, "Outdoor€3,000")

	put("revenue", 0, 1, 1_50, "card", "eu", "DE", "EUR")
	p.until("revenue after a capture", tileOf("Revenue"), "€6,002")
	put("funnel", 2, 10, 0, "paid", "eu", "DE")
	p.until("the funnel after ten payments", `[...document.querySelectorAll('.fun b')].map(e => e.textContent)[2]`, "910")

	p.eval(`document.querySelector('.head select').value = 'USD'; document.querySelector('.head select').dispatchEvent(new Event('change', { bubbles: true }))`)
	p.until("dollars apart from euros", tileOf("Revenue"), "$420.00")
	p.until("the choice in the address", `new URLSearchParams(location.search).get('currency')`, "USD")

	p.eval(`[...document.querySelectorAll('.seg button')].find(b => b.textContent.startsWith('Pause')).click()`)
	put("revenue", 0, 1, 1_00, "card", "us", "US", "USD")
	p.until("held updates", `/· [1-9]\d* updates held/.test(document.querySelector('.seg').textContent)`, "true")
	if got := p.eval(tileOf("Revenue")); got != "$420.00" {
		t.Errorf("a paused page moved on to %s", got)
	}
	p.eval(`[...document.querySelectorAll('.seg button')].find(b => b.textContent.startsWith('Live')).click()`)
	p.until("what was held", tileOf("Revenue"), "$421.00")

	db.Present(6)
	p.until("recovery", `document.querySelector('.fresh').textContent`, "Recovering· 6/8 partitions")
	db.Present(8)
	p.until("no trouble", `document.querySelector('.fresh').textContent.split('·')[0]`, "Live")
	p.mustFit()
	for _, e := range p.errors() {
		t.Errorf("the browser reports: %s", e)
	}
}

func TestBrowserComesBackToARestartedServer(t *testing.T) {
	db := querytest.New()
	db.Watermark(time.Date(2026, 1, 1, 12, 0, 30, 0, time.UTC))
	key := querytest.Key("orders", "1m", time.Date(2026, 1, 1, 11, 59, 0, 0, time.UTC), "eu", "DE", "web", "EUR")
	db.Add(key, 15, 0)
	s := serve(t, db, "127.0.0.1:0")
	p := startBrowser(t).open(s.url+"/?range=1h", 360, 780)
	p.until("orders per minute", tileOf("Orders per minute"), "3")
	s.stop()
	p.until("the chip to tell", `document.querySelector('.fresh').textContent.startsWith('Reconnecting')`, "true")
	db.Add(key, 5, 0)
	serve(t, db, strings.TrimPrefix(s.url, "http://"))
	p.until("what changed meanwhile", tileOf("Orders per minute"), "4")
	p.until("the chip to be calm", `document.querySelector('.fresh').textContent.startsWith('Live')`, "true")
	p.mustFit()
}

func TestBrowserShowsAnEmptyShop(t *testing.T) {
	s := serve(t, querytest.New(), "127.0.0.1:0")
	p := startBrowser(t).open(s.url+"/", 1280, 900)
	p.until("what is waited for", `[...document.querySelectorAll('.state b')].map(e => e.textContent)[0]`, "No payment was captured in this range")
	p.until("no events", `document.querySelector('.fresh').textContent`, "Live· no events yet")
	now := time.Now().UTC()
	for _, w := range querytest.Windows {
		s.Add(querytest.Key("orders", w.Name, now.Truncate(w.Length), "eu", "DE", "web", "EUR"), 8, 0)
		s.Add(querytest.Key("revenue", w.Name, now.Truncate(w.Length), "card", "eu", "DE", "EUR"), 8, 800)
	}
	s.Watermark(now)
	p.until("the first order", tileOf("Revenue"), "€8.00")
	for _, e := range p.errors() {
		t.Errorf("the browser reports: %s", e)
	}
}

// A shop in which nothing happens is told from one that is not counted: the newest row is as old in both.
func TestBrowserTellsQuietFromStuck(t *testing.T) {
	db := querytest.New()
	now := time.Now().UTC()
	for _, w := range querytest.Windows {
		db.Add(querytest.Key("orders", w.Name, now.Truncate(w.Length), "eu", "DE", "web", "EUR"), 8, 0)
	}
	db.Watermark(now)
	s := serve(t, db, "127.0.0.1:0")
	p := startBrowser(t).open(s.url+"/", 360, 780)
	const chip, filled, strips = `document.querySelector('.fresh').innerText`, `!!document.querySelector('.fresh .i.f')`, `document.querySelectorAll('.panel .strip.warn').length`
	for _, is := range []struct {
		what                       string
		asOf, caughtUpAt           time.Duration // ago
		chip, filled, strips, says string
	}{
		{"a busy shop", -time.Hour, -time.Hour, "Live\n· 0.0 s behind", "true", "0", ""},
		{"a backlog", -time.Hour, 12 * time.Minute, "Behind\n· 12 min", "false", "0", "Records wait to be counted, and are being counted: the newest numbers will still grow. Operations shows how many."},
		{"a quiet shop", 12 * time.Minute, -time.Hour, "Live\n· quiet 12 min", "false", "0", "Everything that was sent is counted: the shop is quiet."},
		{"records that wait", 12 * time.Minute, 11 * time.Second, "Stale\n· 12 min", "false", "some", "Records wait to be counted, or it cannot be told whether any do. Operations shows where."},
		{"a quiet shop", 3 * time.Hour, -time.Hour, "Live\n· quiet 3 h", "false", "0", "Everything that was sent is counted: the shop is quiet."},
	} {
		db.Written(time.Now().Add(-is.asOf), time.Now().Add(-is.caughtUpAt))
		p.until(is.what, chip, is.chip)
		p.until(is.what+": the mark", filled, is.filled)
		p.until(is.what+": the panels", `(n => n ? 'some' : '0')(`+strips+`)`, is.strips)
		p.eval(`document.querySelector('.fresh').click()`)
		p.until(is.what+": why", `document.querySelector('dialog[open] .form > p.muted')?.textContent ?? ''`, is.says)
		p.eval(`document.querySelector('dialog[open]').close()`)
		p.mustFit()
	}
	for _, e := range p.errors() {
		t.Errorf("the browser reports: %s", e)
	}
}

// The browser's client of the protocol must hold what the query API answers, under random changes and over a restart.
func TestBrowserClientHoldsTheAnswer(t *testing.T) {
	db := querytest.New()
	now := time.Date(2026, 1, 1, 12, 0, 30, 0, time.UTC)
	db.Watermark(now)
	s := serve(t, db, "127.0.0.1:0")
	p := startBrowser(t).open(s.url+"/vendor/SHA256SUMS", 400, 300) // a page of the same origin without subscriptions of its own
	p.until("the page", `document.readyState`, "complete")
	p.eval(`(async () => {
		const { connect } = await import('/live.js')
		const client = window.client = connect({ random: () => 0.05 })
		const topics = window.topics = [['revenue', { from: 'now-15m', by: 'region' }], ['revenue', { from: 'now-2h', window: 'all' }], ['orders', { window: '1h' }]]
		window.subs = topics.map(([metric, filter]) => client.subscribe('metrics/' + metric, filter, { interval: 20 }))
		window.differs = async () => {
			const out = []
			for (let i = 0; i < topics.length; i++) {
				const [metric, filter] = topics[i]
				const body = await (await fetch('/v1/metrics/' + metric + '?' + new URLSearchParams(filter))).json()
				const want = body.series.flatMap(s => s.points.map(p => JSON.stringify({ labels: s.labels, ...(s.exponent !== undefined && { exponent: s.exponent }), ...p }))).sort()
				const have = [...subs[i].rows.values()].map(r => JSON.stringify(r)).sort()
				if (!subs[i].ready || JSON.stringify(want) !== JSON.stringify(have)) out.push(metric + ': ' + have.length + ' of ' + want.length)
			}
			return out.join(', ')
		}
	})()`)
	rng := rand.New(rand.NewPCG(2, 9))
	for round := range 12 {
		for range 1 + rng.IntN(30) {
			at := now.Add(-time.Duration(rng.IntN(3*3600)) * time.Second)
			for _, w := range querytest.Windows {
				db.Add(querytest.Key("revenue", w.Name, at.Truncate(w.Length), "card", []string{"eu", "us"}[rng.IntN(2)], "DE", "EUR"), 1, rng.Int64N(1000))
				db.Add(querytest.Key("orders", w.Name, at.Truncate(w.Length), "eu", "DE", "web", "EUR"), 1, 0)
			}
		}
		if keys := db.Keys(); rng.IntN(2) == 0 {
			db.Set(keys[rng.IntN(len(keys))], nil)
		}
		now = now.Add(time.Duration(rng.IntN(200)) * time.Second)
		db.Watermark(now)
		if round == 6 {
			s.stop()
			serve(t, db, strings.TrimPrefix(s.url, "http://"))
		}
		p.until("the client to hold the answer", `differs().catch(e => String(e))`, "")
	}
}

// TestPreview serves the dashboard over a made-up shop, to look at: WEIR_PREVIEW=127.0.0.1:8090 go test ./dashboard -run Preview
func TestPreview(t *testing.T) {
	address := os.Getenv("WEIR_PREVIEW")
	if address == "" {
		t.Skip("set WEIR_PREVIEW to an address to look at the dashboard")
	}
	d := openDesk()
	for i, severity := range []string{"critical", "high", "high", "medium", "medium", "low"} {
		d.add(d.anAlert(fmt.Sprint("preview", i), fmt.Sprintf("ip:198.51.100.%d", i), fmt.Sprint("o-", i/2), severity, int64(95-12*i), int64(128460/(i+1))))
	}
	s := d.serve(t, address, openBook().into)
	now := time.Now().UTC()
	shop := querytest.OpenShop(s.Table, 1, 40)
	for at := now.Truncate(time.Minute).Add(-125 * time.Minute); at.Before(now.Truncate(time.Minute)); at = at.Add(time.Minute) {
		shop.Minute(at, 1)
	}
	t.Logf("look at %s", s.url)
	for {
		now = time.Now().UTC()
		shop.Minute(now.Truncate(time.Minute), 1.0/20)
		s.Watermark(now)
		time.Sleep(3 * time.Second)
	}
}
