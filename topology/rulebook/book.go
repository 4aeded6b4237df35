package rulebook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// Limits of a book. A definition that is larger than this is not a rule but data.
const (
	MaxBookBytes       = 800 << 10 // of the JSON record: Kafka's usual limit of a record is 1 MiB
	MaxRules           = 500
	MaxFeatures        = 500
	MaxLists           = 100
	MaxDefinitionBytes = 16 << 10  // YAML of a rule, of a feature, of the defaults
	MaxListBytes       = 256 << 10 // YAML of a list
	MaxAuthorBytes     = 200
	MaxCommentBytes    = 2_000
	Kept               = 100 // earlier revisions
	maxRemoved         = 1_000
)

// Book is one revision of the rules: the record under the key "book", and under "revision/<n>" once it is an earlier one. The zero
// Book says that nobody has changed the rules yet.
type Book struct {
	Revision int64     `json:"revision"` // counts from 1
	At       time.Time `json:"at,omitzero"`
	Author   string    `json:"author,omitempty"`
	Comment  string    `json:"comment,omitempty"`
	Document Document  `json:"document"`
}

// Document is everything that a file of rules says, as text, and what the book knows of each rule.
type Document struct {
	Defaults string       `json:"defaults,omitempty"` // YAML
	Features []Definition `json:"features,omitempty"`
	Lists    []Definition `json:"lists,omitempty"`
	Rules    []Rule       `json:"rules,omitempty"`
	Removed  []Removed    `json:"removed,omitempty"` // oldest first
}

// Definition is a feature or a list.
type Definition struct {
	Name string `json:"name"`
	YAML string `json:"yaml"`
}

// Rule is a rule, with where it is in its life.
type Rule struct {
	ID      string    `json:"id"`
	YAML    string    `json:"yaml"` // without the state
	State   string    `json:"state"`
	Version int64     `json:"version"` // from 1; counts changes of Hash
	Hash    uint32    `json:"hash"`    // of what decides whether it matches
	Author  string    `json:"author,omitempty"`
	At      time.Time `json:"at,omitzero"` // of the last change, also of the state alone
}

// Removed remembers the version of a rule that is gone: if it comes back, it goes on from there.
type Removed struct {
	ID      string `json:"id"`
	Version int64  `json:"version"`
	Hash    uint32 `json:"hash"`
}

// Rule finds a rule by its id.
func (d *Document) Rule(id string) (Rule, bool) {
	i := slices.IndexFunc(d.Rules, func(r Rule) bool { return r.ID == id })
	if i < 0 {
		return Rule{}, false
	}
	return d.Rules[i], true
}

func (r Rule) same(other Rule) bool {
	return r.YAML == other.YAML && r.State == other.State && r.Hash == other.Hash
}

// Succeed gives the rules of next what follows from what was in force before: an unchanged rule keeps author and time; one whose hash
// changed gets the next version.
func Succeed(before, next Document, author string, at time.Time) Document {
	next.Rules = slices.Clone(next.Rules)
	next.Removed = nil
	for i := range next.Rules {
		r := &next.Rules[i]
		was, ok := before.Rule(r.ID)
		if ok && was.same(*r) {
			*r = was
			continue
		}
		r.Author, r.At, r.Version = author, at, 1
		if !ok {
			gone := slices.IndexFunc(before.Removed, func(g Removed) bool { return g.ID == r.ID })
			if gone < 0 {
				continue
			}
			was.Version, was.Hash = before.Removed[gone].Version, before.Removed[gone].Hash
		}
		r.Version = was.Version
		if r.Hash != was.Hash {
			r.Version++
		}
	}
	for _, g := range before.Removed {
		if _, back := next.Rule(g.ID); !back {
			next.Removed = append(next.Removed, g)
		}
	}
	for _, was := range before.Rules {
		if _, stays := next.Rule(was.ID); !stays {
			next.Removed = append(next.Removed, Removed{was.ID, was.Version, was.Hash})
		}
	}
	next.Removed = next.Removed[max(0, len(next.Removed)-maxRemoved):]
	return next
}

// LimitError is that a book would go beyond the limits.
type LimitError struct{ error }

func (e *LimitError) Unwrap() error { return e.error }

// check reports everything by which a book goes beyond the limits.
func (b *Book) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	d := &b.Document
	for _, c := range []struct {
		what string
		n    int
		most int
	}{{"rules", len(d.Rules), MaxRules}, {"features", len(d.Features), MaxFeatures}, {"lists", len(d.Lists), MaxLists}} {
		if c.n > c.most {
			fail("the book would have %d %s; it holds %d at most: retire and remove some (`weir rules apply --prune`)", c.n, c.what, c.most)
		}
	}
	if len(b.Author) > MaxAuthorBytes || !utf8.ValidString(b.Author) {
		fail("the author is longer than %d bytes, or no text", MaxAuthorBytes)
	}
	if len(b.Comment) > MaxCommentBytes || !utf8.ValidString(b.Comment) {
		fail("the comment is longer than %d bytes, or no text", MaxCommentBytes)
	}
	size := func(what, name, yaml string, most int) {
		if len(yaml) > most {
			fail("%s %s has %d bytes; %d are the limit", what, name, len(yaml), most)
		}
	}
	size("the block", "defaults", d.Defaults, MaxDefinitionBytes)
	names := map[string]bool{}
	once := func(what, name string) {
		if name == "" || names[what+name] {
			fail("%s %q stands twice in the book, or has no name", what, name)
		}
		names[what+name] = true
	}
	for _, f := range d.Features {
		once("feature ", f.Name)
		size("feature", f.Name, f.YAML, MaxDefinitionBytes)
	}
	for _, l := range d.Lists {
		once("list ", l.Name)
		size("list", l.Name, l.YAML, MaxListBytes)
	}
	for _, r := range d.Rules {
		once("rule ", r.ID)
		size("rule", r.ID, r.YAML, MaxDefinitionBytes)
	}
	return errors.Join(errs...)
}

// encode gives the record of a book, if it is within the limits.
func (b *Book) encode() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, &LimitError{err}
	}
	var w bytes.Buffer
	e := json.NewEncoder(&w)
	e.SetEscapeHTML(false) // conditions are full of < and >
	if err := e.Encode(b); err != nil {
		return nil, err
	}
	if w.Len() > MaxBookBytes {
		return nil, &LimitError{fmt.Errorf("the book would have %d bytes; %d are the limit: remove rules (`weir rules apply --prune`) or shorten lists", w.Len(), MaxBookBytes)}
	}
	return w.Bytes(), nil
}

func decode(value []byte) (Book, error) {
	var b Book
	if err := json.Unmarshal(value, &b); err != nil {
		return Book{}, fmt.Errorf("the record of the rule book is not one that this weir can read: %w", err)
	}
	return b, nil
}
