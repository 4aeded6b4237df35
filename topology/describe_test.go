package topology

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestDescribeNamesEveryTopicOnce(t *testing.T) {
	n := Names{Prefix: "eu-"}
	g := Describe(n, "checkout")
	role := map[string]Role{}
	for _, topic := range g.Topics {
		if role[topic.Name] != "" {
			t.Errorf("%s is there twice", topic.Name)
		}
		role[topic.Name] = topic.Role
	}
	for _, own := range n.Own() {
		if isTable := role[own.Name] == State; role[own.Name] == "" || isTable != (own.Kind == Table) {
			t.Errorf("%s has the role %q", own.Name, role[own.Name])
		}
	}
	if role["checkout"] != Source || len(role) != len(n.Own())+1 {
		t.Errorf("topics %v", role)
	}
	for _, topic := range g.Server.Writes {
		if role[topic] == "" {
			t.Errorf("the view server writes %s, which is not in the graph", topic)
		}
	}
	for _, group := range g.Groups {
		for _, topic := range append(append([]string{group.Table}, group.Reads...), group.Writes...) {
			if role[topic] == "" {
				t.Errorf("%s touches %s, which is not in the graph", group.Name, topic)
			}
		}
		if !slices.Contains(g.Server.Follows, group.Table) {
			t.Errorf("the view server does not follow %s", group.Table)
		}
		if role[group.Table] != State || group.Table != group.Name+"-table" {
			t.Errorf("%s keeps %s", group.Name, group.Table)
		}
	}
}

func TestDescribeIsPrintedInThreeForms(t *testing.T) {
	g := Describe(Names{})
	data, err := g.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var again Graph
	if err := json.Unmarshal(data, &again); err != nil || !reflect.DeepEqual(g, again) {
		t.Errorf("%v: %+v", err, again)
	}
	text, mermaid := g.Text(), g.Mermaid()
	for _, topic := range g.Topics {
		if !strings.Contains(text, topic.Name) || !strings.Contains(mermaid, `[("`+topic.Name+`")]`) {
			t.Errorf("%s is missing in the text or in the flowchart", topic.Name)
		}
	}
	if !strings.HasPrefix(mermaid, "flowchart LR\n") || strings.Contains(mermaid, "t-1") {
		t.Error(mermaid)
	}
}
