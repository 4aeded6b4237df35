package backtest

import (
	"bytes"
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

func TestRowsAreAMapWhateverTheMemory(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		s := newRows(dir, rapid.Int64Range(0, 20_000).Draw(rt, "limit"))
		defer s.close()
		want := map[string]string{}
		for i := range rapid.IntRange(0, 400).Draw(rt, "steps") {
			key := fmt.Sprint("k", rapid.IntRange(0, 60).Draw(rt, "key"))
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0:
				s.Set(key, nil)
				delete(want, key)
			case 1, 2, 3, 4:
				value := fmt.Sprint(i, string(bytes.Repeat([]byte{'x'}, rapid.IntRange(0, 500).Draw(rt, "size"))))
				s.Set(key, []byte(value))
				want[key] = value
			case 5:
				s.compactIfOpen()
			default:
				if got := string(s.Get(key)); got != want[key] {
					rt.Fatalf("%s is %q, want %q", key, got, want[key])
				}
			}
		}
		got := map[string]string{}
		s.All(func(key string, data []byte) bool {
			if _, twice := got[key]; twice {
				rt.Fatalf("%s comes twice", key)
			}
			got[key] = string(data)
			return true
		})
		if !maps.Equal(got, want) {
			rt.Fatalf("%d rows, want %d", len(got), len(want))
		}
		if s.err != nil {
			rt.Fatal(s.err)
		}
	})
}

func (s *rows) compactIfOpen() {
	if s.file != nil {
		s.compact()
	}
}

func TestAFileThatIsMostlyWasteIsWrittenAnew(t *testing.T) {
	s := newRows(t.TempDir(), 64<<10)
	defer s.close()
	for i := range 3000 {
		s.Set(fmt.Sprint("k", i%20), bytes.Repeat([]byte{byte(i)}, 20_000))
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
	if s.compactions == 0 || s.end > 2*s.live+roomToWaste+64<<10 {
		t.Errorf("the file has %d bytes, %d in use, after %d compactions", s.end, s.live, s.compactions)
	}
	for i := range 20 {
		if got := s.Get(fmt.Sprint("k", i)); len(got) != 20_000 || got[0] != byte(2980+i) {
			t.Errorf("row %d is wrong", i)
		}
	}
}

func TestAFileThatCannotBeMadeIsAnError(t *testing.T) {
	s := newRows("/nowhere", 100)
	for i := range 10 {
		s.Set(fmt.Sprint(i), make([]byte, 100))
	}
	if s.err == nil {
		t.Error("no error")
	}
}
