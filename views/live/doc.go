// Package live pushes what changes. It is the last hop of an event's journey: a row that a view has stored becomes, within a
// cohort's interval, a delta in a browser.
//
//	view callback ─► pending ─► Hub loop ─► cohort (one per distinct subscription) ─► conn queues ─► sockets
//	   never blocks   bounded     spreads     recomputes only the window starts       bounded,
//	                                          that changed; one frame for all         merged when slow
//
// PROTOCOL.md beside this file is the contract with clients (subprotocol weir.v1). The invariant of the protocol: a client that
// applies a snapshot and then every delta whose `from` is the `to` of the one before holds exactly the answer that the query API
// gives at that sequence number.
//
// # Lock order
//
// Hub.mu → cohort.mu → Hub.spreading → conn.mu. Feeds lock only themselves. No lock is held while a socket is written.
package live
