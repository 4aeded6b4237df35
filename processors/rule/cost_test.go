package rule

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestCostCountsWhatIsKept(t *testing.T) {
	c := load(t, shopRules).Cost()
	var texts []string
	for _, s := range c.Series {
		if s.Kind == "ip" {
			texts = append(texts, fmt.Sprint(s.Text, s.Features, s.Rules, s.Entries, s.Horizon))
		}
	}
	slices.Sort(texts)
	want := []string{
		"card.fingerprint of payment.attempted by ip[cards_per_ip] [card_testing] 256 1h0m0s",
		"order.created by ip[] [both] 256 1h0m0s",
	}
	if !slices.Equal(texts, want) {
		t.Errorf("series of an ip:\n%s", strings.Join(texts, "\n"))
	}
	for _, r := range c.Rules {
		switch r.ID {
		case "both": // the customer's orders are read by velocity, too
			if r.Series != 2 || r.Alone != 1 || !slices.Equal(r.Kinds, []string{"customer", "ip"}) {
				t.Errorf("both: %+v", r)
			}
		case "abroad":
			if r.Series != 0 || r.MostB != 0 || r.Micros <= 0 {
				t.Errorf("abroad: %+v", r)
			}
		}
	}
	i := slices.IndexFunc(c.Events, func(e EventCost) bool { return e.Type == "payment.attempted" })
	if i < 0 || c.Events[i].Clauses != 1 || c.Events[i].Entities != 1 || c.Events[i].Values != 1 || c.Events[i].Gates != 1 {
		t.Errorf("events: %+v", c.Events)
	}
	for _, k := range c.Kinds {
		if k.MostB <= k.EventB || k.MostB > rowBytes {
			t.Errorf("%s: %+v", k.Kind, k)
		}
	}
}

func TestAnObservationHoldsOnlySoMuch(t *testing.T) {
	document := func(rules int) string {
		var b strings.Builder
		b.WriteString("rules:\n")
		for i := range rules {
			fmt.Fprintf(&b, "  - {id: r%d, entity: customer, when: \"count(10m) > %d\"}\n", i, i)
		}
		return b.String()
	}
	if _, err := Load("rules.yaml", []byte(document(255))); err != nil {
		t.Errorf("255 rules: %v", err)
	}
	_, err := Load("rules.yaml", []byte(document(256)))
	if err == nil || !strings.Contains(err.Error(), "order.created would bring each customer 256 questions") {
		t.Errorf("256 rules: %v", err)
	}
	var b strings.Builder
	b.WriteString("features:\n")
	for i := range 256 {
		fmt.Fprintf(&b, "  - {name: f%d, on: payment.failed, where: \"amount > %d\", key: card, agg: count, windows: 1h}\n", i, i)
	}
	_, err = Load("rules.yaml", []byte(b.String()))
	if err == nil || !strings.Contains(err.Error(), "payment.failed would bring each card 256 values") {
		t.Errorf("256 features: %v", err)
	}
}
