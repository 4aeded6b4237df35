package dashboard_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/topology/table"
	"weir/views/api"
	"weir/views/live"
)

// book is a rule book in memory. It refuses what says cout.
type book struct {
	mu      sync.Mutex
	rules   []api.Rule
	history map[string][]api.RuleRevision
	newest  int64
	before  func()
}

func (b *book) Rules() api.Rules {
	b.mu.Lock()
	defer b.mu.Unlock()
	return api.Rules{Revision: b.newest, Rules: slices.Clone(b.rules)}
}

func (b *book) History(_ context.Context, id string) ([]api.RuleRevision, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.history[id]; h != nil {
		return slices.Clone(h), nil
	}
	return nil, api.ErrNoRule
}

func (b *book) change(id string, c api.RuleChange, f func(r *api.Rule)) (api.Rules, error) {
	b.mu.Lock()
	before := b.before
	b.before = nil
	b.mu.Unlock()
	if before != nil {
		before()
	}
	b.mu.Lock()
	if c.On >= 0 && c.On != b.newest {
		defer b.mu.Unlock()
		return api.Rules{}, &api.RuleConflict{Newest: b.newest, Had: c.On}
	}
	i := slices.IndexFunc(b.rules, func(r api.Rule) bool { return r.ID == id })
	if i < 0 {
		i, b.rules = len(b.rules), append(b.rules, api.Rule{ID: id, State: "draft", Severity: "medium", Kind: "when", Entity: "customer"})
	}
	now := time.Now()
	f(&b.rules[i])
	b.newest++
	b.rules[i].Author, b.rules[i].ChangedAt = c.Author, &now
	b.history[id] = append([]api.RuleRevision{{Revision: b.newest, At: &now, Author: c.Author, Comment: c.Comment, Change: "changed", State: b.rules[i].State,
		Version: b.rules[i].Version, Text: b.rules[i].Text}}, b.history[id]...)
	b.mu.Unlock()
	return b.Rules(), nil
}

func (b *book) Put(_ context.Context, id, yaml string, c api.RuleChange) (api.Rules, error) {
	return b.change(id, c, func(r *api.Rule) { r.Text, r.Version = yaml, r.Version+1 })
}

func (b *book) SetState(_ context.Context, id, state string, c api.RuleChange) (api.Rules, error) {
	return b.change(id, c, func(r *api.Rule) { r.State = state })
}

func (b *book) Check(yaml string) ([]api.RuleEffect, error) {
	for i, line := range strings.Split(yaml, "\n") {
		if at := strings.Index(line, "cout"); at >= 0 {
			return nil, &api.RuleProblems{Problems: []api.RuleProblem{{Line: i + 1, Column: at + 1, Rule: "velocity", Message: "there is no function cout"}}}
		}
	}
	return []api.RuleEffect{{Kind: "rule", ID: "velocity", Change: "changed"}}, nil
}

func (b *book) Revisions(context.Context) ([]api.Revision, error) { return nil, nil }
func (b *book) Status() api.RulesStatus                           { return api.RulesStatus{} }

func openBook() *book {
	text := "id: velocity\ntitle: Velocity\nwhen: count(1h) >= 2\n"
	return &book{newest: 4, history: map[string][]api.RuleRevision{"velocity": {{Revision: 4, Author: "ben", Comment: "limit 3 to 2", Change: "changed", State: "shadow", Version: 2, Text: text},
		{Revision: 2, Author: "ben", Comment: "first", Change: "added", State: "shadow", Version: 1, Text: strings.ReplaceAll(text, "2\n", "3\n")}}},
		rules: []api.Rule{{ID: "velocity", Title: "Velocity", State: "shadow", Version: 2, Severity: "high", Score: 60, Kind: "when", Entity: "customer", Text: text, Author: "ben"},
			{ID: "quiet", Title: "Quiet", State: "live", Version: 1, Severity: "low", Kind: "when", Entity: "order", Text: "id: quiet\n"}}}
}

func (b *book) into(served *api.Deps, _ *live.Config) { served.RuleBook = b }

