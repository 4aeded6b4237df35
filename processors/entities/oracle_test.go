package entities

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"

	"weir/processors/rule"
	"weir/topology/event"
	"weir/topology/table"
)

// fact is an event as the oracle knows it.
type fact struct {
	table.Observation
	late bool
}

func (f *fact) key() ref { return ref{at: f.AtMs, hash: f.IDHash} }

// newObservation is event number n of an entity.
func newObservation(n int, at int64, currency string, values ...table.SeriesValue) table.Observation {
	id := "e" + strconv.Itoa(n)
	return table.Observation{
		AtMs: at, IDHash: xxhash.Sum64String(id), Type: uint8(event.OrderCreated), Partition: int32(n % 7), Offset: int64(n),
		RiskMinor: int64(100 * n), Currency: currency, Values: values, ID: id, OrderID: "o" + strconv.Itoa(n/2), Topic: "orders",
	}
}

// read is the value of a reading at f, by looking at every event there is.
func naive(plan *rule.Plan, r *rule.Reading, f *fact, all []*fact) (v rule.Value, entries []*fact) {
	v.Type = r.Result
	s := plan.Series[r.Series]
	if r.Result == rule.Money && f.Currency == "" {
		return v, nil
	}
	for _, e := range all {
		a, b := e.key(), f.key()
		switch {
		case b.before(&a), r.Previous && a.same(&b), r.Window > 0 && e.AtMs <= f.AtMs-r.Window.Milliseconds(),
			r.Result == rule.Money && e.Currency != f.Currency, r.Late == rule.Drop && e.late:
			continue
		}
		if slices.ContainsFunc(e.Values, func(v table.SeriesValue) bool { return v.Series == s.ID }) {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b *fact) int { return compareRefs(a.key(), b.key()) })
	var bits []uint64
	var numbers []float64
	different := map[uint64]bool{}
	for _, e := range entries {
		for _, v := range e.Values {
			if v.Series == s.ID {
				bits, numbers = append(bits, v.Bits), append(numbers, math.Float64frombits(v.Bits))
				bits := v.Bits
				if s.Type != rule.Text {
					bits = math.Float64bits(math.Float64frombits(bits) + 0) // −0 is 0
				}
				different[bits] = true
			}
		}
	}
	n, sum := float64(len(entries)), 0.0
	for _, x := range numbers {
		sum += x
	}
	v.Known = len(entries) > 0
	switch r.Agg {
	case rule.Count:
		v.Num, v.Known = n, true
	case rule.Sum:
		v.Num, v.Known = sum, true
	case rule.Distinct:
		v.Num, v.Known = float64(len(different)), true
	case rule.Rate:
		v.Num, v.Known = n/r.Window.Hours(), r.Window > 0
		if !v.Known {
			v.Num = 0
		}
	}
	if len(entries) == 0 {
		return v, nil
	}
	first, last := entries[0], entries[len(entries)-1]
	switch r.Agg {
	case rule.Mean:
		v.Num = sum / n
	case rule.Stddev:
		m2 := 0.0
		for _, x := range numbers {
			m2 += (x - sum/n) * (x - sum/n)
		}
		if v.Known = n > 1; v.Known {
			v.Num = math.Sqrt(m2 / n)
		}
	case rule.Min:
		v.Num = slices.Min(numbers)
	case rule.Max:
		v.Num = slices.Max(numbers)
	case rule.SinceFirst:
		v.Num = float64(f.AtMs - first.AtMs)
	case rule.SinceLast:
		v.Num = float64(f.AtMs - last.AtMs)
	case rule.Last:
		if s.Type == rule.Text {
			v.Text = table.UnpackText(bits[len(bits)-1])
		} else {
			v.Num = numbers[len(numbers)-1]
		}
	case rule.Percentile:
		slices.Sort(numbers)
		v.Num = numbers[max(int(math.Ceil(r.Quantile*n)), 1)-1]
	}
	return v, entries
}

// wanted is what has to stand in the end: what is found when every event is judged with all others at hand.
func wanted(j *testJudge, plan *rule.Plan, key string, all []*fact) map[string]*table.Finding {
	standing := map[string]*table.Finding{}
	for _, f := range all {
		gates := slices.Clone(f.Gates)
		for _, p := range plan.OpenOf(f.Type) {
			g := table.Gate{Part: p.ID}
			if p.Rule.Entity != plan.Kind {
				g.About = "order:" + f.OrderID
			}
			gates = append(gates, g)
		}
		for _, g := range gates {
			p := j.parts[g.Part]
			if p == nil || !p.Rule.State.Evaluated() {
				continue
			}
			values := make([]rule.Value, len(p.Readings))
			for i, at := range p.Readings {
				values[i], _ = naive(plan, &plan.Readings[at], f, all)
			}
			asked := new(rule.Evidence).Of(g.Operands, values, f.Currency)
			if j.holds(p, asked) != rule.True {
				continue
			}
			entity := key
			if g.About != "" {
				entity = g.About
			}
			x := &table.Finding{
				Rule: p.Rule.ID, RuleHash: p.Rule.Hash, Version: p.Rule.Version, Entity: entity, OrderId: f.OrderID, AtMs: f.AtMs, Hit: f.IDHash,
				Clause: uint32(p.Clause), Part: uint32(p.Index), Parts: uint32(p.Of), Event: placeOf(f), RiskMinor: f.RiskMinor, Currency: f.Currency,
			}
			x.Score, x.Reason = j.score(p, asked, g.Score)
			x.Predicates, _ = j.explain(p, asked)
			for i, pr := range x.Predicates {
				r := &plan.Readings[p.Readings[i]]
				pr.Feature, pr.Entity, pr.ToMs = r.Text, key, f.AtMs
				if r.Window > 0 {
					pr.FromMs = f.AtMs - r.Window.Milliseconds()
				}
				_, entries := naive(plan, r, f, all)
				switch {
				case len(entries) == 0:
				case r.Agg == rule.Last, r.Agg == rule.SinceLast:
					entries = entries[len(entries)-1:]
				case r.Agg == rule.SinceFirst:
					entries = entries[:1]
				}
				if len(entries) > 0 && !values[i].Known && (r.Agg != rule.Stddev && r.Agg != rule.Rate) {
					entries = nil
				}
				pr.EventsTotal = int64(len(entries))
				for _, e := range entries[max(0, len(entries)-MaxCited):] {
					pr.Events = append(pr.Events, placeOf(e))
				}
			}
			standing[identityOf(x)] = x
		}
	}
	return standing
}

