// Package alerts is group alerts, the last hop of an event's journey: findings about one entity become hits of rules, hits become
// episodes, and an episode is an alert that somebody decides on. What changes is told on topic alerts.
//
//	step.go      Step, the pure fold of a finding, a decision or a timer into an entity's row
//	hit.go       parts of a clause → hits; what is kept of them
//	episode.go   hits → alerts: which begin, grow, join, split, move or are withdrawn
//	summary.go   what an alert shows of its hits: score, risk, explanation
//	merge.go     what two alerts that become one know together
//	decide.go    what people make of alerts
//	limit.go     every bound, and the fuse of a rule
//	record.go    what the records of both inputs must be
//	group.go     the goka adapter
//	simulate.go  the adapter for the simulator
//
// Invariant: the alerts of a row, with their hits, score and explanation, are a function of the hits that hold and of the decisions
// in their order, whatever the order in which findings came. What tells of the way there is not: revisions, former ids, alerts that
// were withdrawn.
//
// Two kinds of rows stand beside an entity's, in the same partition:
//
//	\x00hit/<entity>\x00<rule>\x00<hit>   the parts of a complete hit, until the watermark has passed it by Set.Grace: what a part
//	                                      that is withdrawn leaves, and the explanation of a hit that becomes the first or the last
//	\x00limit/<rule>                      how many alerts of the rule this partition has told, by span
//
// An event on topic alerts, without its explanation's other predicates:
//
//	{"specversion":"1.0","id":"5f1c9ad0b3f00a71/1","source":"weir/alerts","type":"weir.alert.opened","subject":"customer:c1",
//	 "time":"2026-01-01T12:04:00Z","datacontenttype":"application/json",
//	 "data":{"id":"5f1c9ad0b3f00a71","rule":"card_testing","version":3,"title":"Card testing","reason":"many small payments failed",
//	  "entity":"customer:c1","severity":"high","score":80,"case_score":80,"typology":"card_testing","status":"open","episode":"active",
//	  "revision":1,"started":"2026-01-01T12:04:00Z","last":"2026-01-01T12:04:00Z","hits":1,"orders":1,
//	  "at_risk":{"amount":"6120","currency":"EUR","exponent":2},
//	  "explanation":[{"text":"count(failed by customer, 5m) > 5","feature":"count(failed by customer, 5m)","entity":"customer:c1",
//	    "observed":"7","operator":">","threshold":"5","window":{"from":"2026-01-01T11:59:00Z","to":"2026-01-01T12:04:00Z"},
//	    "events":[{"topic":"payments","partition":3,"offset":1207,"id":"e7","time":"2026-01-01T12:04:00Z","type":"payment.failed","order_id":"o1"}],
//	    "events_total":7}],
//	  "history":[{"what":"opened","time":"2026-01-01T12:04:00Z"}]}}
//
// Its schema is alert.schema.json. Each event carries the alert whole, so a reader needs only the newest of each id; the event's id
// is alert/revision, the same whenever the same change is told again.
package alerts
