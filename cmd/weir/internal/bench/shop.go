package bench

import (
	"fmt"
	"time"

	"weir/cmd/weir/internal/shop"
)

// shopRate is how many orders a second the shop takes; their parcels arrive within the hour.
const shopRate = 20

// shopEvents gives the events of a shop with n honest orders, fraud planted among them, in the order in which they are
// produced: what weir's shipped metrics and rules are made for. W repeats its customers every few minutes and has a new address for
// each order.
func shopEvents(n int, send func(record)) error {
	mix, err := shop.ParseMix("default")
	if err != nil {
		return err
	}
	s, err := shop.New(shop.Options{Seed: 7, Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Rate: shopRate, Orders: int64(n),
		LifeScale: 0.005, Rhythm: true, Duplicates: 0.002, Fraud: mix})
	if err != nil {
		return fmt.Errorf("opening the shop: %w", err)
	}
	streams := map[string]int{"orders": 0, "payments": 1, "shipments": 2}
	for {
		r, ok := s.Next()
		if !ok {
			return nil
		}
		send(record{stream: streams[r.Type.Stream()], key: r.OrderID, value: string(r.Value)})
	}
}
