package dashboard_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/topology"
	"weir/topology/event"
	"weir/views/api"
	"weir/views/deadletter"
	"weir/views/live"
	"weir/views/query/querytest"
)

// machinery is an installation of three instances, of which one takes partitions of group entities over, and its dead letters.
type machinery struct {
	mu      sync.Mutex
	settled bool
	fails   error
	graph   topology.Graph
	letters []*deadletter.Letter
	ordered []*deadletter.Order
}

func openMachinery() *machinery {
	m := &machinery{graph: topology.Describe(topology.Names{})}
	for i, reason := range []event.Reason{event.ReasonBadMoney, event.ReasonFuture, event.ReasonBadMoney, event.ReasonMissingField} {
		l := &deadletter.Letter{ID: fmt.Sprintf("%d@%d", i, 7+i), At: time.Now().Add(-time.Duration(i) * time.Minute), Reason: reason,
			Detail: `amount: "19.995" has more decimals than EUR, which has 2`, Place: deadletter.Position{Topic: "payments", Partition: 2, Offset: int64(184377102 + i)},
			Key: deadletter.Bytes{Text: "o-1", Size: 3}, Value: deadletter.Bytes{Text: `{"id":"p-1","order_id":"o-1","amount":"19.995"}`, Size: 47},
			Headers: []deadletter.LetterHeader{}, OrderID: "o-1", WhatToDo: "Mend the producer.", Replay: deadletter.ReplayVerdict{Force: true, Why: "it would be refused again"}}
		if reason == event.ReasonFuture {
			l.Replay = deadletter.ReplayVerdict{Can: true}
		}
		m.letters = append(m.letters, l)
	}
	return m
}

func (m *machinery) into(served *api.Deps, _ *live.Config) {
	served.Status, served.Letters, served.Topology = m, m, m.graph
}

func (m *machinery) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func of[T any](v T) *T { return &v }

const instances, partitions = 3, 12

// Status implements api.StatusSource.
func (m *machinery) Status(context.Context) (api.Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now().UTC()
	st := api.Status{Counters: map[string]int64{}, Measured: api.Measured{At: &now, Over: 30}, Webhooks: []api.WebhookStatus{{Receiver: "fraud-desk", Instances: 1, LagRecords: 3, LagSeconds: of(2.0)}},
		Live:       &api.LiveStatus{Connections: 148, Subscriptions: 444, BytesRate: of(212_000.0), MergedShare: of(0.031), Closed: map[string]int64{"4410": 2}},
		Changes:    []api.GroupChange{{At: now, Group: topology.GroupEntities, Joined: []string{"weir-2"}, Left: []string{}}},
		Recoveries: []api.Recovery{}}
	for name, topics := range map[string][]string{topology.GroupOrders: {"orders", "payments", "shipments"}, topology.GroupMetrics: {topology.Deltas},
		topology.GroupEntities: {topology.Observations}, topology.GroupAlerts: {topology.Findings, topology.Commands}} {
		g := api.GroupStatus{Name: name, State: "Stable", Instances: instances, LagSeconds: of(0.1), Rate: of(49.3)}
		for _, topic := range topics {
			for p := range int32(partitions) {
				part := api.PartitionStatus{Topic: topic, Partition: p, Instance: fmt.Sprint("weir-", p/4), Committed: 1000, End: 1000 + int64(p), LagRecords: int64(p), State: api.PartitionRunning}
				if name == topology.GroupEntities && p > 8 && !m.settled {
					part.State, part.LagRecords = api.PartitionCatchingUp, 40+int64(p)
				}
				if name == topology.GroupEntities && p == 11 && !m.settled {
					part.State = api.PartitionStalled
				}
				g.Partitions = append(g.Partitions, part)
			}
		}
		st.Groups = append(st.Groups, g)
	}
	slices.SortFunc(st.Groups, func(a, b api.GroupStatus) int { return strings.Compare(b.Name, a.Name) })
	for _, e := range m.graph.Edges {
		edge := api.EdgeStatus{Edge: e, Rate: of(float64(len(e.From)) * 2)}
		if e.To == topology.GroupEntities && e.From == topology.Observations && !m.settled {
			edge.LagRecords, edge.LagSeconds, edge.Lagging = 161, of(7.2), true
		}
		st.Edges = append(st.Edges, edge)
	}
	for p := int32(9); p < partitions && !m.settled; p++ {
		st.Recoveries = append(st.Recoveries, api.Recovery{Kind: "group", Name: topology.GroupEntities, Partition: p, Instance: "weir-2", State: "catching_up",
			Progress: of(float64(12-p) / 5), LagRecords: 40, Rate: of(38_400.0), Left: of(float64(p * 3))})
	}
	for i, topic := range []string{"orders", "payments", "shipments"} {
		for p := range int32(partitions) {
			s := api.SourceStatus{Topic: topic, Partition: p, Watermark: now.Add(-time.Duration(p) * time.Second), Behind: float64(p), Idle: p == 3}
			if i == 2 && p == 4 {
				s.Behind, s.Holds = 41, true
			}
			st.Sources = append(st.Sources, s)
		}
	}
	return st, m.fails
}

