package dashboard_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// patience bounds how long a browser may take on a machine that does much else.
const patience = 90 * time.Second

// browser is a headless Chromium that is told what to do by its DevTools protocol.
type browser struct {
	t    *testing.T
	ws   *websocket.Conn
	mu   sync.Mutex
	next int
	wait map[int]chan answer
	bad  []string // console errors and exceptions
}

type answer struct{ result, err json.RawMessage }

// startBrowser skips the test, loudly, where there is no Chromium; in CI that is a failure.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		const say = "SKIP: the dashboard was not looked at in a browser; install chromium: apt-get install chromium"
		if os.Getenv("CI") == "true" {
			t.Fatal(say)
		}
		fmt.Fprintln(os.Stderr, say)
		t.Skip(say)
	}
	cmd := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-extensions", "--user-data-dir="+profile(t), "--remote-debugging-port=0", "about:blank")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, wait: map[int]chan answer{}}
	t.Cleanup(func() {
		if b.ws != nil {
			_ = b.ws.WriteJSON(map[string]any{"id": 1 << 30, "method": "Browser.close"})
		}
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(patience / 3):
			_ = cmd.Process.Kill()
			<-done
		}
	})
	said := regexp.MustCompile(`DevTools listening on (ws://\S+)`)
	found := make(chan string, 1)
	go func() {
		s := bufio.NewScanner(stderr)
		for s.Scan() {
			if m := said.FindStringSubmatch(s.Text()); m != nil {
				found <- m[1]
			}
		}
	}()
	select {
	case url := <-found:
		if b.ws, _, err = websocket.DefaultDialer.Dial(url, nil); err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatalf("chromium did not start within %v", patience)
	}
	go b.read()
	return b
}

// profile is a folder that is removed after the test. Processes of the browser outlive it by a moment and write there still.
func profile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "weir-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for deadline := time.Now().Add(patience); os.RemoveAll(dir) != nil; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Logf("%s could not be removed", dir)
				return
			}
		}
	})
	return dir
}

func (b *browser) read() {
	for {
		var m struct {
			ID     int
			Method string
			Result json.RawMessage
			Error  json.RawMessage
			Params json.RawMessage
		}
		if b.ws.ReadJSON(&m) != nil {
			return
		}
		b.mu.Lock()
		switch {
		case m.ID != 0:
			if c := b.wait[m.ID]; c != nil {
				c <- answer{m.Result, m.Error}
				delete(b.wait, m.ID)
			}
		case m.Method == "Runtime.exceptionThrown", m.Method == "Log.entryAdded" && strings.Contains(string(m.Params), `"level":"error"`),
			m.Method == "Runtime.consoleAPICalled" && strings.Contains(string(m.Params), `"type":"error"`):
			b.bad = append(b.bad, string(m.Params))
		}
		b.mu.Unlock()
	}
}

func (b *browser) call(session, method string, params map[string]any) json.RawMessage {
	b.t.Helper()
	b.mu.Lock()
	b.next++
	id, c := b.next, make(chan answer, 1)
	b.wait[id] = c
	request := map[string]any{"id": id, "method": method, "params": params}
	if session != "" {
		request["sessionId"] = session
	}
	err := b.ws.WriteJSON(request)
	b.mu.Unlock()
	if err != nil {
		b.t.Fatal(err)
	}
	select {
	case a := <-c:
		if a.err != nil {
			b.t.Fatalf("%s: %s", method, a.err)
		}
		return a.result
	case <-time.After(patience):
		b.t.Fatalf("chromium does not answer %s within %v", method, patience)
		return nil
	}
}

// page is one tab.
type page struct {
	*browser
	session string
}

func (b *browser) open(url string, width, height int) *page {
	b.t.Helper()
	var target struct{ TargetID string }
	b.decode(b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}), &target)
	var session struct{ SessionID string }
	b.decode(b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}), &session)
	p := &page{b, session.SessionID}
	for _, domain := range []string{"Runtime", "Log", "Page"} {
		p.call(p.session, domain+".enable", map[string]any{})
	}
	p.call(p.session, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false})
	p.call(p.session, "Page.navigate", map[string]any{"url": url})
	return p
}

