package broker

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// batch is the header of a record batch (Kafka's format 2) as it stands in a segment file.
type batch struct {
	base          int64 // offset of the first record
	leaderEpoch   int32
	attributes    uint16
	lastDelta     int32
	firstTime     int64
	maxTimestamp  int64
	producer      int64
	producerEpoch int16
	sequence      int32
	records       int32
	commit        bool // of a control batch: it ends a transaction with a commit
}

const (
	batchHeader     = 61
	lengthEnd       = 12 // base offset and length, which the length does not count
	crcFrom         = 21
	attrTransaction = 0x10
	attrControl     = 0x20
	maxBatch        = 1 << 30
	commitMarker    = 1 // kmsg.ControlRecordKeyTypeCommit
)

func (b batch) transactional() bool { return b.attributes&attrTransaction != 0 }
func (b batch) control() bool       { return b.attributes&attrControl != 0 }
func (b batch) end() int64          { return b.base + int64(b.lastDelta) + 1 }

// parseBatch reads the batch at the front of raw. size 0 means that there is no whole, undamaged batch.
func parseBatch(raw []byte) (b batch, size int) {
	if len(raw) < batchHeader {
		return b, 0
	}
	length := int64(binary.BigEndian.Uint32(raw[8:]))
	if length < batchHeader-lengthEnd || length > maxBatch || lengthEnd+length > int64(len(raw)) {
		return b, 0
	}
	size = int(lengthEnd + length)
	if raw[16] != 2 || crc32.Checksum(raw[crcFrom:size], castagnoli) != binary.BigEndian.Uint32(raw[17:]) {
		return b, 0
	}
	b = batch{
		base:          int64(binary.BigEndian.Uint64(raw)),
		leaderEpoch:   int32(binary.BigEndian.Uint32(raw[12:])),
		attributes:    binary.BigEndian.Uint16(raw[21:]),
		lastDelta:     int32(binary.BigEndian.Uint32(raw[23:])),
		firstTime:     int64(binary.BigEndian.Uint64(raw[27:])),
		maxTimestamp:  int64(binary.BigEndian.Uint64(raw[35:])),
		producer:      int64(binary.BigEndian.Uint64(raw[43:])),
		producerEpoch: int16(binary.BigEndian.Uint16(raw[51:])),
		sequence:      int32(binary.BigEndian.Uint32(raw[53:])),
		records:       int32(binary.BigEndian.Uint32(raw[57:])),
	}
	if b.control() {
		var r kmsg.Record
		if r.ReadFrom(raw[batchHeader:size]) == nil && len(r.Key) >= 4 {
			b.commit = binary.BigEndian.Uint16(r.Key[2:]) == commitMarker
		}
	}
	return b, size
}

// openTxn is a transaction without a marker on a partition.
type openTxn struct {
	first int64
	epoch int16
}

// logScan is what a partition's segment files say.
type logScan struct {
	topic     string
	partition int
	dir       string
	segments  []segmentJSON
	index     []byte // of the last segment
	start     int64
	end       int64 // high watermark
	epoch     int32
	newest    int64 // greatest timestamp
	oldest    int64 // timestamp of the first batch
	batches   int
	cut       int64 // bytes of a torn last write
	open      map[int64]openTxn
	aborted   []abortedJSON
	windows   map[int64]*windowJSON
}

// scanLog reads a partition's segments, rebuilds their index files, and cuts off a torn last write. nil means that
// nothing was ever written.
func scanLog(dir, topic string, partition int) (*logScan, error) {
	pdir := partitionDir(dir, topic, partition)
	files, err := os.ReadDir(pdir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var bases []int64
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), ".dat"); ok {
			base, err := strconv.ParseInt(name, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s is not a segment file; remove it from the data folder", filepath.Join(pdir, f.Name()))
			}
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	s := &logScan{topic: topic, partition: partition, dir: pdir, open: map[int64]openTxn{}, windows: map[int64]*windowJSON{}}
	for i, base := range bases {
		if err := s.segment(base, i == len(bases)-1); err != nil {
			return nil, err
		}
	}
	if len(s.segments) == 0 {
		return nil, nil
	}
	return s, nil
}

func (s *logScan) file(base int64, ext string) string {
	return filepath.Join(s.dir, strconv.FormatInt(base, 10)+ext)
}

