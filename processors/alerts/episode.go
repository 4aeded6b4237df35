package alerts

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"weir/processors/rule"
	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
)

// link is a hit on its way to an episode.
type link struct {
	ref *table.HitRef
	// from is the alert that had it; nil for a new one.
	from *table.Alert
	// joined: it belongs with the one before, however long ago that was, because they were in one episode already: of the hits
	// between them only the count is left, or the cooldown was longer then.
	joined bool
}

// replace puts a hit of a rule in the place of what was known of it (nil: it holds no longer), and makes the episodes near it anew.
func (s *step) replace(name string, hit uint64, ref *table.HitRef) {
	cooldown := time.Duration(-1) // of an unknown rule: its episodes stay as they are
	r := s.in.Rule(name)
	if r != nil {
		cooldown = r.Cooldown
	}
	var links []link
	var touched []*table.Alert
	var home *table.Alert // which had the hit
	for _, a := range s.row.Alerts {
		if a.Rule != name {
			continue
		}
		if had := slices.ContainsFunc(a.HitsKept, func(h *table.HitRef) bool { return h.Hit == hit }); had {
			home = a
		} else if ref == nil || !near(a, ref.AtMs, cooldown) {
			continue
		}
		touched = append(touched, a)
		links = append(links, chain(a, hit, cooldown)...)
	}
	if ref != nil {
		links = insert(links, ref, home)
	}
	switch {
	case ref != nil && home == nil:
		s.out.count(CounterHits, 1)
	case ref == nil && home != nil:
		s.out.count(CounterHits, -1)
	case ref == nil:
		return
	}
	s.rebuild(name, r, touched, sessions(links, cooldown))
}

// near reports whether a hit at a time belongs to the episode of an alert.
func near(a *table.Alert, at int64, cooldown time.Duration) bool {
	gap := cooldown.Milliseconds()
	return len(a.HitsKept) > 0 && at >= a.StartedMs-gap && at <= a.LastMs+gap
}

// chain is the hits of an alert without one of them.
func chain(a *table.Alert, without uint64, cooldown time.Duration) []link {
	links := make([]link, 0, len(a.HitsKept)+1)
	joined := false
	for i, h := range a.HitsKept {
		joined = joined || i > 0 && apart(a.HitsKept[i-1], h, cooldown)
		if h.Hit == without {
			continue // what stood apart around it stays together
		}
		links = append(links, link{ref: h, from: a, joined: joined && len(links) > 0})
		joined = false
	}
	return links
}

// apart reports that more than the cooldown lies between two hits. An unknown cooldown joins nothing by itself.
func apart(before, after *table.HitRef, cooldown time.Duration) bool {
	return after.AtMs-before.AtMs > cooldown.Milliseconds()
}

func insert(links []link, ref *table.HitRef, from *table.Alert) []link {
	i, _ := slices.BinarySearchFunc(links, ref, func(l link, ref *table.HitRef) int {
		return cmp.Or(cmp.Compare(l.ref.AtMs, ref.AtMs), cmp.Compare(l.ref.Hit, ref.Hit))
	})
	return slices.Insert(links, i, link{ref: ref, from: from, joined: i < len(links) && links[i].joined})
}

// sessions cuts the links wherever two hits are apart.
func sessions(links []link, cooldown time.Duration) (all [][]link) {
	from := 0
	for i := 1; i < len(links) && cooldown >= 0; i++ {
		if !links[i].joined && apart(links[i-1].ref, links[i].ref, cooldown) {
			all = append(all, links[from:i])
			from = i
		}
	}
	if from < len(links) {
		all = append(all, links[from:])
	}
	return all
}

