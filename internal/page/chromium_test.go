package page_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A browser is a tab of chromium, driven over a pipe by the DevTools protocol.
type browser struct {
	t       *testing.T
	in      io.Writer
	session string

	mu      sync.Mutex
	id      int
	waiting map[int]chan message
	said    []string // errors in the console, and what the policy of the page stopped
}

type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *fault          `json:"error,omitempty"`
}

type fault struct{ Message string }

const patience = 60 * time.Second // for what happens at once on a machine with nothing else to do

// open starts chromium, or skips the test where there is none.
func open(t *testing.T) *browser {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped: -short, and this starts a browser")
	}
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("skipped: there is no chromium here (Debian: apt-get install chromium)")
	}
	// Not t.TempDir, since what is left of chromium may still write into it.
	profile, err := os.MkdirTemp("", "chromium-")
	if err != nil {
		t.Fatal(err)
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, their2, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, "--headless", "--remote-debugging-pipe", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--hide-scrollbars", "--lang=en-GB",
		"--no-sandbox", // it does not work for root, and the page is ours
		"--user-data-dir="+profile, "about:blank")
	cmd.ExtraFiles = []*os.File{theirs, their2} // 3 and 4
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	their2.Close()
	b := &browser{t: t, in: ours, waiting: map[int]chan message{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.listen(answers)
	}()
	t.Cleanup(func() {
		cancel()
		cmd.Wait() // it was killed
		ours.Close()
		answers.Close()
		<-done
		os.RemoveAll(profile)
	})
	var target struct{ TargetID string }
	b.call(&target, "Target.createTarget", map[string]any{"url": "about:blank"})
	var attached struct{ SessionID string }
	b.call(&attached, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true})
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "DOM"} {
		b.call(nil, domain+".enable", nil)
	}
	return b
}

func (b *browser) listen(answers io.Reader) {
	r := bufio.NewReader(answers)
	for {
		line, err := r.ReadBytes(0)
		if err != nil {
			b.mu.Lock()
			for _, c := range b.waiting {
				close(c)
			}
			b.waiting = nil
			b.mu.Unlock()
			return
		}
		var m message
		if json.Unmarshal(bytes.TrimSuffix(line, []byte{0}), &m) != nil {
			continue
		}
		b.mu.Lock()
		switch {
		case m.ID != 0 && b.waiting[m.ID] != nil:
			b.waiting[m.ID] <- m
			delete(b.waiting, m.ID)
		case m.Method == "Runtime.exceptionThrown", m.Method == "Log.entryAdded" && bytes.Contains(m.Params, []byte(`"level":"error"`)):
			b.said = append(b.said, string(m.Params))
		}
		b.mu.Unlock()
	}
}

