// Package window is the arithmetic of event-time windows: which windows a moment falls into, where they begin and end, and
// how they are written. It knows no rows, clocks or keys. Package metric cuts its rows with it; views and tests read ranges
// with it.
//
// Every window is half-open, [start, end), in UTC, aligned to 1970-01-01T00:00:00Z; moments before it are cut alike. With
// times written as minutes and seconds after that moment:
//
//	"1m"            tumbling   00:59.999 → [00:00, 01:00)    01:00.000 → [01:00, 02:00)    −00:00.001 → [−01:00, 00:00)
//	"5m:1m"         hopping    windows of 5 min, one beginning each minute:
//	                           07:30 → [03:00, 08:00) [04:00, 09:00) [05:00, 10:00) [06:00, 11:00) [07:00, 12:00)
//	"sliding-5m:10s" sliding   at 07:30 the window is (02:30, 07:30], kept as the slices [02:40, 02:50) … [07:30, 07:40)
//	"session-30m"   session    moments at most 30 min apart belong together: 00:00, 00:30, 01:00 are one session,
//	                           [00:00, 01:00], which a moment after 01:30 does not join
//
// Notation: durations are a whole number and one of ms, s, m, h, d, w, y (a day is 24 h, a year 365 d), or several of these
// in a row ("1h30m"). The text that String returns is canonical: the one largest of d, h, m, s, ms that divides the
// duration, so "60m" is written "1h" and "90m" stays "90m".
package window
