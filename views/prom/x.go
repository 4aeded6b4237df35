package prom

import (
	_ "github.com/prometheus/prometheus/promql"
)
