package pipeline

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"weir/processors/entities"
	"weir/processors/rule"
	"weir/topology/event"
	"weir/topology/table"
	"weir/views"
)

// What the view server tells of an entity is what group entities keeps of it.
func TestAnEntityIsReadWithTheRulesInForce(t *testing.T) {
	set, err := rule.Load("rules.yaml", []byte(`rules:
  - {id: busy, title: Busy, entity: customer, cooldown: 1h, when: "count(1h, customer) > 3 and sum(total, 1h, customer) > 100"}
`))
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	var row []byte
	for i, id := range []string{"o-1", "o-2"} {
		at := event.UnixMilli(noon.Add(time.Duration(i) * time.Minute).UnixMilli())
		order := &table.Order{Created: true, CreatedAtMs: int64(at), CustomerId: "c-1", TotalMinor: 30_00, CreatedTotalMinor: 30_00, Currency: "EUR"}
		entry := &table.Entry{Type: uint32(event.OrderCreated), AtMs: int64(at), EventId: "e-" + id, AmountMinor: 30_00, Currency: "EUR", Topic: "orders", Offset: int64(i)}
		var seen rule.Observed
		set.Observe(&rule.Facts{Type: event.OrderCreated, At: at, OrderID: id, Order: order, Entry: entry, Partition: 2}, &seen)
		i := slices.IndexFunc(seen.Observations, func(o rule.EntityObservation) bool { return o.Key == "customer:c-1" })
		if i < 0 {
			t.Fatalf("%s is not observed: %v", id, seen.Observations)
		}
		var out entities.Output
		if err := entities.Step(set, set.Plan("customer"), row, &entities.Input{Key: "customer:c-1", Record: seen.Observations[i].Body}, &out); err != nil {
			t.Fatal(err)
		}
		row = out.Row
	}
	none := func(string) ([]byte, error) { return nil, nil }
	at := event.UnixMilli(noon.Add(2 * time.Minute).UnixMilli())
	e, err := entityReader(rule.NewCurrent(set))("customer", "c-1", row, at, none)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Events) != 2 || e.Events[0].OrderId != "o-2" || e.Events[0].Partition != 2 || e.Events[0].Offset != 1 {
		t.Errorf("%v", e.Events)
	}
	got := map[string]float64{}
	for _, f := range e.Features {
		if !f.Known || !f.Exact || f.Since != 0 || f.From.Add(time.Hour) != f.To {
			t.Errorf("%+v", f)
		}
		got[f.Type+" "+f.Currency] = f.Number
	}
	if len(got) != 2 || got["number "] != 2 || got["money EUR"] != 60_00 {
		t.Errorf("%v of %+v", got, e.Features)
	}
	kept := binary.LittleEndian.AppendUint32([]byte{1}, set.Plan("customer").Series[0].ID) // as the partition's reserved row has it
	kept = binary.LittleEndian.AppendUint64(kept, uint64(at-1000))
	e, err = entityReader(rule.NewCurrent(set))("customer", "c-1", row, at, func(key string) ([]byte, error) {
		if key != entities.SeriesKey {
			t.Errorf("row %q is asked for", key)
		}
		return kept, nil
	})
	if err != nil || !slices.ContainsFunc(e.Features, func(f views.EntityFeature) bool { return f.Since == at-1000 }) {
		t.Errorf("no feature is warming: %+v, %v", e, err)
	}
	if e, err = entityReader(nil)("customer", "c-1", row, 0, none); err != nil || len(e.Events) != 2 || len(e.Features) != 0 {
		t.Errorf("without rules: %+v, %v", e, err)
	}
	if _, err := entityReader(nil)("customer", "c-1", []byte("damaged"), 0, none); err == nil {
		t.Error("a damaged row is read")
	}
}
