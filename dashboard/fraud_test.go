package dashboard_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
	"weir/views"
)

const (
	titles  = `[...document.querySelectorAll('.q .rule')].map(e => e.textContent.replace('Card testing ', '')).join(' ')`
	chosen  = `document.querySelector('.q[aria-selected=true] .rule')?.textContent.replace('Card testing ', '')`
	notice  = `document.querySelector('.toast > span')?.textContent ?? ''`
	heading = `document.querySelector('.dhead .title, .main h1')?.textContent`
)

// asAna makes a browser that knows who sits there.
func (b *browser) asAna(width, height int) *page {
	p := b.open("about:blank", width, height)
	p.call(p.session, "Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": `localStorage.setItem('weir-author', 'ana')`})
	return p
}

func (p *page) visit(url string) { p.call(p.session, "Page.navigate", map[string]any{"url": url}) }

func (p *page) noErrors() {
	p.t.Helper()
	for _, e := range p.errors() {
		p.t.Errorf("the browser reports: %.600s", e)
	}
}

// A title is read without a pointer that hovers: two lines of it in the queue, all of it above the alert. No row is higher for it.
func TestBrowserShowsLongTitles(t *testing.T) {
	d := openDesk()
	titled := func(id, title string, score int64) {
		a := d.anAlert(id, "ip:2001:db8:85a3::8a2e:370:"+id, "o-"+id, "high", score, 9000_00)
		a.Title, a.Hits = title, 12
		d.add(a)
	}
	const long = "Many cards declined from one address within a few minutes"
	endless := strings.TrimSpace(strings.Repeat(long+" and then again ", 3))
	titled("a", "Short", 90)
	titled("b", long, 80)
	titled("c", endless, 70)
	s := d.serve(t, "127.0.0.1:0")
	for _, width := range []int{1280, 360} {
		p := startBrowser(t).open(s.url+"/fraud", width, 860)
		p.until("the queue", `String(document.querySelectorAll('.q .rule').length)`, "3")
		p.until("the title to be seen whole", `(() => { const rule = document.querySelector('.q[data-id=b] .rule'), box = rule.parentElement.getBoundingClientRect()
			return [...rule.getClientRects()].every(r => r.right <= box.right + 1 && r.bottom <= box.bottom + 1) + ' in ' + new Set([...rule.getClientRects()].map(r => r.top)).size + ' lines' })()`, "true in 2 lines")
		p.until("rows of one height", `String(new Set([...document.querySelectorAll('.q')].map(q => q.offsetHeight)).size)`, "1")
		if width == 360 {
			p.point(".q[data-id=c]", true)
		} else {
			p.press("j", "j")
		}
		p.until("the whole title above the alert", `document.querySelector('.dhead .title')?.textContent`, endless)
		p.until("nothing of it to be cut", `(e => e.scrollWidth <= e.clientWidth && e.scrollHeight <= e.clientHeight && getComputedStyle(e).whiteSpace)(document.querySelector('.dhead .title'))`, "normal")
		p.mustFit()
		p.noErrors()
	}
}

