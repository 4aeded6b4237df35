package query

import (
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bojanz/currency"

	"weir/topology/event"
	"weir/topology/metric"
)

// Answer is the body of GET /v1/metrics/{name}.
type Answer struct {
	Metric string      `json:"metric"`
	Kind   metric.Kind `json:"kind" enum:"count,sum,distinct,quantiles,top,ratio"`
	Unit   string      `json:"unit" doc:"money: minor units of the currency label; seconds; ratio: 0 to 1; else a plain number"`
	Window string      `json:"window"`
	Zone   string      `json:"tz,omitempty" doc:"of windows of the calendar"`
	Series []Series    `json:"series"`
	Meta   Meta        `json:"meta"`
}

// Series is the points of one label set, oldest first.
type Series struct {
	Labels   map[string]string `json:"labels"`
	Exponent *int              `json:"exponent,omitempty" doc:"decimal places of the currency, for money"`
	Points   []Point           `json:"points"`
}

// Point is the value of one window.
type Point struct {
	Start     time.Time          `json:"start"`
	End       time.Time          `json:"end"`
	Value     any                `json:"value" doc:"a string for sums and money (it may pass 2^53), else a number; null where a ratio has nothing below"`
	Count     int64              `json:"count" doc:"events counted"`
	Final     bool               `json:"final" doc:"the watermark has passed the end and the grace: later events count as late"`
	Late      int64              `json:"late,omitempty" doc:"events that came after the window was final; in no other figure"`
	Quantiles map[string]float64 `json:"quantiles,omitempty"`
	Top       []TopEntry         `json:"top,omitempty"`
	Min       any                `json:"min,omitempty"`
	Max       any                `json:"max,omitempty"`
	Previous  *Previous          `json:"previous,omitempty" doc:"with compare: the counterpart in the period before; absent where that has none"`
}

// TopEntry is one value of a top-k metric. Its true count is between Count − Error and Count.
type TopEntry struct {
	Value string `json:"value"`
	Count int64  `json:"count"`
	Error int64  `json:"error"`
}

// Meta says how fresh and how complete an answer is.
type Meta struct {
	Watermark  *time.Time `json:"watermark" doc:"all events before this time have been counted; null until known"`
	AsOf       *time.Time `json:"as_of" doc:"when the newest record behind this answer was written"`
	CaughtUpAt *time.Time `json:"caught_up_at" doc:"everything that was sent until then is in this answer. It is looked for every 2 s; null until known. A time that stands says that records wait, or that Kafka cannot be asked"`
	LagRecords int64      `json:"lag_records" doc:"records of the table's topic that this server has not read, as it was seen within the last seconds"`
	Partitions Partitions `json:"partitions"`
	Partial    bool       `json:"partial" doc:"some partitions are not recovered: what they hold is missing here, or as old as the server's last life"`
}

// Partitions says how many of the table's partitions stand behind an answer.
type Partitions struct {
	Present  int `json:"present"`
	Expected int `json:"expected"`
}

// Meta puts the progress into an answer's form.
func (p Progress) Meta() Meta {
	m := Meta{LagRecords: p.LagRecords, Partitions: Partitions{p.Present, p.Expected}, Partial: p.Present < p.Expected}
	if p.Watermark != 0 {
		t := p.Watermark.Time()
		m.Watermark = &t
	}
	m.AsOf, m.CaughtUpAt = known(p.AsOf), known(p.CaughtUpAt)
	return m
}

// known is a time in UTC; nil for none.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// CurrentAt is of when the answer is, as Progress.CurrentAt; nil while unknown.
func (m Meta) CurrentAt() *time.Time {
	if m.AsOf == nil || m.CaughtUpAt != nil && m.CaughtUpAt.After(*m.AsOf) {
		return m.CaughtUpAt
	}
	return m.AsOf
}

// Run answers a query from src.
func Run(q *Query, src Metrics, now time.Time) (*Answer, error) {
	src, release, err := Hold(src)
	if err != nil {
		return nil, err
	}
	defer release()
	progress := src.Progress() // before the rows: an answer is at least as fresh as it says
	plan, err := q.Plan(progress, now)
	if err != nil {
		return nil, err
	}
	a := &Answer{Metric: q.Def.Name, Kind: q.Def.Kind, Unit: q.Def.Unit, Window: q.Window, Meta: progress.Meta()}
	if q.unit != nil {
		a.Zone = q.zone.String()
	}
	var earlier Plan
	var counterpart func(Point) time.Time
	if q.Compare {
		if earlier, counterpart, err = q.before(plan, progress, now); err != nil {
			return nil, err
		}
	}
	var kept []string
	if a.Series, kept, err = q.read(src, plan, nil); err != nil || !q.Compare {
		return a, err
	}
	before, _, err := q.read(src, earlier, kept)
	compare(a.Series, before, q.By, counterpart, q.Window == WindowAll)
	return a, err
}

