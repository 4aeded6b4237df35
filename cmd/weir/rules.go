package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/cmd/weir/internal/pipeline"
	"weir/configs"
	"weir/processors/rule"
	"weir/topology/rulebook"
)

// newRules makes weir rules. Each of its commands has a file of its own, rules_NAME.go.
func newRules(sys system) *cobra.Command {
	c := parent(&cobra.Command{
		Use:   "rules",
		Short: "Look at the fraud rules and change them while weir runs",
		Long: long(`Looks at the fraud rules and changes them while weir runs. They are kept on a topic of the cluster, with everything that was
in force before; a change is live on every instance within two seconds, without a restart.`,
			`Until someone changes them the built-in rules are in force, or those of rules.file. A rule is draft, shadow (evaluated, told to
nobody), live, paused or retired. A file that has a mistake is refused whole, with every reason, and exit code 2.`),
	})
	for _, sub := range []func(system) *cobra.Command{
		newRulesApply, newRulesDiff, newRulesList, newRulesShow, newRulesExport, newRulesHistory, newRulesRollback,
		newRulesEnable, newRulesShadow, newRulesDisable, newRulesRetire,
		newRulesCheck, newRulesTest, newRulesCost, newRulesBacktest, newRulesWarm,
	} {
		c.AddCommand(sub(sys))
	}
	return c
}

// rulesCommand is a command below weir rules. use is how it is called.
func rulesCommand(sys system, use string, c *cobra.Command, run func(ctx context.Context, a *app, args []string) error) *cobra.Command {
	return below(sys, "rules", use, c, func(ctx context.Context, a *app, args []string) error {
		ctx, cancel := context.WithTimeout(ctx, rulesWithin)
		defer cancel()
		return refused(run(ctx, a, args))
	})
}

// rulesWithin bounds a command: reading the history and writing take moments.
const rulesWithin = 2 * time.Minute

// refusedError is a file of rules with mistakes.
type refusedError struct{ error }

func (r *refusedError) Unwrap() error { return r.error }

// refused tells that nothing was changed where rules have mistakes.
func refused(err error) error {
	var already *refusedError
	var problems rule.Problems
	var limit *rulebook.LimitError
	switch {
	case errors.As(err, &already):
	case errors.As(err, &problems):
		return &refusedError{fmt.Errorf("nothing was changed, because of %d mistakes in the rules:\n%w", len(problems), problems)}
	case errors.As(err, &limit):
		return &refusedError{fmt.Errorf("nothing was changed, because the rules are too much:\n%w", limit)}
	}
	return err
}

// openRules reads the configured file of rules and knocks on the cluster.
func (a *app) openRules(ctx context.Context) (*pipeline.RuleBook, error) {
	if a.Rules.File == configs.RulesOff {
		return nil, fmt.Errorf("%s: rules.file is %s, so no fraud is looked for here; leave it out to have rules", a.Origin("rules.file"), configs.RulesOff)
	}
	book, err := pipeline.OpenRules(&a.Config)
	var problems rule.Problems
	if errors.As(err, &problems) {
		return nil, &refusedError{fmt.Errorf("%s: rules.file: %d mistakes:\n%w", a.Origin("rules.file"), len(problems), problems)}
	}
	if err != nil {
		return nil, err
	}
	_, err = a.probe(ctx)
	return book, err
}

// readRules reads the newest book as well.
func (a *app) readRules(ctx context.Context) (*pipeline.RuleBook, rulebook.Book, error) {
	rules, err := a.openRules(ctx)
	if err != nil {
		return nil, rulebook.Book{}, err
	}
	book, err := rules.Newest(ctx)
	return rules, book, err
}

// signature is who changes rules, and why.
type signature struct{ author, comment string }

func (s *signature) flags(c *cobra.Command) {
	c.Flags().StringVar(&s.author, "author", "", "who changes the rules (default: $USER)")
	c.Flags().StringVar(&s.comment, "comment", "", "why")
}

func (s *signature) by(environ []string) string {
	if s.author != "" {
		return s.author
	}
	for _, name := range []string{"USER=", "LOGNAME="} {
		for _, e := range environ {
			if value, ok := strings.CutPrefix(e, name); ok && value != "" {
				return value
			}
		}
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return fmt.Sprint("user ", os.Getuid())
}

// writeRules puts a document in force, if it changes anything, and tells what it does.
func (a *app) writeRules(ctx context.Context, rules *pipeline.RuleBook, book rulebook.Book, next rulebook.Document, by signature) error {
	effects := rulebook.Compare(&book.Document, &next)
	if len(effects) == 0 {
		_, err := fmt.Fprintf(a.out, "nothing to change: revision %d says the same\n", book.Revision)
		return err
	}
	written, err := rules.Write(ctx, book, next, by.by(a.environ), by.comment)
	if err != nil {
		return err
	}
	if err := printEffects(a.out, effects); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "revision %d is in force\n", written.Revision)
	return err
}

// wanted is an error where a command needs to know which rules.
func wanted(use string, least int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < least {
			return &usageError{errors.New("something is missing: weir rules " + use)}
		}
		return nil
	}
}

// changedBy is who changed a rule, for people.
func changedBy(author string, at time.Time) (by, when string) {
	when = "-"
	if !at.IsZero() {
		when = at.Local().Format("2006-01-02 15:04")
	}
	return cmp.Or(author, "-"), when
}
