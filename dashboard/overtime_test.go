package dashboard_test

import (
	"fmt"
	"testing"
	"time"

	"weir/views/query/querytest"
)

// openShop is an hour of a shop and the hour before it, of which the newest events are old: ranges count back from them.
func openShop(t *testing.T) (*site, time.Time) {
	t.Helper()
	head := time.Date(2025, 3, 11, 12, 30, 20, 0, time.UTC)
	db := querytest.New()
	shop := querytest.OpenShop(db, 7, 30)
	for at := head.Truncate(time.Minute).Add(-2*time.Hour + time.Minute); !at.After(head); at = at.Add(time.Minute) {
		shop.Minute(at, 1)
	}
	db.Watermark(head)
	return serve(t, db, "127.0.0.1:0"), head
}

// drag draws the mouse over an element, from one share of its width to another.
func (p *page) drag(selector string, from, to float64) {
	p.t.Helper()
	p.point(selector, false)
	for i, kind := range []string{"mouseMoved", "mousePressed", "mouseMoved", "mouseReleased"} {
		at := from
		if i > 1 {
			at = to
		}
		var x, y float64
		where := p.eval(fmt.Sprintf(`(() => { const r = document.querySelector(%q).getBoundingClientRect(); return JSON.stringify([r.x + r.width * %f, r.y + r.height / 2]) })()`, selector, at))
		if _, err := fmt.Sscanf(where, "[%f,%f]", &x, &y); err != nil {
			p.t.Fatal(err, where)
		}
		p.call(p.session, "Input.dispatchMouseEvent", map[string]any{"type": kind, "x": x, "y": y, "button": "left", "buttons": map[bool]int{true: 1}[i == 2], "clickCount": 1})
	}
}

const (
	inAddress = `new URLSearchParams(location.search).get('%s')`
	revenue   = `[aria-labelledby=p-revenue] .bars-t`
	orders    = `[aria-labelledby=p-orders] .bars-t`
)

func address(name string) string { return fmt.Sprintf(inAddress, name) }

func TestBrowserZoomsAllCharts(t *testing.T) {
	s, _ := openShop(t)
	p := startBrowser(t).open(s.url+"/?range=1h", 1280, 900)
	p.until("both charts", `String(document.querySelectorAll('.bars-t .lg-bar[d^=M]').length)`, "2")
	whole := p.eval(`document.querySelector('.head p').textContent`)

	p.point(revenue, false)
	p.until("one cross over all charts", `String(document.querySelectorAll('.bars-t .cross-l').length)`, "2")
	p.until("what a window holds, in each", `String([...document.querySelectorAll('.bars-t .tip')].every(e => /This window.*Period before/s.test(e.textContent)))`, "true")

	p.drag(orders, 0.5, 0.75)
	p.until("a part of the range in the address", `String(Date.parse(`+address("to")+`) > Date.parse(`+address("from")+`))`, "true")
	p.until("the charts of that part", `String([...document.querySelectorAll('.bars-t .lg-bar')].every(e => e.getAttribute('d').split('M').length - 1 < 25 && e.getAttribute('d').length > 10))`, "true")
	p.until("a way back", `String([...document.querySelectorAll('.head button')].some(b => b.textContent.includes('Back to last 1 h')))`, "true")
	if got := p.eval(`document.querySelector('.head p').textContent`); got == whole {
		t.Errorf("the head still says %s", got)
	}
	p.press("Escape")
	p.press("Escape") // the first takes the cross away
	p.until("the whole range again", address("from"), "<nil>")
	p.until("its head", `document.querySelector('.head p').textContent`, whole)
	p.eval(`history.back()`)
	p.until("the zoom, by the way back of the browser", `String(!!`+address("from")+`)`, "true")
	p.noErrors()
}

