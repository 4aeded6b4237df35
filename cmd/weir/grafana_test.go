package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/gorilla/websocket"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"weir/views/query"
)

const (
	grafanaDir    = "../../configs/grafana"
	prometheusDir = "../../configs/prometheus"

	// Data sources by their UIDs in the provisioning.
	shopSource, engineSource = "weir", "weir-engine"
)

// expression is one query of a dashboard or of a rule.
type expression struct {
	source, from, text string // the data source's UID, where it stands, PromQL
	instant            bool
}

// dashboard is what of a dashboard's JSON matters here.
type dashboard struct {
	UID, Title string
	Panels     []struct {
		ID          int
		Type, Title string
		Description string
		Targets     []struct {
			Expr       string
			Instant    bool
			Datasource struct{ UID string }
		}
	}
	Templating struct {
		List []struct {
			Name, Type, Definition string
			Datasource             struct{ UID string }
		}
	}
}

func dashboards(t *testing.T) (out []dashboard) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(grafanaDir, "dashboards", "*.json"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		var d dashboard
		b, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(b, &d)
		}
		if err != nil {
			t.Fatal(file, err)
		}
		out = append(out, d)
	}
	return out
}

// expressionsOf are the queries of a dashboard as Grafana sends them.
func expressionsOf(t *testing.T, d dashboard) (out []expression) {
	t.Helper()
	variables := strings.NewReplacer("$__rate_interval", "1m", "$__interval", "6h", "$__range", "30d", "$window", "1h", "$currency", "EUR",
		"$region", ".*", "$instance", ".*", "$group", ".*")
	for _, p := range d.Panels {
		if p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("%s, %s: a panel says what it shows, and asks for it", d.Title, p.Title)
		}
		for _, target := range p.Targets {
			out = append(out, expression{target.Datasource.UID, d.Title + ", " + p.Title, variables.Replace(target.Expr), target.Instant})
		}
	}
	list := regexp.MustCompile(`^label_values\((.+), ([a-z_]+)\)$`)
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		m := list.FindStringSubmatch(v.Definition)
		if m == nil {
			t.Errorf("%s: variable %s is asked for by %q", d.Title, v.Name, v.Definition)
			continue
		}
		out = append(out, expression{v.Datasource.UID, d.Title + ", $" + v.Name, fmt.Sprintf("count by (%s) (%s)", m[2], m[1]), true})
	}
	return out
}

func rules(t *testing.T) (out []expression) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(prometheusDir, "weir-rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(content, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			out = append(out, expression{engineSource, "rule " + r.Alert, r.Expr, true})
			if !slices.Contains([]string{"page", "ticket"}, r.Labels["severity"]) || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("rule %s does not say whom it wakes, what is wrong and what to do", r.Alert)
			}
		}
	}
	if len(out) < 10 {
		t.Errorf("there are %d rules", len(out))
	}
	return out
}

// taught are the expressions of the two READMEs.
func taught(t *testing.T) (out []expression) {
	t.Helper()
	for file, find := range map[string]string{
		"../../README.md":                      "(?m)^((?:sum|shop_).*)$",
		filepath.Join(grafanaDir, "README.md"): "`((?:sum|shop_)[^`]*[)}])`",
	} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(find).FindAllStringSubmatch(string(b), -1)
		if len(found) < 5 {
			t.Errorf("%s teaches %d expressions", file, len(found))
		}
		for _, m := range found {
			out = append(out, expression{shopSource, file, strings.NewReplacer("$__interval", "1m", "$__range", "1d").Replace(m[1]), true})
		}
	}
	return out
}

// served is the label names of each metric that a page of /metrics has.
type served map[string]map[string]bool

func servedBy(page string) served {
	out := served{}
	label := regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="`)
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, set, _ := strings.Cut(name, "{")
		if out[name] == nil {
			out[name] = map[string]bool{"job": true, "instance": true} // a scrape adds them
		}
		for _, m := range label.FindAllStringSubmatch(set+" "+rest, -1) {
			out[name][m[1]] = true
		}
	}
	out["up"] = map[string]bool{"job": true, "instance": true}
	return out
}

