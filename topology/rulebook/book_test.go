package rulebook

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestVersionsCountChangesOfWhatARuleMeans(t *testing.T) {
	states := []string{"draft", "shadow", "live", "paused", "retired"}
	rapid.Check(t, func(t *rapid.T) {
		var now Document
		hashes, versions := map[string]uint32{}, map[string]int64{} // of every rule there ever was
		for step := range rapid.IntRange(1, 12).Draw(t, "changes") {
			var next Document
			for _, id := range []string{"a", "b", "c"} {
				if rapid.Bool().Draw(t, "has "+id) {
					hash := uint32(rapid.IntRange(1, 3).Draw(t, "hash"))
					next.Rules = append(next.Rules, Rule{ID: id, YAML: fmt.Sprint("when: amount > ", hash), Hash: hash, State: rapid.SampledFrom(states).Draw(t, "state")})
				}
			}
			author := fmt.Sprint("author ", step)
			before := now
			now = Succeed(before, next, author, noon.Add(time.Duration(step)*time.Hour))
			if len(now.Rules) != len(next.Rules) {
				t.Fatalf("%d rules became %d", len(next.Rules), len(now.Rules))
			}
			for _, r := range now.Rules {
				want := versions[r.ID]
				if hashes[r.ID] != r.Hash {
					want++
				}
				was, existed := before.Rule(r.ID)
				if r.Version != want {
					t.Fatalf("%s has version %d, want %d", r.ID, r.Version, want)
				}
				if touched := !existed || was.State != r.State || was.Hash != r.Hash; touched != (r.Author == author) {
					t.Fatalf("%s was changed: %v, and its author is %s", r.ID, touched, r.Author)
				}
				hashes[r.ID], versions[r.ID] = r.Hash, r.Version
			}
		}
	})
}

func TestABookBeyondTheLimitsIsRefused(t *testing.T) {
	rules := func(n, size int) (d Document) {
		for i := range n {
			d.Rules = append(d.Rules, Rule{ID: fmt.Sprint("r", i), YAML: strings.Repeat("x", size), State: "live"})
		}
		return d
	}
	for name, c := range map[string]struct {
		book Book
		says string
	}{
		"too many rules":   {Book{Document: rules(MaxRules+1, 1)}, "501 rules; it holds 500"},
		"a rule too large": {Book{Document: rules(1, MaxDefinitionBytes+1)}, "rule r0 has 16385 bytes"},
		"a book too large": {Book{Document: rules(60, MaxDefinitionBytes)}, "819200 are the limit"},
		"a rule twice":     {Book{Document: Document{Rules: []Rule{{ID: "a"}, {ID: "a"}}}}, `"a" stands twice`},
		"a list too large": {Book{Document: Document{Lists: []Definition{{"nat", strings.Repeat("x", MaxListBytes+1)}}}}, "list nat has"},
		"a long comment":   {Book{Comment: strings.Repeat("x", MaxCommentBytes+1)}, "comment is longer than 2000"},
	} {
		if _, err := c.book.encode(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	full := Book{Revision: 1, Document: rules(MaxRules, 1500)}
	value, err := full.encode()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := decode(value); err != nil || len(Compare(&full.Document, &back.Document)) > 0 {
		t.Errorf("a full book does not come back: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"revision":3,"document":{"rules":[{"id":"a","yaml":"when: amount < 3 && x > 2","state":"live","version":2,"hash":7}]}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		b, err := decode(value)
		if err != nil {
			return
		}
		again, err := b.encode()
		if err != nil {
			return // beyond the limits
		}
		c, err := decode(again)
		if err != nil || len(Compare(&b.Document, &c.Document)) > 0 || c.Revision != b.Revision {
			t.Fatalf("%s became %s (%v)", value, again, err)
		}
	})
}

func TestCompareTellsWhatAChangeDoes(t *testing.T) {
	before := Document{
		Defaults: "cooldown: 1h", Features: []Definition{{"f", "on: a"}, {"g", "on: a"}}, Lists: []Definition{{"old", "x"}},
		Rules: []Rule{{ID: "same", State: "live", Hash: 1}, {ID: "text", YAML: "a", State: "live", Hash: 1}, {ID: "feature", State: "live", Hash: 1},
			{ID: "state", State: "live", Hash: 1}, {ID: "gone", YAML: "z", State: "paused", Hash: 1}},
	}
	next := Document{
		Defaults: "cooldown: 2h", Features: []Definition{{"f", "on: b"}, {"g", "on: a"}, {"h", "on: c"}},
		Rules: []Rule{{ID: "same", State: "live", Hash: 1, Version: 9}, {ID: "new", YAML: "n", State: "shadow"}, {ID: "text", YAML: "b", State: "shadow", Hash: 2},
			{ID: "feature", State: "live", Hash: 2}, {ID: "state", State: "paused", Hash: 1}},
	}
	var got []string
	for _, e := range Compare(&before, &next) {
		got = append(got, strings.TrimSpace(fmt.Sprintln(e.Kind, e.ID, e.Change, e.From+">"+e.To, e.Before+">"+e.After)))
	}
	want := []string{"defaults defaults changed > cooldown: 1h>cooldown: 2h", "feature f changed > on: a>on: b", "feature h added > >on: c", "list old removed > x>",
		"rule new added >shadow >n", "rule text changed live>shadow a>b", "rule feature changed live>live >", "rule state state live>paused >", "rule gone removed paused> z>"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
