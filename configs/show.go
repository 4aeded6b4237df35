package configs

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Setting is one key with its effective value, for showing.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
	Env    string `json:"env"`
	Flag   string `json:"flag,omitempty"` // with the commands that take it
	Help   string `json:"help"`
}

// masked stands for a secret that is set.
const masked = "(set, not shown)"

// Settings are all keys with their effective values. Secrets are masked.
func (l *Loaded) Settings() []Setting {
	settings := make([]Setting, 0, len(keys))
	for _, k := range keys {
		value := format(field(&l.Config, k.Path))
		if k.Secret && value != "" {
			value = masked
		}
		settings = append(settings, Setting{k.Path, value, l.origins[k.Path].String(), k.Env(), k.flagText(), k.Help})
	}
	return settings
}

func (k Key) flagText() string {
	if k.Flag == "" {
		return ""
	}
	return "--" + k.Flag + " on " + strings.Join(k.On, ", ")
}

// Write prints every key, its effective value and where that comes from. What it prints is a configuration file that has
// the same effect, secrets left out.
func (l *Loaded) Write(w io.Writer) error {
	var lines []string
	width := 0
	for _, s := range l.Settings() {
		k := keysByPath[s.Key]
		line := s.Key + ": " + yamlText(k, s.Value)
		if k.Secret && s.Value == masked {
			line = "# " + s.Key + ": " + masked
		}
		lines = append(lines, line)
		if n := utf8.RuneCountInString(line); n <= maxAligned {
			width = max(width, n)
		}
	}
	for i, s := range l.Settings() {
		if _, err := fmt.Fprintf(w, "%-*s  # %s\n", width, lines[i], s.Origin); err != nil {
			return err
		}
	}
	return nil
}

// maxAligned keeps one long value from pushing all origins to the right.
const maxAligned = 60

// yamlText writes a value so that the file's reader gives the same text again.
func yamlText(k Key, value string) string {
	switch {
	case k.isStructured():
		return value // JSON
	case k.IsList():
		items := splitList(value)
		for i := range items {
			items[i] = quoteUnlessPlain(items[i])
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return quoteUnlessPlain(value)
}

func quoteUnlessPlain(value string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-"
	if value != "" && strings.Trim(value, plain) == "" && value[0] != '-' && value[0] != '.' &&
		!slices.Contains([]string{"null", "true", "false", "yes", "no", "on", "off"}, strings.ToLower(value)) {
		return value
	}
	if value == "true" || value == "false" {
		return value
	}
	b, err := json.Marshal(value)
	if err != nil {
		panic(err) // a string always can be
	}
	return string(b)
}
