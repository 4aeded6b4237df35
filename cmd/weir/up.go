package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"weir/cmd/weir/internal/shop"
	"weir/configs"
	"weir/topology"
	"weir/topology/broker"
	"weir/topology/client"
)

func newUp(sys system) *cobra.Command {
	return command(sys, &cobra.Command{
		Use:   "up",
		Short: "Run everything in one process, with a Kafka broker of its own",
		Long: long(`Runs everything in one process: a broker that speaks the Kafka protocol and keeps its data in a folder, the processor
groups, the dashboard with the HTTP API, and a shop that makes orders. Whatever speaks Kafka can produce to it.`,
			`It is for trying weir out, for development and for small shops. Data survives a restart, a crash included.`),
		Example: `  weir up                                    # then open http://127.0.0.1:8080
  weir up --generate 0                       # without the shop: send events of your own
  weir up --generate 200 --data /tmp/weir    # a busy shop
  weir up --listen :8081 --kafka-listen 127.0.0.1:9093`,
		Args: cobra.NoArgs,
	}, up)
}

func up(ctx context.Context, a *app, _ []string) error {
	collect(upGC)
	if err := a.closeShopUnlessRead(); err != nil {
		return err
	}
	if a.isGiven("kafka.brokers") {
		a.log.Warn("weir up brings a broker of its own: kafka.brokers is not used; weir process and weir serve use it", "from", a.Origin("kafka.brokers"))
	}
	for _, dir := range []string{a.GroupsDir(), a.ViewsDir()} { // the broker looks after its own
		lock, err := lockFolder(dir)
		if err != nil {
			return err
		}
		defer lock.release()
	}
	ln, err := listen(a.Serve.Listen, "--listen")
	if err != nil {
		return err
	}
	kafka, err := broker.Start(broker.Config{
		Listen: a.Up.KafkaListen, DataDir: a.BrokerDir(), Partitions: a.Topics.Partitions,
		Retention: a.Up.Retention, RetentionBytes: int64(a.Up.RetentionBytes), Logger: a.log.With("part", "broker"),
	})
	if err != nil {
		return firstOf(err, ln.Close())
	}
	parts := newStages(a.log)
	parts.onStop("broker", kafka.Close)
	a.Kafka = client.Config{Brokers: []string{kafka.Addr()}, ClientID: a.Kafka.ClientID}
	if err := a.ensureUp(ctx); err != nil {
		return errors.Join(parts.abandon(ctx, err), ln.Close())
	}
	if err := a.followRules(ctx, parts); err != nil {
		return errors.Join(parts.abandon(ctx, err), ln.Close())
	}
	parts.start("groups", func(ctx context.Context) error { return runProcessors(ctx, a) })
	if err := a.startWebhooks(parts); err != nil {
		return errors.Join(parts.abandon(ctx, err), ln.Close())
	}
	parts.start("view server", func(ctx context.Context) error { return runServer(ctx, a, ln) })
	if a.Up.Generate > 0 {
		parts.start("generator", a.generateUp)
	}
	fmt.Fprintf(a.out, "weir is up\n  dashboard  http://%s\n  kafka      %s\n  data       %s\n  generator  %s\nstop it with Ctrl-C\n",
		ln.Addr(), kafka.Addr(), a.DataDir, describeRate(a.Up.Generate))
	return parts.wait(ctx)
}

// closeShopUnlessRead turns the generator off where its canonical events are not among the sources.
func (a *app) closeShopUnlessRead() error {
	inputs, err := a.Inputs()
	if err != nil || a.Up.Generate == 0 {
		return err
	}
	for _, topic := range a.StreamTopics() {
		if slices.ContainsFunc(inputs, func(in configs.Input) bool { return in.Topic == topic && in.Shape == configs.Canonical }) {
			continue
		}
		if a.isGiven("up.generate") {
			return fmt.Errorf("%s: up.generate: the built-in shop makes canonical events, and topic %s is not among the sources in that shape; leave out preset and sources, or the generator",
				a.Origin("up.generate"), topic)
		}
		a.log.Info("the built-in shop stays closed: its canonical events are not among the sources", "topic", topic)
		a.Up.Generate = 0
		return nil
	}
	return nil
}

func describeRate(rate float64) string {
	if rate == 0 {
		return "off"
	}
	return fmt.Sprintf("%g orders/s", rate)
}

// passingBytes bounds a partition of the streams between groups, of which nobody needs what the next group has read: the embedded broker
// holds an entry in memory for each batch, and these topics get one of each transaction.
const passingBytes = 1 << 20

// ensureUp makes the topics of the embedded broker. Their retention is the broker's, so that it follows the configuration.
func (a *app) ensureUp(ctx context.Context) error {
	specs, err := a.TopicSpecs()
	if err != nil {
		return err
	}
	names := a.Names()
	passing := []string{names.In(topology.Deltas), names.In(topology.Observations), names.In(topology.Findings), names.In(topology.Commands)}
	for i := range specs {
		specs[i].Retention, specs[i].Replication = 0, 1
		if slices.Contains(passing, specs[i].Name) {
			specs[i].RetentionBytes = passingBytes
		}
	}
	return a.ensure(ctx, specs)
}

// liveScale makes parcels arrive within minutes, so that a dashboard shows the whole journey.
const liveScale = 0.001

// generateUp is the built-in shop, live.
func (a *app) generateUp(ctx context.Context) error {
	o := shop.Options{Seed: a.Generate.Seed, Start: time.Now(), Rate: a.Up.Generate, LifeScale: a.Generate.LifeScale, Rhythm: a.Generate.Rhythm, Duplicates: a.Generate.Duplicates}
	if o.LifeScale == 0 {
		o.LifeScale = min(liveScale, shop.MaxLifeScale(o))
	}
	var err error
	if o.Fraud, err = a.fraudMix(); err != nil {
		return err
	}
	sink, err := a.newKafkaSink(ctx)
	if err != nil {
		return err
	}
	s, err := shop.New(o)
	if err != nil {
		return firstOf(err, sink.close())
	}
	err = newGeneration(s, sink, a.log).run(ctx)
	return firstOf(err, sink.close())
}