func TestBrowserTriage(t *testing.T) {
	d := openDesk()
	d.add(d.anAlert("low", "ip:1.1.1.1", "o-1", "low", 20, 20_00), d.anAlert("high", "ip:2.2.2.2", "o-2", "high", 70, 90_00), d.anAlert("crit", "ip:3.3.3.3", "o-3", "critical", 90, 1284_60))
	d.add(func() *table.Alert {
		a := d.anAlert("other", "customer:c-9", "o-3", "medium", 10, 1_00)
		a.Title = "Velocity"
		return a
	}())
	d.orders["o-3"] = &table.Order{Created: true, CustomerId: "c-9", Client: &table.Client{Ip: "3.3.3.3", DeviceId: "d-1"}, Currency: "EUR"}
	s := d.serve(t, "127.0.0.1:0")
	p := startBrowser(t).open(s.url+"/fraud", 1280, 860)
	p.until("the queue by priority", titles, "crit high low Velocity")
	p.until("the first one in the address", `location.pathname`, "/fraud/crit")
	p.until("its reasons", `[...document.querySelectorAll('.reason .t b')].map(e => e.textContent).join('; ')`, "6 cards in 10 min; Amount €25.00")
	p.until("the limits", `[...document.querySelectorAll('.reason .t .x')].map(e => e.textContent).join('; ')`, "2× the limit; 50 % of the limit")
	p.until("contributing events, linked to their order", `document.querySelector('.ev a').getAttribute('href')`, "/orders/o-3?event=payments%2F3%4074")
	p.until("facts", `[...document.querySelectorAll('.dhead dd')].slice(0, 3).map(e => e.textContent).join('; ')`, "90 of 100; €1,284.60 1 order; 3.3.3.3")
	p.until("what it is connected to", `document.querySelector('.graph').getAttribute('aria-label')`, "IP address 3.3.3.3 is connected to 3 entities by its orders, and to 1 other alert")
	p.until("the alert that shares its order", `document.querySelector('.ctx .rel a').getAttribute('href')`, "/fraud/other")
	p.until("the count in the rail", `document.querySelector('.rail .n').firstChild.textContent`, "4")
	p.mustFit()
	p.mustBeNamed()

	p.press("j")
	p.until("the next alert", heading, "Card testing high")
	p.press("k", "j", "j")
	p.until("the last but one", chosen, "low")

	// Under the pointer nothing moves: what is new is counted, what changed changes in its place.
	p.point(".q[data-id=high]", false)
	d.add(d.anAlert("new", "ip:4.4.4.4", "o-4", "critical", 95, 9000_00))
	p.until("the new one to be held", `document.querySelector('.strip.wait')?.textContent`, "1 new alert held while you readShow")
	d.alert("ip:1.1.1.1", "low", func(a *table.Alert) { a.Score, a.RiskMinor = 99, 99999_00 })
	p.until("a new amount", `document.querySelector('.q[data-id=low] .amt').textContent`, "€99,999.00")
	if got := p.eval(titles); got != "crit high low Velocity" {
		t.Errorf("the queue moved under the pointer: %s", got)
	}
	d.alert("ip:2.2.2.2", "high", func(a *table.Alert) { a.Status = alert.Closed })
	p.until("what left to be marked", `document.querySelector('.q[data-id=high] .about').textContent`, "no longer in this list")
	p.point(".strip.wait", true)
	p.until("all of it, once it is wanted", titles, "low new crit Velocity")

	p.press("p")
	p.until("a pause", `document.querySelector('.seg [aria-pressed=true]').textContent.startsWith('Paused')`, "true")
	d.add(d.anAlert("later", "ip:5.5.5.5", "o-5", "low", 99, 999999_00))
	p.until("held updates", `/· [1-9]\d* updates held/.test(document.querySelector('.seg').textContent)`, "true")
	if got := p.eval(titles); got != "low new crit Velocity" {
		t.Errorf("a paused queue changed: %s", got)
	}
	p.point("h1", false)
	p.eval(`document.activeElement.blur()`)
	p.press("p")
	p.until("what was held", titles, "later low new crit Velocity")

	p.press("?")
	p.until("the list of keys", `document.querySelector('dialog')?.ariaLabel`, "Keyboard")
	p.press("a") // no key acts under a dialog
	p.press("Escape")
	p.until("it to close", `String(!document.querySelector('dialog'))`, "true")
	if len(d.decided) != 0 {
		t.Errorf("a key acted under a dialog: %v", d.decided)
	}
	p.noErrors()
}

