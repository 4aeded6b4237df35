// Package atonce says how many parallel tests of a package run at the same time, where most of their time is waiting for processes and
// brokers, so that the number of cores says little. It stands beside an event's journey: only tests import it.
package atonce

import (
	"flag"
	"strconv"
)

// Run lets n parallel tests of the package run at once, unless -parallel says how many. TestMain calls it before the tests run.
func Run(n int) {
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "test.parallel" })
	if told {
		return
	}
	if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil {
		panic(err)
	}
}
