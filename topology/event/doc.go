// Package event is where a shop's record becomes an Event: parsing, exact money, the accepted time formats, and the
// mappings from other shapes. First stop of the journey; group orders is the next. Everything here is pure.
//
// # From record to event
//
// A Parser is compiled once from a Mapping (Compile; Canonical and Preset are ready-made) and shared by all partitions.
// Parsing a record is one pass and one reading:
//
//  1. walk.go follows the record with jsonscan and a tree of the places the mapping looks at. It checks every byte of the
//     record, and notes where the looked-at values stand. A looked-at name that is given twice refuses the record, since
//     readers differ in which one they take.
//  2. parse.go reads the noted values in the order of field.go: text, times (time.go), money (money.go, number.go), lines.
//     The event's strings share one buffer of their own; a parse has one allocation.
//
// What cannot be read is a *Malformed: a Reason from a closed set, the field, and the value it was refused for.
// DeadLetterHeaders describes it on the dead-letter topic. An event whose key is not its order_id is for CheckKey to refuse.
//
// Rules that the canonical shape's description leaves open, and that hold for every shape:
//
//   - null, "" and an absent field are the same. A field is ignored in streams it does not belong to.
//   - Text may be an integer; ids hold no control characters (rows of the engine begin with one).
//   - Numbers below 10^11 are Unix seconds, others milliseconds, below 10^14. What is finer than a millisecond is cut. An
//     optional time of 0 is absent; times before 1970 are refused.
//   - Amounts may be written 12.5, "12.50", 1.25e1 or 12.5000: zeros are no decimals. Totals and amounts of payments are not
//     negative, prices of items may be (discount lines). No amount, and no line's price × quantity, is beyond
//     Limits.AmountMinor, so that sums of them do not overflow.
//   - An amount without a currency is refused, as it has no minor unit. A line without a quantity is one unit.
//
// # The choice of the decoder
//
// BenchmarkDecoders, two busy cores, Go 1.26, least of three; ns a record, allocations, and how many of 20,944 mutated
// records were taken although they are not JSON / not UTF-8. "whole" means money, times, type, checks and limits included;
// the others only decode into a struct made for the one shape.
//
//	                  canonical, 328 B    W, 263 B      taken of canonical   of W
//	weir (whole)         596 ns,  1        448 ns,  1         0 /   0         0 /    0
//	jsontext (whole)    1616 ns,  1        754 ns,  1         0 /   0         0 /    0
//	goccy                557 ns, 16        348 ns, 12         0 / 873         0 / 1094
//	sonic, strict       1166 ns, 18        744 ns, 14        20 / 873       385 / 1094
//	sonic, fastest       862 ns,  4        606 ns,  3      2024 / 873      2638 / 1094
//	encoding/json       3151 ns, 23       1960 ns, 16         0 / 873         0 / 1094
//
// Only a token reader can serve a configured mapping, and of the libraries only jsontext is one that refuses all invalid
// input; on its tokens the same tree costs 0.3 to 1 µs more, of an engine's 6.5 µs an event. So package jsonscan finds where
// values end (370 lines, no values built) and jsontext is its oracle: FuzzScan demands the same verdict on every input.
// Money takes 7 ns (govalues/decimal 18, and silently rounded past 19 digits), RFC 3339 15 ns (time.Parse 26).
package event