// holdable lets a test hold back what the server pushes: while window.held is a list, messages wait in it.
const holdable = `const m = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'onmessage')
Object.defineProperty(WebSocket.prototype, 'onmessage', { ...m, set(f) { m.set.call(this, f && (e => window.held ? window.held.push(() => f(e)) : f(e))) } })`

func TestBrowserWalksChartsByKeys(t *testing.T) {
	s, _ := openShop(t)
	p := startBrowser(t).open("about:blank", 1280, 900)
	p.call(p.session, "Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": holdable})
	p.call(p.session, "Page.navigate", map[string]any{"url": s.url + "/?range=1h"})
	p.until("the chart", `String(!!document.querySelector('`+revenue+` .lg-bar[d^=M]'))`, "true")
	p.press("Tab") // what is focused by a key is what is told
	p.eval(`document.querySelector('` + revenue + `').focus()`)
	said := `document.querySelector('[aria-labelledby=p-revenue] [aria-live]').textContent`
	p.press("ArrowLeft")
	p.until("the open window", `String(/^Mar 11, 2025 12:30–12:31: €\S+, open, period before €/.test(`+said+`))`, "true")
	p.press("ArrowLeft")
	p.until("the one before", `String(/^Mar 11, 2025 12:29–12:30: €/.test(`+said+`))`, "true")
	for range 4 {
		p.call(p.session, "Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": "ArrowLeft", "modifiers": 8})
	}
	p.until("a selection", `String(/; 5 windows selected$/.test(`+said+`))`, "true")
	p.eval(`window.held = []`)
	p.press("Enter")
	p.until("the zoom", address("from")+` + `+address("to"), "2025-03-11T12:25Z2025-03-11T12:30Z")
	p.until("panels that wait", `String(document.querySelectorAll('.skeleton').length > 1 && !document.querySelector('.heat'))`, "true")
	p.eval(`const held = window.held; window.held = null; held.forEach(f => f())`)
	p.until("the five windows", `String(document.querySelector('`+revenue+` .lg-bar')?.getAttribute('d').split('M').length - 1)`, "5")
	p.until("the focus where it was", `String(document.activeElement.matches('`+revenue+`'))`, "true")
	p.until("the heat map of that day", `String(!!document.querySelector('.heat'))`, "true")
	p.eval(`document.querySelector('.heat').focus()`)
	p.press("ArrowLeft", "ArrowDown")
	p.until("a cell of the heat map", `String(/^[\w, ]+, Mar 11, 2025 \d\d:00–\d\d:00, €/.test(document.querySelector('[aria-labelledby=p-hours] [aria-live]').textContent))`, "true")
	p.noErrors()
}

func TestBrowserFiltersAllPanels(t *testing.T) {
	s, _ := openShop(t)
	p := startBrowser(t).open(s.url+"/?range=1h", 1280, 900)
	p.until("what sells", `String(document.querySelectorAll('.bars.wide button').length)`, "7")
	p.until("revenue", `String(/^€\d/.test(`+tileOf("Revenue")+`))`, "true")
	all := p.eval(tileOf("Revenue"))
	name := p.eval(`document.querySelector('.bars.wide button .ell').textContent`)
	p.point(".bars.wide button", true)
	p.until("a chip", `document.querySelector('.top .chip.on')?.textContent`, "Category: "+name)
	p.until("the condition in the address", address("where"), "category:"+name)
	p.until("items instead of orders", `document.getElementById('p-orders').textContent`, "Items")
	p.until("revenue of that category", `String(![`+fmt.Sprintf("%q", all)+`, '–'].includes(`+tileOf("Revenue")+`))`, "true")
	p.until("that the funnel does not know categories", `document.querySelector('[aria-labelledby=p-funnel] .strip')?.textContent.trim()`, "Not filtered: this is not counted by category.")
	p.until("the others beside it", `String(document.querySelectorAll('.bars.wide button').length)`, "7")
	p.eval(`document.querySelector('.top .chip.on button').click()`)
	p.until("all again", tileOf("Revenue"), all)

	p.eval(`document.querySelector('.chip.add').click()`)
	p.until("the regions", `String([...document.querySelectorAll('dialog select[name=value] option')].map(o => o.value))`, "eu-south,eu-west,us")
	p.eval(`document.querySelector('dialog select[name=value]').value = 'us'; document.querySelector('dialog form .pri').click()`)
	p.until("the region in the address", address("where"), "region:us")
	p.until("no euros there", `document.querySelector('[aria-labelledby=p-revenue] .state b')?.textContent`, "No payment was captured in this range")
	p.noErrors()
}

