// Package entities is the group that remembers what each entity has done: a customer, a card, an ip, a device.
//
// It is the second station of an event in fraud: group orders sends what an event means to each entity concerned (weir-observations,
// bundled by partition); this group keeps the observations in the entity's row, reads the features that rules ask of it as of the event's own
// time, decides the parts of rules that hang on them, and tells group alerts what holds, and what holds no longer (weir-findings).
//
//	step.go      Step: record + row → row + findings; pure
//	insert.go    observations into the row, each once
//	row.go       the row's bytes
//	fold.go      buckets: what a row can no longer keep one by one; compact.go: what goes and what folds
//	index.go     a row's values by series; read.go: features of one observation
//	judge.go     gates: which observations are judged again; explain.go: the findings
//	features.go  a row's features for people
//	series.go    since when each series is kept
//	group.go     goka; simulate.go: the simulator
//
// What stands in weir-findings in the end is a function of the set of observations, not of the order in which they came: a late one
// is put where it belongs, and later ones whose windows it lies in are judged again. That holds as long as nothing of the row was
// folded and nothing came later than the grace of the rules; then findings are left as they were.
package entities
