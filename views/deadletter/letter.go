package deadletter

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/event"
)

// Headers beside those of package event.
const (
	// HeaderReplay is on a record that was written back to its source topic: the letter that it was, PARTITION@OFFSET. If it is refused
	// again, the new letter has it as well.
	HeaderReplay = "weir-replay"
	// HeaderReplays counts how often the record has been written back.
	HeaderReplays = "weir-replays"
	// HeaderLetter is on the note that a letter was replayed: a record without a value in the letter's own partition, which says who did it
	// (HeaderAuthor) and where the record stands now (event.HeaderTopic and so on).
	HeaderLetter = "weir-letter"
	HeaderAuthor = "weir-author"
)

// ID is where a letter stands on the dead-letter topic.
type ID struct {
	Partition int32
	Offset    int64
}

func (id ID) String() string { return fmt.Sprintf("%d@%d", id.Partition, id.Offset) }

// ParseID reads what String writes.
func ParseID(text string) (ID, error) {
	p, o, ok := strings.Cut(text, "@")
	partition, err := strconv.ParseInt(p, 10, 32)
	offset, err2 := strconv.ParseInt(o, 10, 64)
	if !ok || err != nil || err2 != nil || partition < 0 || offset < 0 {
		return ID{}, fmt.Errorf("%q is no dead letter's id; write PARTITION@OFFSET, such as 3@17", text)
	}
	return ID{int32(partition), offset}, nil
}

// Position is where a record stands.
type Position struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

func (p Position) String() string { return fmt.Sprintf("%s/%d@%d", p.Topic, p.Partition, p.Offset) }

// Bytes are a text where they are one, else base64.
type Bytes struct {
	Text   string `json:"text,omitempty" doc:"where the bytes are printable UTF-8"`
	Base64 string `json:"base64,omitempty" doc:"where they are not"`
	Size   int    `json:"bytes" doc:"how many there are"`
	Cut    bool   `json:"cut,omitempty" doc:"only the beginning is here"`
}

// shown keeps at most limit bytes.
func shown(b []byte, limit int) Bytes {
	out := Bytes{Size: len(b)}
	if len(b) > limit {
		b, out.Cut = b[:limit], true
		for n := 0; n < utf8.UTFMax && len(b) > 0 && !endsWhole(b); n++ {
			b = b[:len(b)-1]
		}
	}
	if isText(b) {
		out.Text = string(b)
	} else {
		out.Base64 = base64.StdEncoding.EncodeToString(b)
	}
	return out
}

// endsWhole tells whether the last character is not one that a cut went through.
func endsWhole(b []byte) bool {
	r, size := utf8.DecodeLastRune(b)
	return r != utf8.RuneError || size > 1
}