// check parses an expression and finds every metric and label that it names.
func (s served) check(t *testing.T, e expression) {
	t.Helper()
	if strings.Contains(e.text, "$") {
		t.Errorf("%s: a variable is left in %s", e.from, e.text)
		return
	}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(e.text)
	if err != nil {
		t.Errorf("%s: %v\n%s", e.from, err, e.text)
		return
	}
	names := func(node parser.Node) map[string]bool { // the labels of all metrics below a node
		found := map[string]bool{}
		parser.Inspect(node, func(n parser.Node, _ []parser.Node) error {
			if v, ok := n.(*parser.VectorSelector); ok {
				for l := range s[v.Name] {
					found[l] = true
				}
			}
			return nil
		})
		return found
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			if s[n.Name] == nil {
				t.Errorf("%s: there is no metric %q", e.from, n.Name)
				return nil
			}
			for _, m := range n.LabelMatchers {
				if m.Name != model.MetricNameLabel && !s[n.Name][m.Name] {
					t.Errorf("%s: %s has no label %q", e.from, n.Name, m.Name)
				}
			}
		case *parser.AggregateExpr:
			known := names(n.Expr)
			for _, l := range n.Grouping {
				if !known[l] {
					t.Errorf("%s: nothing in %s has a label %q to group by", e.from, n.Expr, l)
				}
			}
		}
		return nil
	})
}

// TestDashboardsAskForWhatThereIs runs weir with a month of a shop, and checks every query of the dashboards and of the rules for the
// engineer on call against what it serves.
func TestDashboardsAskForWhatThereIs(t *testing.T) {
	longForm(t)
	t.Parallel()
	desk := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer desk.Close()
	config := fmt.Sprintf("webhooks: [{name: desk, url: %q, secret: hush-hush-hush-hush}]\n", desk.URL)
	up := startUp(t, config)
	defer up.stop()
	file := filepath.Join(t.TempDir(), "events.ndjson")
	if r := weir(t, invocation{args: []string{"generate", "--orders", "2000", "--rate", "0.01", "--start", "2026-01-01T06:00:00Z", "--seed", "5",
		"--fraud", "default,card_testing_bot=0.01,refund_abuser=0.05", "--output", file}}); r.code != 0 {
		t.Fatal(r.err)
	}
	up.settled(replayed(t, config, up.kafka, file))
	shop := shopOf(t, up)
	engine := engineOf(t, up)
	shown := map[string]int{} // series, by panel or variable
	asked := 0
	for _, d := range dashboards(t) {
		for _, e := range expressionsOf(t, d) {
			asked++
			switch e.source {
			case shopSource:
				shop.check(t, e)
				shown[e.from] += shows(t, up, e)
			case engineSource:
				engine.check(t, e)
			default:
				t.Errorf("%s: the data source %q is not provisioned", e.from, e.source)
			}
		}
	}
	for _, e := range taught(t) {
		asked++
		shop.check(t, e)
	}
	for _, e := range rules(t) {
		asked++
		engine.check(t, e)
	}
	if asked < 90 {
		t.Errorf("only %d queries were found", asked)
	}
	for panel, series := range shown {
		if series == 0 {
			t.Errorf("%s shows nothing over a month of a shop", panel)
		}
	}
}

// shopOf is what weir's Prometheus API has.
func shopOf(t *testing.T, up *running) served {
	t.Helper()
	out := served{}
	var names struct{ Data []string }
	up.must("/prometheus/api/v1/label/__name__/values", &names)
	for _, name := range names.Data {
		var of struct{ Data []string }
		up.must("/prometheus/api/v1/labels?match[]="+url.QueryEscape(name), &of)
		out[name] = map[string]bool{}
		for _, l := range of.Data {
			out[name][l] = true
		}
	}
	if len(out) < 30 {
		t.Fatalf("there are %d names: %v", len(out), names)
	}
	return out
}

// engineOf is what /metrics has, once a websocket was closed and a query answered.
func engineOf(t *testing.T, up *running) served {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{"weir.v1"}}
	c, _, err := dialer.Dial("ws"+strings.TrimPrefix(up.api, "http")+"/v1/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.WriteMessage(websocket.TextMessage, []byte("this is no frame")); err != nil {
		t.Fatal(err)
	}
	for err == nil { // until the server has closed it
		_, _, err = c.ReadMessage()
	}
	var page string
	up.eventually("the closed connection is not told", func() string {
		_, page = up.get("/metrics", nil)
		if !strings.Contains(page, "weir_live_closes_total{") {
			return "no weir_live_closes_total"
		}
		return ""
	})
	return servedBy(page)
}

