// Package shop makes the events of a shop that does not exist: markets with their own hours, currencies, carriers and ways to
// pay, customers who come back, products of which few sell much, and lives of orders from the click to the door, with
// everything that goes wrong on the way.
//
// In an event's journey it stands before the first step, in the place of the shop's own applications. It reads no clock and
// does no input or output: Next gives one event after the other in the order of time, and whoever calls it decides when each
// is sent. The same seed and start give the same bytes.
//
// Among the honest orders it plants episodes of fraud, as many as Options.Fraud asks for, and knows which they are (Told). The honest
// orders are the same with and without them. Much that is honest looks like fraud, as in life: offices behind one address,
// families with one card, gifts, travellers, parcel lockers.
//
//	market.go        where orders come from, and when
//	goods.go         products, prices, baskets
//	customer.go      who buys, and what is always theirs
//	circumstance.go  what is so with one honest order: where from, where to, what looks like fraud
//	place.go         how an order begins
//	life.go          what happens to an order after it was placed
//	payment.go       how it is paid, or not
//	shop.go          arrivals and the queue of what is due
//	fraud.go         the mix, when episodes begin, their orders
//	patterns.go      what each pattern of fraud does
//	truth.go         the account of what was planted
//	looks.go         the account of what looks like it
package shop
