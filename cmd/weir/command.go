package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"weir/cmd/weir/internal/pipeline"
	"weir/configs"
)

const configFlag = "config"

// app is what every command has: the configuration, a log, its process's metrics.
type app struct {
	*configs.Loaded
	system
	log      *slog.Logger
	registry *prometheus.Registry
	rules    *pipeline.RuleFollower // nil: no fraud rules are in force here
}

// command gives c the flags of its keys and loads the configuration before run.
func command(sys system, c *cobra.Command, run func(ctx context.Context, a *app, args []string) error) *cobra.Command {
	var flags []*keyFlag
	for _, k := range configs.KeysOf(c.Name()) {
		f := &keyFlag{key: k}
		flags = append(flags, f)
		flag := c.Flags().VarPF(f, k.Flag, "", f.usage())
		flag.DefValue = configs.DefaultText(k.Path)
		if k.IsBool() {
			flag.NoOptDefVal = "true"
		}
		if values := k.Choices(); len(values) > 0 {
			if err := c.RegisterFlagCompletionFunc(k.Flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
				panic(err) // the flag was made above, and once
			}
		}
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		in := configs.Sourced{Environ: sys.environ, Flags: map[string]string{}}
		if f := cmd.Flags().Lookup(configFlag); f.Value.Type() == "string" { // the root command's; bench has another
			in.File = f.Value.String()
		}
		for _, f := range flags {
			if f.given {
				in.Flags[f.key.Path] = f.text
			}
		}
		loaded, err := configs.Load(in)
		if err != nil {
			return err
		}
		a := &app{Loaded: loaded, system: sys, log: newLogger(sys.err, loaded.Log), registry: prometheus.NewRegistry()}
		a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		return run(cmd.Context(), a, args)
	}
	return c
}

// below is a command that stands below another, and has its keys. use is how it is called there.
func below(sys system, parent, use string, c *cobra.Command, run func(ctx context.Context, a *app, args []string) error) *cobra.Command {
	c.Use = parent // the name under which the keys' flags are found
	c = command(sys, c, run)
	c.Use = use
	return c
}

// parent does nothing itself: others stand below it.
func parent(c *cobra.Command, others ...*cobra.Command) *cobra.Command {
	c.Args = cobra.NoArgs
	c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	c.AddCommand(others...)
	return c
}

// keyFlag is a flag that stands for a key of the configuration: it keeps the text, which configs reads.
type keyFlag struct {
	key   configs.Key
	text  string
	given bool
}

func (f *keyFlag) String() string { return f.text }
func (f *keyFlag) Type() string   { return f.key.Type() }

// Set takes a list's values in one or in several flags.
func (f *keyFlag) Set(text string) error {
	if f.given && f.key.IsList() {
		text = f.text + "," + text
	}
	f.text, f.given = text, true
	return nil
}

func (f *keyFlag) usage() string {
	if choices := f.key.Choices(); len(choices) > 0 {
		return f.key.Help + ": " + strings.Join(choices, ", ")
	}
	return f.key.Help
}

// isGiven tells whether a person chose the value of a key.
func (a *app) isGiven(path string) bool { return a.Origin(path).Place != configs.Default }

// onlyFormats refuses a format that this command does not have.
func (a *app) onlyFormats(formats ...string) error {
	if slices.Contains(formats, a.Output.Format) {
		return nil
	}
	return fmt.Errorf("%s: output.format: this command prints %s, not %s", a.Origin("output.format"), strings.Join(formats, " or "), a.Output.Format)
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func newLogger(w io.Writer, c configs.Log) *slog.Logger {
	options := &slog.HandlerOptions{}
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	options.Level = levels[c.Level]
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	if isTerminal(w) {
		options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.String(slog.TimeKey, a.Value.Time().Format("15:04:05.000"))
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// long joins the lines of a help text's paragraphs.
func long(paragraphs ...string) string { return strings.Join(paragraphs, "\n\n") }
