package broker

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"
)

// logger passes kfake's log on, one level quieter than kfake sees it where a client's ordinary life is reported.
type logger struct{ *slog.Logger }

func (l logger) Logf(level kfake.LogLevel, msg string, args ...any) {
	text := func() string { return "embedded broker: " + fmt.Sprintf(msg, args...) }
	switch {
	case level == kfake.LogLevelError:
		l.Error(text())
	case level == kfake.LogLevelWarn && !strings.HasPrefix(msg, "txn: EndTxn slow"):
		l.Warn(text())
	}
}