func (b *browser) decode(raw json.RawMessage, into any) {
	b.t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		b.t.Fatalf("%v: %s", err, raw)
	}
}

// eval is the value of an expression in the page, as a string.
func (p *page) eval(expression string) string {
	p.t.Helper()
	var r struct{ Result struct{ Value any } }
	p.decode(p.call(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}), &r)
	return fmt.Sprint(r.Result.Value)
}

// until waits for an expression to have a value.
func (p *page) until(what, expression, want string) {
	p.t.Helper()
	var got string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if got = p.eval(expression); got == want {
			return
		}
	}
	p.t.Fatalf("waited in vain for %s: it is %q, want %q\nerrors: %v\npage: %.2000s", what, got, want, p.errors(), p.eval("document.body.innerText"))
}

// press presses a key: a letter, or a name such as Enter.
func (p *page) press(keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		down := map[string]any{"type": "keyDown", "key": key}
		switch {
		case key == "Enter":
			down["text"], down["windowsVirtualKeyCode"], down["code"] = "\r", 13, key
		case key == "Escape":
			down["type"], down["windowsVirtualKeyCode"], down["code"] = "rawKeyDown", 27, key
		case len(key) == 1:
			down["text"] = key
		}
		p.call(p.session, "Input.dispatchKeyEvent", down)
		p.call(p.session, "Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key})
	}
}

// enter types a text into what has the focus.
func (p *page) enter(text string) {
	p.t.Helper()
	p.call(p.session, "Input.insertText", map[string]any{"text": text})
}

// point moves the mouse onto an element, and with click presses it there.
func (p *page) point(selector string, click bool) {
	p.t.Helper()
	p.until("an element "+selector, fmt.Sprintf(`String(!!document.querySelector(%q))`, selector), "true")
	var at [2]float64
	where := p.eval(fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.scrollIntoView({ block: 'nearest' }); const r = e.getBoundingClientRect(); `+
		`return JSON.stringify([r.x + r.width / 2, r.y + r.height / 2]) })()`, selector))
	p.decode(json.RawMessage(where), &at)
	mouse := func(kind string) {
		p.call(p.session, "Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at[0], "y": at[1], "button": map[bool]string{true: "left", false: "none"}[click],
			"clickCount": 1})
	}
	mouse("mouseMoved")
	if click {
		mouse("mousePressed")
		mouse("mouseReleased")
	}
}

// mustBeNamed checks what a reader of the page by ear needs: names of what can be used, ids that are there once, labels that lead somewhere.
func (p *page) mustBeNamed() {
	p.t.Helper()
	nameless := p.eval(`[...document.querySelectorAll('a[href], button, input, select, textarea, [role=img], [role=listbox], [role=group], [role=tablist]')].filter(e => {
		if (!e.checkVisibility()) return false
		const by = id => document.getElementById(id)?.textContent
		return !(e.getAttribute('aria-label') || by(e.getAttribute('aria-labelledby') ?? '') || e.textContent.trim() || e.title || [...(e.labels ?? [])].some(l => l.textContent.trim()))
	}).map(e => e.outerHTML.slice(0, 140)).join('; ')`)
	if nameless != "" {
		p.t.Errorf("these have no name: %s", nameless)
	}
	if twice := p.eval(`[...document.querySelectorAll('[id]')].map(e => e.id).filter((id, i, all) => all.indexOf(id) !== i).join(' ')`); twice != "" {
		p.t.Errorf("these ids are there twice: %s", twice)
	}
	if n := p.eval(`String([document.querySelectorAll('h1').length, document.querySelectorAll('main').length])`); n != "1,1" {
		p.t.Errorf("headings of the page and mains: %s, want one of each", n)
	}
}

// mustFit checks that nothing of the page lies beyond its right edge, but for what scrolls inside a panel that does not.
func (p *page) mustFit() {
	p.t.Helper()
	if over := p.eval(`[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.sr, [hidden]') && !e.parentElement.closest('.scroll, .sheet')).map(e => e.outerHTML.slice(0, 120)).join('; ')`); over != "" {
		p.t.Errorf("these lie beyond the edge: %s", over)
	}
}

func (b *browser) errors() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.bad...)
}
