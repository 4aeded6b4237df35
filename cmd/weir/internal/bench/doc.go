// Package bench measures weir from outside, as its users' machines would: it fills a cluster with the reference workload W, starts
// the same binary as a child process, and reads the child's CPU time, memory and effects. It is the last stop of the
// journey: nothing of weir runs in the measuring process.
package bench
