package configs

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"weir/topology"
	"weir/topology/client"
	"weir/topology/event"
)

// Source is one input topic and the shape of its records.
//
//	sources:
//	  - topic: shop.orders              # canonical events
//	  - topic: checkout
//	    mapping: order-events           # a preset's shape
//	  - topic: billing
//	    mapping:                        # a preset's shape, changed; or, without preset, one's own
//	      preset: order-events
//	      defaults: {currency: EUR}
//	      fields: {customer_id: buyer.id}
type Source struct {
	Topic   string `yaml:"topic" json:"topic"`
	Mapping Shape  `yaml:"mapping" json:"mapping"`
}

// Shape is a preset's mapping, an own one, or an own one laid over a preset's. The zero Shape is the canonical one.
type Shape struct {
	Preset string
	Own    event.Mapping
}

// shapeText is Shape where it is not only a preset's name.
type shapeText struct {
	Preset    string            `yaml:"preset" json:"preset,omitempty"`
	Fields    map[string]string `yaml:"fields" json:"fields,omitempty"`
	Constants map[string]string `yaml:"constants" json:"constants,omitempty"`
	Defaults  map[string]string `yaml:"defaults" json:"defaults,omitempty"`
	Types     map[string]string `yaml:"types" json:"types,omitempty"`
	Money     string            `yaml:"money" json:"money,omitempty"`
	Inherit   bool              `yaml:"inherit" json:"inherit,omitempty"`
}

// UnmarshalYAML reads a preset's name or a mapping.
func (s *Shape) UnmarshalYAML(decode func(any) error) error {
	var name string
	if decode(&name) == nil {
		s.Preset = name
		return nil
	}
	var t shapeText
	if err := decode(&t); err != nil {
		return err
	}
	s.Preset = t.Preset
	s.Own = event.Mapping{Fields: t.Fields, Constants: t.Constants, Defaults: t.Defaults, Types: t.Types, Money: t.Money, Inherit: t.Inherit}
	return nil
}

// MarshalJSON writes what UnmarshalYAML reads: JSON is YAML.
func (s Shape) MarshalJSON() ([]byte, error) {
	o := s.Own
	if s.isPlain() {
		return json.Marshal(s.Preset)
	}
	return json.Marshal(shapeText{s.Preset, o.Fields, o.Constants, o.Defaults, o.Types, o.Money, o.Inherit})
}

func (s Shape) isPlain() bool {
	o := s.Own
	return len(o.Fields)+len(o.Constants)+len(o.Defaults)+len(o.Types) == 0 && o.Money == "" && !o.Inherit
}

func formatSources(sources []Source) string {
	if len(sources) == 0 {
		return "[]"
	}
	for i := range sources {
		if sources[i].Mapping.isPlain() && sources[i].Mapping.Preset == "" {
			sources[i].Mapping.Preset = Canonical
		}
	}
	b, err := json.Marshal(sources)
	if err != nil {
		panic(err) // strings and maps of strings always can be
	}
	return string(b)
}

// Canonical is the name of the shape that needs no mapping.
const Canonical = "canonical"

// mapping is the shape in full. topic chooses among a preset's topics, which may differ.
func (s Shape) mapping(topic string) (event.Mapping, error) {
	if s.Preset == "" {
		if s.isPlain() {
			return event.Mapping{Inherit: true}, nil
		}
		return s.Own, nil
	}
	byTopic, err := event.Preset(s.Preset)
	if err != nil {
		return event.Mapping{}, fmt.Errorf("%w%s", err, suggestion(s.Preset, event.PresetNames()))
	}
	m, ok := byTopic[topic]
	if !ok {
		m = byTopic[slices.Sorted(maps.Keys(byTopic))[0]]
	}
	return m.Merge(s.Own), nil
}

// Input is a source topic ready to be read.
type Input struct {
	Topic  string
	Shape  string // the preset's name, or "own"
	Parser *event.Parser
}

