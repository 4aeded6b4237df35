// Package flow says how fast records move and how long they wait, from samples of offsets: what every topic ends with, and what every
// group has committed, at a moment. It is pure; whoever takes the samples stands in cmd/weir/internal/pipeline. It looks at an event's
// journey from outside, between the topics that the groups read and write.
//
// A rate counts offsets. In topics that groups write, the markers of their transactions are among them, so it is at least the rate of
// records.
package flow