// call has the browser do something and stores its answer in into.
func (b *browser) call(into any, method string, params any) {
	b.t.Helper()
	if params == nil {
		params = struct{}{}
	}
	raw, err := json.Marshal(params)
	if err != nil {
		b.t.Fatal(err)
	}
	answer := make(chan message, 1)
	b.mu.Lock()
	if b.waiting == nil {
		b.mu.Unlock()
		b.t.Fatalf("%s: chromium has ended", method)
	}
	b.id++
	sent, err := json.Marshal(message{ID: b.id, SessionID: b.session, Method: method, Params: raw})
	b.waiting[b.id] = answer
	b.mu.Unlock()
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.in.Write(append(sent, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	select {
	case m, ok := <-answer:
		if !ok {
			b.t.Fatalf("%s: chromium has ended", method)
		}
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if into != nil {
			if err := json.Unmarshal(m.Result, into); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
	case <-time.After(patience):
		b.t.Fatalf("%s: no answer", method)
	}
}

// show sets the size of the window and the scheme of colours, and opens a page.
func (b *browser) show(url string, width, height int, scheme string) {
	b.t.Helper()
	b.view(width, height, scheme)
	b.call(nil, "Page.navigate", map[string]any{"url": url})
}

func (b *browser) view(width, height int, scheme string) {
	b.t.Helper()
	b.call(nil, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
	b.call(nil, "Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}})
}

// eval stores what a script comes to, which may be a promise.
func (b *browser) eval(into any, script string) {
	b.t.Helper()
	var got struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	b.call(&got, "Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true, "awaitPromise": true, "userGesture": true})
	if e := got.ExceptionDetails; e != nil {
		b.t.Fatalf("%s: %s %s", script, e.Text, e.Exception.Description)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(got.Result.Value, into); err != nil {
		b.t.Fatalf("%s: %v: %s", script, err, got.Result.Value)
	}
}

// text returns the text of an element.
func (b *browser) text(selector string) string {
	b.t.Helper()
	var text string
	b.eval(&text, fmt.Sprintf("document.querySelector(%q)?.innerText ?? '(no such element)'", selector))
	return strings.Join(strings.Fields(text), " ")
}

// until waits for a script to be true.
func (b *browser) until(what, script string) {
	b.t.Helper()
	var now any
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(30 * time.Millisecond) {
		b.eval(&now, script)
		if now == true {
			return
		}
	}
	b.t.Fatalf("%s: it never was so: %s is %v; the page says\n%s", what, script, now, b.text("body"))
}

// untilText waits for an element to have a text in it.
func (b *browser) untilText(selector, want string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%s says %q", selector, want),
		fmt.Sprintf("(document.querySelector(%q)?.innerText ?? '').replace(/\\s+/g, ' ').includes(%q)", selector, want))
}

// keys of a keyboard that are no letters.
var keyCodes = map[string]int{"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowRight": 39}

// press presses keys one after the other.
func (b *browser) press(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		down := map[string]any{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": keyCodes[key]}
		switch key {
		case "Enter":
			down["text"] = "\r"
		case " ":
			down["text"], down["code"] = " ", "Space"
		}
		b.call(nil, "Input.dispatchKeyEvent", down)
		b.call(nil, "Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": down["code"], "windowsVirtualKeyCode": keyCodes[key]})
	}
}

// write writes text where the focus is.
func (b *browser) write(text string) {
	b.t.Helper()
	b.call(nil, "Input.insertText", map[string]any{"text": text})
}

// tabTo presses Tab until the element that matches has the focus.
func (b *browser) tabTo(selector string) {
	b.t.Helper()
	var seen []string
	for range 60 {
		b.press("Tab")
		var at struct {
			Match bool
			Name  string
		}
		b.eval(&at, fmt.Sprintf("({match: document.activeElement.matches(%q), name: document.activeElement.id || document.activeElement.tagName})", selector))
		if at.Match {
			return
		}
		seen = append(seen, at.Name)
	}
	b.t.Fatalf("Tab never gets to %s, but to %q", selector, seen)
}

// choose gives files to an input.
func (b *browser) choose(selector string, paths ...string) {
	b.t.Helper()
	var document struct{ Root struct{ NodeID int } }
	b.call(&document, "DOM.getDocument", nil)
	var node struct{ NodeID int }
	b.call(&node, "DOM.querySelector", map[string]any{"nodeId": document.Root.NodeID, "selector": selector})
	b.call(nil, "DOM.setFileInputFiles", map[string]any{"nodeId": node.NodeID, "files": paths})
}

// drop drags a file over an element and drops it there.
func (b *browser) drop(selector string, path string) {
	b.t.Helper()
	var at struct{ X, Y float64 }
	b.eval(&at, fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.scrollIntoView({block: 'center', behavior: 'instant'}); const r = e.getBoundingClientRect(); return {x: r.x + r.width / 2, y: r.y + r.height / 2} })()`, selector))
	for _, kind := range []string{"dragEnter", "dragOver", "drop"} {
		b.call(nil, "Input.dispatchDragEvent", map[string]any{"type": kind, "x": at.X, "y": at.Y,
			"data": map[string]any{"items": []any{}, "files": []string{path}, "dragOperationsMask": 1}})
	}
}

// picture writes what the page looks like, or the part of it in view, into the directory of the environment
// variable WEIR_PICTURES, if there is one.
func (b *browser) picture(name string, whole bool) {
	b.t.Helper()
	dir := os.Getenv("WEIR_PICTURES")
	if dir == "" {
		return
	}
	var shot struct{ Data string }
	b.call(&shot, "Page.captureScreenshot", map[string]any{"captureBeyondViewport": whole})
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/"+name+".png", data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// errors returns what the console said of errors.
func (b *browser) errors() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.said)
}