// shows is how many series an expression has in the month that was replayed.
func shows(t *testing.T, up *running, e expression) int {
	t.Helper()
	var now struct{ Meta query.Meta }
	up.must("/v1/metrics", &now)
	to := now.Meta.Watermark.Add(time.Second)
	params := url.Values{"query": {e.text}, "time": {to.Format(time.RFC3339Nano)}}
	path := "query"
	if !e.instant {
		path = "query_range"
		params = url.Values{"query": {e.text}, "start": {"2026-01-01T00:00:00Z"}, "end": {to.Format(time.RFC3339Nano)}, "step": {"21600"}}
	}
	res, err := http.PostForm(up.api+"/prometheus/api/v1/"+path, params)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var a struct {
		Status, Error   string
		Warnings, Infos []string
		Data            struct{ Result []json.RawMessage }
	}
	if err := json.Unmarshal(body, &a); err != nil || a.Status != "success" || len(a.Warnings)+len(a.Infos) > 0 {
		t.Errorf("%s: %v %.500s\n%s", e.from, err, body, e.text)
	}
	return len(a.Data.Result)
}

func TestProvisioningFitsTogether(t *testing.T) {
	read := func(file string, into any) {
		t.Helper()
		b, err := os.ReadFile(file)
		if err == nil {
			err = yaml.Unmarshal(b, into)
		}
		if err != nil {
			t.Fatal(file, err)
		}
	}
	var sources struct {
		Datasources []struct{ UID, Type, URL string }
	}
	read(filepath.Join(grafanaDir, "provisioning/datasources/weir.yaml"), &sources)
	uids := map[string]string{}
	for _, s := range sources.Datasources {
		uids[s.UID] = s.URL
	}
	if uids[shopSource] != "${WEIR_URL}/prometheus" || uids[engineSource] != "${PROMETHEUS_URL}" || len(uids) != 2 {
		t.Errorf("data sources are %v", uids)
	}
	var providers struct {
		Providers []struct{ Options struct{ Path string } }
	}
	read(filepath.Join(grafanaDir, "provisioning/dashboards/weir.yaml"), &providers)
	var compose struct {
		Services map[string]struct {
			Environment map[string]string
			Volumes     []string
		}
	}
	read(filepath.Join(grafanaDir, "compose.yaml"), &compose)
	grafana := compose.Services["grafana"]
	if len(providers.Providers) != 1 || !slices.Contains(grafana.Volumes, "./dashboards:"+providers.Providers[0].Options.Path+":ro") {
		t.Errorf("the dashboards of %v are not where Grafana looks: %v", providers, grafana.Volumes)
	}
	for _, name := range []string{"WEIR_URL", "PROMETHEUS_URL"} {
		if grafana.Environment[name] == "" {
			t.Errorf("Grafana is not told %s", name)
		}
	}
	var scrape struct {
		RuleFiles []string `yaml:"rule_files"`
		Jobs      []struct {
			Name string `yaml:"job_name"`
		} `yaml:"scrape_configs"`
	}
	read(filepath.Join(prometheusDir, "prometheus.yml"), &scrape)
	if len(scrape.RuleFiles) != 1 || len(scrape.Jobs) != 1 || scrape.Jobs[0].Name != "weir" {
		t.Errorf("the scrape configuration is %+v", scrape)
	}
	for _, name := range scrape.RuleFiles {
		if _, err := os.Stat(filepath.Join(prometheusDir, name)); err != nil {
			t.Error(err)
		}
	}
	seen := map[string]bool{}
	for _, d := range dashboards(t) {
		if d.UID == "" || seen[d.UID] {
			t.Errorf("%s has no UID of its own", d.Title)
		}
		seen[d.UID] = true
		ids := map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] {
				t.Errorf("%s: two panels have the id %d", d.Title, p.ID)
			}
			ids[p.ID] = true
		}
	}
}