// rebuild makes one alert of each session and withdraws the alerts that are left with none.
func (s *step) rebuild(name string, r *rule.Rule, touched []*table.Alert, sessions [][]link) {
	old := map[*table.Alert]former{}
	for _, a := range touched {
		f := former{alert: a, folded: foldedHits(a)}
		if len(sessions) > 1 { // a piece may begin as a copy
			hits := a.HitsKept
			a.HitsKept = nil
			f.alert = a.CloneVT()
			a.HitsKept = hits
		}
		old[a] = f
	}
	taken := map[*table.Alert]bool{}
	for _, links := range sessions {
		a, others := s.carry(links, old, taken)
		if a == nil {
			a = &table.Alert{Rule: name, Entity: s.in.Entity, Status: alert.Open, Episode: alert.Active}
			s.row.Alerts = append(s.row.Alerts, a)
		}
		s.fill(a, r, links, old, others)
	}
	for _, a := range touched {
		if !taken[a] {
			s.withdrawAlert(a)
		}
	}
	s.tidyFormer(name)
	slices.SortFunc(s.row.Alerts, func(a, b *table.Alert) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.StartedMs, b.StartedMs), cmp.Compare(a.Id, b.Id))
	})
}

// former is an alert as it was before the step.
type former struct {
	alert  *table.Alert // without its hits
	folded int64
	piece  bool // it is one that was split off
}

// carry finds the alert that goes on in a session, and the others that become part of it. Of an episode that was split every piece
// keeps what people have decided: those that come later are pieces.
func (s *step) carry(links []link, old map[*table.Alert]former, taken map[*table.Alert]bool) (a *table.Alert, others []*table.Alert) {
	var piece *table.Alert // the session begins with hits of this alert, which goes on in another one
	for _, l := range links {
		switch {
		case l.from == nil || l.from == a || l.from == piece || slices.Contains(others, l.from):
		case a == nil && taken[l.from]:
			piece = l.from
			a = old[piece].alert.CloneVT()
			s.row.Alerts = append(s.row.Alerts, a)
			old[a] = former{alert: old[piece].alert, piece: true}
		case taken[l.from]: // goes on where it began
		case a == nil:
			a = l.from
			taken[a] = true
		default:
			others = append(others, l.from)
			taken[l.from] = true
			s.row.Alerts = slices.DeleteFunc(s.row.Alerts, func(b *table.Alert) bool { return b == l.from })
		}
	}
	return a, others
}

// fill makes an alert of the hits of one session.
func (s *step) fill(a *table.Alert, r *rule.Rule, links []link, old map[*table.Alert]former, others []*table.Alert) {
	was, existed := old[a]
	folded, told, score := was.folded, a.Told, a.Score
	a.HitsKept = make([]*table.HitRef, len(links))
	for i, l := range links {
		a.HitsKept[i] = l.ref
	}
	a.Version, a.StartedMs = links[0].ref.Version, links[0].ref.AtMs
	if last := links[len(links)-1].ref.AtMs; !existed || last != a.LastMs {
		a.LastMs = last
		s.reopenEpisode(a)
	}
	id := alert.ID(a.Rule, a.Version, a.Entity, event.UnixMilli(a.StartedMs))
	w := s.takeWithdrawn(id)
	switch {
	case w != nil:
		absorb(a, w)
		if !existed {
			s.revive(a, w)
		}
	case !existed:
		s.open(a, r)
	}
	for _, o := range others {
		folded += old[o].folded
		told = max(told, o.Told)
		absorb(a, o)
		a.Shadow, a.Held = a.Shadow && o.Shadow, a.Held && o.Held
		record(a, &table.Change{AtMs: o.StartedMs, What: alert.ChangeMerged, Reason: "with " + o.Id})
		s.touch(a, alert.TypeMoved, o.Id)
	}
	a.Hits, a.Told = int64(len(links))+folded, told
	s.rename(a, id, existed, was.piece)
	s.summarize(a, others)
	s.touch(a, "")
	if existed && (bits.Len64(uint64(a.Hits)) > bits.Len64(uint64(told)) || a.Score > score) {
		s.touch(a, alert.TypeUpdated)
	}
}

