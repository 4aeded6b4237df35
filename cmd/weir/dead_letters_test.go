package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/views/api"
	"weir/views/deadletter"
)

// letters asks the view server; false while it cannot be asked.
func (r *upProcess) letters(t *testing.T, query string) (api.DeadLetterList, bool) {
	t.Helper()
	var l api.DeadLetterList
	return l, r.ask(t, http.MethodGet, "/v1/dead-letters?"+query, nil, &l) == http.StatusOK
}

func (r *upProcess) ask(t *testing.T, method, path string, body, into any) (status int) {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, r.dashboard+path, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	data, err = io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatalf("%s %s: %v: %s", method, path, err, data)
	}
	return resp.StatusCode
}

func (r *upProcess) replay(t *testing.T, body api.ReplayBody) (result api.ReplayResult) {
	t.Helper()
	if status := r.ask(t, http.MethodPost, "/v1/dead-letters/replay", body, &result); status != http.StatusOK {
		t.Fatalf("replay %+v: %d", body, status)
	}
	return result
}

func TestDeadLettersAreShownReplayedAndCountedOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	up := launchUp(t, dir, "--generate", "0")
	kafka := dial(t, up.kafka)
	produce := func(topic, key string, value []byte, headers ...kgo.RecordHeader) {
		t.Helper()
		if err := kafka.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte(key), Value: value, Headers: headers}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	produce("payments", "o-2", []byte(`{"id":"p-1","type":"payment.captured","time":"2026-01-01T00:00:00Z","order_id":"o-2","currency":"EUR","amount":"19.995"}`))
	up.wait(t, "a dead letter: the groups work", func() bool {
		l, ok := up.letters(t, "")
		return ok && l.Total == 1
	})
	soon := time.Now().Add(5*time.Minute + 6*time.Second).UTC().Format(time.RFC3339) // six seconds further ahead than an event may be
	produce("orders", "o-1", fmt.Appendf(nil, `{"id":"e-1","type":"order.created","time":%q,"order_id":"o-1","currency":"EUR","total":"10.00"}`, soon),
		kgo.RecordHeader{Key: "producer", Value: []byte("shop")})
	var list api.DeadLetterList
	up.wait(t, "two dead letters", func() bool {
		var ok bool
		list, ok = up.letters(t, "")
		return ok && list.Total == 2 && list.Reasons["future"].Count == 1 && list.Reasons["bad_money"].Count == 1
	})
	byReason := map[string]*deadletter.Letter{}
	for _, l := range list.Letters {
		byReason[string(l.Reason)] = l
	}
	future, money := byReason["future"], byReason["bad_money"]
	var whole deadletter.Letter
	if status := up.ask(t, http.MethodGet, "/v1/dead-letters/"+strings.Replace(money.ID, "@", "/", 1), nil, &whole); status != http.StatusOK ||
		!strings.Contains(whole.Value.Text, `"19.995"`) || whole.OrderID != "o-2" || whole.Place.Topic != "payments" || whole.Replay.Can || !whole.Replay.Force {
		t.Errorf("%d %+v", status, whole)
	}
	if status := up.ask(t, http.MethodPost, "/v1/dead-letters/replay", api.ReplayBody{IDs: []string{money.ID}, Author: " "}, nil); status != http.StatusUnprocessableEntity {
		t.Errorf("a replay that nobody wants: %d", status)
	}
	if r := up.replay(t, api.ReplayBody{IDs: []string{money.ID}, Author: "ada"}); r.Replayed != 0 || r.Results[0].Status != deadletter.StatusRefused || !r.Results[0].Force {
		t.Errorf("what would be refused again: %+v", r)
	}

	up.wait(t, "the event's time", func() bool {
		l, ok := up.letters(t, "reason=future&replayed=exclude")
		return ok && l.Reasons["future"].Can == 1
	})
	if n := up.orders(t); n != 0 {
		t.Fatalf("%d orders are counted before the replay", n)
	}
	if r := up.replay(t, api.ReplayBody{Reason: []string{"future"}, Author: "ada"}); r.Replayed != 1 || r.Results[0].Place == nil || r.Results[0].Place.Topic != "orders" || r.Results[0].Place.Partition != future.Place.Partition {
		t.Fatalf("%+v", r)
	}
	up.wait(t, "the order that was replayed", func() bool { return up.orders(t) == 1 })
	if r := up.replay(t, api.ReplayBody{IDs: []string{future.ID}, Author: "bob"}); r.Replayed != 0 || r.Results[0].Status != deadletter.StatusAlready {
		t.Errorf("a second replay: %+v", r)
	}
	if r := up.replay(t, api.ReplayBody{IDs: []string{future.ID}, Author: "bob", Force: true}); r.Replayed != 1 {
		t.Errorf("a forced one: %+v", r)
	}
	up.wait(t, "a duplicate that is not counted", func() bool {
		var s api.Status
		return up.ask(t, http.MethodGet, "/v1/status", nil, &s) == http.StatusOK && s.Duplicates == 1 && up.orders(t) == 1
	})
	up.commandsReplay(t, money.ID)
	up.stop(t)

	again := launchUp(t, dir, "--generate", "0")
	again.wait(t, "what was replayed, after a restart", func() bool {
		l, ok := again.letters(t, "replayed=only&reason=future")
		return ok && l.Total == 1 && l.Letters[0].Replayed.Author == "bob" && l.Letters[0].Headers[0].Name == "producer"
	})
	again.stop(t)
}

// commandsReplay does by the command line what the page does: it looks at a letter, is told that it would be refused again, and forces it.
func (r *upProcess) commandsReplay(t *testing.T, id string) {
	t.Helper()
	run := func(code int, says []string, args ...string) {
		t.Helper()
		out := weir(t, invocation{args: append([]string{"dead-letters"}, append(args, "--brokers", r.kafka)...)})
		if out.code != code {
			t.Errorf("weir dead-letters %v: %d, want %d: %s%s", args, out.code, code, out.out, out.err)
		}
		for _, s := range says {
			if !strings.Contains(out.out+out.err, s) {
				t.Errorf("weir dead-letters %v does not say %q:\n%s%s", args, s, out.out, out.err)
			}
		}
	}
	run(0, []string{id, "bad_money", "force", "1 of 1; by reason: bad_money 1"}, "list")
	run(0, []string{"future", "done", "2 of 2"}, "list", "--all")
	run(2, []string{"there is no reason", "bad_money"}, "list", "--reason", "money")
	run(0, []string{"what to do", "Mend the producer", `"19.995"`, "o-2"}, "show", id)
	run(1, []string{"refused", "--force", "nothing was replayed"}, "replay", id)
	run(2, []string{"say which letters"}, "replay")
	run(0, []string{"replayed", "payments/", "1 replayed, 0 not"}, "replay", id, "--force", "--author", "eve")
	r.wait(t, "the letter that failed again", func() bool {
		l, ok := r.letters(t, "reason=bad_money&replayed=exclude")
		return ok && l.Total == 1 && l.Letters[0].ReplayOf == id && l.Letters[0].Replays == 1
	})
}