// List implements api.DeadLetters.
func (m *machinery) List(_ context.Context, f *deadletter.Filter, _ string, _ int) (*deadletter.Listing, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &deadletter.Listing{Page: deadletter.Page{Letters: []*deadletter.Letter{}, Reasons: map[string]deadletter.ReasonCount{}, Topics: map[string]int{}}}
	for _, letter := range m.letters {
		if letter.Replayed != nil && f.Replayed == "exclude" {
			continue
		}
		c := l.Reasons[string(letter.Reason)]
		if c.Count++; letter.At.After(c.Last) {
			c.Last = letter.At
		}
		if letter.Replay.Can {
			c.Can++
		}
		l.Reasons[string(letter.Reason)] = c
		l.Letters, l.Total = append(l.Letters, letter), l.Total+1
	}
	return l, nil
}

// Get implements api.DeadLetters.
func (m *machinery) Get(_ context.Context, id deadletter.ID) (*deadletter.Letter, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.letters {
		if l.ID == id.String() {
			c := *l
			return &c, nil
		}
	}
	return nil, deadletter.ErrNotThere
}

// Replay implements api.DeadLetters.
func (m *machinery) Replay(_ context.Context, o *deadletter.Order) (*deadletter.Report, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ordered = append(m.ordered, o)
	r := &deadletter.Report{Counts: map[string]int{}}
	for _, l := range m.letters {
		chosen := slices.Contains(o.Filter.Reasons, string(l.Reason)) || slices.ContainsFunc(o.IDs, func(id deadletter.ID) bool { return id.String() == l.ID })
		if chosen && l.Replayed == nil && (l.Replay.Can || o.Force) {
			l.Replayed = &deadletter.ReplayNote{At: time.Now(), Author: o.Author, Place: l.Place}
			r.Outcomes, r.Counts[deadletter.StatusReplayed] = append(r.Outcomes, deadletter.ReplayOutcome{ID: l.ID, Status: deadletter.StatusReplayed}), r.Counts[deadletter.StatusReplayed]+1
		}
	}
	return r, nil
}

const panel = `document.querySelector('[aria-labelledby=%s]')`

func panelOf(id string) string { return fmt.Sprintf(panel, id) }

func TestBrowserShowsOperations(t *testing.T) {
	m := openMachinery()
	db := querytest.New()
	db.Watermark(time.Now())
	s := serve(t, db, "127.0.0.1:0", m.into)
	p := startBrowser(t).open(s.url+"/operations", 1280, 1400)
	p.until("who joined", `/49 events\/s in · 3 instances · .* weir-2 joined entities/.test(document.querySelector('.head p')?.textContent ?? '')`, "true")
	p.until("the way that lags", `[...document.querySelectorAll('.topo text.lag')].map(e => e.textContent).join('; ')`, "34/s · lag 161")
	p.until("a node that is behind", `document.querySelector('.node.rec').getAttribute('aria-label')`, "entities 1/12 stalled 54/s read")
	p.until("the group that is behind first", `document.querySelector('#p-parts').closest('section').querySelector('[aria-pressed=true]').textContent`, "entities")
	p.until("states of partitions", panelOf("p-parts")+`.querySelector('.legend').innerText.replace(/\s+/g, ' ')`, "Running 9 Catching up 2 Stalled 1")
	p.until("what stalled may mean", panelOf("p-parts")+`.querySelector('footer').lastElementChild.textContent`, "stalled: restores its table or is stuck, its log says which")
	p.until("who has which", `[...document.querySelectorAll('.pgrid-t tbody tr')].map(r => r.querySelector('th').textContent + ' ' + r.querySelectorAll('.cell:not(.none)').length).join('; ')`, "weir-0 4; weir-1 4; weir-2 4")
	p.until("time left", panelOf("p-rec")+`.querySelector('footer').textContent`, "115K/s together33 s left")
	p.until("what holds the watermark", panelOf("p-skew")+`.querySelector('footer').textContent`, "shipments p4 holds the watermark, 41 s behind the newest")
	p.until("clients", panelOf("p-live")+`.querySelector('dl').innerText.replace(/\s+/g, ' ')`, "Clients 148 Sent 212 kB/s Merged 3.1 % Gaps 0 since start")
	p.until("why connections were closed", panelOf("p-live")+`.querySelector('footer').textContent`, "444 subscriptions · closed here: 2 × 4410 too slow")
	p.until("a receiver", `document.querySelector('.hooks').innerText.replace(/\s+/g, ' ')`, "Fraud-desk 3 alerts behind, 2.0 s")
	p.mustBeNamed()
	p.mustFit()

	p.eval(`document.querySelector('.node[aria-label^=metrics]').focus()`)
	p.press("Enter")
	p.until("another group by key", `new URLSearchParams(location.search).get('group')`, "metrics")
	p.until("its partitions", panelOf("p-parts")+`.querySelector('.legend').innerText.replace(/\s+/g, ' ')`, "Running 12")

	m.change(func() { m.settled = true })
	p.until("calm", panelOf("p-rec")+`.querySelector('.state b')?.textContent`, "Nothing is behind")
	p.until("no way that lags", `String(document.querySelectorAll('.topo .lag').length)`, "0")
	m.change(func() { m.fails = errors.New("the broker is away") })
	p.until("that it is old", `document.querySelector('.strip.warn')?.textContent.includes('The last answer stays') + ''`, "true")
	for _, e := range p.errors() {
		if !strings.Contains(e, "503") {
			t.Errorf("the browser reports: %s", e)
		}
	}
}

