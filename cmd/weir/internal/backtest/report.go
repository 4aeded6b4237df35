package backtest

import (
	"time"

	"weir/topology/alert"
)

// Report is what rules would have done. Times are RFC 3339 in UTC; money is exact.
type Report struct {
	// Partial says why the run ended before the events did: cancelled, event limit, time limit. "" = it did not.
	Partial string    `json:"partial,omitempty"`
	From    time.Time `json:"from"` // alerts that began in [From, To) are reported
	To      time.Time `json:"to"`
	Days    float64   `json:"days"`

	Events   int64   `json:"events"`          // played, with those before From
	Refused  int64   `json:"refused"`         // of them: malformed, expired or too many of an order
	Repeated int64   `json:"repeated"`        // of them: their id had come before
	Late     int64   `json:"late"`            // observations too late for any feature
	Unjudged int64   `json:"unjudged"`        // observations later than the rules' grace: what they would change stays as it was
	Seconds  float64 `json:"seconds"`         // wall clock of the whole run
	Micros   float64 `json:"micros_an_event"` // of processing alone, wall clock

	All    Tally         `json:"all"` // of live rules together
	Rules  []RuleReport  `json:"rules"`
	Alerts []alert.Alert `json:"alerts"` // by start; of more than fit a sample that is the same each time
	// AlertsLeftOut is how many are not among Alerts.
	AlertsLeftOut int64    `json:"alerts_left_out,omitempty"`
	Against       *Against `json:"against,omitempty"`
	Warnings      []string `json:"warnings,omitempty"`
}

// Tally counts what rules found.
type Tally struct {
	Hits         int64   `json:"hits"`   // events at which a rule holds
	Alerts       int64   `json:"alerts"` // that stand in the end
	AlertsPerDay float64 `json:"alerts_per_day"`
	Held         int64   `json:"held,omitempty"`      // beside them: over their rule's limit, told to nobody
	Withdrawn    int64   `json:"withdrawn,omitempty"` // beside them: later events showed that no hit holds
	Entities     int64   `json:"entities"`            // that alerts are about
	Orders       int64   `json:"orders"`              // that alerts cite
	AtRisk       []Money `json:"at_risk"`             // totals of those orders, each once
	// Labels compare with the truth, where there is one.
	Labels *Labels `json:"labels,omitempty"`
}

// Money is an amount in minor units.
type Money struct {
	Amount   int64  `json:"amount,string"`
	Currency string `json:"currency"`
	Exponent int    `json:"exponent"`
}

// RuleReport is what one rule found.
type RuleReport struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	State    string `json:"state"`
	Kind     string `json:"kind"`
	Severity string `json:"severity"`
	Tally
	Asked  int64 `json:"asked"`            // events for which it was evaluated
	Passed int64 `json:"passed"`           // clauses whose conditions over the event held
	Broken int64 `json:"broken,omitempty"` // evaluations that a defect ended
	// Shared counts entities and orders that other live rules of the same document alerted about, too.
	Shared Overlap `json:"shared"`
	// Against counts those that the rules compared with alerted about, too.
	Against *Overlap      `json:"against,omitempty"`
	Samples []alert.Alert `json:"samples"` // at most five
}

// Overlap counts what two sides have in common.
type Overlap struct {
	Entities int64 `json:"entities"`
	Orders   int64 `json:"orders"`
}

// Against is what the rules compared with found in the same events.
type Against struct {
	All      Tally       `json:"all"`
	Rules    []RuleTally `json:"rules"`
	Both     Overlap     `json:"both"`     // alerted about by live rules of either side
	OnlyNow  Overlap     `json:"only_now"` // only by the rules that are tried
	OnlyThen Overlap     `json:"only_then"`
	Micros   float64     `json:"micros_an_event"`
}

// RuleTally is a rule of the other side.
type RuleTally struct {
	ID    string `json:"id"`
	State string `json:"state"`
	Tally
}

// Labels are how well alerts agree with the truth. An alert touches a case if it has a hit at one of its orders, or is about one of
// its entities while the case lasts or within seven days. An episode is caught if an alert touches it. Alerts that are held count
// for nothing; those of shadow rules only beside their rule.
type Labels struct {
	Episodes    int64     `json:"episodes"` // of planted fraud, in the time that was played
	Caught      int64     `json:"caught"`
	Recall      float64   `json:"recall"`
	Alerts      int64     `json:"alerts"`
	Unjudged    int64     `json:"unjudged,omitempty"` // alerts beside them of rules with typology operations, which are not about fraud
	Touching    int64     `json:"touching"`           // alerts that touch an episode
	Precision   float64   `json:"precision"`          // their share; 0 without alerts
	Value       []Money   `json:"value"`              // captured in all episodes
	ValueCaught []Money   `json:"value_caught"`
	Patterns    []Pattern `json:"patterns"`
	Curve       []Point   `json:"curve"`
	// FalsePositives are alerts that touch no episode, by the look-alike that they touch; "" = none.
	FalsePositives []FalsePositive `json:"false_positives"`
}

// Pattern is a pattern of planted fraud.
type Pattern struct {
	Pattern  string  `json:"pattern"`
	Episodes int64   `json:"episodes"`
	Caught   int64   `json:"caught"`
	Recall   float64 `json:"recall"`
	// DelaySeconds is the median time from the begin of a caught episode to the first hit that catches it.
	DelaySeconds float64  `json:"delay_seconds"`
	Value        []Money  `json:"value"`
	ValueCaught  []Money  `json:"value_caught"`
	Missed       []string `json:"missed,omitempty"` // at most five episodes
}

// Point is what is left if only alerts with at least a score count.
type Point struct {
	Score       int64   `json:"score"`
	Alerts      int64   `json:"alerts"`
	Precision   float64 `json:"precision"`
	Recall      float64 `json:"recall"`
	ValueCaught []Money `json:"value_caught"`
}

// FalsePositive counts alerts about one kind of look-alike.
type FalsePositive struct {
	Lookalike string           `json:"lookalike"`
	Alerts    int64            `json:"alerts"`
	Rules     map[string]int64 `json:"rules"` // alerts by rule
}