func isText(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	for _, r := range string(b) {
		if r != '\n' && r != '\r' && r != '\t' && !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// LetterHeader is one header of the record that was refused.
type LetterHeader struct {
	Name  string `json:"name"`
	Value Bytes  `json:"value"`
}

// Letter is a record that weir could not take.
type Letter struct {
	ID       string         `json:"id" doc:"where the letter stands on the dead-letter topic: PARTITION@OFFSET"`
	At       time.Time      `json:"at" doc:"when it was refused"`
	Reason   event.Reason   `json:"reason"`
	Detail   string         `json:"detail" doc:"what was found and what was wanted"`
	Place    Position       `json:"place" doc:"where the record stood that was refused"`
	Key      Bytes          `json:"key"`
	Value    Bytes          `json:"value" doc:"in a list its first KiB"`
	Headers  []LetterHeader `json:"headers" doc:"those that the record came with"`
	OrderID  string         `json:"order_id,omitempty" doc:"if the value says so"`
	EventID  string         `json:"event_id,omitempty" doc:"if the value says so"`
	WasBytes int64          `json:"was_bytes,omitempty" doc:"the record was too large to be kept whole: how large"`
	Receiver string         `json:"receiver,omitempty" doc:"of reason webhook: who did not take the alert"`
	ReplayOf string         `json:"replay_of,omitempty" doc:"the letter that this record was before it was replayed and refused again"`
	Replays  int            `json:"replays,omitempty" doc:"how often this record had been replayed before it was refused"`
	Replay   ReplayVerdict  `json:"replay"`
	Replayed *ReplayNote    `json:"replayed" doc:"null: it has not been replayed"`
	WhatToDo string         `json:"what_to_do"`

	id         ID
	key, value []byte // kept where the verdict changes with the clock
}

// ReplayNote is the note that a letter was replayed.
type ReplayNote struct {
	At     time.Time `json:"at"`
	Author string    `json:"author"`
	Place  Position  `json:"place" doc:"where the record stands now"`
}

// How much of a letter is shown in a list, and of one alone: a letter is at most one Kafka record.
const (
	listedValue = 1 << 10
	wholeValue  = 1 << 20
	shownKey    = 256
	shownHeader = 256
	maxHeaders  = 32
	maxDetail   = 1 << 10
)

// note is what a record says that tells of a replay.
type note struct {
	letter ID
	ReplayNote
}

// decode reads a record of the dead-letter topic: a letter, or a note; neither where it is not weir's.
func decode(r *kgo.Record, valueLimit int) (*Letter, *note) {
	own := map[string]string{}
	l := &Letter{id: ID{r.Partition, r.Offset}, At: r.Timestamp.UTC(), Key: shown(r.Key, shownKey), Value: shown(r.Value, valueLimit), Headers: []LetterHeader{}}
	for _, h := range r.Headers {
		if isOwn(h.Key) {
			own[h.Key] = cut(string(h.Value), maxDetail)
		} else if len(l.Headers) < maxHeaders {
			l.Headers = append(l.Headers, LetterHeader{cut(h.Key, shownHeader), shown(h.Value, shownHeader)})
		}
	}
	slices.SortFunc(l.Headers, func(a, b LetterHeader) int { return strings.Compare(a.Name, b.Name) })
	place := Position{Topic: own[event.HeaderTopic], Partition: int32(number(own[event.HeaderPartition])), Offset: number(own[event.HeaderOffset])}
	if of, err := ParseID(own[HeaderLetter]); err == nil && own[event.HeaderReason] == "" {
		return nil, &note{of, ReplayNote{At: l.At, Author: own[HeaderAuthor], Place: place}}
	}
	if own[event.HeaderReason] == "" {
		return nil, nil
	}
	l.ID, l.Place = l.id.String(), place
	l.Reason, l.Detail = event.Reason(own[event.HeaderReason]), strings.TrimPrefix(own[event.HeaderDetail], own[event.HeaderReason]+": ")
	l.WasBytes, l.Receiver = number(own[event.HeaderSize]), own[event.HeaderReceiver]
	l.ReplayOf, l.Replays = own[HeaderReplay], int(number(own[HeaderReplays]))
	l.OrderID, l.EventID = ids(r.Value)
	l.WhatToDo = whatToDo(l.Reason)
	return l, nil
}

// isOwn tells weir's own headers from those that a record came with.
func isOwn(name string) bool { return strings.HasPrefix(name, "weir-") }

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// ids are what a canonical event says of itself. Other shapes say it elsewhere.
func ids(value []byte) (orderID, eventID string) {
	var e struct {
		ID      json.RawMessage `json:"id"`
		OrderID json.RawMessage `json:"order_id"`
	}
	if json.Unmarshal(value, &e) != nil {
		return "", ""
	}
	text := func(raw json.RawMessage) (s string) {
		if json.Unmarshal(raw, &s) != nil || len(s) > shownKey {
			return ""
		}
		return s
	}
	return text(e.OrderID), text(e.ID)
}

func cut(text string, limit int) string {
	if len(text) <= limit {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