// read answers one plan. Of the greatest series those of only are kept, or where that is nil those that are the greatest now.
func (q *Query) read(src Metrics, plan Plan, only []string) (series []Series, kept []string, err error) {
	t, err := Load(q, src, plan)
	if err != nil {
		return nil, nil, err
	}
	if q.SeriesN > 0 {
		if kept, err = t.keepGreatest(q.SeriesN, only); err != nil {
			return nil, nil, err
		}
	}
	series, err = t.series()
	return series, kept, err
}

func (t *Table) series() ([]Series, error) {
	byLabel := map[string]*Series{}
	collect := func(rows []Keyed, err error) error {
		for _, r := range rows {
			_, label, _ := strings.Cut(r.Key, "/")
			s := byLabel[label]
			if s == nil {
				s = &Series{Labels: r.Row.Labels, Exponent: r.Row.Exponent}
				byLabel[label] = s
			}
			s.Points = append(s.Points, r.Row.Point)
		}
		return err
	}
	switch {
	case t.q.unit != nil:
		if err := collect(t.units()); err != nil {
			return nil, err
		}
	case t.q.Window == WindowAll:
		if err := collect(t.All()); err != nil {
			return nil, err
		}
	default:
		for _, b := range t.Buckets() {
			if err := collect(t.Rows(b)); err != nil {
				return nil, err
			}
		}
	}
	out := make([]Series, 0, len(byLabel))
	for _, label := range slices.Sorted(maps.Keys(byLabel)) {
		out = append(out, *byLabel[label])
	}
	return out, nil
}

func (q *Query) labels(label string) (map[string]string, error) {
	out := make(map[string]string, len(q.By))
	if len(q.By) == 0 {
		return out, nil
	}
	for i, token := range strings.Split(label, ",") {
		plain, err := plainLabel(token)
		if err != nil {
			return nil, err
		}
		out[q.By[i]] = plain
	}
	return out, nil
}

// exponent is that of the series' currency, for money.
func (q *Query) exponent(labels map[string]string) *int {
	if q.Def.Unit != metric.Money {
		return nil
	}
	return Exponent(labels[currencyLabel])
}

// Exponent is the decimal places of a currency, nil for codes that ISO 4217 does not know.
func Exponent(code string) *int {
	digits, ok := currency.GetDigits(code)
	if !ok {
		return nil
	}
	n := int(digits)
	return &n
}

func (q *Query) point(g *group, start, end, watermark event.UnixMilli) (Point, error) {
	p := Point{Start: start.Time().In(q.shown()), End: end.Time().In(q.shown()), Final: watermark != 0 && end.Add(q.Def.Grace) <= watermark}
	for _, c := range g.cells {
		p.Late += c.GetLate()
	}
	if q.Def.Derived != nil {
		q.ratio(&p, g)
		return p, nil
	}
	return p, q.fill(&p, g.cells[0])
}

// shown is the zone in which starts and ends are told.
func (q *Query) shown() *time.Location {
	if q.unit != nil {
		return q.zone
	}
	return time.UTC
}

// ratio divides in whole numbers: money stays exact to the last minor unit (halves away from zero).
func (q *Query) ratio(p *Point, g *group) {
	var over, under, weight int64
	for i, c := range g.cells {
		v := c.GetCount()
		if q.terms[i].sum {
			v = c.GetSum()
		}
		if q.terms[i].under {
			under += v
			weight += c.GetCount()
		} else {
			over += v
		}
	}
	p.Count = weight
	switch {
	case under == 0:
		p.Value = nil
	case q.Def.Unit == metric.Money:
		p.Value = roundedQuotient(over, under)
	default:
		p.Value = float64(over) / float64(under)
	}
}

func roundedQuotient(a, b int64) string {
	num, den := big.NewInt(a), big.NewInt(b)
	if den.Sign() < 0 {
		num.Neg(num)
		den.Neg(den)
	}
	negative := num.Sign() < 0
	num.Abs(num)
	num.Add(num.Lsh(num, 1), den).Quo(num, den.Lsh(den, 1)) // (2a + b) / 2b
	if negative {
		num.Neg(num)
	}
	return num.String()
}

func integer(v int64) string { return strconv.FormatInt(v, 10) }
