package dashboard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/views/api"
	"weir/views/live"
)

// past is one backtest, moved on by the test.
type past struct {
	mu    sync.Mutex
	runs  int
	asked api.BacktestRequest
	job   api.Backtest
}

func (p *past) Start(_ context.Context, r api.BacktestRequest) (api.Backtest, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = r
	p.runs++
	p.job = api.Backtest{ID: fmt.Sprint("b", p.runs), State: "running", Started: time.Now().Add(-10 * time.Second), Events: 250, Total: 1000}
	return p.job, nil
}

func (p *past) Get(id string) (api.Backtest, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id != p.job.ID {
		return api.Backtest{}, api.ErrNoBacktest
	}
	return p.job, nil
}

func (p *past) Cancel(id string) (api.Backtest, error) {
	p.mu.Lock()
	p.job.State, p.job.Partial = "cancelled", "cancelled"
	p.mu.Unlock()
	return p.Get(id)
}

func (p *past) ends(t *testing.T, report string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.job.State = "done"
	if err := json.Unmarshal([]byte(report), &p.job.Report); err != nil {
		t.Fatal(err)
	}
}

const found = `{"from":"2026-01-01T00:00:00Z","to":"2026-01-03T00:00:00Z","days":2,"events":1000,"seconds":12,"warnings":[],
 "rules":[{"id":"velocity","title":"Velocity","state":"live","alerts":82,"alerts_per_day":41,"entities":80,"orders":90,"at_risk":[{"amount":"123456","currency":"EUR","exponent":2}],
  "shared":{"entities":7,"orders":8},"samples":[{"id":"x","entity":"customer:c-7","started":"2026-01-02T10:00:00Z","hits":3,"score":60,"at_risk":{"amount":"5000","currency":"EUR","exponent":2},
   "explanation":[{"text":"count(1h) >= 2","feature":"count(order.created by customer, 1h)","observed":"3","operator":">=","threshold":"2"}]}],
  "labels":{"precision":0.87,"recall":0.74,"curve":[{"score":10,"alerts":82,"precision":0.5,"recall":1,"value_caught":[]},{"score":50,"alerts":40,"precision":0.87,"recall":0.74,"value_caught":[{"amount":"3820000","currency":"EUR","exponent":2}]},{"score":90,"alerts":3,"precision":1,"recall":0.1,"value_caught":[]}]}}],
 "against":{"rules":[{"id":"velocity","state":"live","alerts_per_day":19}],"both":{"entities":19},"only_now":{"entities":9},"only_then":{"entities":2}}}`

func TestBrowserRunsABacktest(t *testing.T) {
	d, b, tried := openDesk(), openBook(), &past{}
	s := d.serve(t, "127.0.0.1:0", b.into, func(served *api.Deps, _ *live.Config) { served.Backtests = tried })
	p := startBrowser(t).asAna(1280, 900)
	p.visit(s.url + "/rules/velocity")
	p.until("the rule", heading, "Velocity")
	run := `[...document.querySelectorAll('[aria-labelledby=p-back] .btn')].find(e => e.textContent.startsWith(%q))`
	p.until("the button", `String(!!`+strings.Replace(run, "%q", "'Run'", 1)+`)`, "true")
	p.eval(strings.Replace(run, "%q", "'Run'", 1) + `.click()`)
	p.until("how far it has come", `document.querySelector('[role=progressbar]')?.ariaValueNow`, "25")
	p.until("it in the address", `new URLSearchParams(location.search).get('backtest')`, "b1")
	if tried.asked.ID != "velocity" || tried.asked.Against != "current" || tried.asked.From == nil {
		t.Errorf("asked %+v", tried.asked)
	}
	p.mustFit()
	tried.ends(t, found)
	p.until("what it found", `[...document.querySelectorAll('[aria-labelledby=p-back] .kpis dd')].map(e => e.textContent).join('; ')`, "41 live 19; 87 % ; 74 % ; €1,234.56 ")
	p.until("what it changes", `document.querySelector('[aria-labelledby=p-back] .venn').ariaLabel`, "Only before: 2, Both: 19, Only with this: 9")
	p.until("a sample", `[...document.querySelectorAll('[aria-labelledby=p-back] td')].map(e => e.textContent).join(' ')`, "Jan 2 10:00:00 c-7 3 orders in 1 h 3 60 €50.00")
	p.eval(`document.querySelector('.curve').focus()`)
	p.eval(`document.querySelector('.curve').dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }))`)
	p.until("the next threshold", `document.querySelector('.curve').getAttribute('aria-valuetext')`, "score 50: precision 87 %, recall 74 %")
	p.mustFit()
	p.mustBeNamed()

	// An edit is tried as it stands, as a document of one rule.
	p.eval(`(() => { const e = document.querySelector('textarea'); e.value = 'id: velocity\nwhen: count(1h) >= 4\n'; e.dispatchEvent(new Event('input', { bubbles: true })) })()`)
	p.until("it to be checked", `document.querySelector('.verdict')?.textContent.startsWith('Valid')`, "true")
	p.eval(strings.Replace(run, "%q", "'Run'", 1) + `.click()`)
	p.until("the next one", `document.querySelector('[role=progressbar]')?.ariaValueNow`, "25")
	if want := "rules:\n  - id: velocity\n    when: count(1h) >= 4\n"; tried.asked.YAML != want {
		t.Errorf("asked %q, want %q", tried.asked.YAML, want)
	}
	p.eval(strings.Replace(run, "%q", "'Stop'", 1) + `.click()`)
	p.until("it to be stopped", `document.querySelector('[aria-labelledby=p-back] .pill')?.textContent`, "Stopped")
	p.eval(`[...document.querySelectorAll('.head .btn')].find(e => e.textContent === 'Discard').click()`) // else the browser asks before it leaves
	p.until("the edit to be gone", `document.querySelector('textarea')?.value.includes('>= 4')`, "false")
	p.visit(s.url + "/rules/velocity?backtest=gone")
	narrow := p.browser.asAna(360, 780)
	narrow.visit(s.url + "/rules/velocity?backtest=b2")
	narrow.until("what it found until it was stopped", `document.querySelector('[aria-labelledby=p-back] .pill')?.textContent`, "Stopped")
	narrow.mustFit()
	p.until("one that is gone", `document.querySelector('[aria-labelledby=p-back] .state b')?.textContent`, "This backtest is gone")
}

