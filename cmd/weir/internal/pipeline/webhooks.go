package pipeline

import (
	"context"
	"slices"

	"weir/configs"
	"weir/views/webhook"
)

// Webhooks are the deliveries of alerts to receivers outside. They run where the group alerts runs; elsewhere, and without receivers, run
// is nil.
func Webhooks(cfg *configs.Config, deps Deps) (run func(ctx context.Context) error, err error) {
	if len(cfg.Webhooks) == 0 || !slices.Contains(cfg.Groups, "alerts") {
		return nil, nil
	}
	w, err := webhook.New(webhook.Config{
		Kafka: cfg.Kafka, Names: cfg.Names(), Receivers: cfg.Webhooks, PublicURL: cfg.Serve.PublicURL, Logger: deps.Logger, Registry: deps.Registry,
	})
	if err != nil {
		return nil, err
	}
	return w.Run, nil
}

// receivers are the names of who is told of alerts.
func receivers(cfg *configs.Config) []string {
	var names []string
	for _, r := range cfg.Webhooks {
		names = append(names, r.Name)
	}
	return names
}
