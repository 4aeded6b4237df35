package alerts

import (
	"fmt"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"weir/topology"
	"weir/topology/alert"
	"weir/topology/event"
	"weir/topology/table"
)

// What the records of both inputs must be. Whatever else comes is a dead letter.

// maxParts bounds the parts of a clause: one for each kind of entity.
const maxParts = 32

// maxID bounds the ids of decisions, in bytes.
const maxID = 200

// parseFinding reads a record of weir-findings.
func parseFinding(key string, value []byte) (*table.Finding, error) {
	f := new(table.Finding)
	if err := f.UnmarshalVT(value); err != nil {
		return nil, &event.Malformed{Reason: event.ReasonJSON, Detail: "it is no finding: " + err.Error()}
	}
	switch {
	case f.Rule == "":
		return nil, &event.Malformed{Reason: event.ReasonMissingField, Field: "rule", Detail: "a finding names its rule"}
	case f.Entity != "" && f.Entity != key:
		return nil, mismatch(f.Entity, key)
	case f.Parts > maxParts || !f.Withdrawn && f.Part >= max(f.Parts, 1):
		return nil, &event.Malformed{Reason: event.ReasonBadValue, Field: "part",
			Detail: fmt.Sprintf("part %d of %d; parts count from 0 and are at most %d", f.Part, f.Parts, maxParts)}
	}
	return f, nil
}

// parseDecision reads a record of weir-alert-commands. What a person may have got wrong is refused later, with a sentence.
func parseDecision(key string, value []byte) (*table.Decision, error) {
	d := new(table.Decision)
	if err := d.UnmarshalVT(value); err != nil {
		return nil, &event.Malformed{Reason: event.ReasonJSON, Detail: "it is no decision: " + err.Error()}
	}
	switch {
	case d.Id == "" || len(d.Id) > maxID:
		return nil, &event.Malformed{Reason: event.ReasonMissingField, Field: "id",
			Detail: fmt.Sprintf("a decision has an id of at most %d bytes", maxID)}
	case d.SeenAtMs <= 0:
		return nil, &event.Malformed{Reason: event.ReasonMissingField, Field: "seen_at_ms", Detail: "a decision says when it was made"}
	case d.Entity != key:
		return nil, mismatch(d.Entity, key)
	}
	return d, nil
}

func mismatch(entity, key string) error {
	return &event.Malformed{Reason: event.ReasonKeyMismatch, Field: "entity",
		Detail: "is " + strconv.Quote(cut(entity, maxName)) + " but the record's key is " + strconv.Quote(cut(key, maxName))}
}

// What a dead letter keeps of a record that would not fit with its headers.
const (
	maxLetterBytes = 900 << 10
	cutBytes       = 64 << 10
)

// letter is the dead letter of a record; size is how many bytes it had if it was cut, else 0.
func letter(key string, value []byte) (string, []byte, int) {
	size := len(key) + len(value)
	if size <= maxLetterBytes {
		return key, value, 0
	}
	return key[:min(len(key), cutBytes)], value[:min(len(value), cutBytes)], size
}

// dueField is the number of Case.due_ms in rows.proto.
const dueField = 4

// dueAt reads when an encoded row wants its timer: it is asked for every row that is written.
func dueAt(row []byte) (event.UnixMilli, bool) {
	for len(row) > 0 {
		num, kind, n := protowire.ConsumeTag(row)
		if n < 0 {
			break
		}
		row = row[n:]
		if num == dueField && kind == protowire.VarintType {
			due, n := protowire.ConsumeVarint(row)
			return event.UnixMilli(due), n > 0 && due > 0
		}
		if n = protowire.ConsumeFieldValue(num, kind, row); n < 0 {
			break
		}
		row = row[n:]
	}
	return 0, false
}

// cloudEvent is the record's value on topic alerts.
func cloudEvent(names topology.Names, row *table.Case, t *Told) ([]byte, error) {
	return alert.NewEvent(names, t.Type, t.At, alert.Of(t.Alert, alert.CaseScore(row)), t.From).JSON()
}
