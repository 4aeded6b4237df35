// Package search finds alerts. It is the view server's index over weir-alerts-table: the update of a row puts the alerts of one
// entity in, and a question about up to 200,000 alerts is answered from memory, without reading a row. views/api asks it for pages
// and facets, views/live for what has to be shown anew.
//
// The index holds what the queue shows of an alert. Explanations and histories stay in the rows.
package search