func TestBrowserReplaysDeadLetters(t *testing.T) {
	m := openMachinery()
	db := querytest.New()
	db.Watermark(time.Now())
	s := serve(t, db, "127.0.0.1:0", m.into)
	p := startBrowser(t).open(s.url+"/operations", 1280, 1400)
	rows := `[...document.querySelectorAll('.dead tbody tr:not(.sub)')].map(r => r.querySelector('b').textContent + ' ' + r.querySelectorAll('td')[3].textContent).join('; ')`
	p.until("reasons, newest first", rows, "Amount cannot be read 2; Ahead of the clock 1; A field is missing 1")
	p.point(`.dead button[aria-label="Replay 1 letter of future"]`, true)
	p.until("who asks", `document.querySelector('dialog[open] h2')?.textContent`, "Who decides?")
	p.enter("ada")
	p.press("Enter")
	p.until("what became of it", `document.querySelector('.toast span')?.textContent`, "1 replayed")
	p.until("one reason less", rows, "Amount cannot be read 2; A field is missing 1")

	p.point(`.dead tbody tr:first-child button[aria-expanded]`, true)
	p.until("its letters", `String(document.querySelectorAll('.dead .sub').length)`, "2")
	p.until("the reason in the address", `new URLSearchParams(location.search).get('reason')`, "bad_money")
	p.point(`.dead .sub .link`, true)
	p.until("one letter whole", `document.querySelector('dialog[open] .raw')?.textContent.includes('"amount": "19.995"') + ''`, "true")
	p.until("why not", `document.querySelector('dialog[open]').textContent.includes('It would be refused again') + ''`, "true")
	p.mustBeNamed()
	p.eval(`[...document.querySelectorAll('dialog[open] button')].find(b => b.textContent === 'Replay by force').click()`)
	p.until("that it was replayed", `/ada replayed it/.test(document.querySelector('dialog[open]').textContent) + ''`, "true")
	p.press("Escape")
	p.until("the rest", rows, "Amount cannot be read 1; A field is missing 1")
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.ordered) != 2 || m.ordered[0].Author != "ada" || m.ordered[0].Force || !m.ordered[1].Force || len(m.ordered[1].IDs) != 1 {
		t.Errorf("%+v", m.ordered)
	}
	for _, e := range p.errors() {
		t.Errorf("the browser reports: %s", e)
	}
}

func TestBrowserShowsOperationsOnAPhone(t *testing.T) {
	db := querytest.New()
	db.Watermark(time.Now())
	s := serve(t, db, "127.0.0.1:0", openMachinery().into)
	p := startBrowser(t).open(s.url+"/operations?group=entities", 360, 780)
	p.until("partitions", `String(document.querySelectorAll('.pgrid-t tbody .cell').length)`, "36")
	p.until("dead letters", `String(document.querySelectorAll('.dead tbody tr').length)`, "3")
	p.mustFit()
	p.mustBeNamed()
}

func TestBrowserShowsOperationsOfNothing(t *testing.T) {
	db := querytest.New()
	s := serve(t, db, "127.0.0.1:0")
	p := startBrowser(t).open(s.url+"/operations", 1280, 900)
	p.until("what there is of a server alone", `[...document.querySelectorAll('.state b')].map(e => e.textContent).join('; ')`,
		"No group has read anything here yet; Nothing is behind; No event has come yet; No websocket here; This could not be read")
}

// TestOperationsPreview serves the page over made-up machinery, to look at: WEIR_PREVIEW=127.0.0.1:8091 go test ./dashboard -run OperationsPreview
func TestOperationsPreview(t *testing.T) {
	address := os.Getenv("WEIR_PREVIEW")
	if address == "" {
		t.Skip("set WEIR_PREVIEW to an address to look at the page")
	}
	db := querytest.New()
	db.Watermark(time.Now())
	s := serve(t, db, address, openMachinery().into)
	t.Logf("look at %s/operations", s.url)
	<-t.Context().Done()
}