func TestBrowserShowsTheTableBehindAChart(t *testing.T) {
	s, _ := openShop(t)
	p := startBrowser(t).open(s.url+"/?range=1h", 1280, 900)
	p.until("the tool", `String(!!document.querySelector('[aria-label="Revenue as a table"]'))`, "true")
	p.eval(`document.querySelector('[aria-label="Revenue as a table"]').click()`)
	p.until("sixty windows", `String(document.querySelectorAll('[aria-labelledby=p-revenue] tbody tr').length)`, "60")
	p.until("the table in the address", address("table"), "p-revenue")
	p.eval(`URL.createObjectURL = blob => { blob.text().then(text => { window.saved = text }); return 'data:,' }`)
	p.eval(`document.querySelector('[aria-label="Save Revenue as CSV"]').click()`)
	p.until("a file", `String(window.saved?.split('\r\n').length)`, "62")
	p.until("its head", `window.saved.split('\r\n')[0]`, "From,To,Revenue,Period before,Window")
	p.until("its first row", `String(/^2025-03-11T11:31:00.000Z,2025-03-11T11:32:00.000Z,[\d.]+,[\d.]+,closed$/.test(window.saved.split('\r\n')[1]))`, "true")
	p.until("its last", `String(/,open$/.test(window.saved.split('\r\n')[60]))`, "true")
	p.mustFit()
	p.noErrors()
}

// A window without orders has no share, which is not a share of nothing: the line of the period before has a gap there.
func TestBrowserDrawsNoShareOfNoOrders(t *testing.T) {
	db, head := querytest.New(), time.Date(2026, 3, 3, 12, 30, 20, 0, time.UTC)
	for _, minutesAgo := range []int{2, 70, 71, 90} {
		for _, stage := range []string{"created", "paid"} {
			for _, w := range querytest.Windows {
				db.Add(querytest.Key("funnel", w.Name, head.Add(-time.Duration(minutesAgo)*time.Minute).Truncate(w.Length), stage, "eu", "DE"), 4, 0)
			}
		}
		db.Add(querytest.Key("orders", "1m", head.Add(-time.Duration(minutesAgo)*time.Minute).Truncate(time.Minute), "eu", "DE", "web", "EUR"), 4, 0)
	}
	db.Watermark(head)
	s := serve(t, db, "127.0.0.1:0")
	p := startBrowser(t).open(s.url+"/funnel?range=1h", 1280, 900)
	p.until("the line: one window and two", `(document.querySelector('[aria-labelledby=p-over] .lg-dash')?.getAttribute('d') ?? '').replace(/[\d. ]+/g, ' ').trim()`, "M h M L")
	p.noErrors()
}

