// Package prom answers Prometheus' read API over the business metrics, so that Grafana's own data source, promtool and every
// other client of that API read weir-metrics-table as if it were a Prometheus server. PromQL is parsed and evaluated by
// Prometheus' engine; this package is the storage under it and the HTTP around it.
//
//	query ─ parser ─► selectors ─ catalogue: which metric, form, window, labels ─ scan ─► series ─ engine ─► JSON
//
// # Names
//
// Every name begins with shop_: weir_ is how weir is, shop_ is how the shop is. A metric m of configs/metrics.yaml gives
//
//	count      shop_m                         gauge    what one window counted
//	           shop_m_total                   counter
//	sum        shop_m, shop_m_events          gauge    the sum in one window, and of how many events; money in major units
//	           shop_m_total, shop_m_events_total  counter
//	distinct   shop_m                         gauge
//	quantiles  shop_m_seconds{quantile}       gauge    of one window
//	           shop_m_seconds_sum, _count     counter
//	top        shop_m{value}                  gauge    the greatest of one window, at most their true count + error
//	ratio      shop_m_ratio (money: shop_m)   gauge    a trailing _rate of the name makes room for _ratio
//
// Fraud alerts come from their own table: shop_alerts_started (with _total) counts them in the window of their first hit,
// shop_alerts says how many there are now. Both have the labels rule, severity, status, kind (of the entity) and shadow.
//
// # Labels
//
// Those of the metric, and
//
//	window    1m, 1h, … A selector that does not name it reads the finest: windows of different lengths are never added up by chance.
//	by        absent: every label that the metric declares. by="region,currency" merges rows to these labels, by="total" to none
//	          (money keeps its currency). What PromQL cannot merge, distinct values, quantiles and ratios, is merged right this way.
//	          Matchers on labels that are merged away still filter.
//	quantile  of quantiles: 0.5, 0.9, 0.95 and 0.99 unless the selector names others.
//
// # Time
//
// A sample stands at the end of its window, so sum_over_time(shop_orders[5m]) at 12:05 is exactly the five windows that ended
// after 12:00 and up to 12:05. A window has a sample once the watermark has passed its end: what is still being counted is not
// shown. Later events within the grace change a sample that was shown. Counts and sums are 0 in windows without a row, from the
// first row that was read on; other kinds have a gap there. After the newest sample a series holds for five minutes or a
// window's length, whichever is longer, and then ends.
//
// A counter adds up windows since a restart and restarts at 0 every 60 windows, at multiples of that since 1970, one millisecond
// into it. So its value does not depend on who asks, and rate and increase see every restart for what it is.
package prom
