package pipeline

import (
	"time"

	"weir/processors/entities"
	"weir/processors/rule"
	"weir/topology/event"
	"weir/views"
)

// entityReader reads rows of group entities for the view server, with the features of the rules in force. Without rules an entity has
// no features, but events.
func entityReader(rules *rule.Current) views.EntityReader {
	return func(kind, id string, row []byte, at event.UnixMilli, reserved func(key string) ([]byte, error)) (*views.Entity, error) {
		out := &views.Entity{At: at}
		var err error
		if out.Events, err = entities.Newest(row, views.MaxEntityEvents); err != nil || rules == nil {
			return out, err
		}
		set := rules.Load()
		features, err := entities.Features(set, kind+":"+id, row, at)
		if err != nil {
			return nil, err
		}
		series, err := reserved(entities.SeriesKey)
		if err != nil {
			return nil, err
		}
		since, err := entities.Warming(set, kind+":"+id, series)
		if err != nil {
			return nil, err
		}
		for i := range features {
			f := entityFeature(&features[i])
			f.Since = since[i]
			out.Features = append(out.Features, f)
		}
		return out, nil
	}
}

var valueTypes = map[rule.ValueType]string{
	rule.Number: "number", rule.Money: "money", rule.Text: "text", rule.Bool: "bool", rule.Time: "time", rule.Duration: "duration",
}

func entityFeature(f *entities.Feature) views.EntityFeature {
	return views.EntityFeature{Text: f.Text, From: f.From, To: f.To, Type: valueTypes[f.Value.Type], Known: f.Value.Known, Number: f.Value.Num,
		String: f.Value.Text, Currency: f.Currency, Entries: f.Entries, Exact: f.Exact, Step: time.Duration(f.Step) * time.Millisecond}
}
