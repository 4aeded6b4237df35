package window

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/topology/event"
)

func mustParse(t interface{ Fatal(...any) }, text string) Window {
	w, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// at is a moment written as the offset from the epoch.
func at(text string) event.UnixMilli {
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return event.UnixMilli(d.Milliseconds())
}

func TestTheNumbersOfThePackageComment(t *testing.T) {
	for _, c := range []struct {
		window, moment string
		starts         []string
	}{
		{"1m", "59.999s", []string{"0s"}},
		{"1m", "60s", []string{"1m"}},
		{"1m", "-1ms", []string{"-1m"}},
		{"1m", "-60s", []string{"-1m"}},
		{"1d", "-24h1ms", []string{"-48h"}},
		{"5m:1m", "7m30s", []string{"3m", "4m", "5m", "6m", "7m"}},
		{"5m:1m", "7m", []string{"3m", "4m", "5m", "6m", "7m"}},
		{"5m:1m", "-30s", []string{"-5m", "-4m", "-3m", "-2m", "-1m"}},
		{"5m:2m", "4m", []string{"0s", "2m", "4m"}},
		{"5m:2m", "5m", []string{"2m", "4m"}},
		{"sliding-5m:10s", "7m35s", []string{"7m30s"}},
		{"session-30m", "7m", nil},
	} {
		var want []event.UnixMilli
		for _, s := range c.starts {
			want = append(want, at(s))
		}
		if got := mustParse(t, c.window).Assign(nil, at(c.moment)); !slices.Equal(got, want) {
			t.Errorf("%s at %s: starts %v, want %v", c.window, c.moment, got, want)
		}
	}
}

func TestSlidingReadsTheSlicesOfItsWindow(t *testing.T) {
	w := mustParse(t, "sliding-5m:10s")
	for start, want := range map[string]bool{"2m30s": false, "2m40s": true, "7m30s": true, "7m40s": false} {
		if got := w.InSlide(at(start), at("7m30s")); got != want {
			t.Errorf("slice %s in (2m30s, 7m30s]: %v, want %v", start, got, want)
		}
	}
}

func TestCanonicalText(t *testing.T) {
	for text, want := range map[string]string{
		"60m": "1h", "90m": "90m", "24h": "1d", "1h30m": "90m", "1w": "7d", "1500ms": "1500ms", "3600s:60s": "1h:1m",
		"5m:5m": "5m", "sliding-60m:60s": "sliding-1h:1m", "session-1800s": "session-30m",
	} {
		if got := mustParse(t, text).String(); got != want {
			t.Errorf("%q is written %q, want %q", text, got, want)
		}
	}
}

func TestWindowsThatMeanNothingAreRefused(t *testing.T) {
	for _, text := range []string{
		"", "1", "m", "0m", "-1m", "1m ", "1M", "1.5h", "5m:", ":1m", "1m:5m", "5m:0s", "sliding-5m", "sliding-5m:7s", "sliding-1m:5m",
		"session-", "session-5m:1m", "400d", "1d:1ms", "sliding-1d:1ms", "99999999999999999999d", "9223372036854775807ms", "hopping-5m:1m",
	} {
		if w, err := Parse(text); err == nil {
			t.Errorf("%q was read as %s %v", text, w.Kind, w)
		}
	}
}

func TestSpans(t *testing.T) {
	for text, want := range map[string]time.Duration{"48h": 48 * time.Hour, "90d": 90 * day, "3y": 3 * year, "0": 0, "0s": 0, "2w": 14 * day} {
		if got, err := ParseSpan(text); err != nil || got != want {
			t.Errorf("%q is %v (%v), want %v", text, got, err, want)
		}
	}
}

func anyWindow() *rapid.Generator[Window] {
	return rapid.Custom(func(t *rapid.T) Window {
		unit := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, time.Minute, time.Hour}).Draw(t, "unit")
		advance := time.Duration(rapid.IntRange(1, 90).Draw(t, "advance")) * unit
		var w Window
		var err error
		switch rapid.SampledFrom([]Kind{Tumbling, Hopping, Sliding, Session}).Draw(t, "kind") {
		case Tumbling:
			w, err = MakeTumbling(advance)
		case Hopping:
			w, err = MakeHopping(advance+time.Duration(rapid.IntRange(0, 300).Draw(t, "extra"))*unit, advance)
		case Sliding:
			w, err = MakeSliding(advance*time.Duration(rapid.IntRange(1, 40).Draw(t, "slices")), advance)
		default:
			w, err = MakeSession(advance)
		}
		if err != nil {
			t.Fatal(err)
		}
		return w
	})
}

func anyMoment() *rapid.Generator[event.UnixMilli] {
	return rapid.Custom(func(t *rapid.T) event.UnixMilli {
		return event.UnixMilli(rapid.Int64Range(-5_000_000_000_000, 5_000_000_000_000).Draw(t, "moment"))
	})
}

func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWindow().Draw(t, "window")
		if back := mustParse(t, w.String()); back != w {
			t.Fatalf("%#v is written %q, which is %#v", w, w, back)
		}
	})
}

// A moment is in a window if and only if Assign names it: checked against the definition, start by start.
func TestAssignAgreesWithTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWindow().Draw(t, "window")
		moment := anyMoment().Draw(t, "moment")
		got := w.Assign(nil, moment)
		var want []event.UnixMilli
		if w.Kind != Session {
			advance, size := w.Advance.Milliseconds(), w.Size.Milliseconds()
			if w.Kind == Sliding {
				size = advance
			}
			for n := (int64(moment)-size)/advance - 2; n*advance <= int64(moment); n++ {
				if start := n * advance; int64(moment) < start+size {
					want = append(want, event.UnixMilli(start))
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v at %d: %v, want %v", w, moment, got, want)
		}
		for _, s := range got {
			if !w.Holds(s, moment) {
				t.Fatalf("%v: the window at %d does not hold %d", w, s, moment)
			}
		}
	})
}

// Adding up granules gives the same as assigning each moment: what combining before sending relies on.
func TestGranulesAddUpToTheWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		windows := rapid.SliceOfN(anyWindow(), 1, 4).Draw(t, "windows")
		moment := anyMoment().Draw(t, "moment")
		g := Granule(windows)
		for _, w := range windows {
			if w.Kind == Session {
				continue
			}
			direct := w.Assign(nil, moment)
			if viaGranule := w.Covering(nil, Floor(moment, g), g.Milliseconds()); !slices.Equal(direct, viaGranule) {
				t.Fatalf("%v (granule %v) at %d: by granule %v, direct %v", w, g, moment, viaGranule, direct)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1m", "5m:1m", "sliding-5m:10s", "session-30m", "1h30m", "9y", "1ms:1ms"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w, err := Parse(text)
		if err != nil {
			return
		}
		if back, err := Parse(w.String()); err != nil || back != w {
			t.Fatalf("%q is %#v, written %q, read back %#v (%v)", text, w, w, back, err)
		}
	})
}
