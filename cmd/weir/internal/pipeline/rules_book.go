package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"weir/configs"
	"weir/processors/rule"
	"weir/topology"
	"weir/topology/rulebook"
)

// RuleBook changes the rules: it joins the rule language, which knows what a definition means, and the book on its topic, which keeps
// it as text.
type RuleBook struct {
	store    *rulebook.Store
	fileName string
	file     rulebook.Document // in force while the book is empty
	fileSet  *rule.Set
}

// OpenRules reads the file of rules that is in force while the book is empty. It does not touch Kafka.
func OpenRules(cfg *configs.Config) (*RuleBook, error) {
	name, data, err := cfg.RulesFile()
	if err != nil {
		return nil, err
	}
	b := &RuleBook{store: &rulebook.Store{Kafka: cfg.Kafka, Topic: cfg.Names().In(topology.Rules)}, fileName: name}
	d, err := rule.Parse(name, data)
	if err != nil {
		return nil, err
	}
	if b.fileSet, err = rule.Compile(d); err != nil {
		return nil, err
	}
	b.file = textOf(d, b.fileSet)
	for i := range b.file.Rules {
		b.file.Rules[i].Version, b.file.Rules[i].Author = 1, name
	}
	return b, b.comesBack(&b.file)
}

// textOf is a compiled document as the book keeps it.
func textOf(d *rule.Document, set *rule.Set) rulebook.Document {
	out := rulebook.Document{Defaults: string((&rule.Document{Defaults: d.Defaults}).YAML())}
	for _, f := range d.Features {
		out.Features = append(out.Features, rulebook.Definition{Name: f.Name, YAML: f.Text})
	}
	for _, l := range d.Lists {
		out.Lists = append(out.Lists, rulebook.Definition{Name: l.Name, YAML: l.Text})
	}
	for _, r := range d.Rules {
		compiled := set.Rule(r.ID)
		out.Rules = append(out.Rules, rulebook.Rule{ID: r.ID, YAML: r.Text, State: string(compiled.State), Hash: compiled.Hash})
	}
	return out
}

// yamlOf is a document of the book as a file.
func yamlOf(d *rulebook.Document) []byte {
	doc := &rule.Document{}
	for _, f := range d.Features {
		doc.Features = append(doc.Features, rule.FeatureDefinition{Name: f.Name, Text: f.YAML})
	}
	for _, l := range d.Lists {
		doc.Lists = append(doc.Lists, rule.ListDefinition{Name: l.Name, Text: l.YAML})
	}
	for _, r := range d.Rules {
		doc.Rules = append(doc.Rules, rule.Definition{ID: r.ID, State: rule.State(r.State), Text: r.YAML})
	}
	return append([]byte(d.Defaults), doc.YAML()...)
}

func parseBook(b *rulebook.Book) (*rule.Document, error) {
	return rule.Parse(fmt.Sprintf("rule book revision %d", b.Revision), yamlOf(&b.Document))
}

// Compile makes the rules of a book.
func (b *RuleBook) Compile(book rulebook.Book) (*rule.Set, error) {
	d, err := parseBook(&book)
	if err != nil {
		return nil, err
	}
	set, err := rule.Compile(d)
	if err != nil {
		return nil, err
	}
	set.Revision = book.Revision
	for _, r := range book.Document.Rules {
		set.Rule(r.ID).Version = r.Version
	}
	return set, nil
}

// Newest reads the book. At revision 0 it says what the file says.
func (b *RuleBook) Newest(ctx context.Context) (rulebook.Book, error) {
	book, err := b.store.Read(ctx)
	if err == nil && book.Revision == 0 {
		book.Document = b.file
	}
	return book, err
}

// History reads the revisions that are kept, newest first, and below them, while it is still the first one's ground, the file's.
func (b *RuleBook) History(ctx context.Context) ([]rulebook.Book, error) {
	books, err := b.store.History(ctx)
	if err != nil {
		return nil, err
	}
	if len(books) == 0 {
		return []rulebook.Book{{Document: b.file}}, nil
	}
	if oldest := books[len(books)-1]; oldest.Revision == 1 {
		books = append(books, rulebook.Book{Document: b.file})
	}
	return books, nil
}

