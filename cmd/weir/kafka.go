package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology/client"
)

// probe tells whether the cluster answers, before anything is opened. The error names cause and remedy, and where the
// address was given.
func (a *app) probe(ctx context.Context) (client.ClusterInfo, error) {
	info, err := client.Probe(ctx, a.Kafka)
	if err != nil {
		return info, fmt.Errorf("%w\nkafka.brokers is %s (%s)", err, strings.Join(a.Kafka.Brokers, ","), a.Origin("kafka.brokers"))
	}
	for _, err := range info.Away {
		a.log.Warn("a broker does not answer; going on without it", "error", err)
	}
	a.log.Debug("kafka answers", "cluster", info.ID, "version", info.Version, "brokers", strings.Join(info.Brokers, ","))
	return info, nil
}

// connect opens a client of the cluster.
func (a *app) connect(more ...kgo.Opt) (*kgo.Client, error) {
	opts, err := a.Kafka.With(more...)
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	return cl, nil
}

// ensureTopics creates what is missing of the installation's topics and checks the rest.
func (a *app) ensureTopics(ctx context.Context) error {
	specs, err := a.TopicSpecs()
	if err != nil {
		return err
	}
	return a.ensure(ctx, specs)
}

func (a *app) ensure(ctx context.Context, specs []client.TopicSpec) error {
	cl, err := a.connect()
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := client.EnsureTopics(ctx, kadm.NewClient(cl), specs); err != nil {
		return client.Diagnose(a.Kafka, err)
	}
	return nil
}

// needTopics fails where a topic that is written to does not exist: a producer that creates topics by accident gives them
// the wrong partition count.
func (a *app) needTopics(ctx context.Context, cl *kgo.Client, names ...string) error {
	slices.Sort(names)
	infos, err := client.Describe(ctx, kadm.NewClient(cl), slices.Compact(names)...)
	if err != nil {
		return client.Diagnose(a.Kafka, err)
	}
	var missing []string
	partitions := map[int32][]string{}
	for _, t := range infos {
		if t.Missing {
			missing = append(missing, t.Name)
		} else {
			partitions[t.Partitions] = append(partitions[t.Partitions], t.Name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing on %s: topic %s; `weir topics --ensure` creates what weir needs", strings.Join(a.Kafka.Brokers, ","), strings.Join(missing, ", "))
	}
	if len(partitions) > 1 {
		var counts []string
		for n, topics := range partitions {
			counts = append(counts, fmt.Sprintf("%s: %d", strings.Join(topics, ", "), n))
		}
		slices.Sort(counts)
		return fmt.Errorf("the topics have unequal partition counts (%s): events of one order would not meet; make topics anew with equal counts", strings.Join(counts, "; "))
	}
	return nil
}

// listen opens an address; the error tells what to do.
func listen(address, flag string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("the port of %s is in use by another program; stop that one (`ss -ltnp` names it), or choose another with %s", address, flag)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("this user may not listen on %s; choose a port above 1023 with %s", address, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s is not an address of this machine; choose another with %s, or :port for all", address, flag)
	case err != nil:
		return nil, fmt.Errorf("listening on %s: %w; choose another address with %s", address, err, flag)
	}
	return ln, nil
}
