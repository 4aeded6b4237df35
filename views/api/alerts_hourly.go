package api

import (
	"cmp"
	"context"
	"slices"
	"time"

	"weir/topology/event"
	"weir/views/query"
	"weir/views/search"
)

// HourlyAlerts is the body of GET /v1/alerts/hourly.
type HourlyAlerts struct {
	From  time.Time   `json:"from" doc:"when the first hour begins: so many hours before the watermark"`
	Hours int         `json:"hours"`
	Rules []RuleHours `json:"rules" doc:"by id; rules without an alert since from are left out"`
	Meta  query.Meta  `json:"meta"`
}

// RuleHours is how many alerts of one rule began in each hour.
type RuleHours struct {
	Rule   string `json:"rule"`
	Counts []int  `json:"counts" doc:"by hour, oldest first. The last has what is ahead of the watermark, too, so that together they are what started_from counts"`
}

type hourlyInput struct {
	Hours  int    `query:"hours" minimum:"1" maximum:"168" default:"24" doc:"how many, up to the watermark"`
	Shadow string `query:"shadow" enum:"exclude,only,include" default:"exclude" doc:"alerts of rules in shadow"`
	Freshness
}

type hourlyOutput struct{ Body HourlyAlerts }

func (s *server) hourlyAlerts(_ context.Context, in *hourlyInput) (*hourlyOutput, error) {
	progress, err := s.alertsProgress(in.Freshness)
	if err != nil {
		return nil, err
	}
	now := progress.Watermark
	if now == 0 {
		now = event.UnixMilli(s.Now().UnixMilli())
	}
	from := now - event.UnixMilli(int64(in.Hours)*time.Hour.Milliseconds())
	body := HourlyAlerts{From: from.Time(), Hours: in.Hours, Rules: []RuleHours{}, Meta: progress.Meta()}
	byRule := map[string][]int{}
	err = s.Alerts.Started(from, latestStart, func(a *search.Alert) {
		if (in.Shadow == "exclude" && a.Shadow) || (in.Shadow == "only" && !a.Shadow) {
			return
		}
		counts := byRule[a.Rule.Value()]
		if counts == nil {
			counts = make([]int, in.Hours)
			byRule[a.Rule.Value()] = counts
		}
		counts[min(int(int64(a.Started-from)/time.Hour.Milliseconds()), in.Hours-1)]++
	})
	if err != nil {
		return nil, s.problem(err)
	}
	for rule, counts := range byRule {
		body.Rules = append(body.Rules, RuleHours{rule, counts})
	}
	slices.SortFunc(body.Rules, func(a, b RuleHours) int { return cmp.Compare(a.Rule, b.Rule) })
	return &hourlyOutput{body}, nil
}

// latestStart is behind the first hit of every alert.
const latestStart = event.UnixMilli(1<<63 - 1)
