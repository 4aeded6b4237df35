package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/cmd/weir/internal/pipeline"
	"weir/views/webhook"
)

func newWebhooks(sys system) *cobra.Command {
	list := below(sys, "webhooks", "list", &cobra.Command{
		Short:   "Show the receivers",
		Example: "  weir webhooks list\n  weir webhooks list --format json",
		Args:    cobra.NoArgs,
	}, listWebhooks)
	test := below(sys, "webhooks", "test NAME", &cobra.Command{
		Short: "Send a receiver a sample alert and print the answer",
		Long: long(`Sends a receiver a sample alert, once and whatever the receiver wants to be told, and prints the answer. It fails where the
receiver did not take it.`),
		Example: "  weir webhooks test fraud-desk",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{errors.New("name one receiver: weir webhooks test NAME")}
			}
			return nil
		},
	}, testWebhook)
	return parent(&cobra.Command{
		Use:   "webhooks",
		Short: "Show who is told about alerts, or send one a test",
		Long: long(`Shows the receivers that are told about alerts, or sends one a test. They are in the configuration file, under webhooks;
they are told where the group alerts runs.`,
			"Each receiver has a consumer group of its own, weir-webhooks-NAME: `kafka-consumer-groups --reset-offsets` makes it be told again."),
	}, list, test)
}

func listWebhooks(_ context.Context, a *app, _ []string) error {
	if err := a.onlyFormats("text", "json"); err != nil {
		return err
	}
	receivers := make([]webhook.Receiver, len(a.Webhooks))
	for i, r := range a.Webhooks {
		receivers[i] = r.Filled()
	}
	if a.Output.Format == "json" {
		return printJSON(a, receivers)
	}
	if len(receivers) == 0 {
		_, err := fmt.Fprintln(a.out, "nobody is told about alerts; name receivers under webhooks in the configuration file")
		return err
	}
	w := aligned(a.out)
	fmt.Fprintln(w, "NAME\tFORMAT\tEVENTS\tFROM SEVERITY\tRULES\tSIGNED\tADDRESS")
	for _, r := range receivers {
		rules, signed := "all", "no"
		if len(r.Rules) > 0 {
			rules = strings.Join(r.Rules, ",")
		}
		if r.SecretFile != "" || len(r.Secret) > 0 {
			signed = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.Format, strings.Join(r.Events, ","), r.MinSeverity, rules, signed, r.Shown())
	}
	return w.Flush()
}

func testWebhook(ctx context.Context, a *app, args []string) error {
	i := slices.IndexFunc(a.Webhooks, func(r webhook.Receiver) bool { return r.Name == args[0] })
	if i < 0 {
		var names []string
		for _, r := range a.Webhooks {
			names = append(names, r.Name)
		}
		return fmt.Errorf("there is no receiver %s; under webhooks there are: %s", args[0], strings.Join(names, ", "))
	}
	answer, err := webhook.Try(ctx, a.Webhooks[i], a.Serve.PublicURL)
	if err != nil {
		return fmt.Errorf("webhooks: %s: %w", args[0], err)
	}
	fmt.Fprintf(a.out, "%s after %s\n", answer, answer.Took.Round(time.Millisecond))
	if body := printable(answer.Body); body != "" {
		fmt.Fprintln(a.out, body)
	}
	if answer.Status < 200 || answer.Status >= 300 {
		return fmt.Errorf("%s did not take the test", args[0])
	}
	return nil
}

// startWebhooks starts the deliveries where they run.
func (a *app) startWebhooks(parts *stages) error {
	run, err := pipeline.Webhooks(&a.Config, a.deps())
	if err == nil && run != nil {
		parts.start("webhooks", run)
	}
	return err
}
