package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"weir/topology/table"
	"weir/views/api"
)

// clerk decides on alerts by the API, while the groups and the view server are killed around it. Each decision has a key of its own
// and is repeated with it until it is answered.
type clerk struct {
	t     *testing.T
	fleet *fleet
	rand  *rand.Rand
	serve *running

	taken, refused, open map[string]string // alert by decision; open: never answered
	repeated, kills      int
}

const (
	answerWithin  = 8 * time.Second // the server itself waits 5 s for a decision to be taken
	repeatAfter   = 100 * time.Millisecond
	killOneOf     = 12 // decisions
	repeatedUntil = time.Minute
)

// work decides until over is closed; if nothing was decided by then, because alerts take their time, until something is.
func (c *clerk) work(over <-chan struct{}) {
	c.open, c.taken, c.refused = map[string]string{}, map[string]string{}, map[string]string{}
	c.startServe()
	var alone time.Time // since when the others have ended
	for n := 0; ; n++ {
		time.Sleep(20 * time.Millisecond) // a person's pace, about
		select {
		case <-over:
			if alone.IsZero() {
				alone = time.Now()
			}
			if len(c.taken) > 0 || time.Since(alone) > patience {
				c.serve.stop()
				return
			}
		default:
		}
		if id := c.choose(); id != "" {
			c.decide(fmt.Sprintf("k%d", n), id)
		}
	}
}

func (c *clerk) startServe() {
	c.serve = start(c.t, c.fleet.prefix+"serve", c.fleet.config(), "serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(c.fleet.dir, "serve"))
	c.serve.api = c.serve.says(`dashboard=(http://\S+)`)
}

// choose picks an alert that stands; "" while none can be listed.
func (c *clerk) choose() string {
	var list api.AlertList
	sort := []string{"priority", "newest", "recent", "risk"}[c.rand.IntN(4)]
	if status := c.ask(http.MethodGet, "/v1/alerts?limit=100&status=open,acknowledged,confirmed,closed,false_positive,snoozed&sort="+sort, "", nil, &list); status != http.StatusOK || len(list.Alerts) == 0 {
		return ""
	}
	return list.Alerts[c.rand.IntN(len(list.Alerts))].ID
}

func (c *clerk) decide(key, id string) {
	action := []string{"acknowledge", "confirm", "comment", "comment", "assign", "reopen"}[c.rand.IntN(6)]
	body, err := json.Marshal(api.DecisionBody{Action: action, Author: "ann", Reason: "because of " + key, Assignee: key})
	if err != nil {
		c.t.Error(err)
		return
	}
	decision := key + "/" + id
	c.open[decision] = id
	deadline := time.Now().Add(repeatedUntil)
	for again := false; time.Now().Before(deadline); again = true {
		if again {
			c.repeated++
			time.Sleep(repeatAfter) // between two attempts
		}
		if c.rand.IntN(killOneOf) == 0 {
			c.killServe(func() { c.ask(http.MethodPost, "/v1/alerts/"+id+"/decisions", key, body, nil) })
			continue
		}
		var out api.Decided
		switch status := c.ask(http.MethodPost, "/v1/alerts/"+id+"/decisions", key, body, &out); status {
		case http.StatusOK:
			if out.Decision != decision {
				c.t.Errorf("decision %s was answered as %s", decision, out.Decision)
			}
			c.taken[decision] = id
			delete(c.open, decision)
			return
		case http.StatusConflict, http.StatusPreconditionFailed:
			c.refused[decision] = id
			delete(c.open, decision)
			return
		case http.StatusUnprocessableEntity:
			c.t.Errorf("decision %s was refused as nonsense", decision)
			return
		}
	}
}

// killServe kills the view server while it is asked.
func (c *clerk) killServe(ask func()) {
	after := time.Duration(c.rand.Int64N(int64(30 * time.Millisecond)))
	t := time.AfterFunc(after, func() { _ = c.serve.cmd.Process.Kill() })
	ask()
	<-c.serve.ended
	t.Stop()
	c.kills++
	c.startServe()
}

// ask returns the status of the answer; 0: there was none.
func (c *clerk) ask(method, path, key string, body []byte, into any) int {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.serve.api+path, bytes.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return 0
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && into != nil && res.StatusCode == http.StatusOK {
		err = json.Unmarshal(answer, into)
	}
	if errors.As(err, new(*json.SyntaxError)) {
		c.t.Errorf("%s %s: %v in %s", method, path, err, answer)
	}
	if err != nil {
		return 0
	}
	return res.StatusCode
}

// check wants each decision that was taken once in the history of its alert, and each that was refused in none. An episode that was
// cut in two has its decisions in both pieces.
func (c *clerk) check(cases map[string][]byte) {
	c.t.Helper()
	in, copies := map[string]int{}, 0
	for key, row := range cases {
		var rows table.Case
		if err := rows.UnmarshalVT(row); err != nil {
			c.t.Fatalf("alerts of %s: %v", key, err)
		}
		for _, a := range rows.Alerts {
			here := map[string]int{}
			for _, change := range a.History {
				if change.Decision != "" {
					here[change.Decision]++
				}
			}
			for decision, n := range here {
				if n > 1 {
					c.t.Errorf("decision %s is %d times in the history of alert %s", decision, n, a.Id)
				}
				if in[decision]++; in[decision] > 1 {
					copies++
				}
			}
		}
	}
	for decision := range c.taken {
		if in[decision] == 0 {
			c.t.Errorf("decision %s was taken, but no alert knows of it", decision)
		}
	}
	for decision := range c.refused {
		if in[decision] > 0 {
			c.t.Errorf("decision %s was refused, but an alert has it in its history", decision)
		}
	}
	for decision := range in {
		if c.taken[decision] == "" && c.open[decision] == "" {
			c.t.Errorf("decision %s is in a history, but was not taken by anyone", decision)
		}
	}
	if len(c.taken) == 0 {
		c.t.Error("no decision was taken: nothing was shown about decisions")
	}
	c.t.Logf("decisions: %d taken, %d refused, %d without an answer, %d repeated attempts, %d kills of the view server, %d in two pieces of an episode",
		len(c.taken), len(c.refused), len(c.open), c.repeated, c.kills, copies)
}
