package main

import (
	"slices"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagsOf are the flags of a command that stand for settings.
func flagsOf(c *cobra.Command) []string {
	if c.Name() == "completion" || c.Name() == "help" {
		return nil
	}
	var names []string
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != configFlag && f.Name != "help" {
			names = append(names, f.Name)
		}
	})
	return names
}

func subcommand(t *testing.T, commands []*cobra.Command, parent, name string) *cobra.Command {
	t.Helper()
	for _, c := range commands {
		if c.Name() != parent {
			continue
		}
		i := slices.IndexFunc(c.Commands(), func(s *cobra.Command) bool { return s.Name() == name })
		if i >= 0 {
			return c.Commands()[i]
		}
	}
	t.Fatalf("there is no weir %s %s", parent, name)
	return nil
}
