package shop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/topology/event"
)

func defaultMix(t testing.TB) Mix {
	t.Helper()
	mix, err := ParseMix("default")
	if err != nil {
		t.Fatal(err)
	}
	return mix
}

// times is the default mix with more of everything.
func times(t testing.TB, n float64) Mix {
	mix := defaultMix(t)
	for name := range mix {
		mix[name] *= n
	}
	return mix
}

// month is thirty days of a small shop.
func month(t testing.TB, seed, orders int64) Options {
	rate := float64(orders) / (30 * 86_400)
	return Options{Seed: seed, Start: opening, Rate: rate, Orders: orders, LifeScale: 1, Rhythm: true, Fraud: defaultMix(t), Truth: true}
}

// run is a shop's whole output: its events by order, and what it told.
type run struct {
	events   []happened
	byOrder  map[string][]*event.Event
	episodes []Truth
	looks    []Truth
}

func runOf(t testing.TB, o Options) *run {
	t.Helper()
	s := open(t, o)
	all := &run{byOrder: map[string][]*event.Event{}}
	told := []Truth{}
	for {
		r, ok := s.Next()
		if !ok {
			break
		}
		e, err := event.Canonical().Parse(r.Value, 0)
		if err != nil {
			t.Fatalf("%v in %s", err, r.Value)
		}
		all.events = append(all.events, happened{*e, r.Due, r.Duplicate})
		if !r.Duplicate {
			all.byOrder[e.OrderID] = append(all.byOrder[e.OrderID], e)
		}
		told = append(told, s.Told()...)
	}
	for _, one := range append(told, s.Close()...) {
		if one.Pattern != "" {
			all.episodes = append(all.episodes, one)
		} else {
			all.looks = append(all.looks, one)
		}
	}
	return all
}

func (r *run) planted() map[string]string {
	of := map[string]string{}
	for _, p := range r.episodes {
		for _, id := range append(p.Orders, p.History...) {
			of[id] = p.Episode
		}
	}
	return of
}

// created are the order.created of some orders.
func (r *run) created(ids []string) (all []*event.Event) {
	for _, id := range ids {
		all = append(all, r.byOrder[id][0])
	}
	return all
}

// payments are the attempts of some orders in the order of time.
func (r *run) attempts(ids []string) (all []*event.Event) {
	for _, id := range ids {
		for _, e := range r.byOrder[id] {
			if e.Type == event.PaymentAttempted {
				all = append(all, e)
			}
		}
	}
	slices.SortFunc(all, func(a, b *event.Event) int { return int(a.At - b.At) })
	return all
}

// with counts the orders that have an event of a type.
func (r *run) with(ids []string, types ...event.Type) (n int) {
	for _, id := range ids {
		if slices.ContainsFunc(r.byOrder[id], func(e *event.Event) bool { return slices.Contains(types, e.Type) }) {
			n++
		}
	}
	return n
}

func distinct(events []*event.Event, of func(*event.Event) string) int {
	seen := map[string]bool{}
	for _, e := range events {
		seen[of(e)] = true
	}
	return len(seen)
}

func byIP(e *event.Event) string       { return e.Client.IP }
func byDevice(e *event.Event) string   { return e.Client.DeviceID }
func byCustomer(e *event.Event) string { return e.CustomerID }
func byAddress(e *event.Event) string  { return e.ShippingAddressHash }
func byCard(e *event.Event) string     { return e.Card.Fingerprint }
func byEmail(e *event.Event) string    { return e.EmailHash }
func byBilling(e *event.Event) string  { return e.BillingCountry }

// euros is about what an order is worth, so that markets can be compared.
func euros(e *event.Event) float64 {
	for i := range markets {
		if markets[i].currency == e.Currency {
			return float64(e.AmountMinor) / markets[i].minorOfCent / 100
		}
	}
	return math.NaN()
}

