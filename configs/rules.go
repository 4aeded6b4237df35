package configs

import (
	"fmt"
	"os"
)

// RulesDefault is the embedded file of fraud rules: what weir looks for unless told otherwise.
const RulesDefault = "rules.yaml"

// RulesReference are the rules of the reference workload, for comparing.
const RulesReference = "rules-w.yaml"

// RulesOff as rules.file means that weir looks for no fraud at all.
const RulesOff = "off"

// RulesFile returns the rules that are in force while the rule book is empty, and their name for error messages.
func (c *Config) RulesFile() (name string, data []byte, err error) {
	if c.Rules.File == "" {
		if data, err = embedded.ReadFile(RulesDefault); err != nil {
			return "", nil, fmt.Errorf("built-in rules: %w", err)
		}
		return "built-in " + RulesDefault, data, nil
	}
	if c.Rules.File == RulesReference {
		data, err = embedded.ReadFile(RulesReference)
		return "built-in " + RulesReference, data, err
	}
	if data, err = os.ReadFile(c.Rules.File); err != nil {
		return "", nil, fmt.Errorf("rules.file cannot be read: %w; leave it out to have the built-in rules", err)
	}
	return c.Rules.File, data, nil
}
