package rule

import (
	"fmt"

	"github.com/goccy/go-yaml/token"
)

// What a rule file may hold as YAML. It needs little of that language, and the rest is left out, because a short text can otherwise
// mean a huge document: aliases multiply, and whoever reads nested lists goes as deep as they do.
const (
	maxTokens = 250_000
	maxFlow   = 16 // brackets within brackets
	maxDashes = 8  // lists within lists, begun on one line
)

// crowded reports that a text has so many words and signs that even cutting it into tokens would take a gigabyte.
func crowded(data []byte) bool {
	n, space := 0, true
	for _, c := range data {
		switch c {
		case '[', ']', '{', '}', ',':
			n++
			space = false
		case ' ', '\n', '\t', '\r':
			space = true
		default:
			if space {
				n++
			}
			space = false
		}
	}
	return n > 2*maxTokens // prose has many words in one token
}

// checkTokens refuses what is not read, before it is.
func checkTokens(name string, tokens token.Tokens) error {
	fail := func(t *token.Token, format string, args ...any) error {
		return Problems{{File: name, Line: t.Position.Line, Column: t.Position.Column, Message: fmt.Sprintf(format, args...)}}
	}
	flow, dashes, line := 0, 0, 0
	for i, t := range tokens {
		if i == maxTokens {
			return fail(t, "the file has more than %d words and signs", maxTokens)
		}
		if t.Position.Line != line {
			line, dashes = t.Position.Line, 0
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return fail(t, "anchors and aliases (&name, *name, <<) are no part of rule files: write out what is meant, or put quotes around a text that begins so")
		case token.TagType:
			return fail(t, "tags (!name) are no part of rule files: put quotes around a text that begins with !, or write not")
		case token.MappingKeyType:
			return fail(t, "keys written with ? are no part of rule files")
		case token.SequenceStartType, token.MappingStartType:
			if flow++; flow > maxFlow {
				return fail(t, "there are more than %d brackets within brackets", maxFlow)
			}
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType:
			if dashes++; dashes > maxDashes {
				return fail(t, "there are more than %d lists within lists", maxDashes)
			}
		}
	}
	return nil
}
