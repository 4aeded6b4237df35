package rulebook

import "slices"

// What a change does to a definition.
const (
	Added   = "added"
	Changed = "changed"
	Moved   = "state" // only the state is another
	Gone    = "removed"
)

// What is defined.
const (
	KindDefaults = "defaults"
	KindFeature  = "feature"
	KindList     = "list"
	KindRule     = "rule"
)

// Effect is what lies between two documents for one definition. Before and After are its YAML, From and To the states of a rule, equal
// where it stays as it is.
type Effect struct {
	Kind, ID, Change string
	Before, After    string
	From, To         string
}

// Compare gives what next changes of before: defaults, features, lists, rules, each in the order of next, then what is gone. A rule
// whose text is the same is changed where its hash tells that it means something else, since a feature does.
func Compare(before, next *Document) []Effect {
	var effects []Effect
	if before.Defaults != next.Defaults {
		e := Effect{Kind: KindDefaults, ID: KindDefaults, Change: Changed, Before: before.Defaults, After: next.Defaults}
		if before.Defaults == "" {
			e.Change = Added
		}
		if next.Defaults == "" {
			e.Change = Gone
		}
		effects = append(effects, e)
	}
	effects = append(effects, compareTexts(KindFeature, before.Features, next.Features)...)
	effects = append(effects, compareTexts(KindList, before.Lists, next.Lists)...)
	for _, r := range next.Rules {
		was, ok := before.Rule(r.ID)
		e := Effect{Kind: KindRule, ID: r.ID, Before: was.YAML, After: r.YAML, From: was.State, To: r.State}
		switch {
		case !ok:
			e.Change = Added
		case was.YAML != r.YAML || was.Hash != r.Hash:
			e.Change = Changed
		case was.State != r.State:
			e.Change = Moved
		default:
			continue
		}
		effects = append(effects, e)
	}
	for _, r := range before.Rules {
		if _, ok := next.Rule(r.ID); !ok {
			effects = append(effects, Effect{Kind: KindRule, ID: r.ID, Change: Gone, Before: r.YAML, From: r.State})
		}
	}
	return effects
}

func compareTexts(kind string, before, next []Definition) (effects []Effect) {
	find := func(all []Definition, name string) (Definition, bool) {
		i := slices.IndexFunc(all, func(d Definition) bool { return d.Name == name })
		if i < 0 {
			return Definition{}, false
		}
		return all[i], true
	}
	for _, d := range next {
		was, ok := find(before, d.Name)
		switch {
		case !ok:
			effects = append(effects, Effect{Kind: kind, ID: d.Name, Change: Added, After: d.YAML})
		case was.YAML != d.YAML:
			effects = append(effects, Effect{Kind: kind, ID: d.Name, Change: Changed, Before: was.YAML, After: d.YAML})
		}
	}
	for _, d := range before {
		if _, ok := find(next, d.Name); !ok {
			effects = append(effects, Effect{Kind: kind, ID: d.Name, Change: Gone, Before: d.YAML})
		}
	}
	return effects
}
