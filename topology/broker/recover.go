package broker

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// scansAtOnce bounds the segment files held in memory.
const scansAtOnce = 4

// recoverFolder makes a data folder whole, however its broker ended. Every start recovers: a stop and a kill differ in
// nothing, so the path that matters is the one that is always taken. Each step can be repeated, so being killed during
// recovery does no harm. The order matters: the intent to commit is forgotten last.
//
// Afterwards no transaction is open: the one that was being committed is committed everywhere with its groups' positions,
// every other one is aborted by markers in the log. Every transactional producer gets a new epoch, so that one that
// outlived the broker cannot go on in a transaction of which half is gone, nor be told that it was committed.
func recoverFolder(dir string, log *slog.Logger) error {
	if _, err := os.Stat(filepath.Join(dir, metaFile)); errors.Is(err, os.ErrNotExist) {
		return nil // a new folder
	} else if err != nil {
		return err
	}
	began := time.Now()
	var topics topicsJSON
	if _, err := readJSON(filepath.Join(dir, topicsFile), &topics); err != nil {
		return err
	}
	committing, err := readIntent(dir)
	if err != nil {
		return err
	}
	scans, err := scanLogs(dir, topics)
	if err != nil {
		return err
	}
	var ended, aborted, batches int
	for _, s := range scans {
		batches += s.batches
		if s.cut > 0 {
			log.Warn("embedded broker: cut off a write that was not finished; it was never acknowledged", "topic", s.topic, "partition", s.partition, "bytes", s.cut)
		}
		for producer, t := range s.open {
			commit := committing != nil && committing.Producer == producer && committing.Epoch == t.epoch
			if err := s.endTxn(producer, commit, began); err != nil {
				return err
			}
			if commit {
				ended++
			} else {
				aborted++
			}
		}
	}
	producers, err := recoverProducers(dir, committing)
	if err != nil {
		return err
	}
	if err := errors.Join(
		recoverPositions(dir, topics, committing, began),
		writeSnapshots(scans),
		writeWindows(dir, scans, producers),
		removeIfThere(filepath.Join(dir, sessionFile)),
	); err != nil {
		return err
	}
	level := slog.LevelDebug
	if ended+aborted > 0 {
		level = slog.LevelInfo
	}
	log.Log(context.Background(), level, "embedded broker: recovered", "topics", len(topics.Topics), "batches", batches,
		"partitions_completed", ended, "partitions_aborted", aborted, "took", time.Since(began).Round(time.Millisecond))
	return removeIfThere(filepath.Join(dir, intentFile))
}

