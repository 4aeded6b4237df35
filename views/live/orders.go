package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"weir/views/query"
)

// ordersMost bounds the orders of one subscription.
const ordersMost = 100

// OrderSource reads single orders.
type OrderSource interface {
	// Order is the query API's answer about one order without its meta; nil without an error where there is none.
	Order(id string) (json.RawMessage, error)
	Progress() query.Progress
}

// OrderTopics serves orders/<id>, and orders with a filter of ids, and leaves every other topic to Others.
type OrderTopics struct {
	Source OrderSource
	Others Topics
}

// Open implements Topics.
func (o OrderTopics) Open(topic string, filter map[string][]string) (Feed, error) {
	id, single := strings.CutPrefix(topic, "orders/")
	if !single && topic != "orders" {
		return o.Others.Open(topic, filter)
	}
	ids := filter["id"]
	for name := range filter {
		if name != "id" || single {
			return nil, &Problem{Title: "Bad parameter", Status: 422, Param: name, Detail: "topic orders/<id> takes no filter, topic orders takes id"}
		}
	}
	if single {
		ids = []string{id}
	}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	if len(ids) == 0 || len(ids) > ordersMost {
		return nil, &Problem{Title: "Bad parameter", Status: 422, Param: "id", Detail: fmt.Sprintf("name 1 to %d orders", ordersMost)}
	}
	for _, id := range ids {
		if id == "" || len(id) > 512 {
			return nil, &Problem{Title: "Bad parameter", Status: 422, Param: "id", Detail: "an order's id has 1 to 512 bytes"}
		}
	}
	return &orderFeed{ids: ids, src: o.Source, touched: map[string]struct{}{}, heldRows: heldRows{rows: map[string]json.RawMessage{}}}, nil
}

// orderFeed keeps some orders current. Rows are orders by id; one that is not there has no row until it comes.
type orderFeed struct {
	ids []string
	src OrderSource

	mu      sync.Mutex // guards touched, stale, missing
	touched map[string]struct{}
	stale   bool // all have to be read
	missing bool // some could not be read: their partition is not there yet

	loaded bool
	heldRows
}

func (f *orderFeed) Key() string {
	ids, _ := json.Marshal(f.ids) // strings always marshal
	return "orders?" + string(ids)
}

func (f *orderFeed) Info() json.RawMessage { return json.RawMessage(`{}`) }

// Watches implements Watching.
func (f *orderFeed) Watches() []string { return f.ids }

func (f *orderFeed) Touch(c Changed) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stale = f.stale || c.OrdersAll || c.OrdersMoved && f.missing
	for _, id := range f.ids {
		if _, ok := c.Orders[id]; ok {
			f.touched[id] = struct{}{}
		}
	}
	return f.stale || len(f.touched) > 0
}

func (f *orderFeed) Refresh() ([]Op, error) {
	f.mu.Lock()
	touched, all := f.touched, f.stale || !f.loaded
	f.touched, f.stale, f.missing = map[string]struct{}{}, false, true // partitions may move before it is known
	f.mu.Unlock()
	progress := f.src.Progress()
	read, missing, err := f.read(touched, all)
	f.mu.Lock()
	f.stale, f.missing = f.stale || err != nil, missing
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	f.loaded, f.fresh = true, progress
	var ops []Op
	for _, r := range read {
		ops = f.put(ops, r.Key, r.Row)
	}
	return ops, nil
}

// read gives the orders as they are now, changed or not. missing tells that the partition of one is not there: before the first answer
// there is then nothing to show; later its row of before stands, and the other orders go on.
func (f *orderFeed) read(touched map[string]struct{}, all bool) (read []Op, missing bool, err error) {
	for _, id := range f.ids {
		if _, ok := touched[id]; !ok && !all {
			continue
		}
		row, err := f.src.Order(id)
		var starting *query.NotReadyError
		switch {
		case err == nil:
			read = append(read, Op{id, row})
		case !errors.As(err, &starting):
			return nil, missing, err
		case !f.loaded:
			return nil, true, &Problem{Title: "Not ready", Status: 503, Detail: err.Error()}
		default:
			missing = true
		}
	}
	return read, missing, nil
}
