package deadletter

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"weir/topology/event"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// refused is a record as a group puts it on the dead-letter topic.
func refused(partition int32, offset int64, cause error, key, value string, headers ...kgo.RecordHeader) *kgo.Record {
	r := &kgo.Record{Topic: "weir-dead-letters", Partition: partition, Offset: offset, Timestamp: noon.Add(time.Duration(offset) * time.Second),
		Key: []byte(key), Value: []byte(value), Headers: headers}
	for name, v := range event.DeadLetterHeaders(cause, "payments", 2, 1000+offset) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: v})
	}
	return r
}

func header(name, value string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: name, Value: []byte(value)}
}

var badMoney = &event.Malformed{Reason: event.ReasonBadMoney, Field: "amount", Detail: `"19.995" has 3 decimals, EUR has 2`}

func TestALetterSaysWhatWhereAndWhy(t *testing.T) {
	l, n := decode(refused(3, 17, badMoney, "o-1", `{"id":"p-1","order_id":"o-1","amount":"19.995"}`, header("trace", "abc"), header("raw", "\xff\x00")), listedValue)
	if l == nil || n != nil {
		t.Fatal(l, n)
	}
	if l.ID != "3@17" || l.Reason != event.ReasonBadMoney || l.Detail != `amount: "19.995" has 3 decimals, EUR has 2` || l.Place.String() != "payments/2@1017" ||
		l.OrderID != "o-1" || l.EventID != "p-1" || l.Key.Text != "o-1" || l.WhatToDo == "" || !l.At.Equal(noon.Add(17*time.Second)) {
		t.Errorf("%+v", l)
	}
	if len(l.Headers) != 2 || l.Headers[0].Name != "raw" || l.Headers[0].Value.Base64 == "" || l.Headers[1].Value.Text != "abc" {
		t.Errorf("%+v: weir's own headers are not the record's", l.Headers)
	}
}

func TestAStrangersRecordIsNoLetter(t *testing.T) {
	if l, n := decode(&kgo.Record{Value: []byte("hello"), Headers: []kgo.RecordHeader{header("weir-detail", "x")}}, 10); l != nil || n != nil {
		t.Error(l, n)
	}
}

func TestWhatIsShownIsBoundedAndPrintable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) })).Draw(t, "bytes")
		limit := rapid.IntRange(0, 40).Draw(t, "limit")
		s := shown(b, limit)
		raw, err := base64.StdEncoding.DecodeString(s.Base64)
		if err != nil || s.Text != "" && s.Base64 != "" {
			t.Fatalf("%+v %v", s, err)
		}
		back := s.Text + string(raw)
		if s.Size != len(b) || len(back) > limit || !strings.HasPrefix(string(b), back) || s.Cut != (len(b) > limit) || !s.Cut && back != string(b) {
			t.Fatalf("%q within %d: %+v", b, limit, s)
		}
		if !utf8.ValidString(s.Text) || strings.ContainsFunc(s.Text, func(r rune) bool { return r == 0 || r == '\x1b' }) {
			t.Fatalf("%q is no text", s.Text)
		}
		if utf8.Valid(b) && s.Cut && len(back) < limit-utf8.UTFMax {
			t.Fatalf("%q within %d: cut down to %q", b, limit, back)
		}
	})
}

func FuzzALetterIsDecodedWhateverItHolds(f *testing.F) {
	f.Add([]byte("k"), []byte(`{"id":1}`), "json", "weir-letter", []byte("3@17"))
	f.Add([]byte{0xff}, []byte(nil), "", HeaderLetter, []byte("3@-1"))
	f.Fuzz(func(t *testing.T, key, value []byte, reason, name string, text []byte) {
		r := &kgo.Record{Key: key, Value: value, Headers: []kgo.RecordHeader{header(event.HeaderReason, reason), {Key: name, Value: text}}}
		l, n := decode(r, listedValue)
		if l != nil && (n != nil || len(l.Value.Text) > listedValue || len(l.Detail) > maxDetail+4 || !utf8.ValidString(l.Detail)) {
			t.Errorf("%+v %+v", l, n)
		}
	})
}

func TestEveryReasonHasAdvice(t *testing.T) {
	for _, r := range append(event.Reasons(), event.ReasonWebhook) {
		if _, ok := advice[r]; !ok {
			t.Errorf("nobody is told what to do about %s", r)
		}
	}
}

func TestIDsAreReadAsTheyAreWritten(t *testing.T) {
	if id, err := ParseID("3@17"); err != nil || id != (ID{3, 17}) || id.String() != "3@17" {
		t.Error(id, err)
	}
	for _, text := range []string{"", "3", "3@", "@17", "3@17@1", "-1@3", "3@-1", "99999999999@1", "x@y"} {
		if id, err := ParseID(text); err == nil {
			t.Errorf("%q is %v", text, id)
		}
	}
}

