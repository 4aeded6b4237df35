// Package engine runs goka's processors and views on franz-go, exactly once. Every client edge of goka is an interface; this
// package fills each of them, so that what was polled, what was processed and what is committed are the same set.
//
// Its place in the journey: every hop from topic to topic (orders → deltas → metrics) is one Runtime, and every table that the
// view server reads arrives through ViewOptions.
//
// # File map
//
//	runtime.go        Config, Spec, Runtime: one goka processor and its supervisor
//	assignment.go     sarama.ConsumerGroup: which partitions are ours
//	group.go          generation: from an assignment to the next, and its loop
//	poll.go           polling, handing out, the barrier
//	commit.go         when to commit, and how; what an abort drops
//	batch.go          Runtime.Input: the records of a poll reach a callback as one message of goka's
//	session.go        what a guarantee means: transactions (exactly_once) or flush-then-commit (at_least_once)
//	partition.go      Partition: what a callback may touch; watermark, counters, other rows
//	tx.go             Tx: what hooks may do at the barrier; watermarks and timers
//	store.go          storage.Storage: overlay of uncommitted rows over LevelDB
//	flush.go          settled rows become LevelDB's
//	level.go          LevelDB: layout, options, identity, repair by wiping
//	stuck.go          warnings where nothing gets on
//	align.go          source topics of a partition kept close in event time
//	filter.go         which keys LevelDB does not have
//	stock.go          the same group on unmodified goka, for comparing
//	cache.go          committed rows kept in memory
//	producer.go       goka.Producer that writes into the open transaction
//	tableconsumer.go  sarama.Consumer that recovers tables through commit markers
//	topicmanager.go   goka.TopicManager on kadm
//	view.go           goka.View options
//	viewstore.go      a view's storage: what is committed is shown, whole transactions at a time
//	border.go         where in a log no transaction is open
//	stats.go          Prometheus
//
// # One generation
//
//	assigned ─► Setup (goka recovers every table partition) ─► begin
//	   ┌──────────────────────────────────────────────────────────┐
//	   ▼                                                          │
//	 poll ─► hand batches to claims ─► barrier: all marked ─► timers ─► due? ─► commit ─► begin
//	   │                                                                          │
//	   └─ revoked, lost or failed ─► abort ─► drop dirty rows ─► Cleanup ◄────────┘ refused
//
// Invariant: committed ≤ processed ≤ polled, and at the barrier processed = polled. Between barriers a Partition and its Store
// belong to the one goka goroutine of that partition; at the barrier they belong to the engine's loop. The hand-over is the
// barrier itself, so neither needs a lock.
//
// # Lock order
//
// Runtime.mu → levels.mu, level.opening → levels.mu. assignment.mu and tableConsumer.mu are leaves. No lock is held over a call to
// Kafka or LevelDB except level.opening while a database is opened or closed.
package engine