func TestBrowserDecides(t *testing.T) {
	d := openDesk()
	d.add(d.anAlert("one", "ip:1.1.1.1", "o-1", "high", 90, 900_00), d.anAlert("two", "ip:2.2.2.2", "o-2", "high", 80, 800_00), d.anAlert("three", "ip:3.3.3.3", "o-3", "high", 70, 700_00))
	s := d.serve(t, "127.0.0.1:0")
	p := startBrowser(t).open(s.url+"/fraud", 1280, 860)
	p.until("the first alert", heading, "Card testing one")

	p.point(".why-field input", true)
	p.enter("stolen card")
	p.eval(`document.activeElement.blur()`)
	p.press("c")
	p.until("who decides to be asked", `document.querySelector('dialog')?.ariaLabel`, "Who decides?")
	p.enter("ana")
	p.press("Enter")
	p.until("what was done", notice, "Confirmed as fraud: Card testing one, 1.1.1.1")
	p.until("the next alert", heading, "Card testing two")
	p.until("the queue without it", titles, "two three")
	if last := d.decided[len(d.decided)-1]; last.Action != "confirm" || last.Author != "ana" || last.Reason != "stolen card" || last.ExpectedRevision != 1 || last.Id == "" {
		t.Errorf("decided %v", last)
	}
	p.press("u")
	p.until("it to be undone", notice, "Undone")
	p.until("it to be looked at again", heading, "Card testing one")
	if got := d.status("ip:1.1.1.1", "one"); got != alert.Open {
		t.Errorf("after undo it is %s", got)
	}
	p.until("the queue with it", titles, "one two three")

	// Somebody decides while this page makes up its mind.
	d.before = func(*table.Decision) {
		d.alert("ip:1.1.1.1", "one", func(a *table.Alert) {
			a.Status = alert.FalsePositive
			a.History = append(a.History, &table.Change{SeenAtMs: time.Now().UnixMilli(), What: "false_positive", Author: "maria", Reason: "office network"})
		})
	}
	p.press("a")
	p.until("it to be told plainly", `document.querySelector('.decide .strip')?.textContent.replace(/\(.*\)/, '()')`,
		"Not taken. maria was faster: false positive, office network (). This is the alert as it is now.")
	p.until("the alert as it is", `document.querySelector('.dhead .pill').textContent`, "False positive")
	if got := d.status("ip:1.1.1.1", "one"); got != alert.FalsePositive {
		t.Errorf("maria's decision was overwritten: %s", got)
	}

	// More hits are no reason to be asked again.
	p.press("j")
	p.until("the second alert", heading, "Card testing two")
	d.before = func(*table.Decision) { d.alert("ip:2.2.2.2", "two", func(a *table.Alert) { a.Hits++ }) }
	p.press("f")
	p.until("it to be taken", notice, "Marked a false positive: Card testing two, 2.2.2.2")
	if got := d.status("ip:2.2.2.2", "two"); got != alert.FalsePositive {
		t.Errorf("it is %s", got)
	}
	p.until("the third alert", heading, "Card testing three")
	p.press("s")
	p.until("the snooze", `document.querySelector('.toast > span').textContent.startsWith('Snoozed until')`, "true")
	p.until("an empty queue", `document.querySelector('.queue .state b')?.textContent`, "Nothing is open")
	p.point(`[role=tab]:nth-child(4)`, true)
	p.until("what is closed", titles, "one two")
	p.until("the list in the address", `new URLSearchParams(location.search).get('tab')`, "closed")
	if n := len(p.errors()); n > 3 { // Chromium reports the refused decisions as failed requests
		p.noErrors()
	}
}

