package entities

import (
	"math"
	"strings"

	"weir/processors/rule"
	"weir/topology/event"
	"weir/topology/table"
)

// Feature is what a reading of an entity is at some time.
type Feature struct {
	Text     string // as rules write it: "count(orders by customer, 5m)"
	Value    rule.Value
	Currency string          // of money: that of the entity's newest observation
	From, To event.UnixMilli // the window (From, To]; From 0 = all that is kept
	Entries  int64           // that it is made of
	Exact    bool            // every one is kept by itself; else some are in buckets, and the window's edge is off by less than Step
	Step     int64           // of the buckets, in ms; 0 if Exact
}

// Features reads every feature that set keeps of the entity, as of a time. It does not know since when a partition has had a series: a
// feature that rules still take as unknown has its value so far here. A nil row has the features of an entity that did nothing.
func Features(set *rule.Set, key string, row []byte, at event.UnixMilli) ([]Feature, error) {
	plan := set.Plan(kindOf(key))
	if plan == nil {
		return nil, nil
	}
	var s scratch
	s.shape.fit(plan, set.Grace)
	if _, err := s.begin(row, nil); err != nil {
		return nil, err
	}
	m := moment{at: int64(at), hash: math.MaxUint64, obs: -1}
	for i := range s.refs {
		if s.refs[i].at > m.at {
			break
		}
		m.obs = int32(i)
		if c := currencyOf(s.bytes(&s.refs[i])); c != 0 {
			m.currency = c
		}
	}
	s.index.build(&s, row, m.at, nil)
	features := make([]Feature, 0, len(plan.Readings))
	for i := range plan.Readings {
		r := plan.Readings[i]
		r.Previous = false // there is no event to leave out
		f := Feature{Text: r.Text, To: at, Exact: true}
		if r.Result == rule.Money {
			f.Currency = currencyName(m.currency)
		}
		if r.Window > 0 {
			f.From = at.Add(-r.Window)
		}
		p, known, _ := s.index.span(&r, &m)
		if known && p.buckets != nil {
			for k := range p.buckets.buckets {
				if p.reads(&p.buckets.buckets[k], &m) {
					f.Exact, f.Step = false, p.s.step
				}
			}
		}
		f.Value, f.Entries, _ = s.index.read(&r, &m)
		features = append(features, f)
	}
	return features, nil
}

// Newest returns where the newest n events of an entity's row stand, newest first.
func Newest(row []byte, n int) ([]*table.Place, error) {
	var s scratch
	if _, err := s.begin(row, nil); err != nil {
		return nil, err
	}
	var places []*table.Place
	for i := len(s.refs) - 1; i >= 0 && len(places) < n; i-- {
		p, err := place(s.bytes(&s.refs[i]))
		if err != nil {
			return nil, err
		}
		places = append(places, p)
	}
	return places, nil
}

// kindOf is the kind of an entity's key.
func kindOf(key string) string {
	kind, _, _ := strings.Cut(key, ":")
	return kind
}