func scanLogs(dir string, topics topicsJSON) ([]*logScan, error) {
	var group errgroup.Group
	group.SetLimit(scansAtOnce)
	var mu sync.Mutex
	var scans []*logScan
	known := map[string]bool{}
	for _, t := range topics.Topics {
		for p := range t.Partitions {
			known[filepath.Base(partitionDir(dir, t.Name, p))] = true
			group.Go(func() error {
				s, err := scanLog(dir, t.Name, p)
				if err != nil {
					return fmt.Errorf("topic %s, partition %d: %w", t.Name, p, err)
				}
				if s != nil {
					mu.Lock()
					scans = append(scans, s)
					mu.Unlock()
				}
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return scans, removeStrays(dir, known)
}

// removeStrays removes what is left of topics that were being deleted: a new topic of that name must not find it.
func removeStrays(dir string, known map[string]bool) error {
	all, err := os.ReadDir(filepath.Join(dir, partitionsDir))
	if err != nil {
		if os.IsNotExist(err) {
			return nil
		}
		return err
	}
	for _, e := range all {
		if !known[e.Name()] {
			if err := os.RemoveAll(filepath.Join(dir, partitionsDir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// recoverProducers rewrites pids.log with the state of each producer after recovery, and returns the producers known.
func recoverProducers(dir string, committing *commitIntent) (map[int64]bool, error) {
	path := filepath.Join(dir, pidsFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		if os.IsNotExist(err) {
			return nil, nil
		}
		return nil, err
	}
	state := map[int64]*producerJSON{}
	byTxn := map[string]int64{} // the newest producer of a transactional id
	var order []int64
	if _, err := entries(raw, func(data []byte) error {
		var e producerJSON
		if err := json.Unmarshal(data, &e); err != nil {
			return fmt.Errorf("%s: %w", pidsFile, err)
		}
		s := state[e.PID]
		switch {
		case e.Type == "init":
			if s == nil {
				order = append(order, e.PID)
			}
			state[e.PID] = &e
			if e.TxID != "" {
				byTxn[e.TxID] = e.PID
			}
		case s != nil: // endtx and timeout carry the epoch alone
			s.Epoch = e.Epoch
		}
		return nil
	}); err != nil {
		return nil, err
	}
	var out []byte
	known := map[int64]bool{}
	for _, pid := range order {
		p := state[pid]
		if p.TxID != "" {
			if byTxn[p.TxID] != pid {
				continue // its epochs ran out and another took its place
			}
			fence(p, committing)
		}
		known[pid] = true
		if out, err = appendEntry(out, p); err != nil {
			return nil, err
		}
	}
	return known, replaceFile(path, out)
}

// fence gives a transactional producer the epoch with which it must begin anew, so that a request to commit with its old
// one is refused. Only the producer whose commit recovery finished is answered with success when it asks again. Where the
// end of that commit is on record (the epoch has moved on), the producer may be in its next transaction already, and is
// refused like the others: being told of a failure that was none only makes it begin again after what was committed.
func fence(p *producerJSON, committing *commitIntent) {
	commit := committing != nil && committing.Producer == p.PID && committing.Epoch == p.Epoch
	p.Commit = &commit
	if commit && !committing.Bumps {
		return
	}
	if p.Epoch < math.MaxInt16-1 {
		p.Epoch++
	}
}

// recoverPositions cuts off a torn last entry of groups.log and adds the positions of the commit that was under way.
func recoverPositions(dir string, topics topicsJSON, committing *commitIntent, now time.Time) error {
	path := filepath.Join(dir, groupsFile)
	raw, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	valid, err := entries(raw, func([]byte) error { return nil })
	if err != nil {
		return err
	}
	out := raw[:valid]
	if committing != nil {
		names := map[string]string{}
		for _, t := range topics.Topics {
			if id, err := base64.StdEncoding.DecodeString(t.ID); err == nil {
				names[hex.EncodeToString(id)] = t.Name
			}
		}
		at := now.UnixMilli()
		for _, o := range committing.Offsets {
			if o.Topic == "" {
				o.Topic = names[o.TopicID]
			}
			if o.Topic == "" {
				continue // deleted since
			}
			if out, err = appendEntry(out, commitJSON{Type: "commit", Group: o.Group, Topic: o.Topic, Partition: o.Partition,
				Offset: o.Offset, Epoch: o.Epoch, Metadata: o.Metadata, LastCommit: &at}); err != nil {
				return err
			}
		}
	}
	return replaceFile(path, out)
}

func writeSnapshots(scans []*logScan) error {
	for _, s := range scans {
		path := filepath.Join(s.dir, snapshotFile)
		var old snapshotJSON
		if _, err := readJSON(path, &old); err != nil {
			return err
		}
		if err := writeJSON(path, s.snapshot(old)); err != nil {
			return err
		}
	}
	return nil
}

// writeWindows lets an idempotent producer that outlived the broker repeat what was written but not acknowledged.
func writeWindows(dir string, scans []*logScan, producers map[int64]bool) error {
	w := windowsJSON{Version: formatVersion}
	for _, s := range scans {
		for pid, window := range s.windows {
			if producers[pid] {
				w.Windows = append(w.Windows, *window)
			}
		}
	}
	return writeJSON(filepath.Join(dir, windowsFile), w)
}
