package alert

import (
	"bytes"
	"encoding/json"
	"strconv"

	"weir/topology"
	"weir/topology/event"
)

// The types of the CloudEvents on topic alerts.
const (
	TypeOpened    = "weir.alert.opened"
	TypeUpdated   = "weir.alert.updated" // its hits reached a power of two, or its score rose
	TypeEnded     = "weir.alert.ended"   // no hit for the rule's cooldown
	TypeWithdrawn = "weir.alert.withdrawn"
	TypeMoved     = "weir.alert.moved" // it has another id now, or has taken others in: see Moved
	TypeDecided   = "weir.alert.decided"
)

// ContentType is the media type of an Event in a record's value (CloudEvents structured mode).
const ContentType = "application/cloudevents+json; charset=UTF-8"

// Event is a CloudEvent 1.0 in structured JSON. Its id is alert id/revision: the same change has the same id, whenever it is sent.
type Event struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Source          string `json:"source"` // weir/ and the topic's name
	Type            string `json:"type"`
	Subject         string `json:"subject"` // the entity
	Time            string `json:"time"`    // event time; of a decision the wall clock
	DataContentType string `json:"datacontenttype"`
	Data            *Data  `json:"data"`
}

// Data is the alert after the change.
type Data struct {
	*Alert
	Moved *Moved `json:"moved,omitempty"`
}

// Moved tells under which ids an alert was told before.
type Moved struct {
	From []string `json:"from"`
	To   string   `json:"to"`
}

// NewEvent is the event of one change of an alert.
func NewEvent(names topology.Names, kind string, at event.UnixMilli, a *Alert, movedFrom []string) *Event {
	e := &Event{SpecVersion: "1.0", ID: a.ID + "/" + strconv.FormatInt(a.Revision, 10), Source: "weir/" + names.In(topology.Alerts), Type: kind,
		Subject: a.Entity, Time: timeText(int64(at)), DataContentType: "application/json", Data: &Data{Alert: a}}
	if len(movedFrom) > 0 {
		e.Data.Moved = &Moved{From: movedFrom, To: a.ID}
	}
	return e
}

// JSON is the record's value. Comparisons stay readable: < and > are no HTML here.
func (e *Event) JSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(e)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
