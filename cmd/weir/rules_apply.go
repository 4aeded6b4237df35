package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"weir/cmd/weir/internal/pipeline"
	"weir/processors/rule"
	"weir/topology/rulebook"
)

func newRulesApply(sys system) *cobra.Command {
	var by signature
	var prune, dry bool
	const use = "apply FILE…"
	c := rulesCommand(sys, use, &cobra.Command{
		Short: "Put the rules of files in force",
		Long: long(`Puts the rules, features and lists of files in force: those of a name that is there are replaced, others are added, and
what the files do not name stays. A rule that says no state keeps the one it has; a new one is live.`,
			`With --prune what the files do not name is removed.`),
		Example: `  weir rules apply rules.yaml --comment "card testing: tighter"
  weir rules apply rules/*.yaml --prune --dry-run
  weir rules apply - < rules.yaml`,
		Args: wanted(use, 1),
	}, func(ctx context.Context, a *app, files []string) error {
		rules, book, next, err := a.readOver(ctx, files, prune)
		if err != nil {
			return err
		}
		if !dry {
			return a.writeRules(ctx, rules, book, next, by)
		}
		if err := printEffects(a.out, rulebook.Compare(&book.Document, &next)); err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.out, "nothing was changed (--dry-run): revision %d is in force\n", book.Revision)
		return err
	})
	by.flags(c)
	c.Flags().BoolVar(&prune, "prune", false, "remove what the files do not name")
	c.Flags().BoolVar(&dry, "dry-run", false, "only tell what would change")
	return c
}

// readOver reads the newest book, and what it becomes when files are applied.
func (a *app) readOver(ctx context.Context, files []string, prune bool) (rules *pipeline.RuleBook, book rulebook.Book, next rulebook.Document, err error) {
	over, err := parseRules(a.in, files)
	if err != nil {
		return nil, book, next, err
	}
	if rules, book, err = a.readRules(ctx); err != nil {
		return nil, book, next, err
	}
	next, err = rules.Over(book, over, prune)
	return rules, book, next, err
}

// maxRuleFile bounds what is read of a file; the language has a limit of its own below it.
const maxRuleFile = 4 << 20

// parseRules reads files (- is standard input) as one document. What two of them define is a mistake.
func parseRules(stdin io.Reader, files []string) (*rule.Document, error) {
	all := &rule.Document{}
	from := map[string]string{}
	for _, name := range files {
		data, err := readRuleFile(stdin, name)
		if err != nil {
			return nil, err
		}
		d, err := rule.Parse(name, data)
		if err != nil {
			return nil, err
		}
		for _, what := range namesOf(d) {
			if other, twice := from[what]; twice && other != name {
				return nil, rule.Problems{{File: name, Message: fmt.Sprintf("%s is in %s as well; keep one", what, other)}}
			}
			from[what] = name
		}
		all = all.Merge(d)
	}
	return all, nil
}

func readRuleFile(stdin io.Reader, name string) ([]byte, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("the rules cannot be read: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxRuleFile))
	if err != nil {
		return nil, fmt.Errorf("the rules cannot be read: %s: %w", name, err)
	}
	return data, nil
}

func namesOf(d *rule.Document) (names []string) {
	if d.Defaults != (rule.Defaults{}) {
		names = append(names, "the block defaults")
	}
	for _, f := range d.Features {
		names = append(names, "feature "+f.Name)
	}
	for _, l := range d.Lists {
		names = append(names, "list "+l.Name)
	}
	for _, r := range d.Rules {
		names = append(names, "rule "+r.ID)
	}
	return names
}