// Inputs are the source topics in a fixed order, with parsers that keep to the limits of the configuration.
func (c *Config) Inputs() ([]Input, error) {
	sources := c.Sources
	if len(sources) == 0 {
		sources = c.presetSources()
	}
	if len(sources) > maxSources {
		return nil, fmt.Errorf("sources: %d topics are given, the limit is %d", len(sources), maxSources)
	}
	limits := event.DefaultLimits()
	limits.MaxFuture = c.MaxFuture
	var inputs []Input
	var errs []error
	seen := map[string]bool{}
	for i, s := range sources {
		switch {
		case s.Topic == "":
			errs = append(errs, fmt.Errorf("sources[%d]: topic is missing", i))
			continue
		case seen[s.Topic]:
			errs = append(errs, fmt.Errorf("sources[%d]: topic %s is given twice", i, s.Topic))
			continue
		}
		seen[s.Topic] = true
		m, err := s.Mapping.mapping(s.Topic)
		if err == nil {
			var p *event.Parser
			if p, err = event.Compile(m); err == nil {
				inputs = append(inputs, Input{s.Topic, s.Mapping.name(), p.WithLimits(limits)})
				continue
			}
		}
		errs = append(errs, fmt.Errorf("sources[%d] (topic %s): mapping: %w", i, s.Topic, err))
	}
	return inputs, errors.Join(errs...)
}

const maxSources = 64

func (s Shape) name() string {
	switch {
	case !s.isPlain():
		return "own"
	case s.Preset == "":
		return Canonical
	}
	return s.Preset
}

// presetSources are the topics of the preset. The canonical shape has its topics' names from the configuration.
func (c *Config) presetSources() []Source {
	if c.Preset == Canonical {
		return []Source{{Topic: c.Topics.Orders}, {Topic: c.Topics.Payments}, {Topic: c.Topics.Shipments}}
	}
	byTopic, err := event.Preset(c.Preset)
	if err != nil {
		return nil // Validate has refused it
	}
	var sources []Source
	for _, topic := range slices.Sorted(maps.Keys(byTopic)) {
		sources = append(sources, Source{Topic: topic, Mapping: Shape{Preset: c.Preset}})
	}
	return sources
}

// StreamTopics are the topics of the canonical streams, to which weir's own producers write.
func (c *Config) StreamTopics() map[string]string {
	return map[string]string{"orders": c.Topics.Orders, "payments": c.Topics.Payments, "shipments": c.Topics.Shipments}
}

// TopicSpecs are all topics of the installation: the sources first.
func (c *Config) TopicSpecs() ([]client.TopicSpec, error) {
	inputs, err := c.Inputs()
	if err != nil {
		return nil, err
	}
	n := c.Names()
	partitions, replication := int32(c.Topics.Partitions), int16(c.Topics.Replication)
	stream := func(name, meets string) client.TopicSpec {
		return client.TopicSpec{Name: name, Partitions: partitions, Replication: replication, CoPartition: meets, Cleanup: client.Delete, Retention: c.Topics.Retention}
	}
	table := func(name, meets string) client.TopicSpec {
		return client.TopicSpec{Name: name, Partitions: partitions, Replication: replication, CoPartition: meets, Cleanup: client.Compact}
	}
	var specs []client.TopicSpec
	for _, in := range inputs {
		specs = append(specs, stream(in.Topic, "order_id"))
	}
	for _, t := range n.Own() {
		meets := map[string]string{
			n.In(topology.TableOrders): "order_id", n.In(topology.Deltas): "metric row", n.In(topology.TableMetrics): "metric row",
			n.In(topology.Observations): "observed entity", n.In(topology.TableEntities): "observed entity",
			n.In(topology.Findings): "alerted entity", n.In(topology.Commands): "alerted entity", n.In(topology.TableAlerts): "alerted entity",
		}[t.Name]
		spec := stream(t.Name, meets)
		if t.Kind == topology.Table {
			spec = table(t.Name, meets)
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

// Origins of pages must be scheme://host[:port]; "*" would let any page of the web read the shop's numbers.
func checkOrigin(origin string) error {
	scheme, host, ok := strings.Cut(origin, "://")
	if !ok || scheme != "http" && scheme != "https" || host == "" || strings.ContainsAny(host, "/*?# ") {
		return fmt.Errorf("%q is no origin; write it like https://shop.example.com", origin)
	}
	return nil
}
