// Package alert is what an alert looks like outside: the words of its life, and its JSON. Topic alerts, the query API and webhooks
// all show it in this shape. It is pure; rows come from table, and who asks brings the time.
//
// It stands at the end of an event's journey: order → observation → finding → hit of an alert → this.
//
//	alert.go   the words, and what follows from a row: case score, status at a time
//	json.go    the representation
//	event.go   the CloudEvents of topic alerts
package alert

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"

	"weir/topology/event"
	"weir/topology/table"
)

// The statuses of an alert: what people have made of it.
const (
	Open          = "open"
	Acknowledged  = "acknowledged"
	Confirmed     = "confirmed"
	FalsePositive = "false_positive"
	Snoozed       = "snoozed"
	Closed        = "closed"
	Withdrawn     = "withdrawn" // no hit holds any more
)

// The episodes of an alert: whether hits may still join it.
const (
	Active = "active"
	Ended  = "ended"
)

// The actions of a decision.
const (
	Acknowledge       = "acknowledge"
	Confirm           = "confirm"
	MarkFalsePositive = "false_positive"
	Snooze            = "snooze"
	Close             = "close"
	Reopen            = "reopen"
	Assign            = "assign"
	Comment           = "comment"
)

// What event time does to an alert, as its history tells it beside the actions.
const (
	ChangeOpened    = "opened"
	ChangeEnded     = "ended"
	ChangeMerged    = "merged"
	ChangeWithdrawn = "withdrawn"
)

// statuses are what actions make of an alert; those that are not here leave its status.
var statuses = map[string]string{
	Acknowledge: Acknowledged, Confirm: Confirmed, MarkFalsePositive: FalsePositive, Snooze: Snoozed, Close: Closed, Reopen: Open,
}

// StatusAfter is the status that an action sets; "" for one that leaves it, or is none.
func StatusAfter(action string) string { return statuses[action] }

// Known reports whether there is such an action.
func Known(action string) bool {
	return statuses[action] != "" || action == Assign || action == Comment
}

// ID is the identity of an alert: 16 hex digits, a hash of the rule, the version and time of its first hit, and its entity.
func ID(rule string, version int64, entity string, started event.UnixMilli) string {
	b := make([]byte, 0, 128)
	b = append(append(b, rule...), 0)
	b = strconv.AppendInt(b, version, 10)
	b = append(append(append(b, 0), entity...), 0)
	b = strconv.AppendInt(b, int64(started), 10)
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, xxhash.Sum64(b)))
}

// StatusAt is the status at a wall clock time: a snoozed alert is open again once its time has come.
func StatusAt(a *table.Alert, now time.Time) string {
	if a.Status == Snoozed && now.UnixMilli() >= a.SnoozedUntilMs {
		return Open
	}
	return a.Status
}

// CaseScore adds up what the rules say about one entity, 0 to 100: 100·(1−Π(1−s/100)) over the rules, each with its highest score
// among alerts that stand. Closed, false, withdrawn and shadow alerts say nothing.
func CaseScore(c *table.Case) int64 {
	rest := 1.0
	for i := 0; i < len(c.Alerts); {
		rule, score := c.Alerts[i].Rule, int64(0) // alerts are sorted by rule
		for ; i < len(c.Alerts) && c.Alerts[i].Rule == rule; i++ {
			if stands(c.Alerts[i]) {
				score = max(score, c.Alerts[i].Score)
			}
		}
		rest *= 1 - float64(min(score, 100))/100
	}
	return int64(math.Round(100 * (1 - rest)))
}

func stands(a *table.Alert) bool {
	return !a.Shadow && a.Status != Closed && a.Status != FalsePositive && a.Status != Withdrawn
}
