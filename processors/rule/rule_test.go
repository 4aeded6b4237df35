package rule

import (
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"weir/topology/event"
	"weir/topology/table"
)

const shopRules = `
features:
  - name: cards_per_ip
    on: payment.attempted
    key: ip
    value: card.fingerprint
    agg: distinct
    windows: [10m, 1h]
  - name: spend
    on: order.created
    where: channel != "marketplace"
    key: customer
    value: total
    agg: sum
    windows: [5m]
lists:
  - name: corporate_nat
    entries: [10.0.0.0/8, {value: 192.0.2.7, until: 2026-02-01}]
rules:
  - id: card_testing
    title: Card testing
    on: payment.attempted
    entity: ip
    when: cards_per_ip[10m] >= 5 and amount < 50.00
    unless: ip in @corporate_nat
    severity: high
    score: 60
    bands:
      - {when: "cards_per_ip[10m] >= 10", score: 90, reason: ten cards}
    reason: many cards from one address
  - id: velocity
    entity: order
    when: count(5m, customer) >= 3 or sum(total, 5m, customer) >= 2000
  - id: both
    entity: customer
    when: >
      count(5m) > 1 and
      count(1h, ip) > 2 and total * 2 > 100.00
  - id: abroad
    when: billing_country != shipping_country and customer_age < 1d
  - id: spike
    entity: customer
    anomaly: {value: total, window: 30d, sigma: 3, least: 5}
`

func load(t *testing.T, text string) *Set {
	t.Helper()
	s, err := Load("rules.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func paymentFacts() *Facts {
	return &Facts{Type: event.PaymentAttempted, At: 1_767_225_600_000, OrderID: "o1", Partition: 3,
		Order: &table.Order{Created: true, CreatedAtMs: 1_767_225_500_000, CustomerId: "c1", Currency: "EUR", CreatedTotalMinor: 2500, TotalMinor: 2500},
		Entry: &table.Entry{IdHash: xxhash.Sum64String("e1"), EventId: "e1", AmountMinor: 2500, Currency: "EUR", Topic: "payments", Offset: 7,
			Card: &table.Card{Fingerprint: "fp_123456789", Country: "DE"}, Client: &table.Client{Ip: "198.51.100.9"}}}
}

func TestAnEventBecomesObservationsWithGates(t *testing.T) {
	s := load(t, shopRules)
	var out Observed
	s.Observe(paymentFacts(), &out)
	if len(out.Observations) != 1 || out.Observations[0].Key != "ip:198.51.100.9" || len(out.Findings) != 0 {
		t.Fatalf("got %v", out.Observations)
	}
	var o table.Observation
	if rest, err := o.Parse(out.Observations[0].Body); err != nil || len(rest) != 0 {
		t.Fatal(err)
	}
	if len(o.Values) != 1 || len(o.Gates) != 1 || o.ID != "e1" || o.OrderID != "o1" || o.Currency != "EUR" || o.RiskMinor != 2500 {
		t.Fatalf("got %+v", o)
	}
	p := s.Part(o.Gates[0].Part)
	if p == nil || p.Rule.ID != "card_testing" || p.Of != 1 || len(p.Readings) != 1 {
		t.Fatalf("part %+v", p)
	}
	reading := s.Plan("ip").Readings[p.Readings[0]]
	if reading.Agg != Distinct || reading.Text != "distinct(card.fingerprint of payment.attempted by ip, 10m)" {
		t.Errorf("reading %+v", reading)
	}
	for _, c := range []struct {
		cards float64
		known bool
		want  Tri
		score int64
	}{{4, true, False, 60}, {5, true, True, 60}, {12, true, True, 90}, {12, false, Unknown, 60}} {
		values := []Value{{Type: Number, Known: c.known, Num: c.cards}}
		asked := new(Evidence).Of(o.Gates[0].Operands, values, "EUR")
		if got := p.Holds(asked); got != c.want {
			t.Errorf("%v cards: %v", c.cards, got)
		}
		if score, _ := p.Score(asked, o.Gates[0].Score); score != c.score {
			t.Errorf("%v cards: score %d", c.cards, score)
		}
	}
	predicates, feature := p.Explain(new(Evidence).Of(o.Gates[0].Operands, []Value{{Type: Number, Known: true, Num: 7}}, "EUR"))
	var lines []string
	for i, q := range predicates {
		lines = append(lines, strings.Join([]string{q.Observed, q.Operator, q.Threshold, q.Text}, "|"))
		if (feature[i] == 0) != (i == 0) {
			t.Errorf("feature of predicate %d is %d", i, feature[i])
		}
	}
	want := "7|>=|5|cards_per_ip[10m] >= 5\n25.00 EUR|<|50.00 EUR|amount < 50.00\n198.51.100.9|not in|@corporate_nat|ip not in @corporate_nat"
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("explained as\n%s\nwant\n%s", got, want)
	}
}