func placeOf(f *fact) *table.Place {
	return &table.Place{Topic: f.Topic, Partition: f.Partition, Offset: f.Offset, Id: f.ID, AtMs: f.AtMs,
		Type: event.Type(f.Type).String(), OrderId: f.OrderID}
}

func identityOf(f *table.Finding) string {
	return fmt.Sprint(f.Entity, " ", f.Rule, " ", f.RuleHash, " ", f.Hit, " ", f.Clause, " ", f.Part)
}

// testJudge decides without the rule language: a part holds where its first reading is known and reaches the gate's first operand.
type testJudge struct {
	parts map[uint32]*rule.Part
	least map[*rule.Part]float64 // of open parts, which have no operand
	saw   []rule.Value           // the readings of the newest decision over a gate
}

func (j *testJudge) part(id uint32) *rule.Part { return j.parts[id] }

func (j *testJudge) holds(p *rule.Part, e *rule.Evidence) rule.Tri {
	operands, values := e.Operands(), e.Readings()
	if least, open := j.least[p]; open {
		operands = []table.Operand{{Kind: table.OperandNumber, Bits: f64(least)}}
	} else {
		j.saw = append(j.saw[:0], values...)
	}
	switch {
	case len(operands) == 0:
		return rule.True
	case !values[0].Known:
		return rule.Unknown
	case values[0].Num >= operands[0].Number():
		return rule.True
	}
	return rule.False
}

func (j *testJudge) score(p *rule.Part, e *rule.Evidence, gate uint8) (int64, string) {
	return int64(gate) + int64(len(e.Readings())), p.Rule.ID
}

func (j *testJudge) explain(_ *rule.Part, e *rule.Evidence) (ps []*table.Predicate, feature []int) {
	for i, v := range e.Readings() {
		ps = append(ps, &table.Predicate{Text: fmt.Sprint(i), Observed: fmt.Sprint(v.Known, v.Num, v.Text, e.Currency()), Threshold: fmt.Sprint(len(e.Operands()))})
		feature = append(feature, i)
	}
	return ps, feature
}

// entity runs one row and keeps what stands.
type entity struct {
	judge     *testJudge
	plan      *rule.Plan
	grace     time.Duration
	key       string
	row       []byte
	in        Input
	out       Output
	standing  map[string]*table.Finding
	total     Counts
	watermark int64
}

func newEntity(j *testJudge, plan *rule.Plan, grace time.Duration) *entity {
	return &entity{judge: j, plan: plan, grace: grace, key: "customer:c1", standing: map[string]*table.Finding{}}
}

func (e *entity) send(facts ...*fact) error {
	var record []byte
	for _, f := range facts {
		f.late = f.Flags&table.FlagBackfill == 0 && (f.late || e.watermark > 0 && f.AtMs <= e.watermark)
		record = f.Append(record)
	}
	return e.step(record, false)
}

func (e *entity) step(record []byte, timer bool) error {
	before, sent := slices.Clone(e.row), slices.Clone(record)
	e.in = Input{Key: e.key, Record: record, Watermark: event.UnixMilli(e.watermark), Since: e.in.Since, Timer: timer}
	if err := step(e.judge, e.plan, e.grace, e.row, &e.in, &e.out); err != nil {
		return err
	}
	if !slices.Equal(before, e.row) || !slices.Equal(sent, record) {
		return fmt.Errorf("a step changed what it was given")
	}
	switch {
	case e.out.Delete:
		e.row = nil
	case !e.out.Unchanged:
		e.row = e.out.Row
	}
	for _, f := range e.out.Findings {
		if f.Withdrawn {
			if e.standing[identityOf(f)] == nil {
				return fmt.Errorf("%s is withdrawn and was never found", identityOf(f))
			}
			delete(e.standing, identityOf(f))
			continue
		}
		e.standing[identityOf(f)] = f
	}
	e.out.Counts.each(func(name string, n int64) {
		switch name {
		case CounterLate:
			e.total.Late += n
		case CounterFolded:
			e.total.Folded += n
		case CounterDropped:
			e.total.Dropped += n
		case CounterUnjudged:
			e.total.Unjudged += n
		case CounterDuplicates:
			e.total.Duplicates += n
		}
	})
	return nil
}

// differences between what stands and what should, for a person.
func differences(got, want map[string]*table.Finding) (ds []string) {
	for _, id := range slices.Sorted(maps.Keys(want)) {
		switch f := got[id]; {
		case f == nil:
			ds = append(ds, "missing: "+id)
		case !f.EqualVT(want[id]):
			ds = append(ds, fmt.Sprintf("%s\n got %v\nwant %v", id, f, want[id]))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		if want[id] == nil {
			ds = append(ds, "should not stand: "+id)
		}
	}
	return ds
}