func TestPlantingLeavesHonestOrdersAlone(t *testing.T) {
	o := month(t, 5, 6000)
	o.Duplicates = 0.01
	o.Fraud, o.Truth = nil, false
	honest := all(t, open(t, o))
	o.Fraud, o.Truth = defaultMix(t), true
	with := runOf(t, o)
	planted := with.planted()
	rest := slices.DeleteFunc(slices.Clone(with.events), func(h happened) bool { return planted[h.OrderID] != "" })
	if len(planted) == 0 || len(rest) == len(with.events) {
		t.Fatal("nothing was planted")
	}
	if len(rest) != len(honest) {
		t.Fatalf("%d honest events, %d without fraud", len(rest), len(honest))
	}
	// Events of one millisecond may change places.
	byID := func(a, b happened) int {
		if a.due != b.due {
			return int(a.due - b.due)
		}
		return strings.Compare(a.ID, b.ID)
	}
	slices.SortStableFunc(rest, byID)
	slices.SortStableFunc(honest, byID)
	for i := range rest {
		if a, b := fmt.Sprint(rest[i]), fmt.Sprint(honest[i]); a != b {
			t.Fatalf("with fraud    %s\nwithout fraud %s", a, b)
		}
	}
}

func TestSameSeedTellsTheSameTruth(t *testing.T) {
	told := func(seed int64) []byte {
		r := runOf(t, month(t, seed, 4000))
		text, err := json.Marshal([]any{r.episodes, r.looks, r.events})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	first := told(3)
	if !bytes.Equal(first, told(3)) {
		t.Error("a second run differs")
	}
	if bytes.Equal(first, told(4)) {
		t.Error("another seed tells the same")
	}
}

func TestPlantedSharesAreKept(t *testing.T) {
	for name, mix := range map[string]string{
		"default":     "default",
		"one pattern": "promo_ring=0.03",
		"changed":     "default,card_testing_bot=0.02,bust_out=0",
	} {
		t.Run(name, func(t *testing.T) {
			o := month(t, 9, 30_000)
			var err error
			if o.Fraud, err = ParseMix(mix); err != nil {
				t.Fatal(err)
			}
			r := runOf(t, o)
			planted := map[string]int{}
			for _, p := range r.episodes {
				planted[p.Pattern] += len(p.Orders) + len(p.History)
			}
			for _, pattern := range PatternNames() {
				want := o.Fraud[pattern] * float64(len(r.byOrder))
				if got := float64(planted[pattern]); math.Abs(got-want) > 0.12*want+40 { // one episode more or less
					t.Errorf("%s: %.0f of %d orders, want some %.0f", pattern, got, len(r.byOrder), want)
				}
			}
			if got := len(r.byOrder) - len(r.planted()); got != 30_000 {
				t.Errorf("%d honest orders", got)
			}
		})
	}
}

func TestTheTruthIsInTheStream(t *testing.T) {
	r := runOf(t, month(t, 21, 15_000))
	for _, p := range append(r.episodes, r.looks...) {
		entities, amounts := map[string]bool{}, map[string]int64{}
		for _, id := range append(p.Orders, p.History...) {
			if len(r.byOrder[id]) == 0 {
				t.Fatalf("%s%s: order %s does not exist", p.Episode, p.Lookalike, id)
			}
			for _, e := range r.byOrder[id] {
				for kind, of := range entitiesOf(e) {
					entities[kind+":"+of] = true
				}
				if at := e.At.Time(); p.Pattern != "" && (at.Before(p.From) || at.After(p.To)) {
					t.Errorf("%s is from %s to %s, and has an event at %s", p.Episode, p.From, p.To, at)
				}
			}
		}
		for _, e := range r.created(p.Orders) {
			amounts[e.Currency] += e.AmountMinor
		}
		for _, entity := range p.Entities {
			if !entities[entity] && p.Count <= maxLookOrders {
				t.Errorf("%s%s: %s is in none of its events", p.Episode, p.Lookalike, entity)
			}
		}
		delete(entities, "card:")
		if p.Pattern == "" {
			continue
		}
		for currency, minor := range amounts {
			if p.Amount[currency] != fmt.Sprint(minor) {
				t.Errorf("%s: %v, the orders are worth %d %s", p.Episode, p.Amount, minor, currency)
			}
		}
		if p.Open || len(p.Orders) == 0 {
			t.Errorf("%s: open %v, %d orders", p.Episode, p.Open, len(p.Orders))
		}
	}
	kinds := map[string]int{}
	for _, p := range r.looks {
		kinds[p.Lookalike]++
	}
	for _, name := range lookalikeNames {
		if kinds[name] == 0 {
			t.Errorf("nobody looks like %s", name)
		}
	}
}

// A shop whose parcels arrive within minutes plants what takes weeks within an hour.
func TestLifeScaleStretchesSlowEpisodes(t *testing.T) {
	o := Options{Seed: 2, Start: opening, Rate: 2, LifeScale: 0.001, Fraud: times(t, 4), Truth: true}
	s := open(t, o)
	longest := map[string]time.Duration{}
	for s.placed < 20_000 {
		s.Next()
		for _, p := range s.Told() {
			longest[p.Pattern] = max(longest[p.Pattern], p.To.Sub(p.From))
		}
	}
	for _, p := range patterns {
		if limit := time.Duration(p.span)*time.Millisecond + 2*time.Hour; longest[p.name] == 0 || longest[p.name] > limit {
			t.Errorf("%s: the longest of the episodes that are over took %s", p.name, longest[p.name])
		}
		if p.slow && longest[p.name] > 3*time.Hour {
			t.Errorf("%s takes %s although parcels take minutes", p.name, longest[p.name])
		}
	}
	running := 0
	for _, p := range s.Close() {
		if p.Open {
			running++
		}
	}
	if running == 0 {
		t.Error("a shop that is closed early leaves no episode open")
	}
}

func TestWhatIsPlantedIsBounded(t *testing.T) {
	mix, err := ParseMix("stolen_card_spree=0.25,account_takeover=0.25")
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, Options{Seed: 2, Rate: 100_000, Fraud: mix, Truth: true})
	for range 500_000 {
		s.Next()
		s.Told()
		if s.plants.episodes > maxEpisodes || s.plants.open > maxPlanted || len(s.plants.running) > maxEpisodes {
			t.Fatalf("%d episodes, %d planted orders are under way", s.plants.episodes, s.plants.open)
		}
	}
	if s.plants.episodes < maxEpisodes/2 {
		t.Errorf("%d episodes: the limit was not near", s.plants.episodes)
	}
	if len(s.plants.looks.all) > maxLooks*int(lookalikes) {
		t.Errorf("%d look-alikes", len(s.plants.looks.all))
	}
}

