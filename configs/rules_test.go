package configs

import (
	"testing"

	"weir/processors/rule"
)

// builtInRules are the shipped rules as written and as they run.
func builtInRules(t *testing.T) (*rule.Document, *rule.Set) {
	t.Helper()
	var c Config
	name, data, err := c.RulesFile()
	if err != nil {
		t.Fatal(err)
	}
	document, err := rule.Parse(name, data)
	if err != nil {
		t.Fatal(err)
	}
	set, err := rule.Compile(document)
	if err != nil {
		t.Fatal(err)
	}
	return document, set
}

// leastRules is how many rules the catalogue has at least.
const leastRules = 20

func TestBuiltInRulesSayWhatTheyAreFor(t *testing.T) {
	document, set := builtInRules(t)
	if len(document.Rules) < leastRules {
		t.Errorf("there are %d rules, at least %d are promised", len(document.Rules), leastRules)
	}
	ids := map[string]bool{}
	for i := range document.Rules {
		d := &document.Rules[i]
		if ids[d.ID] {
			t.Errorf("two rules are called %s", d.ID)
		}
		ids[d.ID] = true
		for what, text := range map[string]string{
			"title": d.Title, "reason": d.Reason, "source": d.Source, "typology": d.Typology, "severity": d.Severity,
		} {
			if text == "" {
				t.Errorf("rule %s has no %s", d.ID, what)
			}
		}
		if d.Score == nil {
			t.Errorf("rule %s has no score", d.ID)
		}
		if len(d.Tests) == 0 {
			t.Errorf("rule %s has no test case", d.ID)
		}
		names := map[string]bool{}
		for _, c := range d.Tests {
			if c.Name == "" || c.Events == "" || c.Alerts == "" || names[c.Name] {
				t.Errorf("rule %s: test case %q wants a name of its own, events and alerts", d.ID, c.Name)
			}
			names[c.Name] = true
		}
		if set.Rule(d.ID) == nil {
			t.Errorf("rule %s is not in the set", d.ID)
		}
	}
}

// What no rule asks costs all the same: a record for each entity, a value for each event.
func TestEveryBuiltInFeatureIsAskedFor(t *testing.T) {
	document, set := builtInRules(t)
	asked := map[string]bool{}
	for _, r := range set.Rules() {
		for _, p := range r.Parts {
			for _, i := range p.Readings {
				asked[p.Kind+" "+set.Plan(p.Kind).Readings[i].Text] = true
			}
		}
	}
	kinds := map[string]bool{}
	for i := range document.Features {
		kinds[document.Features[i].Key] = true
	}
	for kind := range kinds {
		for _, r := range set.Plan(kind).Readings {
			if !asked[kind+" "+r.Text] {
				t.Errorf("no rule asks for %s", r.Text)
			}
		}
	}
}
