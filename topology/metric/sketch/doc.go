// Package sketch holds the summaries of metric cells that are more than a number: distinct values, quantiles, and the most
// frequent values. Each is a value (bytes, or a list of entries) that merges commutatively into another; package metric puts
// them into table.Cell.
//
// The answers of Distinct and Quantiles depend on the set of things added only, never on their order or on how they were
// split and merged. Top is exact up to TopSize values and keeps its stated bound beyond, but which of the rare ones it names may
// then depend on the order.
package sketch
