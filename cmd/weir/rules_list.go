package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"weir/cmd/weir/internal/pipeline"
	"weir/views/api"
)

func newRulesList(sys system) *cobra.Command {
	return rulesCommand(sys, "list", &cobra.Command{
		Short:   "Show all rules with their states",
		Example: "  weir rules list\n  weir rules list --format json",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, a *app, _ []string) error {
		list, err := a.listRules(ctx)
		if err != nil {
			return err
		}
		if a.Output.Format == "json" {
			return printJSON(a, list)
		}
		w := aligned(a.out)
		fmt.Fprintln(w, "RULE\tSTATE\tVERSION\tSEVERITY\tKIND\tENTITY\tTITLE\tAUTHOR\tCHANGED")
		for _, r := range list.Rules {
			by, when := changedBy(r.Author, timeOf(r.ChangedAt))
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.State, r.Version, r.Severity, r.Kind, r.Entity, r.Title, by, when)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.out, "revision %d, %d rules\n", list.Revision, len(list.Rules))
		return err
	})
}

// listRules reads the newest rules. Those that this weir cannot compile are shown as far as the book knows them.
func (a *app) listRules(ctx context.Context) (api.Rules, error) {
	if err := a.onlyFormats("text", "json"); err != nil {
		return api.Rules{}, err
	}
	rules, book, err := a.readRules(ctx)
	if err != nil {
		return api.Rules{}, err
	}
	set, err := rules.Compile(book)
	problem := ""
	if err != nil {
		problem = err.Error()
		a.log.Warn("these rules do not compile with this version of weir", "revision", book.Revision, "problems", err)
	}
	list := pipeline.RulesOf(book, set, problem)
	slices.SortFunc(list.Rules, func(x, y api.Rule) int {
		if x.ID < y.ID {
			return -1
		}
		return 1
	})
	return list, nil
}

func newRulesShow(sys system) *cobra.Command {
	const use = "show ID"
	return rulesCommand(sys, use, &cobra.Command{
		Short:   "Show a rule as it is in force",
		Example: "  weir rules show card_testing\n  weir rules show card_testing --format json",
		Args:    wanted(use, 1),
	}, func(ctx context.Context, a *app, args []string) error {
		list, err := a.listRules(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list.Rules, func(r api.Rule) bool { return r.ID == args[0] })
		if i < 0 {
			return fmt.Errorf("there is no rule %q; `weir rules list` shows what there is", args[0])
		}
		r := list.Rules[i]
		if a.Output.Format == "json" {
			return printJSON(a, r)
		}
		by, when := changedBy(r.Author, timeOf(r.ChangedAt))
		_, err = fmt.Fprintf(a.out, "# %s: %s, version %d, changed by %s, %s; revision %d\n%s", r.ID, r.State, r.Version, by, when, list.Revision, r.Text)
		return err
	})
}

func newRulesExport(sys system) *cobra.Command {
	return rulesCommand(sys, "export", &cobra.Command{
		Short:   "Print all rules, features and lists as one file",
		Long:    "Prints all rules, features and lists in force as one file, which weir rules apply takes.",
		Example: "  weir rules export > rules.yaml",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, a *app, _ []string) error {
		rules, book, err := a.readRules(ctx)
		if err != nil {
			return err
		}
		_, err = a.out.Write(rules.Export(book))
		return err
	})
}

func timeOf(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return *at
}
