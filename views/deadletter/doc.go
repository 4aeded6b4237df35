// Package deadletter is what becomes of records that weir could not take: it lists them, shows one whole, and writes them back to where
// they came from once the cause is mended. It stands beside an event's journey: group orders (and entities, alerts, webhooks) writes to
// the topic, this package reads it on demand, and a replayed record begins its journey anew.
//
// A replay is safe because events carry ids: the row of an order knows the ids that it has applied, so a record that is written back
// twice, or that was counted after all, changes nothing. What was replayed is noted on the dead-letter topic itself, as a record without
// a value beside the letter (HeaderLetter), so that every view server and every restart knows.
//
//	letter.go   what a dead letter is: decoded from its record, shown within bounds (pure)
//	reason.go   what each reason means and what to do about it; may a letter be replayed (pure)
//	index.go    the newest letters: filters, counts, pages (pure)
//	reader.go   reading the topic on demand, within limits of time and memory (Kafka)
//	replay.go   writing letters back (Kafka)
package deadletter
