// Package orders is group orders, the first hop of an event's journey: everything about one order meets in one row, keyed by
// order_id. Duplicates stop here; payments and shipments wait here for their order, whose facts label them; what an event adds to
// metrics and what it tells of a customer, a card, an ip leaves from here, and what an order's own events show becomes a finding.
//
//	step.go      Step, the pure fold of one event into the order's row
//	state.go     what follows from a row's entries: money, milestones, funnel stages
//	raise.go     what rules make of the row: observations, findings and their withdrawal
//	deadline.go  when a row wants its timer
//	outbox.go    observations of one transaction, entity by entity
//	group.go     the goka adapter
//	simulate.go  the adapter for the simulator
//
// Invariant: a row is a function of the events applied, each topic in its own order, however the topics were interleaved. So is the
// sum of all contributions, and, by the same watermark, the set of findings that hold. Only at the limits (MaxEntries, MaxWaiting, retention) does it matter
// which event came first; what is turned away there is counted and kept as a dead letter.
package orders
