package live

import (
	"encoding/json"
	"time"
)

// Subprotocol is the name that both sides agree on in Sec-WebSocket-Protocol.
const Subprotocol = "weir.v1"

// Where a server offers live push.
const (
	SocketPath   = "/v1/ws"
	StreamPath   = "/v1/stream"
	DocumentPath = "/v1/asyncapi.json"
)

// Paths are the paths that a Hub serves.
func Paths() []string { return []string{SocketPath, StreamPath, DocumentPath} }

// Close codes. 1012 and 1013 ask the client to come back (with full jitter); the others say what it must change first.
const (
	CloseTooLarge     = 1009 // a frame larger than the limit
	CloseRestart      = 1012 // the server drains; come back after goaway.reconnect_after_ms
	CloseTryLater     = 1013 // the server is full
	CloseMalformed    = 4400 // a frame that is no JSON object with a type, or comes before hello
	CloseUnauthorized = 4401 // the token of hello is missing or wrong
	CloseForbidden    = 4403 // this origin may not connect
	CloseSubprotocol  = 4406 // the client did not offer weir.v1
	CloseHelloTimeout = 4408 // no hello within the limit
	CloseConflict     = 4409 // hello was sent twice
	CloseTooSlow      = 4410 // the client stayed behind for longer than the limit
	CloseTooMany      = 4429 // more frames a second, or more connections of one address, than the limit
	CloseInternal     = 4500 // the server failed
)

// Limits bound what one server and one client can ask for. They are told to clients in welcome.
type Limits struct {
	FrameBytes       int           // of one frame from a client
	Subscriptions    int           // of one connection
	FramesPerSecond  int           // from a client, as a bucket that holds twice as many
	Connections      int           // in all
	PerAddress       int           // connections of one remote address
	Cohorts          int           // distinct subscriptions in all
	IntervalMin      time.Duration // between deltas of one subscription
	IntervalDefault  time.Duration
	IntervalMax      time.Duration
	SnapshotPage     int           // rows in one snap frame
	QueueFrames      int           // waiting for one connection
	QueueBytes       int           // waiting for one connection
	BehindFor        time.Duration // how long a client may stay behind
	HelloWithin      time.Duration
	PingEvery        time.Duration
	WriteWithin      time.Duration
	Linger           time.Duration // how long a cohort outlives its last subscriber, so that a reconnect can resume
	CompressionFloor int           // bytes below which a frame is sent plain
	History          int           // deltas a cohort remembers for merging and resuming
}

// DefaultLimits are what a server offers unless told otherwise.
func DefaultLimits() Limits {
	return Limits{
		FrameBytes: 16 << 10, Subscriptions: 32, FramesPerSecond: 20,
		Connections: 12_000, PerAddress: 2_000, Cohorts: 1_000,
		IntervalMin: 20 * time.Millisecond, IntervalDefault: 100 * time.Millisecond, IntervalMax: 10 * time.Second,
		SnapshotPage: 5_000, QueueFrames: 64, QueueBytes: 4 << 20,
		BehindFor: 30 * time.Second, HelloWithin: 5 * time.Second, PingEvery: 20 * time.Second, WriteWithin: 30 * time.Second,
		Linger: 30 * time.Second, CompressionFloor: 512, History: 256,
	}
}

// reconnectAfter is how long clients of a server that stops should stay away.
const reconnectAfter = time.Second

// coalesce is how long the first change after a quiet spell waits for its siblings: the other rows of the same transaction.
const coalesce = 5 * time.Millisecond

// clientFrame is every frame that a client may send; which fields matter follows from Type.
type clientFrame struct {
	Type       string            `json:"type"`
	ID         string            `json:"id"`
	Topic      string            `json:"topic"`
	Filter     map[string]values `json:"filter"`
	IntervalMS int64             `json:"interval_ms"`
	Resume     *resume           `json:"resume"`
	Token      string            `json:"token"`
	N          int64             `json:"n"`
}

// resume is where a client stood when its connection ended.
type resume struct {
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

// values is a query parameter: one string or a list of them.
type values []string

func (v *values) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(v))
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*v = values{s}
	return nil
}

// Op is one change of a subscription's state: the row of Key is now Row, or is gone where Row is nil. Rows are absolute.
type Op struct {
	Key string
	Row json.RawMessage
}