// Over is the document that a book becomes under another one: its definitions replace those of the same name and are added to the
// others. With prune the others go. A rule that says no state keeps the one that it has.
func (b *RuleBook) Over(book rulebook.Book, over *rule.Document, prune bool) (rulebook.Document, error) {
	over = keepStates(over, &book.Document)
	merged := over
	if !prune {
		below, err := parseBook(&book)
		if err != nil {
			return rulebook.Document{}, err
		}
		merged = below.Merge(over)
	}
	set, err := rule.Compile(merged)
	if err != nil {
		return rulebook.Document{}, err
	}
	next := textOf(merged, set)
	return next, b.comesBack(&next)
}

// comesBack makes sure that what the book will keep is what was checked: definitions are kept as they are written.
func (b *RuleBook) comesBack(next *rulebook.Document) error {
	const advice = "write each entry in block style (- id: …, one key a line, the state as `state: …`)"
	d, err := rule.Parse("the rules as they would be kept", yamlOf(next))
	var set *rule.Set
	if err == nil {
		set, err = rule.Compile(d)
	}
	if err != nil {
		return rule.Problems{{Message: fmt.Sprintf("an entry cannot be kept as it is written (%v): %s", err, advice)}}
	}
	again := textOf(d, set)
	if effects := rulebook.Compare(next, &again); len(effects) > 0 {
		return rule.Problems{{Rule: effects[0].ID, Message: fmt.Sprintf("the %s cannot be kept as it is written: %s", effects[0].Kind, advice)}}
	}
	return nil
}

// keepStates fills in states that are not said.
func keepStates(over *rule.Document, book *rulebook.Document) *rule.Document {
	c := *over
	c.Rules = slices.Clone(over.Rules)
	for i := range c.Rules {
		if have, ok := book.Rule(c.Rules[i].ID); ok && c.Rules[i].State == "" {
			c.Rules[i].State = rule.State(have.State)
		}
	}
	return &c
}

// Moved is the document with rules in another state.
func (b *RuleBook) Moved(book rulebook.Book, state rule.State, ids ...string) (rulebook.Document, error) {
	next := book.Document
	next.Rules = slices.Clone(next.Rules)
	var missing []string
	for _, id := range ids {
		i := slices.IndexFunc(next.Rules, func(r rulebook.Rule) bool { return r.ID == id })
		if i < 0 {
			missing = append(missing, id)
			continue
		}
		next.Rules[i].State = string(state)
	}
	if len(missing) > 0 {
		return rulebook.Document{}, fmt.Errorf("there is no rule %s; `weir rules list` shows what there is", strings.Join(missing, ", "))
	}
	return b.again(next)
}

// Back is the document of an earlier revision.
func (b *RuleBook) Back(earlier rulebook.Book) (rulebook.Document, error) {
	return b.again(earlier.Document)
}

// again checks a document of the book anew: this weir must understand it, and what rules mean may depend on the version.
func (b *RuleBook) again(d rulebook.Document) (rulebook.Document, error) {
	doc, err := rule.Parse("rule book", yamlOf(&d))
	if err != nil {
		return rulebook.Document{}, err
	}
	set, err := rule.Compile(doc)
	if err != nil {
		return rulebook.Document{}, err
	}
	return textOf(doc, set), nil
}

// Write puts a document in force on top of the book that it was made from.
func (b *RuleBook) Write(ctx context.Context, book rulebook.Book, next rulebook.Document, author, comment string) (rulebook.Book, error) {
	return b.store.Write(ctx, rulebook.Change{On: book.Revision, Base: b.file, Next: next, Author: author, Comment: comment})
}

// Export is a book's document as a file.
func (b *RuleBook) Export(book rulebook.Book) []byte { return yamlOf(&book.Document) }
