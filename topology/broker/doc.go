// Package broker is the broker that `weir up` brings with it: franz-go's kfake behind a real Kafka-protocol port, with
// its data in a folder. In the journey of an event it stands where a Kafka cluster stands otherwise; nothing else in weir
// knows which of the two it talks to.
//
// kfake keeps the Kafka protocol; this package adds what a broker needs that runs for weeks and is killed at any moment:
//
//   - recovery (recover.go) at every start. kfake alone, killed, may commit half of a transaction that was being ended, may
//     bring back an aborted one after a second kill, may tell a producer that a lost transaction was committed, and may
//     misread a log whose last write was cut.
//   - the intent to commit (endtxn.go), written before a transaction is ended, so that recovery ends it everywhere or nowhere.
//   - tidying (tidy.go, compact.go): retention that never takes what a live group has not read yet, and compaction that
//     waits for transactions and drops their markers, so that memory and disk stay bounded.
//
// The files are kfake's own, in the version pinned in go.mod. The crash tests of this package fail where a newer kfake
// lays them out in another way.
package broker