// Freshness is what every frame with data says about how current it is.
type Freshness struct {
	Watermark  *time.Time `json:"watermark"`
	AsOf       *time.Time `json:"as_of"`
	CaughtUpAt *time.Time `json:"caught_up_at"`
	LagRecords int64      `json:"lag_records"`
	Partitions Partitions `json:"partitions"`
}

// Partitions says how much of the table stands behind an answer.
type Partitions struct {
	Present  int `json:"present"`
	Expected int `json:"expected"`
}

type welcomeFrame struct {
	Type       string        `json:"type"`
	Session    string        `json:"session"`
	ServerTime time.Time     `json:"server_time"`
	Build      string        `json:"build"`
	Limits     welcomeLimits `json:"limits"`
}

type welcomeLimits struct {
	FrameBytes        int   `json:"frame_bytes"`
	Subscriptions     int   `json:"subscriptions"`
	FramesPerSecond   int   `json:"frames_per_second"`
	IntervalMinMS     int64 `json:"interval_min_ms"`
	IntervalDefaultMS int64 `json:"interval_default_ms"`
	IntervalMaxMS     int64 `json:"interval_max_ms"`
	SnapshotPage      int   `json:"snapshot_page"`
}

// The frames of a cohort start with {"type":…,"id":… and go on with a body that all subscribers share.

type snapBody struct {
	Epoch string            `json:"epoch"`
	Seq   uint64            `json:"seq"`
	Page  int               `json:"page"` // from 0
	Info  json.RawMessage   `json:"info,omitempty"`
	Rows  []json.RawMessage `json:"rows"`
	More  bool              `json:"more"`
	Freshness
}

type deltaBody struct {
	Epoch string            `json:"epoch"`
	From  uint64            `json:"from"`
	To    uint64            `json:"to"`
	Ops   []json.RawMessage `json:"ops"`
	// ServerTime is when the frame was made: what passes until it arrives is delay of the server, the network and the client.
	ServerTime time.Time `json:"server_time"`
	Freshness
}

type goawayFrame struct {
	Type             string `json:"type"`
	ReconnectAfterMS int64  `json:"reconnect_after_ms"`
}

type pongFrame struct {
	Type       string    `json:"type"`
	N          int64     `json:"n"`
	ServerTime time.Time `json:"server_time"`
}

// closeFrame says on a stream what a websocket says in its close frame.
type closeFrame struct {
	Type   string `json:"type"`
	Code   int    `json:"code"`
	Reason string `json:"reason"`
}

type tickFrame struct {
	Type       string    `json:"type"`
	ServerTime time.Time `json:"server_time"`
	Freshness
}

// Problem is an RFC 9457 problem detail.
type Problem struct {
	Type   string `json:"type,omitempty"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Param  string `json:"param,omitempty"` // the parameter at fault
}

func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

type errorFrame struct {
	Type  string   `json:"type"`
	ID    string   `json:"id,omitempty"`
	Error *Problem `json:"error"`
}

// headed puts the head of a frame for one subscription id before a body that is a JSON object.
func headed(kind, id string, body []byte) []byte {
	quoted, _ := json.Marshal(id) // a string always marshals
	out := make([]byte, 0, len(kind)+len(quoted)+len(body)+20)
	out = append(out, `{"type":"`...)
	out = append(out, kind...)
	out = append(out, `","id":`...)
	out = append(out, quoted...)
	if len(body) <= 2 {
		return append(out, '}')
	}
	out = append(out, ',')
	return append(out, body[1:]...)
}

// encodeOp renders one op: ["u",key,row] or ["d",key].
func encodeOp(op Op) json.RawMessage {
	key, _ := json.Marshal(op.Key)
	if op.Row == nil {
		return append(append([]byte(`["d",`), key...), ']')
	}
	out := make([]byte, 0, len(key)+len(op.Row)+8)
	out = append(append(append(out, `["u",`...), key...), ',')
	return append(append(out, op.Row...), ']')
}

// encodeRow renders one row of a snapshot: [key,row].
func encodeRow(key string, row json.RawMessage) json.RawMessage {
	quoted, _ := json.Marshal(key)
	out := make([]byte, 0, len(quoted)+len(row)+3)
	out = append(append(append(out, '['), quoted...), ',')
	return append(append(out, row...), ']')
}
