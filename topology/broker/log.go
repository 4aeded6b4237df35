package broker

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kfake"
)

// logger passes kfake's errors and warnings on. kfake says only here that it could not write its files when it was closed.
type logger struct {
	*slog.Logger
	failures atomic.Int64
}

func (l *logger) Logf(level kfake.LogLevel, msg string, args ...any) {
	text := func() string { return "embedded broker: " + fmt.Sprintf(msg, args...) }
	switch {
	case level == kfake.LogLevelError:
		l.failures.Add(1)
		l.Error(text())
	case level == kfake.LogLevelWarn && !strings.HasPrefix(msg, "txn: EndTxn slow"):
		l.Warn(text())
	}
}