func TestTheEventDecidesTheGate(t *testing.T) {
	s := load(t, shopRules)
	var out Observed
	for name, change := range map[string]func(*Facts){
		"a high amount":       func(f *Facts) { f.Entry.AmountMinor = 5000 },
		"a listed range":      func(f *Facts) { f.Entry.Client.Ip = "10.1.2.3" },
		"a listed address":    func(f *Facts) { f.Entry.Client.Ip = "192.0.2.7" },
		"an unknown currency": func(f *Facts) { f.Entry.Currency = "" },
	} {
		f := paymentFacts()
		change(f)
		s.Observe(f, &out)
		for _, eo := range out.Observations {
			var o table.Observation
			if _, err := o.Parse(eo.Body); err != nil {
				t.Fatal(err)
			}
			if len(o.Gates) != 0 {
				t.Errorf("%s: the gate is open", name)
			}
		}
	}
	f := paymentFacts()
	f.Entry.Client.Ip, f.At = "192.0.2.7", f.At.Add(60*24*3600e9)
	s.Observe(f, &out)
	var o table.Observation
	if _, err := o.Parse(out.Observations[0].Body); err != nil || len(o.Gates) != 1 {
		t.Errorf("the entry of the list has expired, but the gate is shut (%v)", err)
	}
}

func orderFacts() *Facts {
	return &Facts{Type: event.OrderCreated, At: 1_767_225_600_000, OrderID: "o1",
		Order: &table.Order{Created: true, CreatedAtMs: 1_767_225_600_000, CustomerId: "c1", Currency: "EUR", CreatedTotalMinor: 9000, Channel: "web",
			BillingCountry: "DE", ShippingCountry: "FR", CustomerCreatedAtMs: 1_767_225_000_000, Client: &table.Client{Ip: "198.51.100.9"}},
		Entry: &table.Entry{IdHash: 42, EventId: "e1", AmountMinor: 9000, Currency: "EUR", Topic: "orders"}}
}