func TestBrowserDecidesOnMany(t *testing.T) {
	d := openDesk()
	for i := range 4 {
		d.add(d.anAlert(fmt.Sprint("a", i), fmt.Sprint("ip:1.1.1.", i), "o-1", "medium", int64(90-i), 100_00))
	}
	s := d.serve(t, "127.0.0.1:0")
	p := startBrowser(t).asAna(1280, 860)
	p.visit(s.url + "/fraud")
	p.until("the first alert", heading, "Card testing a0")
	p.point(".ctx .sect button.link", true)
	p.until("all that share its order", `document.querySelector('.bulk b')?.textContent`, "4 selected")
	p.press("Escape")
	p.until("none", `String(!document.querySelector('.bulk'))`, "true")
	p.press("x", "j")
	p.until("the second alert", heading, "Card testing a1")
	p.press("x", "j")
	p.until("the third alert", heading, "Card testing a2")
	p.press("x")
	p.until("three to be selected", `document.querySelector('.bulk b')?.textContent`, "3 selected")
	d.before = func(one *table.Decision) {
		d.alert("ip:1.1.1.2", "a2", func(a *table.Alert) { a.Status = alert.Acknowledged })
	}
	p.press("f")
	p.until("the question", `document.querySelector('dialog')?.ariaLabel`, "Mark as false positives: 3 alerts")
	p.until("its field", `document.activeElement.tagName`, "INPUT")
	p.enter("gift cards of a company")
	p.press("Enter")
	p.until("what was done, and what not", notice,
		"Marked a false positive: 2 alerts. 1 not: the alert has changed: look at it again; still selected")
	p.until("the refused one to stay selected", `[...document.querySelectorAll('.q[aria-checked=true]')].map(e => e.dataset.id).join()`, "a2")
	p.press("u")
	p.until("both to be undone", notice, "Undone for 2 alerts")
	for i, want := range []string{alert.Open, alert.Open, alert.Acknowledged, alert.Open} {
		if got := d.status(fmt.Sprint("ip:1.1.1.", i), fmt.Sprint("a", i)); got != want {
			t.Errorf("a%d is %s, want %s", i, got, want)
		}
	}
	p.noErrors()
}

func TestBrowserKeepsItsStateInTheAddress(t *testing.T) {
	d := openDesk()
	d.add(d.anAlert("one", "ip:1.1.1.1", "o-1", "high", 90, 900_00), d.anAlert("two", "card:fp", "o-2", "low", 80, 800_00))
	s := d.serve(t, "127.0.0.1:0")
	p := startBrowser(t).asAna(1280, 860)
	p.visit(s.url + "/fraud/one?severity=low&sort=newest")
	p.until("the list of the address", titles, "two")
	p.until("the alert of the address, though it is not in the list", heading, "Card testing one")
	p.until("chips", `[...document.querySelectorAll('.q-chips .chip')].map(e => e.textContent).join()`, "Low")
	p.point(".q-chips .chip button", true)
	p.until("both", titles, "one two")
	p.press("/")
	p.until("the search field", `document.activeElement.id`, "q-search")
	p.mustBeNamed()
	p.enter("1.1.1")
	p.until("what was searched for", titles, "one")
	p.until("it in the address", `new URLSearchParams(location.search).get('q')`, "1.1.1")
	p.eval(`document.activeElement.blur()`)
	p.eval(`for (const key of ["g", "r"]) document.dispatchEvent(new KeyboardEvent("keydown", { key }))`) // at once: they are two keys of one command for a moment only
	p.until("the rules", `location.pathname`, "/rules")
	p.eval(`history.back()`)
	p.until("the list again", titles, "one")
	p.visit(s.url + "/fraud/gone")
	p.until("an alert that is no more", `document.querySelector('.why .state b')?.textContent`, "No such alert")
}

func TestBrowserTriageOnAPhone(t *testing.T) {
	d := openDesk()
	d.add(d.anAlert("one", "customer:c-a-customer-with-a-very-long-id-0123456789", "o-1", "high", 90, 900_00), d.anAlert("two", "ip:2.2.2.2", "o-2", "high", 80, 800_00))
	s := d.serve(t, "127.0.0.1:0")
	p := startBrowser(t).asAna(360, 780)
	p.visit(s.url + "/fraud")
	p.until("the queue alone", titles+` + getComputedStyle(document.querySelector('.why')).display`, "one twonone")
	p.mustFit()
	p.mustBeNamed()
	p.point(".q[data-id=one]", true)
	p.until("the alert alone", heading+` + getComputedStyle(document.querySelector('.queue')).display`, "Card testing onenone")
	p.until("its reasons", `document.querySelector('.why .reason b')?.textContent`, "6 cards in 10 min")
	p.mustFit()
	p.point(".dhead .only-m", true)
	p.until("what it is connected to", `String(document.querySelector('.ctx').checkVisibility())`, "true")
	p.point(".ctx .only-m", true)
	p.point(".decide .btn.dan", true)
	p.until("what was done", notice, "Confirmed as fraud: Card testing one, …id-0123456789")
	p.until("the queue again", `location.pathname + ' ' + `+titles, "/fraud two")
	p.noErrors()
}

