package deadletter

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Filter chooses letters. Values of one field are alternatives; an empty field chooses all.
type Filter struct {
	Reasons  []string
	Topics   []string // source topics
	From, To time.Time
	Replayed string // "exclude", "only", "" = both
}

func (f *Filter) has(l *Letter) bool {
	return f.hasReason(l) && f.hasTopic(l) && f.hasRest(l)
}

func (f *Filter) hasReason(l *Letter) bool {
	return len(f.Reasons) == 0 || slices.Contains(f.Reasons, string(l.Reason))
}

func (f *Filter) hasTopic(l *Letter) bool {
	return len(f.Topics) == 0 || slices.Contains(f.Topics, l.Place.Topic)
}

func (f *Filter) hasRest(l *Letter) bool {
	return (f.From.IsZero() || !l.At.Before(f.From)) && (f.To.IsZero() || l.At.Before(f.To)) &&
		(f.Replayed == "" || (f.Replayed == "only") == (l.Replayed != nil))
}

// Page is a part of the letters that match, newest first.
type Page struct {
	Letters []*Letter
	Next    string // cursor of the page after; "" = none
	Total   int    // on all pages
	Reasons map[string]ReasonCount
	Topics  map[string]int
}

// ReasonCount tells of the letters of one reason.
type ReasonCount struct {
	Count int       `json:"count"`
	Last  time.Time `json:"last" doc:"when the newest was refused"`
	Can   int       `json:"can_replay" doc:"how many of them would be taken if they were replayed now, as far as can be told without their whole values"`
}

// maxLetters bounds the index; the oldest go first. With what is shown of each that is some 13 MB at most.
const maxLetters = 5000

// index holds the newest letters, newest first.
type index struct {
	letters []*Letter
	byID    map[ID]*Letter
	leftOut int // letters that gave way to newer ones
}

func newIndex() *index { return &index{byID: map[ID]*Letter{}} }

// newer is the order of the list: by time, then by place so that the order is total.
func newer(a, b *Letter) int {
	return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.id.Partition, b.id.Partition), cmp.Compare(b.id.Offset, a.id.Offset))
}

// add takes letters and notes in the order of each partition.
func (x *index) add(letters []*Letter, notes []note) {
	for _, l := range letters {
		if x.byID[l.id] == nil {
			x.byID[l.id] = l
			x.letters = append(x.letters, l)
		}
	}
	slices.SortFunc(x.letters, newer)
	for _, n := range notes {
		if l := x.byID[n.letter]; l != nil {
			l.Replayed = &n.ReplayNote
		}
	}
	if len(x.letters) > maxLetters {
		for _, l := range x.letters[maxLetters:] {
			delete(x.byID, l.id)
		}
		x.leftOut += len(x.letters) - maxLetters
		x.letters = slices.Clone(x.letters[:maxLetters])
	}
}

// forget drops the letters that retention has taken from the topic.
func (x *index) forget(gone func(ID) bool) {
	x.letters = slices.DeleteFunc(x.letters, func(l *Letter) bool {
		if gone(l.id) {
			delete(x.byID, l.id)
			return true
		}
		return false
	})
}

// page is what a filter chooses after a cursor. Facets count what matches, each without its own filter.
func (x *index) page(f *Filter, cursor string, limit int) (*Page, error) {
	after, err := parseCursor(cursor)
	if err != nil {
		return nil, err
	}
	p := &Page{Letters: []*Letter{}, Reasons: map[string]ReasonCount{}, Topics: map[string]int{}}
	for _, l := range x.letters {
		if !f.hasRest(l) {
			continue
		}
		if f.hasTopic(l) {
			c := p.Reasons[string(l.Reason)]
			if c.Count++; l.At.After(c.Last) {
				c.Last = l.At
			}
			if l.Replay.Can && l.Replayed == nil {
				c.Can++
			}
			p.Reasons[string(l.Reason)] = c
		}
		if f.hasReason(l) {
			p.Topics[l.Place.Topic]++
		}
		if !f.has(l) {
			continue
		}
		p.Total++
		switch {
		case after != nil && newer(l, after) <= 0:
		case len(p.Letters) < limit:
			p.Letters = append(p.Letters, l)
		case p.Next == "":
			p.Next = cursorOf(p.Letters[limit-1])
		}
	}
	return p, nil
}

// choose is what a filter chooses, oldest first, so that replayed records keep their order.
func (x *index) choose(f *Filter, limit int) (chosen []*Letter, left int) {
	for _, l := range slices.Backward(x.letters) {
		switch {
		case !f.has(l):
		case len(chosen) < limit:
			chosen = append(chosen, l)
		default:
			left++
		}
	}
	return chosen, left
}

func cursorOf(l *Letter) string {
	return fmt.Sprintf("%d.%d.%d", l.At.UnixMilli(), l.id.Partition, l.id.Offset)
}

func parseCursor(text string) (*Letter, error) {
	if text == "" {
		return nil, nil
	}
	var n [3]int64
	parts := strings.Split(text, ".")
	for i := range n {
		var err error
		if len(parts) != len(n) {
			return nil, fmt.Errorf("%q is no cursor; repeat what next said", text)
		}
		if n[i], err = strconv.ParseInt(parts[i], 10, 64); err != nil || n[i] < 0 {
			return nil, fmt.Errorf("%q is no cursor; repeat what next said", text)
		}
	}
	return &Letter{At: time.UnixMilli(n[0]).UTC(), id: ID{int32(n[1]), n[2]}}, nil
}
