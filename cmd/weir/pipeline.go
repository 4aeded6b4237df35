package main

import (
	"context"
	"net"

	"weir/cmd/weir/internal/pipeline"
	"weir/configs"
)

func (a *app) deps() pipeline.Deps {
	deps := pipeline.Deps{Logger: a.log, Registry: a.registry}
	if a.rules != nil {
		deps.Rules, deps.Book = a.rules.Current(), a.rules
	}
	return deps
}

// followRules takes up the fraud rules in force and keeps them so: the groups and the view server of this process share them.
func (a *app) followRules(ctx context.Context, parts *stages) error {
	if a.Rules.File == configs.RulesOff {
		return nil
	}
	f, err := pipeline.FollowRules(ctx, &a.Config, a.deps())
	if err != nil {
		return err
	}
	a.rules = f
	parts.start("rules", f.Run)
	return nil
}

// runProcessors runs the groups that the configuration names until ctx ends. The topics exist.
func runProcessors(ctx context.Context, a *app) error {
	runtimes, err := pipeline.Processors(&a.Config, a.deps())
	if err != nil {
		return err
	}
	return pipeline.Run(ctx, &a.Config, runtimes)
}

// runServer runs the view server on ln until ctx ends. It closes ln.
func runServer(ctx context.Context, a *app, ln net.Listener) error {
	s, err := pipeline.NewServer(&a.Config, a.deps(), buildVersion())
	if err != nil {
		return firstOf(err, ln.Close())
	}
	return s.Run(ctx, func(ctx context.Context) error { return serveHTTP(ctx, ln, s.Handler) })
}
