// Package orders is group orders, the first hop of an event's journey: everything about one order meets in one row, keyed by
// order_id. Duplicates stop here; payments and shipments wait here for their order, whose facts label them; what an event adds to
// metrics leaves from here, and what looks wrong about an order's money becomes a finding.
//
//	step.go      Step, the pure fold of one event into the order's row
//	state.go     what follows from a row's entries: money, milestones, funnel stages
//	finding.go   amount_mismatch
//	group.go     the goka adapter
//	simulate.go  the adapter for the simulator
//
// Invariant: a row is a function of the events applied, each topic in its own order, however the topics were interleaved. So is the
// sum of all contributions, and the set of findings that hold. Only at the limits (MaxEntries, MaxWaiting, retention) does it matter
// which event came first; what is turned away there is counted and kept as a dead letter.
package orders
