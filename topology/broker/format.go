package broker

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// kfake's layout of a data folder, as far as recovery reads and writes it.
const (
	metaFile       = "meta.json"
	topicsFile     = "topics.json"
	pidsFile       = "pids.log"
	groupsFile     = "groups.log"
	windowsFile    = "seq_windows.json"
	sessionFile    = "session_state.json"
	snapshotFile   = "snapshot.json"
	partitionsDir  = "partitions"
	formatVersion  = 1
	indexEntrySize = 15
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type topicsJSON struct {
	Version int `json:"version"`
	Topics  []struct {
		Name       string `json:"name"`
		ID         string `json:"id"` // base64
		Partitions int    `json:"partitions"`
	} `json:"topics"`
}

type snapshotJSON struct {
	Version          int           `json:"version"`
	HighWatermark    int64         `json:"high_watermark"`
	LastStableOffset int64         `json:"last_stable_offset"`
	LogStartOffset   int64         `json:"log_start_offset"`
	Epoch            int32         `json:"epoch"`
	MaxTimestamp     int64         `json:"max_timestamp"`
	CreatedAt        time.Time     `json:"created_at"`
	AbortedTxns      []abortedJSON `json:"aborted_txns,omitempty"`
	Segments         []segmentJSON `json:"segments"`
}

type abortedJSON struct {
	ProducerID  int64 `json:"producer_id"`
	FirstOffset int64 `json:"first_offset"`
	LastOffset  int64 `json:"last_offset"`
}

type segmentJSON struct {
	BaseOffset int64 `json:"base_offset"`
	Size       int64 `json:"size"`
	MinEpoch   int32 `json:"min_epoch,omitempty"`
	MaxEpoch   int32 `json:"max_epoch,omitempty"`
}

// producerJSON is an entry of pids.log.
type producerJSON struct {
	Type    string `json:"type"` // init, endtx, timeout
	PID     int64  `json:"pid"`
	Epoch   int16  `json:"epoch"`
	TxID    string `json:"txid,omitempty"`
	Timeout int32  `json:"timeout,omitempty"`
	Commit  *bool  `json:"commit,omitempty"`
}

// commitJSON is the entry of groups.log that records a group's position.
type commitJSON struct {
	Type       string  `json:"type"`
	Group      string  `json:"g"`
	Topic      string  `json:"t,omitempty"`
	Partition  int32   `json:"p,omitempty"`
	Offset     int64   `json:"o,omitempty"`
	Epoch      int32   `json:"e,omitempty"`
	Metadata   *string `json:"m,omitempty"`
	LastCommit *int64  `json:"lc,omitempty"`
}

// windowJSON is what deduplicates an idempotent producer's retries: its last batches on one partition.
type windowJSON struct {
	PID     int64         `json:"pid"`
	Topic   string        `json:"topic"`
	Part    int32         `json:"partition"`
	Entries [5]windowItem `json:"entries"`
	Count   uint8         `json:"count"`
	At      uint8         `json:"at"`
	Epoch   int16         `json:"epoch"`
	Seen    bool          `json:"seen"`
	NextSeq int32         `json:"next_seq"`
}

type windowItem struct {
	FirstSeq int32 `json:"first_seq"`
	NextSeq  int32 `json:"next_seq"`
	Offset   int64 `json:"offset"`
}

type windowsJSON struct {
	Version int          `json:"version"`
	Windows []windowJSON `json:"windows"`
}

func partitionDir(dir, topic string, partition int) string {
	return filepath.Join(dir, partitionsDir, fmt.Sprintf("%s-%d", url.PathEscape(topic), partition))
}

func indexEntry(b batch) [indexEntrySize]byte {
	var e [indexEntrySize]byte
	e[0] = formatVersion
	binary.LittleEndian.PutUint32(e[2:], uint32(b.leaderEpoch))
	binary.LittleEndian.PutUint64(e[6:], uint64(b.maxTimestamp)) // kfake computes the running maximum anew
	if b.transactional() && !b.control() {
		e[14] = 1
	}
	e[1] = byte(crc32.Checksum(e[2:], castagnoli))
	return e
}

// appendEntry frames v as kfake frames the entries of its logs: length, CRC, version, JSON.
func appendEntry(dst []byte, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	body := binary.LittleEndian.AppendUint16(nil, formatVersion)
	body = append(body, data...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(body)))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(body, castagnoli))
	return append(dst, body...), nil
}

// entries calls f with the JSON of each whole entry and returns how many bytes they take: what follows was cut.
func entries(raw []byte, f func(data []byte) error) (int, error) {
	valid := 0
	for rest := raw; len(rest) >= 10; {
		n := int64(binary.LittleEndian.Uint32(rest))
		if n < 2 || n > int64(len(rest)-8) {
			break
		}
		body := rest[8 : 8+n]
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(rest[4:]) {
			break
		}
		if v := binary.LittleEndian.Uint16(body); v != formatVersion {
			return valid, fmt.Errorf("an entry has format version %d and this weir knows %d; use the weir that wrote the folder", v, formatVersion)
		}
		if err := f(body[2:]); err != nil {
			return valid, err
		}
		rest = rest[8+n:]
		valid = len(raw) - len(rest)
	}
	return valid, nil
}

func readJSON(path string, v any) (bool, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return true, nil
}

func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return replaceFile(path, data)
}

// replaceFile writes a file so that it is either the old or the new one, whenever the process dies.
func replaceFile(path string, data []byte) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