// The words of alerts follow from what rules say, so each form of it is told.
func TestWordsOfPredicates(t *testing.T) {
	s := openDesk().serve(t, "127.0.0.1:0")
	p := startBrowser(t).open(s.url+"/icon.svg", 300, 300)
	p.until("the origin", `document.readyState`, "complete")
	for in, want := range map[string]string{
		`{"text":"cards[10m] > 2","feature":"distinct(card.fingerprint of payment.failed by ip, 10m)","observed":"1","operator":">","threshold":"2"}`:                                        "1 card in 10 min|more than 2|0.5",
		`{"text":"count(30d) >= 3","feature":"count(payment.refunded, payment.disputed by customer, 30d)","observed":"4","operator":">=","threshold":"3"}`:                                   "4 refunds or disputes in 30 d|at least 3|1.3333333333333333",
		`{"text":"sum(total, 1h) >= 100","feature":"sum(total of order.created by customer where channel != \"web\", 1h)","observed":"612.50 EUR","operator":">=","threshold":"100.00 EUR"}`: "€612.50 of orders in 1 h|at least €100.00|6.125",
		`{"text":"total > x","feature":"percentile(total of order.created by customer, 0.95, 30d, previous)","observed":"12.00 EUR","operator":">","threshold":"6.00 EUR"}`:                  "P95 of total in 30 d, before this event: €12.00|more than €6.00|2",
		`{"text":"customer_age < 1d","observed":"3h20m","operator":"<","threshold":"1d"}`:                                                                                                    "Account age 3 h 20 min|below 1 d|0.1388888888888889",
		`{"text":"billing_country != shipping_country","observed":"DE","operator":"!=","threshold":"RO"}`:                                                                                    "Billing country DE|not RO|null",
		`{"text":"known(card)","observed":"true"}`:                                                    "Card is known||null",
		`{"text":"ip not in @office","observed":"1.2.3.4","operator":"not in","threshold":"@office"}`: "IP address 1.2.3.4|not in @office|null",
	} {
		got := p.eval(`import('/say.js').then(m => { const s = m.predicate(` + in + `); return [s.what, s.limit, s.ratio].map(String).join('|') })`)
		if got != want {
			t.Errorf("%s\n is told as %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{`{"amount":"-5","currency":"EUR","exponent":2}`: "-€0.05", `{"amount":"9007199254740993","currency":"JPY","exponent":0}`: "¥9,007,199,254,740,993", `{"amount":"1234567","currency":"KWD","exponent":3}`: "KWD\u00a01,234.567"} {
		if got := p.eval(`import('/format.js').then(m => m.exact(` + in + `))`); got != want {
			t.Errorf("%s is told as %q, want %q", in, got, want)
		}
	}
}