// open is the beginning of an alert that nobody knew.
func (s *step) open(a *table.Alert, r *rule.Rule) {
	if r == nil {
		return
	}
	a.Shadow = r.State == rule.Shadow
	a.Severity, a.Typology, a.Title = string(r.Severity), r.Typology, r.Title
	if !a.Shadow {
		s.out.count(CounterOpened, 1)
		if a.Held = s.overLimit(r, event.UnixMilli(a.StartedMs)); a.Held {
			s.out.count(CounterHeld, 1)
		}
	}
	s.touch(a, alert.TypeOpened)
}

// revive is the return of an alert that was withdrawn: its hits hold again.
func (s *step) revive(a, withdrawn *table.Alert) {
	a.Shadow, a.Held, a.RuleHash = withdrawn.Shadow, withdrawn.Held, withdrawn.RuleHash
	a.Severity, a.Typology, a.Title = withdrawn.Severity, withdrawn.Typology, withdrawn.Title
	if !a.Shadow {
		s.out.count(CounterOpened, 1)
	}
	s.touch(a, alert.TypeOpened)
}

// reopenEpisode lets hits join again; settleEpisode ends it if the watermark has passed.
func (s *step) reopenEpisode(a *table.Alert) {
	s.touch(a, "")
	s.changed[a].ended = a.Episode == alert.Ended
	a.Episode = alert.Active
	a.History = slices.DeleteFunc(a.History, func(c *table.Change) bool { return c.What == alert.ChangeEnded && c.Decision == "" })
}

// rename gives an alert the id of its start. The one it had stays known, unless another piece of it goes on under that.
func (s *step) rename(a *table.Alert, id string, existed, piece bool) {
	a.History = slices.DeleteFunc(a.History, func(c *table.Change) bool { return c.What == alert.ChangeOpened && c.Decision == "" })
	record(a, &table.Change{AtMs: a.StartedMs, What: alert.ChangeOpened})
	switch {
	case piece:
		s.touch(a, alert.TypeOpened)
		if !a.Shadow {
			s.out.count(CounterOpened, 1)
		}
	case existed && a.Id != id:
		a.Formerly = append(a.Formerly, a.Id)
		s.touch(a, alert.TypeMoved, a.Id)
	}
	a.Id = id
}

// tidyFormer keeps each id in one place: former ids that an alert has again are no former ones.
func (s *step) tidyFormer(name string) {
	ids := map[string]bool{}
	for _, a := range s.row.Alerts {
		ids[a.Id] = true
	}
	for _, a := range s.row.Alerts {
		if a.Rule != name || len(a.Formerly) == 0 {
			continue
		}
		a.Formerly = slices.DeleteFunc(a.Formerly, func(id string) bool { return ids[id] })
		slices.Sort(a.Formerly)
		a.Formerly = slices.Compact(a.Formerly)
		a.Formerly = a.Formerly[max(len(a.Formerly)-maxFormerly, 0):]
	}
}

// withdrawAlert keeps an alert of which no hit holds any more, so that whoever was told of it finds out.
func (s *step) withdrawAlert(a *table.Alert) {
	a.HitsKept, a.Hits, a.Orders, a.RiskMinor, a.Score, a.Told = nil, 0, 0, 0, 0, 0
	a.Status, a.Episode = alert.Withdrawn, alert.Ended
	record(a, &table.Change{AtMs: a.LastMs, What: alert.ChangeWithdrawn})
	if !a.Shadow {
		s.out.count(CounterWithdrawn, 1)
	}
	s.touch(a, alert.TypeWithdrawn)
}

// takeWithdrawn removes the withdrawn alert with this id from the row and returns it; nil if there is none.
func (s *step) takeWithdrawn(id string) *table.Alert {
	i := slices.IndexFunc(s.row.Alerts, func(a *table.Alert) bool { return a.Id == id && a.Status == alert.Withdrawn && len(a.HitsKept) == 0 })
	if i < 0 {
		return nil
	}
	w := s.row.Alerts[i]
	s.row.Alerts = slices.Delete(s.row.Alerts, i, i+1)
	return w
}
