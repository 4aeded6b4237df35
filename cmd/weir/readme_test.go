package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"weir/configs"
	"weir/processors/rule"
	"weir/topology/event"
	"weir/topology/metric"
)

// What the README shows must work as it stands there.
func TestReadmeIsTrue(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	checked := map[string]int{}
	for _, b := range regexp.MustCompile("(?s)```(\\w*)\n(.*?)```").FindAllStringSubmatch(string(data), -1) {
		language, text := b[1], b[2]
		switch {
		case language == "json":
			for line := range strings.SplitSeq(strings.ReplaceAll(text, "\n ", " "), "\n") {
				if line == "" {
					continue
				}
				checked["event"]++
				if _, err := event.Canonical().Parse([]byte(line), 0); err != nil {
					t.Errorf("%s\nis no event: %v", line, err)
				}
			}
		case language == "yaml" && strings.Contains(text, "\nmetrics:"):
			checked["metrics"]++
			if _, err := metric.Load("README.md", []byte(text)); err != nil {
				t.Error(err)
			}
		case language == "yaml" && strings.Contains(text, "\nrules:"):
			checked["rules"]++
			if _, err := rule.Load("README.md", []byte(text)); err != nil {
				t.Error(err)
			}
		case language == "yaml":
			checked["configuration"]++
			file := filepath.Join(t.TempDir(), "weir.yaml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := configs.Load(configs.Sourced{File: file}); err != nil {
				t.Error(err)
			}
		}
	}
	for _, kind := range []string{"event", "metrics", "rules", "configuration"} {
		if checked[kind] == 0 {
			t.Errorf("the README shows no %s", kind)
		}
	}
	for _, m := range regexp.MustCompile("weir (up|process|serve|generate|replay|topics|inspect order|config|topology)((?: [^`\n#]*)?)").FindAllStringSubmatch(string(data), -1) {
		command := strings.Fields(m[1])[0]
		known := map[string]bool{"config": true}
		for _, k := range configs.KeysOf(command) {
			known[k.Flag] = true
		}
		for _, f := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(m[2], -1) {
			checked["flag"]++
			if !known[f[1]] {
				t.Errorf("%q: weir %s has no --%s", m[0], command, f[1])
			}
		}
	}
	if checked["flag"] < 5 {
		t.Errorf("only %d flags were found in the README", checked["flag"])
	}
}
