package querytest

import (
	"time"

	"weir/views/query"
)

// Windows are those of the default metrics.
var Windows = []query.Window{
	{Name: "1m", Length: time.Minute, Keep: 48 * time.Hour, Aligned: true},
	{Name: "1h", Length: time.Hour, Keep: 90 * 24 * time.Hour, Aligned: true},
	{Name: "1d", Length: 24 * time.Hour, Keep: 3 * 365 * 24 * time.Hour, Aligned: true},
}

// Catalogue has metrics of the kinds that a dashboard shows, under the names and labels of the default metrics.
func Catalogue() *query.Catalogue {
	day := 24 * time.Hour
	def := func(name string, kind query.Kind, unit string, labels ...string) query.Definition {
		return query.Definition{Name: name, Kind: kind, Unit: unit, Labels: labels, Windows: Windows, Grace: day}
	}
	captured, failed := query.Part{Metric: "payments_captured"}, query.Part{Metric: "payments_failed"}
	onTime, late := query.Part{Metric: "deliveries", Label: "on_time", Value: "true"}, query.Part{Metric: "deliveries", Label: "on_time", Value: "false"}
	c, err := query.NewCatalogue([]query.Definition{
		def("orders", query.Count, "", "region", "country", "channel", "currency"),
		def("gmv", query.Sum, query.Money, "region", "country", "channel", "currency"),
		def("items_sold", query.Sum, "", "category", "currency"),
		def("item_revenue", query.Sum, query.Money, "category", "currency"),
		def("payments_captured", query.Count, "", "method", "region", "country"),
		def("payments_failed", query.Count, "", "method", "region", "country", "decline_code"),
		def("revenue", query.Sum, query.Money, "method", "region", "country", "currency"),
		def("refunds", query.Sum, query.Money, "method", "region", "currency"),
		def("shipments_dispatched", query.Count, "", "carrier", "region", "country"),
		def("deliveries", query.Count, "", "carrier", "region", "country", "on_time"),
		def("time_to_ship", query.Quantiles, "seconds", "carrier", "region", "country"),
		def("funnel", query.Count, "", "stage", "region", "country"),
		def("customers", query.Distinct, "", "region", "country"),
		def("top_products", query.Top, "", "category"),
		{Name: "aov", Kind: query.Ratio, Unit: query.Money, Ratio: &query.Parts{Over: []query.Part{{Metric: "gmv", Sum: true}}, Under: []query.Part{{Metric: "orders"}}}},
		{Name: "payment_success_rate", Kind: query.Ratio, Unit: "ratio", Ratio: &query.Parts{Over: []query.Part{captured}, Under: []query.Part{captured, failed}}},
		{Name: "on_time_rate", Kind: query.Ratio, Unit: "ratio", Ratio: &query.Parts{Over: []query.Part{onTime}, Under: []query.Part{onTime, late}}},
		{Name: "refund_rate", Kind: query.Ratio, Unit: "ratio", Ratio: &query.Parts{Over: []query.Part{{Metric: "refunds", Sum: true}}, Under: []query.Part{{Metric: "revenue", Sum: true}}}},
	})
	if err != nil {
		panic(err)
	}
	return c
}
