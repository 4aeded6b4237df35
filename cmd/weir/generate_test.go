package main

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/cmd/weir/internal/shop"
	"weir/topology/event"
)

// A month of a small shop in one file, what was planted in another.
func TestGeneratedFraudIsTold(t *testing.T) {
	dir := t.TempDir()
	events, truth := filepath.Join(dir, "events.ndjson"), filepath.Join(dir, "truth.ndjson")
	args := []string{"generate", "--orders", "5000", "--rate", "0.00193", "--start", "2026-01-01T00:00:00Z", "--seed", "4", "--output", events,
		"--truth", truth, "--fraud", "default,promo_ring=0.01", "--log-level", "warn"}
	if r := weir(t, invocation{args: args}); r.code != 0 || r.err != "" {
		t.Fatal(r.code, r.err)
	}
	created := map[string]event.UnixMilli{}
	for _, line := range linesOf(t, events) {
		e, err := event.Canonical().Parse(line, 0)
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == event.OrderCreated {
			created[e.OrderID] = e.At
		}
	}
	lines := linesOf(t, truth)
	var run struct {
		Seed, Orders int64
		Start        string
		Fraud        shop.Mix
	}
	if err := json.Unmarshal(lines[0], &run); err != nil {
		t.Fatal(err)
	}
	if run.Seed != 4 || run.Orders != 5000 || run.Start != "2026-01-01T00:00:00Z" || run.Fraud["promo_ring"] != 0.01 || run.Fraud["bust_out"] != 0.0015 {
		t.Errorf("the first line is %s", lines[0])
	}
	planted, looks := 0, 0
	for _, line := range lines[1:] {
		var one shop.Truth
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatal(err)
		}
		for _, id := range append(one.Orders, one.History...) {
			if at := created[id]; at.Time().Before(one.From) || at.Time().After(one.To) {
				t.Errorf("%s is none of the orders of %s", id, line)
			}
		}
		if one.Pattern == "" {
			looks++
			continue
		}
		planted += len(one.Orders) + len(one.History)
	}
	if planted < 50 || len(created) != 5000+planted || looks < 100 {
		t.Errorf("%d orders, %d are planted; %d lines of look-alikes", len(created), planted, looks)
	}
	at := slices.Sorted(maps.Values(created))
	if days := (at[len(at)-1] - at[0]) / 86_400_000; days < 27 || days > 33 {
		t.Errorf("5,000 orders at 0.00193 a second take %d days of event time, want 30", days)
	}
}

func TestWrongMixesAreRefused(t *testing.T) {
	for mix, says := range map[string]string{
		"promo=0.1":      "generate.fraud: there is no pattern",
		"promo_ring=0.9": "from 0 to 0.5",
		"--truth":        "write default, off",
	} {
		r := weir(t, invocation{args: []string{"generate", "--output", filepath.Join(t.TempDir(), "events"), "--orders", "1", "--fraud", mix}})
		if r.code == 0 || !strings.Contains(r.err, says) {
			t.Errorf("%s: %d\n%s", mix, r.code, r.err)
		}
	}
	r := weir(t, invocation{args: []string{"generate", "--output", "-", "--orders", "1", "--truth", filepath.Join(t.TempDir(), "no", "truth")}})
	if r.code == 0 || !strings.Contains(r.err, "the truth file cannot be written") {
		t.Errorf("%d\n%s", r.code, r.err)
	}
}
