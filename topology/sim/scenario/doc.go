// Package scenario is the language in which weir's behaviour is written down: what a shop sends, and what an analyst then sees. A
// scenario file runs on the simulator, on the embedded broker and on Apache Kafka, and must print the same on each.
//
// A file is a list of commands, each with its input, a line of four dashes, and what it prints (github.com/cockroachdb/datadriven;
// `go test -rewrite` writes the prints anew). Lines that begin with # are comments.
//
//	events
//	12:00:00 order.created    o1 customer=c1 total=20.00 EUR region=eu-west country=DE items=media/book:2x10.00
//	12:01:00 payment.captured o1 amount=20.00 EUR method=card payment=p1
//	12:01:00 payment.captured o1 amount=20.00 EUR method=card payment=p1 again
//	----
//
// The lines of events are those of package lines.
//
//	raw TOPIC [key=K]          each line is the value of a record, as it stands
//	advance TIME               every stream of every partition has reached TIME; windows before it may close, rows may expire
//	order ID                   the order's row
//	metric NAME window=1m [by=label,label] [where=label:value]      values by window and labels
//	rows NAME                  the keys of a metric's rows
//	findings, dead-letters     what went out; of findings those that were not withdrawn
//	entities                   the entities of which something is kept
//	alerts                     every alert that has hits, with the explanation of its first
//	alert ENTITY               one entity's alerts whole: case score, explanations, history, refused decisions
//	told                       the alerts that have hits and of which topic alerts was told
//	decide RULE ENTITY ACTION by AUTHOR [at=TIME] [until=TIME] [to=NAME] [reason "…"]     a decision on the rule's newest alert (RULE#N: the Nth)
//	counters                   exact counts of the groups
//	config name=value …        settings other than the shipped ones, before the first event
//	metrics                    metric definitions (YAML) instead of the shipped ones, before the first event
//	rules                      rules (YAML) for this scenario, before the first event
//
// The same file is also played under other schedules: more partitions, other interleavings, crashes, duplicates (see Schedule). Its
// prints may not depend on any of that. What a print must not depend on, the language does not offer.
package scenario
