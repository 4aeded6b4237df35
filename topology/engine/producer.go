package engine

import (
	"hash"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
)

// producer is goka's Producer: what callbacks emit goes into the open transaction, and its fate is the transaction's, so the
// promise is finished at once.
type producer struct{ rt *Runtime }

func (p producer) Emit(topic, key string, value []byte) *goka.Promise {
	return p.EmitWithHeaders(topic, key, value, nil)
}

func (p producer) EmitWithHeaders(topic, key string, value []byte, headers goka.Headers) *goka.Promise {
	if topic == p.rt.table {
		return finished() // the changelog is made from the dirty rows, once per row and transaction
	}
	r := &kgo.Record{Topic: topic, Partition: -1, Key: []byte(key), Value: value}
	for name, v := range headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: v})
	}
	p.rt.stats.emitted.Inc()
	p.rt.session.produce(r, nil)
	return finished()
}

func (p producer) Close() error { return nil }

func finished() *goka.Promise {
	promise, finish := goka.NewPromiseWithFinisher()
	finish(nil, nil)
	return promise
}

// Hasher is the partitioner's hash for goka: murmur2 as Java clients use it. goka negates a negative hash where Kafka masks the
// sign, so the sign is masked here.
func Hasher() hash.Hash32 { return &murmur2{} }

type murmur2 struct{ key []byte }

func (m *murmur2) Write(p []byte) (int, error) { m.key = append(m.key, p...); return len(p), nil }
func (m *murmur2) Sum(b []byte) []byte {
	s := m.Sum32()
	return append(b, byte(s>>24), byte(s>>16), byte(s>>8), byte(s))
}
func (m *murmur2) Reset()         { m.key = m.key[:0] }
func (m *murmur2) Size() int      { return 4 }
func (m *murmur2) BlockSize() int { return 4 }
func (m *murmur2) Sum32() uint32  { return client.Murmur2(m.key) & 0x7fffffff }
