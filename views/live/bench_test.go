package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"weir/views/live"
	"weir/views/query/querytest"
)

// BenchmarkPush is the time from a stored row to the frame in a client's hands, over a quiet subscription: its floor is the 5 ms
// in which siblings are gathered.
func BenchmarkPush(b *testing.B) {
	db := querytest.New()
	db.Watermark(noon)
	for i := range 60 {
		for r := range 40 {
			db.Add(querytest.Key("revenue", "1m", noon.Add(-time.Duration(i)*time.Minute), "card", fmt.Sprintf("r%02d", r), "DE", "EUR"), 1, 100)
		}
	}
	l := live.DefaultLimits()
	hub := live.New(live.Config{Topics: live.MetricTopics{Catalogue: querytest.Catalogue(), Source: db}, Freshness: func() live.Freshness { return live.FreshnessOf(db.Progress()) }, Limits: l})
	db.Subscribe(hub)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = hub.Run(ctx) }()
	server := httptest.NewServer(hub)
	defer func() { cancel(); <-done; server.Close() }()
	ws, _, err := (&websocket.Dialer{Subprotocols: []string{live.Subprotocol}}).Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer ws.Close()
	next := func(kind string) {
		for {
			var f struct{ Type string }
			_, data, err := ws.ReadMessage()
			if err != nil {
				b.Fatal(err)
			}
			if err := json.Unmarshal(data, &f); err != nil {
				b.Fatal(err)
			}
			if f.Type == kind {
				return
			}
		}
	}
	for _, f := range []map[string]any{{"type": "hello"}, {"type": "sub", "id": "a", "topic": "metrics/revenue", "interval_ms": 20, "filter": map[string]any{"from": "now-1h", "by": "region"}}} {
		if err := ws.WriteJSON(f); err != nil {
			b.Fatal(err)
		}
	}
	next("snap")
	key := querytest.Key("revenue", "1m", noon, "card", "r07", "DE", "EUR")
	for b.Loop() {
		b.StopTimer()
		time.Sleep(20 * time.Millisecond) // the spell is quiet
		b.StartTimer()
		db.Add(key, 1, 1)
		next("delta")
	}
}

// BenchmarkRefresh is what one changed row costs a cohort, whoever listens.
func BenchmarkRefresh(b *testing.B) {
	db := querytest.New()
	db.Watermark(noon)
	for i := range 60 {
		for r := range 100 {
			db.Add(querytest.Key("revenue", "1m", noon.Add(-time.Duration(i)*time.Minute), "card", fmt.Sprintf("r%02d", r), "DE", "EUR"), 1, 100)
		}
	}
	for name, filter := range map[string]map[string][]string{"100 series": {"from": {"now-1h"}, "by": {"region"}}, "one series": {"from": {"now-1h"}}, "merged": {"from": {"2026-01-01T11:30:00Z"}, "to": {"2026-01-01T12:10:00Z"}, "window": {"all"}}} {
		b.Run(name, func(b *testing.B) {
			feed, err := live.MetricTopics{Catalogue: querytest.Catalogue(), Source: db}.Open("metrics/revenue", filter)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := feed.Refresh(); err != nil {
				b.Fatal(err)
			}
			changed := live.Changed{Groups: map[string]struct{}{"revenue/1m/2026-01-01T12:00:00Z": {}}}
			for b.Loop() {
				db.Add(querytest.Key("revenue", "1m", noon, "card", "r07", "DE", "EUR"), 1, 1)
				feed.Touch(changed)
				if ops, err := feed.Refresh(); err != nil || len(ops) != 1 {
					b.Fatal(ops, err)
				}
			}
		})
	}
}