func TestBrowserTriageOutlivesTheServer(t *testing.T) {
	d := openDesk()
	d.add(d.anAlert("one", "ip:1.1.1.1", "o-1", "high", 90, 900_00))
	s := d.serve(t, "127.0.0.1:0")
	p := startBrowser(t).asAna(1280, 860)
	p.visit(s.url + "/fraud")
	p.until("the alert", heading, "Card testing one")
	s.stop()
	p.until("it to be told", `document.querySelector('.queue .strip.warn')?.textContent`, "Not connected: the list is as it last was.")
	if got := p.eval(titles); got != "one" {
		t.Errorf("the last list is gone: %q", got)
	}
	p.press("c")
	p.until("that nothing was decided", notice, "Not decided: The server does not answer.")
	d.add(d.anAlert("two", "ip:2.2.2.2", "o-2", "high", 99, 9000_00))
	d.serve(t, strings.TrimPrefix(s.url, "http://"))
	p.until("what came meanwhile", titles, "two one")
	p.until("calm", `String(!document.querySelector('.queue .strip.warn'))`, "true")
	d.db.Present(6)
	d.add(d.anAlert("three", "ip:3.3.3.3", "o-3", "high", 9, 9_00))
	p.until("what is missing", `document.querySelector('.queue .strip.info:not(.wait)')?.textContent`, "6 of 8 partitions: some alerts are still missing.")
}

func TestBrowserWithoutFraud(t *testing.T) {
	d := openDesk()
	p := startBrowser(t).open(serve(t, d.db, "127.0.0.1:0").url+"/fraud", 1280, 860)
	p.until("what is missing", `String(!!document.querySelector('.queue .state b'))`, "true")
	p.mustFit()
}

// In a stream that is played again all events come long after they happened: that is said once, and none is marked as late for it.
func TestBrowserCallsAReplayNoDelay(t *testing.T) {
	d := openDesk()
	month := 30 * 24 * time.Hour
	d.orders["o-old"] = &table.Order{Created: true, CreatedAtMs: d.ago(month), Currency: "EUR", TotalMinor: 100,
		Entries: []*table.Entry{
			{Type: uint32(event.OrderCreated), AtMs: d.ago(month), ArrivedAtMs: d.ago(time.Minute), AmountMinor: 100, Currency: "EUR", Topic: "orders", Offset: 1, Counted: true},
			{Type: uint32(event.PaymentCaptured), AtMs: d.ago(month - 3*time.Hour), ArrivedAtMs: d.ago(time.Minute), AmountMinor: 100, Currency: "EUR", Topic: "payments", Offset: 2, Counted: true},
		}}
	s := d.serve(t, "127.0.0.1:0")
	p := startBrowser(t).open(s.url+"/orders/o-old", 360, 780)
	p.until("when events came", `[...document.querySelectorAll('.lrow .tm span')].map(e => e.textContent).join('; ')`, "+29 d 23 h; +29 d 20 h")
	p.until("that it is a replay", `document.querySelector('#p-time + p').textContent`, "2 events, replayed 29 d 20 h later")
	if got := p.eval(`String(document.querySelectorAll('.lrow .warn').length)`); got != "0" {
		t.Errorf("%s marks of lateness", got)
	}
	p.noErrors()
}