func TestBrowserEditsARule(t *testing.T) {
	d, b := openDesk(), openBook()
	for i := range 3 {
		a := d.anAlert(fmt.Sprint("s", i), fmt.Sprint("customer:c-", i), "o-1", "high", 60, 100_00)
		a.Rule, a.Shadow = "velocity", true
		d.add(a)
	}
	d.add(func() *table.Alert { a := d.anAlert("l", "customer:c-1", "o-1", "high", 60, 100_00); return a }())
	s := d.serve(t, "127.0.0.1:0", b.into)
	p := startBrowser(t).asAna(1280, 900)
	p.visit(s.url + "/rules")
	p.until("the rules", `[...document.querySelectorAll('tbody tr')].map(e => [...e.querySelectorAll('td')].slice(0, 5).map(c => c.innerText).join(' ')).join('; ')`,
		"Velocity v2 Shadow High 3 3; Quiet v1 Live Low 0 0")
	p.mustFit()
	p.mustBeNamed()
	p.point("tbody a", true)
	p.until("the rule", heading, "Velocity")
	p.until("its text", `document.querySelector('textarea')?.value`, "id: velocity\ntitle: Velocity\nwhen: count(1h) >= 2\n")
	p.until("its shadow against what is live", `document.querySelector('.shadow-row .venn')?.ariaLabel`, "1 about entities that live rules say something of too, 2 about others")
	p.until("its versions", `[...document.querySelectorAll('.vers li')].map(e => e.textContent).join('; ')`, "v2limit 3 to 2ben, came with weirShadow; v1firstben, came with weirRestore")
	p.mustFit()
	p.mustBeNamed()

	edit := func(text string) {
		p.eval(fmt.Sprintf(`(() => { const e = document.querySelector('textarea'); e.value = %q; e.dispatchEvent(new Event('input', { bubbles: true })) })()`, text))
	}
	edit("id: velocity\ntitle: Velocity\nwhen: cout(1h) >= 4\n")
	p.until("the problem where it stands", `document.querySelector('.problems')?.textContent`, "Ln 3, Col 7 There is no function cout.")
	p.until("its line to be marked", `document.querySelector('.no.er')?.textContent`, "3")
	p.until("no applying", `String([...document.querySelectorAll('.head .btn')].find(e => e.textContent === 'Apply').disabled)`, "true")
	edit("id: velocity\ntitle: Velocity\nwhen: count(1h) >= 4\n")
	p.until("it to be valid", `document.querySelector('.verdict')?.textContent`, "Validit would be a new version")

	apply := func(why string) {
		p.eval(`[...document.querySelectorAll('.head .btn')].find(e => e.textContent === 'Apply').click()`)
		p.until("the question", `document.activeElement.closest('dialog')?.ariaLabel`, "Apply over v2")
		p.enter(why)
		p.press("Enter")
	}
	b.before = func() { // somebody changes this very rule
		_, _ = b.Put(context.Background(), "velocity", "id: velocity\ntitle: Velocity\nwhen: count(1h) >= 9\n", api.RuleChange{Author: "maria", Comment: "quieter", On: -1})
	}
	apply("limit 2 to 4")
	p.until("the conflict", `document.querySelector('[role=alert]')?.textContent`, "Not applied. maria changed this rule meanwhile: quieter. Your text is still here.Take theirsKeep mine on top")
	if text := b.Rules().Rules[0].Text; !strings.Contains(text, ">= 9") {
		t.Errorf("maria's rule was overwritten: %s", text)
	}
	p.until("my text", `String(document.querySelector('textarea').value.includes('>= 4'))`, "true")
	p.eval(`[...document.querySelectorAll('[role=alert] .btn')][1].click()`)
	p.until("the question to be possible", `String([...document.querySelectorAll('.head .btn')].find(e => e.textContent === 'Apply')?.disabled)`, "false")
	b.before = func() { // somebody changes another rule: nothing to ask about
		_, _ = b.SetState(context.Background(), "quiet", "paused", api.RuleChange{Author: "maria", On: -1})
	}
	p.eval(`[...document.querySelectorAll('.head .btn')].find(e => e.textContent === 'Apply').click()`)
	p.until("the question", `document.activeElement.closest('dialog')?.ariaLabel`, "Apply over v3")
	p.enter("limit 9 to 4")
	p.press("Enter")
	p.until("it to be in force", notice, "Velocity: shadow, version 4, in force within 2 s")
	if r := b.Rules().Rules[0]; !strings.Contains(r.Text, ">= 4") || r.Author != "ana" || b.history["velocity"][0].Comment != "limit 9 to 4" {
		t.Errorf("%+v", r)
	}

	p.until("what to do next", `[...document.querySelectorAll('.head .btn.pri')].map(e => e.textContent).join()`, "Make live")
	p.point(".head .btn.pri", true)
	p.until("the question", `document.querySelector('dialog [name=state]:checked')?.value`, "live")
	p.eval(`document.querySelector('dialog .btn.pri').click()`)
	p.until("it to be live", `document.querySelector('.head .pill')?.textContent`, "Live")

	p.eval(`window.confirm = says => { window.asked = says; return false }; [...document.querySelectorAll('.vers .btn')].at(-1).click()`)
	p.until("the differences to the first version", `[...document.querySelectorAll('.diff .ins, .diff .del')].map(e => e.textContent).join('; ')`, "taken away: when: count(1h) >= 4; added: when: count(1h) >= 3")
	p.mustFit()
	p.eval(`document.querySelector('.rail a[href="/fraud"]').click()`)
	p.until("the unsaved edit to be asked about", `location.pathname + ': ' + window.asked`, "/rules/velocity: The edit of this rule is not applied. Leave it?")
}

