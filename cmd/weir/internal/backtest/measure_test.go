package backtest

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"weir/cmd/weir/internal/shop"
)

// BenchmarkBacktest plays b.N orders of a month, made on the way.
func BenchmarkBacktest(b *testing.B) {
	name := "testdata/rules.yaml"
	if other := os.Getenv("WEIR_TEST_RULES"); other != "" {
		name = other
	}
	set := loadRules(b, name)
	s := aShop(b, shop.Options{Seed: 1, Rate: float64(b.N) / (30 * 86400), Orders: int64(b.N), Rhythm: true})
	b.ResetTimer()
	r, err := Run(context.Background(), Options{Set: set, Events: stream(s, func([]shop.Truth) {}), TempDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	b.ReportMetric(r.Micros, "µs/event")
	b.ReportMetric(float64(r.Events)/float64(b.N), "events/order")
	b.ReportMetric(float64(m.Sys)/(1<<20), "MiB_sys")
	b.Log(fmt.Sprint(r.Events, " events ", time.Duration(r.Seconds*1e9), " ", r.All.Alerts, " alerts ", r.Warnings))
}
