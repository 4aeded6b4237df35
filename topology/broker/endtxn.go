package broker

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const intentFile = "endtxn"

// intent is the write-ahead record of the transaction that is being committed. kfake ends a transaction by writing one
// marker after another and then the groups' positions; killed in between it would have committed half. It handles one
// request at a time, so at most one commit is under way, and one slot, overwritten in place, holds it.
type intent struct {
	f   *os.File
	log *slog.Logger

	mu     sync.Mutex
	filled bool
	staged map[string]map[stagedKey]stagedOffset // by transactional id: positions that its commit will set
}

type stagedKey struct {
	group     string
	topic     string // or, where the client speaks of topic ids, empty
	id        string
	partition int32
}

type stagedOffset struct {
	Group     string  `json:"group"`
	Topic     string  `json:"topic,omitempty"`
	TopicID   string  `json:"topic_id,omitempty"` // hex
	Partition int32   `json:"partition"`
	Offset    int64   `json:"offset"`
	Epoch     int32   `json:"epoch"`
	Metadata  *string `json:"metadata,omitempty"`
}

// commitIntent is what the slot holds: the producer's transaction is committed, wherever its markers are.
type commitIntent struct {
	Producer int64          `json:"producer"`
	Epoch    int16          `json:"epoch"`
	Bumps    bool           `json:"bumps"` // the end gives the producer a new epoch (KIP-890)
	Offsets  []stagedOffset `json:"offsets,omitempty"`
}

// openIntent starts with an empty slot: what it held was finished by recovery.
func openIntent(dir string, log *slog.Logger) (*intent, error) {
	f, err := os.OpenFile(filepath.Join(dir, intentFile), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	return &intent{f: f, log: log, staged: map[string]map[stagedKey]stagedOffset{}}, nil
}

func (in *intent) close() { in.f.Close() }

// watch sees the requests that matter before kfake handles them.
func (in *intent) watch(c *kfake.Cluster) {
	see := func(key kmsg.Key, f func(kmsg.Request) error) {
		c.ControlKey(key.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
			in.mu.Lock()
			defer in.mu.Unlock()
			if err := f(req); err != nil {
				in.log.Error("embedded broker: cannot record the intent to commit, so the commit is refused; is the disk full?", "error", err)
				c.KeepControl()
				return refused(req), nil, true
			}
			return nil, nil, false
		})
	}
	see(kmsg.EndTxn, in.end)
	see(kmsg.TxnOffsetCommit, in.stage)
	see(kmsg.InitProducerID, func(req kmsg.Request) error {
		if id := req.(*kmsg.InitProducerIDRequest).TransactionalID; id != nil {
			delete(in.staged, *id) // an unfinished transaction of this id is aborted
		}
		return in.clear()
	})
	// Whatever starts the next transaction of a producer, or moves a group's position, comes after a commit that is done.
	for _, key := range []kmsg.Key{kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.OffsetCommit, kmsg.OffsetDelete, kmsg.DeleteGroups, kmsg.DeleteTopics} {
		see(key, func(kmsg.Request) error { return in.clear() })
	}
}

// refused answers a request that cannot be handled safely now with an error that clients retry.
func refused(req kmsg.Request) kmsg.Response {
	resp := req.ResponseKind()
	switch r := resp.(type) {
	case *kmsg.EndTxnResponse:
		r.ErrorCode = kerr.CoordinatorNotAvailable.Code
	case *kmsg.InitProducerIDResponse:
		r.ErrorCode = kerr.CoordinatorNotAvailable.Code
	}
	return resp
}

func (in *intent) stage(req kmsg.Request) error {
	r := req.(*kmsg.TxnOffsetCommitRequest)
	m := in.staged[r.TransactionalID]
	if m == nil {
		m = map[stagedKey]stagedOffset{}
		in.staged[r.TransactionalID] = m
	}
	for _, t := range r.Topics {
		o := stagedOffset{Group: r.Group, Topic: t.Topic}
		if t.TopicID != [16]byte{} {
			o.TopicID = hex.EncodeToString(t.TopicID[:])
		}
		for _, p := range t.Partitions {
			o.Partition, o.Offset, o.Epoch, o.Metadata = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata
			m[stagedKey{o.Group, o.Topic, o.TopicID, o.Partition}] = o
		}
	}
	return in.clear()
}

func (in *intent) end(req kmsg.Request) error {
	r := req.(*kmsg.EndTxnRequest)
	staged := in.staged[r.TransactionalID]
	if !r.Commit {
		delete(in.staged, r.TransactionalID)
		return in.clear()
	}
	c := commitIntent{Producer: r.ProducerID, Epoch: r.ProducerEpoch, Bumps: r.Version >= 5}
	for _, o := range staged {
		c.Offsets = append(c.Offsets, o)
	}
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	slot := binary.LittleEndian.AppendUint32(nil, uint32(len(data)))
	slot = binary.LittleEndian.AppendUint32(slot, crc32.Checksum(data, castagnoli))
	if _, err := in.f.WriteAt(append(slot, data...), 0); err != nil {
		return err
	}
	in.filled = true
	delete(in.staged, r.TransactionalID)
	return nil
}

// clear empties the slot: the commit in it is done.
func (in *intent) clear() error {
	if !in.filled {
		return nil
	}
	if _, err := in.f.WriteAt(make([]byte, 8), 0); err != nil {
		return err
	}
	in.filled = false
	return nil
}

// readIntent returns the commit that was under way, or nil. A slot that was being written is none: its transaction had
// not begun to end.
func readIntent(dir string) (*commitIntent, error) {
	raw, err := os.ReadFile(filepath.Join(dir, intentFile))
	if os.IsNotExist(err) || err == nil && len(raw) < 8 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	n, sum := binary.LittleEndian.Uint32(raw), binary.LittleEndian.Uint32(raw[4:])
	if n == 0 || uint64(n) > uint64(len(raw)-8) || crc32.Checksum(raw[8:8+n], castagnoli) != sum {
		return nil, nil
	}
	var c commitIntent
	if err := json.Unmarshal(raw[8:8+n], &c); err != nil {
		return nil, fmt.Errorf("%s: %w", intentFile, err)
	}
	return &c, nil
}