func (s *logScan) segment(base int64, last bool) error {
	path := s.file(base, ".dat")
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	seg := segmentJSON{BaseOffset: base}
	var index []byte
	pos := 0
	for pos < len(raw) {
		b, size := parseBatch(raw[pos:])
		if size == 0 || s.batches > 0 && b.base < s.end {
			break
		}
		if len(index) == 0 {
			seg.MinEpoch, seg.MaxEpoch = b.leaderEpoch, b.leaderEpoch
		}
		seg.MinEpoch, seg.MaxEpoch = min(seg.MinEpoch, b.leaderEpoch), max(seg.MaxEpoch, b.leaderEpoch)
		s.add(b)
		e := indexEntry(b)
		index = append(index, e[:]...)
		pos += size
	}
	if pos < len(raw) {
		if !last {
			return fmt.Errorf("%s is damaged at byte %d of %d, and newer data follows it; restore the folder from a copy, or start with another one", path, pos, len(raw))
		}
		s.cut += int64(len(raw) - pos)
		if err := os.Truncate(path, int64(pos)); err != nil {
			return err
		}
	}
	if pos == 0 { // a file was made and nothing written: the next write makes it again
		if err := os.Remove(path); err != nil {
			return err
		}
		return removeIfThere(s.file(base, ".idx"))
	}
	seg.Size = int64(pos)
	s.segments = append(s.segments, seg)
	s.index = index
	return replaceFile(s.file(base, ".idx"), index)
}

func (s *logScan) add(b batch) {
	if s.batches == 0 {
		s.start, s.oldest, s.newest = b.base, b.firstTime, b.maxTimestamp
	}
	s.batches++
	s.end, s.epoch = b.end(), b.leaderEpoch
	s.newest = max(s.newest, b.maxTimestamp)
	switch {
	case b.control():
		if t, ok := s.open[b.producer]; ok && !b.commit {
			s.aborted = append(s.aborted, abortedJSON{b.producer, t.first, b.base})
		}
		delete(s.open, b.producer)
	case b.transactional():
		t, ok := s.open[b.producer]
		if !ok {
			t.first = b.base
		}
		t.epoch = b.producerEpoch
		s.open[b.producer] = t
	case b.producer >= 0:
		s.window(b)
	}
}

func (s *logScan) window(b batch) {
	w := s.windows[b.producer]
	if w == nil || w.Epoch != b.producerEpoch {
		w = &windowJSON{PID: b.producer, Topic: s.topic, Part: int32(s.partition), Epoch: b.producerEpoch, Seen: true}
		s.windows[b.producer] = w
	}
	const sequences = 1<<31 - 1
	w.NextSeq = int32((int64(b.sequence) + int64(b.records)) % sequences)
	w.Entries[w.At] = windowItem{FirstSeq: b.sequence, NextSeq: w.NextSeq, Offset: b.base}
	w.At = (w.At + 1) % uint8(len(w.Entries))
	w.Count = min(w.Count+1, uint8(len(w.Entries)))
}

// endTxn appends the marker that ends a transaction on this partition.
func (s *logScan) endTxn(producer int64, commit bool, now time.Time) error {
	t := s.open[producer]
	raw := marker(producer, t.epoch, commit, s.end, s.epoch, now)
	b, size := parseBatch(raw)
	if size != len(raw) {
		return fmt.Errorf("marker for producer %d does not parse", producer)
	}
	seg := &s.segments[len(s.segments)-1]
	e := indexEntry(b)
	if err := appendFile(s.file(seg.BaseOffset, ".dat"), raw); err != nil {
		return err
	}
	if err := appendFile(s.file(seg.BaseOffset, ".idx"), e[:]); err != nil {
		return err
	}
	seg.Size += int64(size)
	s.add(b)
	return nil
}

func marker(producer int64, epoch int16, commit bool, base int64, leaderEpoch int32, now time.Time) []byte {
	key := kmsg.ControlRecordKey{Type: kmsg.ControlRecordKeyTypeAbort}
	if commit {
		key.Type = kmsg.ControlRecordKeyTypeCommit
	}
	end := kmsg.EndTxnMarker{}
	r := kmsg.Record{Key: key.AppendTo(nil), Value: end.AppendTo(nil)}
	r.Length = int32(len(r.AppendTo(nil)) - 1) // the length is a varint of one byte here and does not count itself
	return encodeBatch(kmsg.RecordBatch{
		FirstOffset: base, PartitionLeaderEpoch: leaderEpoch, Attributes: attrTransaction | attrControl,
		FirstTimestamp: now.UnixMilli(), MaxTimestamp: now.UnixMilli(),
		ProducerID: producer, ProducerEpoch: epoch, FirstSequence: -1, NumRecords: 1, Records: r.AppendTo(nil),
	})
}

// encodeBatch completes a batch with its length and CRC.
func encodeBatch(b kmsg.RecordBatch) []byte {
	b.Magic = 2
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-lengthEnd))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[crcFrom:], castagnoli))
	return raw
}

func (s *logScan) snapshot(old snapshotJSON) snapshotJSON {
	n := snapshotJSON{
		Version: formatVersion, HighWatermark: s.end, LastStableOffset: s.end,
		LogStartOffset: min(max(s.start, old.LogStartOffset), s.end),
		Epoch:          s.epoch, MaxTimestamp: s.newest, CreatedAt: old.CreatedAt, AbortedTxns: s.aborted, Segments: s.segments,
	}
	if n.CreatedAt.IsZero() {
		n.CreatedAt = time.UnixMilli(s.oldest)
	}
	return n
}

func appendFile(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}
