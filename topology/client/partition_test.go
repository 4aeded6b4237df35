package client

import (
	"encoding/binary"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The vectors of Apache Kafka's own UtilsTest.testMurmur2, and what its BuiltInPartitioner makes of them.
func TestMurmur2IsJavas(t *testing.T) {
	vectors := map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	}
	for key, want := range vectors {
		if got := int32(Murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, Java says %d", key, got, want)
		}
		if got, want := Partition([]byte(key), 8), (want&0x7fffffff)%8; got != want {
			t.Errorf("partition of %q = %d, want %d", key, got, want)
		}
	}
}

func FuzzPartitionIsFranzGos(f *testing.F) {
	for _, key := range []string{"", "o-1", "order-00000017", "äöü", "\x00marks"} {
		f.Add([]byte(key), uint16(8))
	}
	franz := kgo.StickyKeyPartitioner(nil).ForTopic("orders")
	f.Fuzz(func(t *testing.T, key []byte, n uint16) {
		partitions := int(n)%512 + 1
		if key == nil {
			key = []byte{}
		}
		want := franz.Partition(&kgo.Record{Key: key}, partitions)
		if got := Partition(key, int32(partitions)); int(got) != want {
			t.Fatalf("key %q of %d: weir %d, franz-go %d", key, partitions, got, want)
		}
	})
}

func BenchmarkMurmur2(b *testing.B) {
	key := make([]byte, 16)
	for i := range b.N {
		binary.LittleEndian.PutUint64(key, uint64(i))
		Partition(key, 8)
	}
}
