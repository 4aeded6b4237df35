package rule

// contain ends a panic in the evaluation of a rule: it is deferred around whatever one rule alone is asked, so that a defect costs that
// rule one answer and nobody else anything.
func (r *Rule) contain() {
	if recover() != nil {
		r.stats.Broken.Add(1)
	}
}
