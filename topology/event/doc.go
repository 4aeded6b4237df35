// Package event is where a shop's record becomes an Event: parsing, exact money, the accepted time formats, and the
// mappings from other shapes. First stop of the journey; group orders is the next. Everything here is pure.
package event
