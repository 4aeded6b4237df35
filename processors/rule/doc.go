// Package rule is the language in which a fraud analyst says what is suspicious, and everything about a rule that needs no state:
// parsing, checking, compiling, evaluating, explaining. It is pure: no clock, no I/O, no goroutines.
//
// In an event's journey it is used three times. Group orders calls Set.Observe for each counted event: it takes from the event
// what features keep (series), decides what event and order alone can decide (gates), and addresses both to the entities
// concerned; and Set.Judge for each order that changed, for what one order's own events decide. Group entities keeps the
// observations, reads features from them and asks Part.Holds. Group alerts joins the parts and asks Set.Rule for the
// rest: cooldown, severity, limit.
//
//	document.go   Document: what a YAML file says, with positions
//	expression.go parsing: durations, lists and feature windows on top of expr-lang's syntax
//	check.go      types: number, money, text, bool, time, duration; every error with line and column
//	compile.go    Document → Set: series, readings, clauses, parts
//	eval.go       closures over fields, operands and readings; three-valued
//	explain.go    the numbers behind a predicate
//	observe.go    Set.Observe
//	orderrule.go  reconcile, sequence, expect: as declared and compiled; milestones of an order
//	judge.go      Set.Judge: one order before them
//	cost.go       what a rule costs in state and time
//
// Three values: an unknown operand (a missing field, a feature that is still warming, a division by zero) makes a comparison
// unknown; and, or and not follow Kleene; a rule matches only where it is true.
package rule
