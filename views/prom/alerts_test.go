package prom

import (
	"strings"
	"testing"
	"time"
	"unique"

	"weir/topology/event"
	"weir/views/query"
	"weir/views/query/querytest"
	"weir/views/search"
)

type alertList []search.Alert

func (l alertList) Started(from, to event.UnixMilli, fn func(*search.Alert)) error {
	for i := range l {
		if from <= l[i].Started && l[i].Started < to {
			fn(&l[i])
		}
	}
	return nil
}

type noAlerts struct{}

func (noAlerts) Started(event.UnixMilli, event.UnixMilli, func(*search.Alert)) error {
	return &query.NotReadyError{Table: "weir-alerts-table", Why: "it is being recovered"}
}

func alertOf(at time.Duration, rule, severity, status, entity string) search.Alert {
	return search.Alert{ID: rule + entity, Entity: entity, Rule: unique.Make(rule), Severity: unique.Make(severity), Status: unique.Make(status),
		Started: event.UnixMilli(noon.Add(at).UnixMilli())}
}

func TestAlertsAreCountedWhereTheyBegan(t *testing.T) {
	list := alertList{
		alertOf(-90*time.Second, "card_testing", "high", "open", "ip:1.2.3.4"),
		alertOf(-80*time.Second, "card_testing", "high", "confirmed", "ip:1.2.3.5"),
		alertOf(-26*time.Hour, "velocity", "low", "open", "customer:c1"),
		alertOf(time.Second, "velocity", "low", "open", "customer:c2"), // its window is open
	}
	h := New(Config{Catalogue: querytest.Catalogue(), Metrics: day(t), Alerts: list, Now: func() time.Time { return noon }})
	for expr, want := range map[string]float64{
		`sum(shop_alerts_started)`:                                     0, // of the minute before noon
		`sum(shop_alerts_started offset 1m)`:                           2,
		`sum(sum_over_time(shop_alerts_started{severity="high"}[5m]))`: 2,
		`sum(increase(shop_alerts_started_total[30m] anchored))`:       2,
		`sum(sum_over_time(shop_alerts_started{window="1h"}[2d]))`:     3,
		`sum(shop_alerts{status="open"})`:                              3,
		`sum(shop_alerts{by="total",status="open"})`:                   3,
	} {
		if got := valueOf(t, h, expr, noon); got != want {
			t.Errorf("%s is %v, want %v", expr, got, want)
		}
	}
	if got := values(t, get(t, h, "label/rule/values", "start", unix(noon.Add(-time.Hour)), "end", unix(noon))); strings.Join(got, " ") != "card_testing velocity" {
		t.Errorf("rules are %q", got)
	}
	h = New(Config{Catalogue: querytest.Catalogue(), Metrics: day(t), Alerts: noAlerts{}, Now: func() time.Time { return noon }})
	if a := get(t, h, "query", "query", "shop_alerts"); a.code != 503 || a.ErrorType != "unavailable" {
		t.Errorf("alerts that cannot be read: %+v", a)
	}
}