func TestRulesOverSeveralEntities(t *testing.T) {
	s := load(t, shopRules)
	both := s.Rule("both")
	if len(both.Parts) != 2 || both.Parts[0].Kind != "customer" || both.Parts[1].Kind != "ip" || both.Parts[1].Of != 2 {
		t.Fatalf("parts %+v", both.Parts)
	}
	if v := s.Rule("velocity"); len(v.Parts) != 1 || v.Entity != "order" {
		t.Errorf("an or over one kind is one part, got %d", len(v.Parts))
	}
	var out Observed
	s.Observe(orderFacts(), &out)
	got := map[string]int{}
	about := map[string]string{}
	for _, eo := range out.Observations {
		var o table.Observation
		if _, err := o.Parse(eo.Body); err != nil {
			t.Fatal(err)
		}
		got[eo.Key] = len(o.Gates)
		for _, g := range o.Gates {
			about[s.Part(g.Part).Rule.ID+" "+eo.Key] = g.About
		}
	}
	if got["customer:c1"] != 2 || got["ip:198.51.100.9"] != 1 {
		t.Errorf("gates %v", got)
	}
	if about["both ip:198.51.100.9"] != "customer:c1" || about["both customer:c1"] != "" {
		t.Errorf("about %v", about)
	}
	if open := s.Plan("customer").OpenOf(uint8(event.OrderCreated)); len(open) != 1 || open[0].Rule.ID != "velocity" {
		t.Errorf("a part that asks the event nothing needs no gate: open are %v", open)
	}
	if len(out.Findings) != 1 || out.Findings[0].Rule != "abroad" || out.Findings[0].Entity != "order:o1" || len(out.Findings[0].Predicates) != 2 {
		t.Errorf("findings %v", out.Findings)
	}
	f := orderFacts()
	f.Order.Client = nil
	s.Observe(f, &out)
	for _, eo := range out.Observations {
		var o table.Observation
		if _, err := o.Parse(eo.Body); err != nil {
			t.Fatal(err)
		}
		for _, g := range o.Gates {
			if s.Part(g.Part).Rule.ID == "both" {
				t.Error("without an ip the rule cannot match, yet the customer is asked")
			}
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"rules:\n  - id: a\n    when: totl > 5\n", `x.yaml:3:11: rule a: when: there is no field or feature "totl": did you mean total?`},
		{"rules:\n  - id: a\n    when: total > 5 and\n      - 3\n", "x.yaml:"},
		{"rules:\n  - id: a\n    when: total > \"five\"\n", "x.yaml:3:17: rule a: when: total is an amount of money, \"five\" is a text: they cannot be compared"},
		{"rules:\n  - id: a\n    when: |\n      total > 5 and\n        colour == 'red'\n", "x.yaml:5:9: rule a: when: there is no field"},
		{"rules:\n  - id: a\n    entity: customer\n    when: count(5m, ip) > count(5m)\n", "compares a feature of ip with one of customer"},
		{"rules:\n  - id: a\n    when: amount > 5\n    on: shipment.dispatched\n", "amount is not known of shipment.dispatched"},
		{"rules:\n  - id: a\n    when: filter([1], # > 0) > 1\n", "x.yaml:3:"},
		{"rules:\n  - id: a\n    whn: total > 5\n", "x.yaml:3:5: unknown field"},
		{"rules:\n  - id: a\n    when: total > 5\n    severity: dire\n", "x.yaml:4:15: rule a: severity:"},
		{"rules:\n  - id: a\n    late: drop\n    expect: {event: dispatched, within: 48h, after: paid}\n", "x.yaml:3:11: rule a: late: drop has no meaning here"},
		{"rules:\n  - id: a\n    when: count(5y) > 5\n", "a window of 5y: use 1s to 400d"},
		{"rules:\n  - id: a\n    when: total > 5\n  - id: a\n    when: total > 6\n", "x.yaml:4:9: rule a: id: there are two rules of this id"},
	} {
		_, err := Load("x.yaml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestConditionsAreShownAsTheyAreWritten(t *testing.T) {
	for _, cond := range []string{`channel in ["web", "app"]`, `not (channel in ["web"])`, `channel == "a)b" or (total > 5 and lines in [1, 2])`, `known(channel)`} {
		e, err := (&checker{b: newBuilder(Defaults{}), on: ofOrders, types: []string{"order.created"}}).typed(cond, Bool)
		if err != nil || e.text != cond {
			t.Errorf("%s is shown as %s (%v)", cond, e.text, err)
		}
	}
}

func TestThreeValues(t *testing.T) {
	f := orderFacts()
	for _, c := range []struct {
		cond string
		want Tri
	}{
		{"total > 89.99", True}, {"total > 90", False}, {"total / 0 > 1", Unknown}, {"coupon == 'X'", Unknown}, {"not (coupon == 'X')", Unknown},
		{"known(coupon)", False}, {"not known(coupon) and total > 1", True}, {"coupon == 'X' or total > 1", True}, {"coupon == 'X' and total > 1000", False},
		{"coupon == 'X' and total > 1", Unknown}, {"channel in ['web', 'app']", True}, {"channel not in ['web']", False}, {"coupon in ['web']", Unknown},
		{"hour(at) == 0", True}, {"weekday(at) == 4", True}, {"customer_age == 10m", True}, {"lines == 0 and units == 0", True},
		{"billing_country + shipping_country == 'DEFR'", True}, {"channel matches '^w.b$'", True}, {"abs(total - 100.00) == 10", True},
		{"total % 2 == 0", Unknown},
	} {
		b := newBuilder(Defaults{})
		e, err := (&checker{b: b, on: ofOrders, types: []string{"order.created"}}).typed(c.cond, Bool)
		if err != nil {
			if c.want == Unknown && strings.Contains(c.cond, "%") {
				continue
			}
			t.Errorf("%s: %v", c.cond, err)
			continue
		}
		if got := (&maker{}).cond(e)(&frame{facts: f, currency: "EUR", digits: 2}); got != c.want {
			t.Errorf("%s: got %v, want %v", c.cond, got, c.want)
		}
		if got := (&maker{}).cond(nnf(e, true))(&frame{facts: f, currency: "EUR", digits: 2}); got != -c.want {
			t.Errorf("not (%s): got %v, want %v", c.cond, got, -c.want)
		}
	}
}

func TestADocumentGoesThroughItsText(t *testing.T) {
	d, err := Parse("rules.yaml", []byte(shopRules))
	if err != nil {
		t.Fatal(err)
	}
	again, err := Load("again", d.YAML())
	if err != nil {
		t.Fatalf("%v\n%s", err, d.YAML())
	}
	s := load(t, shopRules)
	for _, r := range s.Rules() {
		if o := again.Rule(r.ID); o == nil || o.Hash != r.Hash {
			t.Errorf("%s is another rule now", r.ID)
		}
	}
	if m := d.Merge(d).Without("velocity"); len(m.Rules) != len(d.Rules)-1 {
		t.Errorf("%d rules", len(m.Rules))
	}
}

func TestADefinitionOnOneLineKeepsItsText(t *testing.T) {
	d, err := Parse("x.yaml", []byte("rules:\n  - {id: a, when: total > 5}\n  - id: b\n    when: total > 6\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d.Rules[0].Text != "{id: a, when: total > 5}\n" || d.Rules[1].Text != "id: b\nwhen: total > 6\n" {
		t.Errorf("got %q and %q", d.Rules[0].Text, d.Rules[1].Text)
	}
}

func TestOfAlternativesTheOnesThatHoldAreTold(t *testing.T) {
	s := load(t, "rules:\n  - id: a\n    entity: customer\n    when: total > 10 and (count(1h) > 5 or sum(total, 1h) > 100.00 or channel == 'web')\n")
	var out Observed
	f := orderFacts()
	f.Order.Channel = "app"
	s.Observe(f, &out)
	var o table.Observation
	if _, err := o.Parse(out.Observations[0].Body); err != nil {
		t.Fatal(err)
	}
	p := s.Part(o.Gates[0].Part)
	readings := []Value{{Type: Number, Known: true, Num: 2}, {Type: Money, Known: true, Num: 20000}}
	asked := new(Evidence).Of(o.Gates[0].Operands, readings, "EUR")
	if p.Holds(asked) != True {
		t.Fatal("the part does not hold")
	}
	predicates, _ := p.Explain(asked)
	var texts []string
	for _, q := range predicates {
		texts = append(texts, q.Text)
	}
	if got := strings.Join(texts, "; "); got != "sum(total, 1h) > 100.00; total > 10" {
		t.Errorf("told: %s", got)
	}
}

func BenchmarkObserve(b *testing.B) {
	s, err := Load("rules.yaml", []byte(shopRules))
	if err != nil {
		b.Fatal(err)
	}
	f := paymentFacts()
	var out Observed
	b.ReportAllocs()
	for b.Loop() {
		s.Observe(f, &out)
	}
}

func TestDurationsAreShownAsTheyAreWritten(t *testing.T) {
	for want, d := range map[string]time.Duration{"10s": 10 * time.Second, "2m30s": 150 * time.Second, "48h": 48 * time.Hour, "1h0m5s": time.Hour + 5*time.Second,
		"90d": 90 * 24 * time.Hour, "250ms": 250 * time.Millisecond, "-10s": -10 * time.Second, "5m": 5 * time.Minute} {
		if want == "48h" {
			want = "2d"
		}
		if got := duration(d); got != want {
			t.Errorf("%v is shown as %q, want %q", d, got, want)
		}
	}
	if got := duration(0); got != "0" && got != "0ms" {
		t.Errorf("nothing is shown as %q", got)
	}
}
