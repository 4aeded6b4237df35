package prom

import (
	"net/http"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

const (
	// subqueryStep is the step of a subquery that names none.
	subqueryStep = time.Minute
	// maxSubquerySteps bounds how often the subqueries of one expression are evaluated. The engine sets memory aside for each time
	// before it looks at its limit of samples: sum_over_time(vector(1)[1000d:1ms]) would take all there is.
	maxSubquerySteps = 200_000
)

// times is when an expression is evaluated: once where start is end.
type times struct {
	start, end time.Time
	step       time.Duration
}

// expression parses the request's query and refuses one that would be evaluated too often.
func (s *server) expression(r *http.Request, at times) (parser.Expr, error) {
	text := r.Form.Get("query")
	switch {
	case text == "":
		return nil, badData(`invalid parameter "query": give an expression`)
	case len(text) > maxExpression:
		return nil, badData(`invalid parameter "query": the expression has more than %d bytes`, maxExpression)
	}
	expr, err := s.parser.ParseExpr(text)
	if err != nil {
		return nil, badData(`invalid parameter "query": %v`, err)
	}
	prepared, err := promql.PreprocessExpr(expr, at.start, at.end, at.step)
	if err != nil {
		return nil, badData(`invalid parameter "query": %v`, err)
	}
	if n := subquerySteps(prepared, at.end.Sub(at.start)); n > maxSubquerySteps {
		return nil, badData(`invalid parameter "query": its subqueries are evaluated %.0f times, at most %d are allowed; ask for a longer step or a shorter range`,
			n, maxSubquerySteps)
	}
	return expr, nil
}

// subquerySteps is how often the subqueries of an expression are evaluated, in all. Each goes once through the time of what it stands
// in and its own range before that.
func subquerySteps(expr parser.Expr, span time.Duration) float64 {
	total := 0.0
	parser.Inspect(expr, func(n parser.Node, path []parser.Node) error {
		sub, ok := n.(*parser.SubqueryExpr)
		if !ok {
			return nil
		}
		covered := span.Seconds() + sub.Range.Seconds()
		for _, p := range path {
			if outer, ok := p.(*parser.SubqueryExpr); ok {
				covered += outer.Range.Seconds()
			}
		}
		step := sub.Step
		if step <= 0 {
			step = subqueryStep
		}
		total += covered/step.Seconds() + 1
		return nil
	})
	return total
}

// lookback is how far back a sample may stand that an expression still reads: the longest that any of its series holds.
func (c *catalogue) lookback(expr parser.Expr) time.Duration {
	longest := leastHold
	for _, matchers := range parser.ExtractSelectors(expr) {
		selections, _, err := c.resolve(matchers, false)
		if err != nil {
			continue // reading it fails with the same error
		}
		for _, s := range selections {
			longest = max(longest, hold(s.window.Window))
		}
	}
	return longest
}
