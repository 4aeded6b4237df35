package configs

import "strings"

// Suggest is "; did you mean x?" for the key nearest to what was written, and "" where none is near.
func Suggest(written string) string { return suggestion(written, allPaths()) }

// suggestion is "; did you mean x?" for the known name nearest to what was written, and "" where none is near.
func suggestion(written string, known []string) string {
	best, least := "", 1+max(2, len(written)/3)
	for _, name := range known {
		if name == "" {
			continue
		}
		if endsIn(name, written) {
			return "; did you mean " + name + "?"
		}
		if d := distance(strings.ToLower(written), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// endsIn finds names that were written without what comes before: brokers for kafka.brokers, WEIR_BROKERS for
// WEIR_KAFKA_BROKERS.
func endsIn(name, written string) bool {
	if short, ok := strings.CutPrefix(written, envPrefix); ok {
		return short != "" && strings.HasSuffix(name, "_"+short)
	}
	return written != "" && strings.HasSuffix(name, "."+written[strings.LastIndexByte(written, '.')+1:])
}

// distance is Levenshtein's, with a swap of neighbours as one step.
func distance(a, b string) int {
	before, row := []int(nil), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
