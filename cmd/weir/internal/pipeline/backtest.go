package pipeline

import (
	"context"
	"fmt"
	"slices"

	"weir/cmd/weir/internal/backtest"
	"weir/configs"
	"weir/processors/orders"
	"weir/processors/rule"
	"weir/topology/event"
	"weir/topology/rulebook"
)

// BacktestOptions are those that the configuration decides: how events are read, and what is late.
func BacktestOptions(cfg *configs.Config) (backtest.Options, error) {
	o := backtest.Options{Orders: orders.DefaultSettings(), Disorder: cfg.Watermark.Disorder, Idle: cfg.Watermark.Idle,
		Parsers: map[string]*event.Parser{}}
	o.Orders.Retention = cfg.Orders.Retention
	inputs, err := cfg.Inputs()
	if err != nil {
		return o, err
	}
	for _, in := range inputs {
		o.Parsers[in.Topic] = in.Parser
	}
	return o, nil
}

// OpenHistory opens what the source topics hold and makes it the events of a backtest.
func OpenHistory(ctx context.Context, cfg *configs.Config, o *backtest.Options) (*backtest.History, error) {
	h, err := backtest.OpenHistory(ctx, cfg.Kafka, sourceTopics(o.Parsers), backtest.Warmup(o.From, o.Set, o.Against))
	if err != nil {
		return nil, err
	}
	o.Events, o.Partitions = h.Records(ctx), h.Partitions()
	return h, nil
}

// DocumentOf is a book's document, compiled by whoever wants it.
func (b *RuleBook) DocumentOf(book rulebook.Book) (*rule.Document, error) { return parseBook(&book) }

// Tried is a document as a backtest runs it: what is draft is evaluated beside the others, as if it were in shadow, and with live as
// if it were live, and so are shadow rules. Rules that are paused or retired stay so.
func Tried(d *rule.Document, live bool) *rule.Document {
	c := *d
	c.Rules = slices.Clone(d.Rules)
	for i := range c.Rules {
		switch s := c.Rules[i].State; {
		case live && (s == rule.Draft || s == rule.Shadow):
			c.Rules[i].State = rule.Live
		case s == rule.Draft:
			c.Rules[i].State = rule.Shadow
		}
	}
	return &c
}

// Only is a document with one of its rules, as if it were live.
func Only(d *rule.Document, id string) (*rule.Document, error) {
	i := slices.IndexFunc(d.Rules, func(r rule.Definition) bool { return r.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("there is no rule %s; `weir rules list` shows what there is", id)
	}
	c := *d
	c.Rules = []rule.Definition{d.Rules[i]}
	c.Rules[0].State = rule.Live
	return &c, nil
}