func TestBrowserShowsAnOrder(t *testing.T) {
	d := openDesk()
	at := func(ago time.Duration) int64 { return d.ago(ago) }
	card := &table.Card{Fingerprint: "fp-1", Last4: "9021", Country: "DE"}
	d.orders["o.1/x"] = &table.Order{Created: true, CreatedAtMs: at(3 * time.Hour), CustomerId: "c-1", Currency: "EUR", TotalMinor: 41280, CreatedTotalMinor: 41280, CapturedMinor: 41280, RefundedMinor: 1000,
		PaidAtMs: at(179 * time.Minute), DispatchedAtMs: at(2 * time.Hour), Duplicates: 2, BillingCountry: "DE", ShippingCountry: "RO", Channel: "web", PromisedAtMs: d.now.Add(time.Hour).UnixMilli(),
		LastAtMs: at(2 * time.Hour), Client: &table.Client{Ip: "1.2.3.4"}, Items: []*table.Item{{ProductId: "p-1", Category: "bikes", Quantity: 3, PriceMinor: 13760}},
		Raised: []*table.Raised{{Rule: "amount_mismatch", Entity: "order:o.1/x"}},
		Entries: []*table.Entry{
			{Type: uint32(event.OrderCreated), AtMs: at(3 * time.Hour), ArrivedAtMs: at(3*time.Hour - 100*time.Millisecond), AmountMinor: 41280, Currency: "EUR", Topic: "orders", Offset: 9, Counted: true},
			{Type: uint32(event.PaymentCaptured), AtMs: at(179 * time.Minute), ArrivedAtMs: at(178 * time.Minute), AmountMinor: 41280, Currency: "EUR", Source: "card", Card: card, Topic: "payments", Offset: 10, Counted: true},
			{Type: uint32(event.ShipmentDispatched), AtMs: at(2 * time.Hour), ArrivedAtMs: at(106 * time.Minute), Source: "postra", Topic: "shipments", Offset: 11, Counted: true, EventId: "e-11"},
		}}
	a := d.anAlert("one", "customer:c-1", "o.1/x", "high", 90, 900_00)
	a.StartedMs = at(178 * time.Minute)
	d.add(a)
	d.entities["customer:c-1"] = &views.Entity{At: event.UnixMilli(d.now.UnixMilli()),
		Features: []views.EntityFeature{{Text: "sum(total of order.created by customer, 1h)", Type: "money", Known: true, Number: 62798, Currency: "EUR", Entries: 2, Exact: true, To: event.UnixMilli(d.now.UnixMilli())}},
		Events:   []*table.Place{{Topic: "orders", Partition: 3, Offset: 9, AtMs: at(3 * time.Hour), Type: "order.created", OrderId: "o.1/x"}}}
	s := d.serve(t, "127.0.0.1:0")
	p := startBrowser(t).open(s.url+"/orders/o.1%2Fx?event=shipments%2F3%4011", 1280, 860)
	p.until("its name", heading, "o.1/x")
	p.until("its state", `document.querySelector('.head .pill').textContent`, "Dispatched")
	p.until("the timeline with the alert", `[...document.querySelectorAll('.lrow .ty')].map(e => e.textContent).join('; ')`, "Order created; Payment captured; Alert: Card testing one; Dispatched; Delivery")
	p.until("when events came", `[...document.querySelectorAll('.lrow .tm span')].map(e => e.textContent).slice(0, 4).join('; ')`, "+0.1 s; +1 m; opened; +14 m")
	p.until("what was late", `[...document.querySelectorAll('.lrow .pill.warn')].map(e => e.textContent).join()`, "Late 14 m")
	p.until("the event of the address", `document.querySelector('.lrow.sel .tpo').textContent`, "shipments/3@11")
	p.until("duplicates", `document.querySelector('#p-time + p').textContent`, "3 events, 2 duplicates ignored, 1 late")
	p.until("money", `[...document.querySelectorAll('[aria-labelledby=p-money] td')].map(e => e.textContent).join(' ')`, "Total €412.80 Captured €412.80 Refunded €10.00 Paid in full 1 m")
	p.until("findings", `[...document.querySelectorAll('[aria-labelledby=p-found] a')].map(e => e.getAttribute('href')).join()`, "/fraud/one,/rules/amount_mismatch")
	p.mustFit()
	p.mustBeNamed()
	p.point(".lrow.sel .tpo", true)
	p.until("the raw event", `JSON.parse(document.querySelector('.raw').textContent).id`, "e-11")
	p.press("Escape")
	p.point("[aria-pressed=false]:not(.top *)", true)
	p.until("the order of arrival", `document.querySelector('.lh span').textContent + new URLSearchParams(location.search).get('by')`, "Arrivalarrival")

	p.point(".facts a", true)
	p.until("its customer", heading, "c-1")
	p.until("the customer's orders", `document.querySelector('[aria-labelledby=p-orders] a')?.getAttribute('href')`, "/orders/o.1%2Fx")
	p.until("the customer's features", `document.querySelector('.feats')?.textContent`, "Total of orders in 1 h€627.982 events")
	p.until("the customer's alerts", `document.querySelector('[aria-labelledby=p-alerts] a')?.getAttribute('href')`, "/fraud/one")
	p.mustFit()
	p.mustBeNamed()
	for path, says := range map[string]string{"/orders/nothing": "No such order", "/customers/nobody": "Nothing is known of this customer", "/entities/ip/9.9.9.9": "Nothing is known of this IP address"} {
		p.visit(s.url + path)
		p.until("the state of "+path, `document.querySelector('.state b')?.textContent`, says)
	}
	narrow := p.browser.open(s.url+"/orders/o.1%2Fx", 360, 780)
	narrow.until("its name", heading, "o.1/x")
	narrow.until("its timeline", `String(document.querySelectorAll('.lrow').length > 3)`, "true")
	narrow.mustFit()
	narrow.visit(s.url + "/customers/c-1")
	narrow.until("the customer", heading, "c-1")
	narrow.until("the orders", `String(!!document.querySelector('[aria-labelledby=p-orders] a'))`, "true")
	narrow.until("the alert's title with room for its words", `String(document.querySelector('[aria-labelledby=p-alerts] td.name')?.offsetWidth >= 150)`, "true")
	narrow.mustFit()
}

