package live_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"weir/topology/table"
	"weir/views/live"
	"weir/views/query"
	"weir/views/query/querytest"
)

// A Refresh that fails shows nothing: what it had read already is told by the next one.
func TestAFailedRefreshOfAMetricLosesNoChange(t *testing.T) {
	const windows = 20
	db := querytest.New()
	db.Watermark(noon)
	feed, err := live.MetricTopics{Catalogue: querytest.Catalogue(), Source: db}.Open("metrics/customers", map[string][]string{"from": {"2026-01-01T11:00:00Z"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Refresh(); err != nil {
		t.Fatal(err)
	}
	changed := live.Changed{Groups: map[string]struct{}{}}
	for i := range windows {
		at := noon.Add(-time.Duration(i) * time.Minute)
		db.Saw(querytest.Key("customers", "1m", at, "eu", "DE"), "c-1")
		changed.Groups["customers/1m/"+at.Format(time.RFC3339)] = struct{}{}
	}
	broken := querytest.Key("customers", "1m", noon, "eu", "DE")
	db.Set(broken, &table.Cell{Count: 1, Distinct: []byte("no such sketch")})
	feed.Touch(changed)
	if ops, err := feed.Refresh(); err == nil {
		t.Fatalf("a cell that is none was shown: %v", ops)
	}
	feed.Rows(func(key string, row json.RawMessage) { t.Errorf("%s is shown, and nobody was told of it", key) })
	db.Set(broken, nil)
	if ops, err := feed.Refresh(); err != nil || len(ops) != windows-1 {
		t.Errorf("told of %d windows, want %d (%v)", len(ops), windows-1, err)
	}
}

// partly is an office in which one order cannot be read.
type partly struct {
	*office
	broken string
	err    error
}

func (p *partly) Order(id string) (json.RawMessage, error) {
	if id == p.broken {
		return nil, p.err
	}
	return p.office.Order(id)
}

func TestAnOrderThatCannotBeReadHidesNoOther(t *testing.T) {
	away := &query.NotReadyError{Table: "weir-orders-table", Why: "partition 3 is not recovered"}
	for _, err := range []error{away, errors.New("the disk is gone")} {
		for _, broken := range []string{"o-1", "o-2"} {
			t.Run(fmt.Sprintf("%s %T", broken, err), func(t *testing.T) {
				src := &partly{office: newOffice()}
				feed, openErr := live.OrderTopics{Source: src}.Open("orders", map[string][]string{"id": {"o-1", "o-2"}})
				if openErr != nil {
					t.Fatal(openErr)
				}
				client := map[string]string{}
				refresh := func() error {
					ops, err := feed.Refresh()
					for _, op := range ops {
						client[op.Key] = string(op.Row)
					}
					return err
				}
				if err := refresh(); err != nil {
					t.Fatal(err)
				}
				src.broken, src.err = broken, err
				want := map[string]string{"o-1": `{"status":"paid"}`, "o-2": `{"status":"lost"}`}
				maps.Copy(src.orders, want)
				feed.Touch(live.Changed{Orders: map[string]struct{}{"o-1": {}, "o-2": {}}})
				if failed := refresh(); err == error(away) && (failed != nil || len(client) != 1) {
					t.Errorf("the order of another partition waits: %v, %v", client, failed)
				}
				src.broken = ""
				feed.Touch(live.Changed{OrdersMoved: true})
				if err := refresh(); err != nil || !maps.Equal(client, want) {
					t.Errorf("the client holds %v, want %v (%v)", client, want, err)
				}
			})
		}
	}
}
