package topology

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Role is what a topic is for.
type Role string

// The roles.
const (
	Source   Role = "source"   // the shop writes, weir reads
	Internal Role = "internal" // from group to group
	State    Role = "table"    // a group's rows
	Output   Role = "output"   // for whoever wants it
)

// TopicNode is a topic in the graph.
type TopicNode struct {
	Name string `json:"name"`
	Role Role   `json:"role" enum:"source,internal,table,output"`
	Key  string `json:"key"`
}

// GroupNode is a group in the graph: what it reads and writes, and the table that it keeps.
type GroupNode struct {
	Name   string   `json:"name"`
	Key    string   `json:"key"`
	Does   string   `json:"does"`
	Reads  []string `json:"reads"`
	Writes []string `json:"writes"`
	Table  string   `json:"table"`
}

// ServerNode is the view server in the graph: the tables that it follows and the topics that it writes.
type ServerNode struct {
	Follows []string `json:"follows"`
	Writes  []string `json:"writes"`
}

// Graph is the way of events through topics and groups, in the order of the journey.
type Graph struct {
	Topics []TopicNode `json:"topics"`
	Groups []GroupNode `json:"groups"`
	Server ServerNode  `json:"server"`
	Edges  []Edge      `json:"edges"`
}

// ServerName is what edges call the view server.
const ServerName = "view server"

// Edge is one way that records go: from a topic into a group or the view server, or from there into a topic.
type Edge struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Kind     string `json:"kind" enum:"reads,writes,keeps,follows" doc:"keeps: a group's table; follows: the view server's copy of it"`
	Feedback bool   `json:"feedback,omitempty" doc:"against the journey: what people decide"`
}

// The kinds of edges.
const (
	Reads   = "reads"
	Writes  = "writes"
	Keeps   = "keeps"
	Follows = "follows"
)

func (g *Graph) connect() {
	for _, group := range g.Groups {
		for _, t := range group.Reads {
			g.Edges = append(g.Edges, Edge{From: t, To: group.Name, Kind: Reads})
		}
		for _, t := range group.Writes {
			g.Edges = append(g.Edges, Edge{From: group.Name, To: t, Kind: Writes})
		}
		g.Edges = append(g.Edges, Edge{From: group.Name, To: group.Table, Kind: Keeps})
	}
	for _, t := range g.Server.Follows {
		g.Edges = append(g.Edges, Edge{From: t, To: ServerName, Kind: Follows})
	}
	for _, t := range g.Server.Writes {
		g.Edges = append(g.Edges, Edge{From: ServerName, To: t, Kind: Writes, Feedback: true})
	}
}

const (
	metricKey = "metric/window/start/labels"
	entityKey = "kind:id"
)

// Describe returns the graph under an installation's names. sources are its input topics; with none, the canonical three.
func Describe(n Names, sources ...string) Graph {
	if len(sources) == 0 {
		sources = []string{Orders, Payments, Shipments}
	}
	var g Graph
	for _, s := range sources {
		g.Topics = append(g.Topics, TopicNode{s, Source, "order_id"})
	}
	g.Topics = append(g.Topics,
		TopicNode{n.In(Rules), State, "rule"},
		TopicNode{n.In(TableOrders), State, "order_id"},
		TopicNode{n.In(Deltas), Internal, metricKey},
		TopicNode{n.In(TableMetrics), State, metricKey},
		TopicNode{n.In(Observations), Internal, entityKey},
		TopicNode{n.In(TableEntities), State, entityKey},
		TopicNode{n.In(Findings), Internal, entityKey},
		TopicNode{n.In(Commands), Internal, entityKey},
		TopicNode{n.In(TableAlerts), State, entityKey},
		TopicNode{n.In(Alerts), Output, entityKey},
		TopicNode{n.In(DeadLetters), Output, "as it came"},
	)
	g.Groups = []GroupNode{
		{n.In(GroupOrders), "order_id", "joins an order's events in one row, drops duplicates, judges rules that need no features",
			append(slices.Clone(sources), n.In(Rules)), []string{n.In(Deltas), n.In(Observations), n.In(Findings), n.In(DeadLetters)}, n.In(TableOrders)},
		{n.In(GroupMetrics), metricKey, "adds deltas up in windows, expires old rows",
			[]string{n.In(Deltas)}, []string{}, n.In(TableMetrics)},
		{n.In(GroupEntities), entityKey, "keeps the features of customers, cards, addresses and the like, judges rules by them",
			[]string{n.In(Observations), n.In(Rules)}, []string{n.In(Findings)}, n.In(TableEntities)},
		{n.In(GroupAlerts), entityKey, "joins findings in alerts and alerts in cases, takes decisions",
			[]string{n.In(Findings), n.In(Commands), n.In(Rules)}, []string{n.In(Alerts)}, n.In(TableAlerts)},
	}
	g.Server.Writes = []string{n.In(Commands)}
	for _, group := range g.Groups {
		g.Server.Follows = append(g.Server.Follows, group.Table)
	}
	g.connect()
	return g
}

// JSON is the graph for programs.
func (g Graph) JSON() ([]byte, error) { return json.MarshalIndent(g, "", "  ") }

// Text is the graph for a terminal.
func (g Graph) Text() string {
	var b strings.Builder
	for _, group := range g.Groups {
		fmt.Fprintf(&b, "%s  (key %s)\n  %s\n", group.Name, group.Key, group.Does)
		fmt.Fprintf(&b, "  reads   %s\n", strings.Join(group.Reads, ", "))
		fmt.Fprintf(&b, "  keeps   %s\n", group.Table)
		if len(group.Writes) > 0 {
			fmt.Fprintf(&b, "  writes  %s\n", strings.Join(group.Writes, ", "))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "the view server\n  follows %s\n  writes  %s\n", strings.Join(g.Server.Follows, ", "), strings.Join(g.Server.Writes, ", "))
	return b.String()
}

// Mermaid is the graph as a flowchart: topics are cylinders, groups boxes.
func (g Graph) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for i, t := range g.Topics {
		fmt.Fprintf(&b, "  t%d[(%q)]\n", i, t.Name)
	}
	id := func(name string) string {
		return fmt.Sprintf("t%d", slices.IndexFunc(g.Topics, func(t TopicNode) bool { return t.Name == name }))
	}
	for i, group := range g.Groups {
		fmt.Fprintf(&b, "  g%d[%q]\n", i, group.Name)
		for _, t := range group.Reads {
			fmt.Fprintf(&b, "  %s --> g%d\n", id(t), i)
		}
		for _, t := range append(slices.Clone(group.Writes), group.Table) {
			fmt.Fprintf(&b, "  g%d --> %s\n", i, id(t))
		}
	}
	b.WriteString("  v[\"view server\"]\n")
	for _, t := range g.Server.Follows {
		fmt.Fprintf(&b, "  %s --> v\n", id(t))
	}
	for _, t := range g.Server.Writes {
		fmt.Fprintf(&b, "  v --> %s\n", id(t))
	}
	return b.String()
}