func TestBrowserShowsTheFunnel(t *testing.T) {
	s, head := openShop(t)
	p := startBrowser(t).open(s.url+"/funnel?range=1h", 1280, 900)
	row := func(stage string, column int) string {
		return fmt.Sprintf(`[...document.querySelectorAll('.stages tbody tr')].find(r => r.textContent.startsWith('%s'))?.cells[%d].textContent`, stage, column)
	}
	p.until("all created", row("Created", 3), "100 %")
	p.until("how long to pay", `String(/^\d+ m( \d+ s)?$/.test(`+row("Paid", 6)+`))`, "true")
	p.until("what is paid", `String(/^€/.test(`+row("Paid", 5)+`))`, "true")
	p.until("what later stages are worth, as an estimate", `String(/^≈ €/.test(`+row("Delivered", 5)+`))`, "true")
	p.until("leaks", `[...document.querySelectorAll('h2')].map(e => e.textContent).slice(-3).join()`, "Authorised, never captured,Paid, not dispatched,Dispatched before paid")
	created := p.eval(row("Created", 2))
	for _, w := range querytest.Windows {
		s.Add(querytest.Key("funnel", w.Name, head.Truncate(w.Length), "created", "eu-west", "DE"), 5000, 0)
	}
	p.until("five thousand more", `String(Number(`+row("Created", 2)+`.replace(',', '')) - 5000)`, fmt.Sprint(number(t, created)))
	p.eval(`[...document.querySelectorAll('.seg button')].find(b => b.textContent === 'Delivered').click()`)
	p.until("the stage in the address", address("stage"), "delivered")
	p.until("its title", `document.getElementById('p-over').textContent`, "Delivered by now")
	p.mustFit()
	p.mustBeNamed()
	p.noErrors()

	narrow := p.browser.open(s.url+"/funnel?range=1h", 360, 780)
	narrow.until("the stages", row("Created", 3), "100 %")
	narrow.mustFit()
}

func number(t *testing.T, text string) int {
	t.Helper()
	n := 0
	for _, c := range text {
		if c >= '0' && c <= '9' {
			n = 10*n + int(c-'0')
		}
	}
	return n
}

func TestBrowserTellsTimesOfItsOwnZone(t *testing.T) {
	s, _ := openShop(t)
	p := startBrowser(t).open("about:blank", 1280, 900)
	p.call(p.session, "Emulation.setTimezoneOverride", map[string]any{"timezoneId": "Asia/Kolkata"})
	p.visit(s.url + "/?range=1h")
	p.until("UTC", `document.querySelector('.head p').textContent`, "Mar 11, 2025 11:31–12:30 UTC, compared with Mar 11, 2025 10:31–11:30")
	p.eval(`document.querySelector('.fresh').click()`)
	p.eval(`[...document.querySelectorAll('dialog button')].find(b => b.textContent === 'Local').click()`)
	p.until("the zone of the browser", `document.querySelector('.head p').textContent`, "Mar 11, 2025 17:01–18:00 GMT+5:30, compared with Mar 11, 2025 16:01–17:00")
	p.until("the choice in the address", address("tz"), "local")
	p.noErrors()
}

// A list stands still under the pointer: what overtakes the first comes first only when nobody points at it.
func TestBrowserHoldsListsStill(t *testing.T) {
	s, head := openShop(t)
	p := startBrowser(t).open(s.url+"/?range=1h", 1280, 900)
	names := `[...document.querySelectorAll('.bars.wide .ell')].map(e => e.textContent).join()`
	p.until("what sells", `String(document.querySelectorAll('.bars.wide button').length)`, "7")
	before := p.eval(names)
	p.point(".bars.wide li:nth-child(2) button", false)
	for _, w := range querytest.Windows {
		s.Add(querytest.Key("item_revenue", w.Name, head.Truncate(w.Length), "Bikes", "EUR"), 1, 1_000_000_00)
	}
	p.until("the new value", `String([...document.querySelectorAll('.bars.wide li')].some(e => /Bikes€1/.test(e.textContent)))`, "true")
	if got := p.eval(names); got != before {
		t.Errorf("under the pointer %s became %s", before, got)
	}
	p.point("h1", false)
	s.Add(querytest.Key("item_revenue", "1m", head.Truncate(time.Minute), "Bikes", "EUR"), 1, 1)
	time.Sleep(2100 * time.Millisecond) // the order is held for two seconds at most
	s.Add(querytest.Key("item_revenue", "1m", head.Truncate(time.Minute), "Bikes", "EUR"), 1, 1)
	p.until("the best first", names+`.split(',')[0]`, "Bikes")
}