func TestWhatMayBeReplayed(t *testing.T) {
	taken := map[string]Check{"payments": func(_, _ []byte) error { return nil }}
	still := map[string]Check{"payments": func(_, _ []byte) error { return errors.New("bad_money: amount") }}
	at := func(cause error, change func(*Letter)) *Letter {
		l, _ := decode(refused(0, 1, cause, "o-1", "{}"), listedValue)
		if change != nil {
			change(l)
		}
		return l
	}
	for name, c := range map[string]struct {
		letter     *Letter
		sources    map[string]Check
		can, force bool
	}{
		"would be taken now":         {at(badMoney, nil), taken, true, false},
		"would be refused again":     {at(badMoney, nil), still, false, true},
		"of a topic between groups":  {at(badMoney, func(l *Letter) { l.Place.Topic = "weir-findings" }), taken, false, false},
		"an alert for a receiver":    {at(&event.Malformed{Reason: event.ReasonWebhook}, nil), taken, false, false},
		"cut":                        {at(badMoney, func(l *Letter) { l.WasBytes = 2e6 }), taken, false, false},
		"older than the retention":   {at(&event.Malformed{Reason: event.ReasonExpired}, nil), taken, false, true},
		"of an order that is full":   {at(&event.Malformed{Reason: event.ReasonRefused}, nil), taken, false, true},
		"a defect that was mended":   {at(&event.Malformed{Reason: event.ReasonPanic}, nil), taken, true, false},
		"of the future that is past": {at(&event.Malformed{Reason: event.ReasonFuture}, nil), taken, true, false},
	} {
		v := judge(c.letter, c.sources, nil, nil)
		if v.Can != c.can || v.Force != c.force || v.Can != (v.Why == "") {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestAReplayedRecordIsTheOriginalAndMarked(t *testing.T) {
	rec := refused(3, 17, badMoney, "o-1", "value", header("trace", "abc"), header(HeaderReplays, "2"), header(HeaderReplay, "1@4"))
	l, _ := decode(rec, listedValue)
	back := original(rec, l)
	if back.Topic != "payments" || back.Partition != 2 || string(back.Key) != "o-1" || string(back.Value) != "value" {
		t.Errorf("%+v", back)
	}
	var headers []string
	for _, h := range back.Headers {
		headers = append(headers, h.Key+"="+string(h.Value))
	}
	if want := []string{"trace=abc", "weir-replay=3@17", "weir-replays=3"}; !slices.Equal(headers, want) {
		t.Errorf("%v, want %v", headers, want)
	}
	_, n := decode(noteOf(rec, l.id, Position{"payments", 2, 99}, "ada"), listedValue)
	if n == nil || n.letter != l.id || n.Author != "ada" || n.Place.String() != "payments/2@99" {
		t.Errorf("%+v", n)
	}
}

// Pages of any size, put together, are the list that a plain filter gives.
func TestPagesAreTheWholeList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newIndex()
		var all []*Letter
		for i := range rapid.IntRange(0, 60).Draw(t, "letters") {
			l := &Letter{At: noon.Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "at")) * time.Second), id: ID{int32(rapid.IntRange(0, 3).Draw(t, "partition")), int64(i)},
				Reason: rapid.SampledFrom([]event.Reason{event.ReasonJSON, event.ReasonFuture}).Draw(t, "reason"), Place: Position{Topic: "orders"}}
			if rapid.Bool().Draw(t, "replayed") {
				l.Replayed = &ReplayNote{}
			}
			all = append(all, l)
		}
		x.add(all, nil)
		f := &Filter{Reasons: rapid.SampledFrom([][]string{nil, {"json"}}).Draw(t, "reasons"), Replayed: rapid.SampledFrom([]string{"", "exclude", "only"}).Draw(t, "f")}
		var want []ID
		for _, l := range slices.SortedFunc(slices.Values(all), newer) {
			if f.has(l) {
				want = append(want, l.id)
			}
		}
		limit := rapid.IntRange(1, 10).Draw(t, "limit")
		var got []ID
		for cursor := ""; ; {
			p, err := x.page(f, cursor, limit)
			if err != nil || p.Total != len(want) || len(p.Letters) > limit {
				t.Fatalf("%v %+v", err, p)
			}
			for _, l := range p.Letters {
				got = append(got, l.id)
			}
			if cursor = p.Next; cursor == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

func TestTheIndexIsBounded(t *testing.T) {
	x := newIndex()
	var many []*Letter
	for i := range maxLetters + 10 {
		many = append(many, &Letter{At: noon.Add(time.Duration(i) * time.Second), id: ID{0, int64(i)}})
	}
	x.add(many, nil)
	if len(x.letters) != maxLetters || len(x.byID) != maxLetters || x.leftOut != 10 || x.byID[ID{0, 9}] != nil || x.byID[ID{0, 10}] == nil {
		t.Errorf("%d letters, %d left out", len(x.letters), x.leftOut)
	}
	x.forget(func(id ID) bool { return id.Offset < 100 })
	if len(x.letters) != maxLetters-90 || len(x.byID) != maxLetters-90 {
		t.Errorf("%d letters after the topic has lost some", len(x.letters))
	}
}

func TestCountsLeaveTheirOwnFilterOut(t *testing.T) {
	x := newIndex()
	for i := range 6 {
		l := &Letter{At: noon.Add(time.Duration(i) * time.Second), id: ID{0, int64(i)}, Reason: event.ReasonJSON, Place: Position{Topic: fmt.Sprint("t", i%2)}, Replay: ReplayVerdict{Can: i < 2}}
		if i > 3 {
			l.Reason = event.ReasonFuture
		}
		x.add([]*Letter{l}, nil)
	}
	p, err := x.page(&Filter{Reasons: []string{"json"}}, "", 10)
	if err != nil || p.Total != 4 || p.Reasons["json"].Count != 4 || p.Reasons["json"].Can != 2 || p.Reasons["future"].Count != 2 || p.Topics["t0"] != 2 ||
		!p.Reasons["json"].Last.Equal(noon.Add(3*time.Second)) {
		t.Errorf("%v %+v", err, p)
	}
	for _, cursor := range []string{"x", "1.2", "1.2.3.4", "-1.0.0", "1.2.x"} {
		if _, err := x.page(&Filter{}, cursor, 10); err == nil {
			t.Errorf("%q is a cursor", cursor)
		}
	}
}
