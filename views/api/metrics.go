package api

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"weir/topology/event"
	"weir/topology/metric"
	"weir/views/query"
)

type metricInput struct {
	Name      string   `path:"name" maxLength:"128" pattern:"^[a-z][a-z0-9_]*$" doc:"the metric" example:"revenue"`
	Window    string   `query:"window" maxLength:"32" doc:"1m, 1h, 1d: what the metric keeps; all: the range merged into one point; day, week (from Monday), month, quarter, year: of the zone tz, composed of what is kept; default the finest" example:"1m"`
	Zone      string   `query:"tz" maxLength:"64" doc:"zone of the IANA database in which dates are read and day, week, month, quarter, year and 1d begin; default UTC. Windows of a zone are made of those of an hour or a minute, and reach back as far as these are kept" example:"Europe/Madrid"`
	From      string   `query:"from" doc:"RFC 3339, a date, now-1h (now is the metric's watermark, so that ranges follow the data) or wall-1h (the server's clock)" example:"now-1h"`
	To        string   `query:"to" doc:"as from; default open"`
	By        []string `query:"by,explode" doc:"labels to keep, separated by commas" example:"region"`
	Where     []string `query:"where,explode" doc:"label:value, repeatable; values of one label are alternatives, different labels must all hold" example:"region:eu-west"`
	Quantiles string   `query:"quantiles" doc:"for metrics of kind quantiles: numbers from 0 to 1, separated by commas" example:"0.5,0.95"`
	Top       string   `query:"top" doc:"for metrics of kind top: how many entries, 1 to 100; for others how many series of by are kept apart, the greatest of the range: the rest is merged into (other)"`
	Compare   string   `query:"compare" doc:"previous: each point with its counterpart in the period of the same length right before, and the difference"`
	Formats
	Freshness
}

func (in *metricInput) params() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{"window": in.Window, "from": in.From, "to": in.To, "tz": in.Zone, "compare": in.Compare, "quantiles": in.Quantiles, "top": in.Top} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if len(in.By) > 0 {
		v["by"] = in.By
	}
	if len(in.Where) > 0 {
		v["where"] = in.Where
	}
	return v
}

type metricOutput struct{ Body *query.Answer }

func (s *server) queryMetric(_ context.Context, in *metricInput) (*metricOutput, error) {
	q, err := s.Catalogue.Parse(in.Name, in.params())
	if err != nil {
		return nil, s.problem(err)
	}
	if err := in.enough(s.Metrics.Progress(), s.Now()); err != nil {
		return nil, err
	}
	answer, err := query.Run(q, s.Metrics, s.Now())
	if err != nil {
		return nil, s.problem(err)
	}
	return &metricOutput{answer}, nil
}

// MetricInfo describes one metric.
type MetricInfo struct {
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Kind        metric.Kind  `json:"kind" enum:"count,sum,distinct,quantiles,top,ratio"`
	Unit        string       `json:"unit"`
	Labels      []string     `json:"labels"`
	Windows     []WindowInfo `json:"windows"`
	Derived     bool         `json:"derived" doc:"computed from other metrics when asked for"`
}

// WindowInfo describes one resolution of a metric.
type WindowInfo struct {
	Name          string `json:"name"`
	Kind          string `json:"kind" enum:"tumbling,hopping,sliding"`
	LengthSeconds int64  `json:"length_seconds"`
	EverySeconds  int64  `json:"every_seconds" doc:"from one start to the next"`
	KeptSeconds   int64  `json:"kept_seconds" doc:"counted back from the watermark"`
}

// Overview is what a dashboard should show first: where this shop's data is.
type Overview struct {
	Currency   string          `json:"currency" doc:"the currency of most orders; empty before the first"`
	Currencies []CurrencyCount `json:"currencies" doc:"all currencies, the one of most orders first"`
	Range      string          `json:"range" doc:"back from the watermark: the shortest of the usual ranges that shows enough orders"`
	Window     string          `json:"window" doc:"the resolution for that range"`
}

// CurrencyCount is how many orders a currency has.
type CurrencyCount struct {
	Currency string `json:"currency"`
	Exponent *int   `json:"exponent,omitempty"`
	Orders   int64  `json:"orders"`
}

type metricsOutput struct {
	Body struct {
		Metrics  []MetricInfo `json:"metrics"`
		Overview Overview     `json:"overview"`
		Meta     query.Meta   `json:"meta"`
	}
}