// The line beside a rule is its alerts by hour, from zero, and what it shows adds up to the number beside it.
func TestBrowserShowsARulesAlertsByHour(t *testing.T) {
	d, b := openDesk(), openBook()
	want := make([]int, 24)
	for i, hoursAgo := range []float64{23.5, 20.2, 5.9, 5.5, 5.1, 5.4, 0.5, 0.2, 30} {
		a := d.anAlert(fmt.Sprint("h", i), fmt.Sprint("customer:c-", i), "o-1", "high", 60, 100_00)
		a.Rule, a.Shadow, a.StartedMs = "velocity", true, d.ago(time.Duration(hoursAgo*float64(time.Hour)))
		d.add(a)
		if hoursAgo < 24 {
			want[23-int(hoursAgo)]++
		}
	}
	s := d.serve(t, "127.0.0.1:0", b.into)
	p := startBrowser(t).asAna(1280, 900)
	p.visit(s.url + "/rules")
	p.until("the numbers", `[...document.querySelectorAll('tbody tr')].map(e => [...e.querySelectorAll('td.r')].slice(0, 2).map(c => c.textContent).join(' ')).join('; ')`, "2 8; 0 0")
	p.until("the line", `document.querySelector('tbody .by-hour path').getAttribute('d').split(/[ML]/).slice(1).map(xy => Math.round((28 - xy.split(' ')[1]) / 24 * 4)).join()`,
		strings.Join(strings.Fields(strings.Trim(fmt.Sprint(want), "[]")), ","))
	from := d.now.Add(-6 * time.Hour)
	p.until("its words", `[...document.querySelectorAll('tbody .by-hour')].map(e => e.textContent.trim()).join('; ')`,
		fmt.Sprintf("at most 4 alerts an hour, %s to %s; none", from.Format("15:04"), from.Add(time.Hour).Format("15:04")))
	p.mustFit()
	p.mustBeNamed()
	narrow := p.browser.open(s.url+"/rules", 360, 780)
	narrow.until("a row without scrolling", `[...document.querySelectorAll('.rules tbody tr:first-child td')].filter(c => c.checkVisibility()).map(c => c.innerText.trim().split(/\s*\n\s*/).join(' ')).join('; ')`,
		fmt.Sprintf("Velocity v2 Shadow; 8; at most 4 alerts an hour, %s to %s", from.Format("15:04"), from.Add(time.Hour).Format("15:04")))
	narrow.until("all of it to be seen", `(t => String(t.scrollWidth <= t.clientWidth && t.querySelector('td.name').offsetWidth > 150))(document.querySelector('.rules').parentElement)`, "true")
}

func TestBrowserWritesANewRule(t *testing.T) {
	d, b := openDesk(), openBook()
	s := d.serve(t, "127.0.0.1:0", b.into)
	p := startBrowser(t).asAna(360, 780)
	p.visit(s.url + "/rules/new")
	p.until("a text to begin with", `document.querySelector('textarea')?.value.split('\n')[0]`, "id: new_rule")
	p.mustFit()
	p.mustBeNamed()
	p.eval(`(() => { const e = document.querySelector('textarea'); e.value = 'id: mine\ntitle: Mine\nwhen: count(1h) > 3\n'; e.dispatchEvent(new Event('input', { bubbles: true })) })()`)
	p.until("it to be checked", `document.querySelector('.verdict')?.textContent.startsWith('Valid')`, "true")
	p.eval(`[...document.querySelectorAll('.head .btn')].find(e => e.textContent === 'Apply').click()`)
	p.until("the question", `document.activeElement.closest('dialog')?.ariaLabel`, "Apply the new rule")
	p.enter("seen in March")
	p.press("Enter")
	p.until("its page", `location.pathname`, "/rules/mine")
	p.until("its state", `document.querySelector('.head .pill')?.textContent`, "Draft")
	p.mustFit()
	p.visit(s.url + "/rules/nothing")
	p.until("a rule that is not there", `document.querySelector('.state b')?.textContent`, "No such rule")
}
