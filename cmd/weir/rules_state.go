package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"weir/processors/rule"
)

func newRulesEnable(sys system) *cobra.Command {
	return newRulesState(sys, "enable ID…", rule.Live, "Make rules live: their alerts are told")
}

func newRulesShadow(sys system) *cobra.Command {
	return newRulesState(sys, "shadow ID…", rule.Shadow, "Evaluate rules and tell nobody")
}

func newRulesDisable(sys system) *cobra.Command {
	return newRulesState(sys, "disable ID…", rule.Paused, "Pause rules: they are not evaluated")
}

func newRulesRetire(sys system) *cobra.Command {
	return newRulesState(sys, "retire ID…", rule.Retired, "Put rules out of use for good; they stay to be looked at")
}

func newRulesState(sys system, use string, state rule.State, short string) *cobra.Command {
	var by signature
	example := fmt.Sprintf("  weir rules %s card_testing --comment \"as discussed\"", strings.Fields(use)[0])
	c := rulesCommand(sys, use, &cobra.Command{Short: short, Example: example, Args: wanted(use, 1)}, func(ctx context.Context, a *app, ids []string) error {
		rules, book, err := a.readRules(ctx)
		if err != nil {
			return err
		}
		next, err := rules.Moved(book, state, ids...)
		if err != nil {
			return err
		}
		return a.writeRules(ctx, rules, book, next, by)
	})
	by.flags(c)
	return c
}