func TestMixesAreRead(t *testing.T) {
	for text, want := range map[string]map[string]float64{
		"off": {}, "promo_ring=0.01": {"promo_ring": 0.01}, "default,bust_out=0": {"bust_out": 0, "card_testing_bot": 0.004},
		"card_testing_bot=0.002, account_takeover=1e-3": {"card_testing_bot": 0.002, "account_takeover": 0.001},
	} {
		mix, err := ParseMix(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		for name, share := range want {
			if got, ok := mix[name]; !ok || got != share {
				t.Errorf("%s: %s is %g", text, name, got)
			}
		}
		if len(want) == 0 && len(mix) > 0 {
			t.Errorf("%s: %v", text, mix)
		}
	}
	for text, says := range map[string]string{
		"": "write default, off", "on": "write default, off", "off,promo_ring=0.1": "write default, off", "promo_ring": "write default, off",
		"promo=0.1": `no pattern "promo"; there are card_testing_bot`, "promo_ring=x": "no share", "promo_ring=NaN": "from 0 to 0.5",
		"promo_ring=-1": "from 0 to 0.5", "promo_ring=0.6": "from 0 to 0.5", "promo_ring=0.4,bust_out=0.2": "0.5 at most",
		"--truth": "write default, off",
	} {
		if _, err := ParseMix(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %q", text, err, says)
		}
	}
}
