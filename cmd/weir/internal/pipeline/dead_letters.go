package pipeline

import (
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"weir/configs"
	"weir/topology"
	"weir/topology/event"
	"weir/views/deadletter"
)

// DeadLetters reads and replays the dead letters of an installation. What can be replayed is what its parsers would take now.
func DeadLetters(cfg *configs.Config, adm *kadm.Client, log *slog.Logger) (*deadletter.Reader, error) {
	inputs, err := cfg.Inputs()
	if err != nil {
		return nil, err
	}
	sources := map[string]deadletter.Check{}
	for _, in := range inputs {
		sources[in.Topic] = wouldBeTaken(in.Parser)
	}
	return deadletter.New(deadletter.Config{Kafka: cfg.Kafka, Admin: adm, Topic: cfg.Names().In(topology.DeadLetters), Sources: sources, Logger: log}), nil
}

// wouldBeTaken is what group orders asks of a record before it looks at its order.
func wouldBeTaken(p *event.Parser) deadletter.Check {
	return func(key, value []byte) error {
		e, err := p.Parse(value, event.UnixMilli(time.Now().UnixMilli()))
		if err != nil {
			return err
		}
		return e.CheckKey(string(key))
	}
}