func TestBrowserTellsTheLatestAlerts(t *testing.T) {
	d := openDesk()
	d.add(d.anAlert("one", "ip:1.1.1.1", "o-1", "critical", 90, 900_00))
	s := d.serve(t, "127.0.0.1:0")
	p := startBrowser(t).open(s.url+"/", 1280, 900)
	p.until("the alert", `document.querySelector('.al a')?.getAttribute('href')`, "/fraud/one")
	p.until("how many are open", `document.querySelector('.tile[aria-label="Open alerts"] .v')?.textContent + document.querySelector('.tile[aria-label="Open alerts"] .d').textContent`, "1up 1· 1 critical")
	two := d.anAlert("two", "ip:2.2.2.2", "o-1", "low", 10, 100_00)
	two.StartedMs = d.ago(0)
	d.add(two)
	p.until("the newer one before it", `[...document.querySelectorAll('.al a')].map(e => e.textContent).join()`, "Card testing two,Card testing one")
	p.mustFit()
	p.mustBeNamed()
	p.point(".al a", true)
	p.until("the alert's page", `location.pathname`, "/fraud/two")
	p.noErrors()
}

// A page of the application is found whatever an id looks like; a file that is not there is not.
func TestPagesOfIdsThatLookLikeFiles(t *testing.T) {
	for path, want := range map[string]int{"/orders/o.1": 200, "/entities/ip/1.2.3.4": 200, "/rules/a.b.js": 200, "/nothing.js": 404, "/rules.js": 200} {
		if w := get(path); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	if w := get("/rules.js"); !strings.HasPrefix(w.Header().Get("Content-Type"), "text/javascript") || w.Code != http.StatusOK {
		t.Errorf("a module by its own name: %v", w.Header())
	}
}
