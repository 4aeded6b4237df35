package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"weir/cmd/weir/internal/pipeline"
	"weir/topology/rulebook"
	"weir/views/api"
)

func newRulesHistory(sys system) *cobra.Command {
	return rulesCommand(sys, "history [ID]", &cobra.Command{
		Short:   "Show who changed the rules, when and why",
		Long:    fmt.Sprintf("Shows who changed the rules, when and why, newest first: all of them, or one. The newest %d earlier revisions are kept.", rulebook.Kept),
		Example: "  weir rules history\n  weir rules history card_testing",
		Args:    cobra.MaximumNArgs(1),
	}, func(ctx context.Context, a *app, args []string) error {
		if err := a.onlyFormats("text", "json"); err != nil {
			return err
		}
		rules, err := a.openRules(ctx)
		if err != nil {
			return err
		}
		books, err := rules.History(ctx)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			return a.printRuleHistory(books, args[0])
		}
		return a.printHistory(books)
	})
}

func (a *app) printHistory(books []rulebook.Book) error {
	revisions := pipeline.RevisionsOf(books)
	if a.Output.Format == "json" {
		return printJSON(a, revisions)
	}
	w := aligned(a.out)
	fmt.Fprintln(w, "REVISION\tAT\tAUTHOR\tCHANGES\tCOMMENT")
	for _, r := range revisions {
		by, when := changedBy(r.Author, timeOf(r.At))
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", r.Revision, when, by, cmp.Or(shortly(r.Effects), "-"), oneLine(r.Comment))
	}
	return w.Flush()
}

// shownEffects bounds how many changes a line names.
const shownEffects = 4

func shortly(effects []api.RuleEffect) string {
	var parts []string
	for i, e := range effects {
		if i == shownEffects {
			parts = append(parts, fmt.Sprintf("and %d more", len(effects)-i))
			break
		}
		text := e.Change + " " + e.ID
		if e.Change == rulebook.Moved {
			text = e.ID + " " + e.From + " → " + e.To
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func (a *app) printRuleHistory(books []rulebook.Book, id string) error {
	history := pipeline.RuleHistory(books, id)
	if len(history) == 0 {
		return fmt.Errorf("no revision that is kept has a rule %q; `weir rules list` shows what there is", id)
	}
	if a.Output.Format == "json" {
		return printJSON(a, history)
	}
	w := aligned(a.out)
	fmt.Fprintln(w, "REVISION\tAT\tAUTHOR\tCHANGE\tSTATE\tVERSION\tCOMMENT")
	for _, h := range history {
		by, when := changedBy(h.Author, timeOf(h.At))
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%d\t%s\n", h.Revision, when, by, h.Change, cmp.Or(h.State, "-"), h.Version, oneLine(h.Comment))
	}
	return w.Flush()
}

func newRulesRollback(sys system) *cobra.Command {
	var by signature
	const use = "rollback REVISION"
	c := rulesCommand(sys, use, &cobra.Command{
		Short:   "Put an earlier revision in force again",
		Long:    "Puts the rules of an earlier revision in force again, with their states, as a new revision. Revision 0 is what the file says.",
		Example: "  weir rules history\n  weir rules rollback 41 --comment \"too many alerts\"",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{errors.New("name one revision: weir rules " + use)}
			}
			if _, err := strconv.ParseUint(args[0], 10, 62); err != nil {
				return &usageError{fmt.Errorf("%q is no revision; `weir rules history` shows them", args[0])}
			}
			return nil
		},
	}, func(ctx context.Context, a *app, args []string) error {
		rules, err := a.openRules(ctx)
		if err != nil {
			return err
		}
		books, err := rules.History(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(books, func(b rulebook.Book) bool { return strconv.FormatInt(b.Revision, 10) == args[0] })
		if i < 0 {
			return fmt.Errorf("revision %s is not kept; `weir rules history` shows those that are", args[0])
		}
		next, err := rules.Back(books[i])
		if err != nil {
			return err
		}
		by.comment = cmp.Or(by.comment, "back to revision "+args[0])
		return a.writeRules(ctx, rules, books[0], next, by)
	})
	by.flags(c)
	return c
}