func (s *server) listMetrics(_ context.Context, in *Freshness) (*metricsOutput, error) {
	out := &metricsOutput{}
	for _, name := range s.Catalogue.Names() {
		d := s.Catalogue.Get(name)
		info := MetricInfo{Name: d.Name, Description: d.Help, Kind: d.Kind, Unit: d.Unit, Labels: slices.Clone(d.Labels), Derived: d.Derived != nil}
		for _, w := range d.Windows {
			info.Windows = append(info.Windows, WindowInfo{w.Name, w.Kind.String(), int64(w.Size / time.Second), int64(w.Advance / time.Second), int64(w.Retention / time.Second)})
		}
		out.Body.Metrics = append(out.Body.Metrics, info)
	}
	progress := s.Metrics.Progress()
	if err := in.enough(progress, s.Now()); err != nil {
		return nil, err
	}
	out.Body.Meta = progress.Meta()
	var err error
	out.Body.Overview, err = s.overview.get(s, progress)
	if err != nil {
		return nil, s.problem(err)
	}
	return out, nil
}

// usualRanges are what a dashboard offers, each with the window that gives it a readable number of points.
var usualRanges = []struct {
	name, window string
	length       time.Duration
}{
	{"1h", "1m", time.Hour},
	{"6h", "1m", 6 * time.Hour},
	{"24h", "1h", 24 * time.Hour},
	{"7d", "1h", 7 * 24 * time.Hour},
	{"30d", "1d", 30 * 24 * time.Hour},
	{"90d", "1d", 90 * 24 * time.Hour},
	{"365d", "1d", 365 * 24 * time.Hour},
	{"1095d", "1d", 1095 * 24 * time.Hour},
}

// enoughOrders is how many orders make a chart worth looking at.
const enoughOrders = 60

// overview remembers its answer for a moment: many dashboards open at once when a server comes back.
type overview struct {
	mu   sync.Mutex
	at   time.Time
	last Overview
}

func (o *overview) get(s *server, progress query.Progress) (Overview, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s.Now().Sub(o.at) < time.Second {
		return o.last, nil
	}
	out := Overview{Range: usualRanges[0].name, Window: usualRanges[0].window, Currencies: []CurrencyCount{}}
	if s.Catalogue.Get("orders") == nil {
		return out, nil
	}
	counts, err := s.ordersBy("currency", "")
	if err != nil {
		return out, err
	}
	for code, n := range counts {
		out.Currencies = append(out.Currencies, CurrencyCount{code, query.Exponent(code), n})
	}
	slices.SortFunc(out.Currencies, func(a, b CurrencyCount) int {
		if a.Orders != b.Orders {
			return int(min(1, max(-1, b.Orders-a.Orders)))
		}
		if a.Currency < b.Currency {
			return -1
		}
		return 1
	})
	if len(out.Currencies) > 0 {
		out.Currency = out.Currencies[0].Currency
	}
	if err := s.chooseRange(&out, progress.Watermark); err != nil {
		return out, err
	}
	o.last, o.at = out, s.Now()
	return out, nil
}

// chooseRange takes the shortest usual range with enough orders, else the shortest with the most.
func (s *server) chooseRange(out *Overview, watermark event.UnixMilli) error {
	var most int64
	for _, r := range usualRanges {
		if watermark == 0 {
			return nil
		}
		counts, err := s.ordersBy("", "now-"+strconv.Itoa(int(r.length/time.Second))+"s")
		if _, unkept := query.IsParam(err); unkept {
			continue
		} else if err != nil {
			return err
		}
		if n := counts[""]; n > most {
			most, out.Range, out.Window = n, r.name, r.window
			if n >= enoughOrders {
				return nil
			}
		}
	}
	return nil
}

func (s *server) ordersBy(label, from string) (map[string]int64, error) {
	params := url.Values{"window": {query.WindowAll}}
	if label != "" {
		if !slices.Contains(s.Catalogue.Get("orders").Labels, label) {
			return nil, nil
		}
		params.Set("by", label)
	}
	if from != "" {
		params.Set("from", from)
	}
	q, err := s.Catalogue.Parse("orders", params)
	if err != nil {
		return nil, err
	}
	answer, err := query.Run(q, s.Metrics, s.Now())
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for _, series := range answer.Series {
		for _, p := range series.Points {
			out[series.Labels[label]] += p.Count
		}
	}
	return out, nil
}
