// Package dashboard is the last stop of the journey that people see: one page of embedded files, ES modules without a build
// step (pack.go joins and minifies them when the server starts), drawn from the query API and the websocket of the server it came from.
// It knows nothing of Kafka or of the views; its contract is HTTP.
package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

//go:embed web
var web embed.FS

// asset is one file, ready to be sent.
type asset struct {
	kind    string
	etag    string
	plain   []byte
	gzipped []byte // nil where compression gains nothing
}

// pages are the first parts of paths that are pages whatever follows: an order's id may look like a file's name.
var pages = []string{"funnel", "fraud", "orders", "customers", "entities", "rules"}

// Handler serves the dashboard. Paths without a file extension, and those under pages, are pages of the one-page application.
func Handler() http.Handler {
	assets := map[string]*asset{}
	err := fs.WalkDir(web, "web", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := web.ReadFile(name)
		if err != nil {
			return err
		}
		assets[strings.TrimPrefix(name, "web")] = newAsset(name, data)
		return nil
	})
	if err != nil {
		panic(err) // the files are in the binary
	}
	assets["/storybook"] = newAsset("storybook.html", storybook(assets["/index.html"].plain))
	go scripts() // takes a tenth of a second: a server does not wait for it, the first browser perhaps does
	return &handler{assets, policy(assets["/index.html"].plain)}
}

// packed is the page's scripts, made once a process.
var packed = sync.OnceValue(func() bundle {
	files, err := fs.Sub(web, "web")
	var all bundle
	if err == nil {
		all, err = pack(files, "app.js", libraries)
	}
	if err != nil {
		panic(err) // the files are in the binary, and a test packs them
	}
	return all
})

// scripts are the packed scripts, ready to be sent, by path.
var scripts = sync.OnceValue(func() map[string]*asset {
	out := map[string]*asset{}
	for name, data := range packed().scripts {
		out["/"+name] = newAsset(name, data)
	}
	return out
})

// libraries are the vendored files by the names under which modules import them: the same as in the import map of index.html, by which
// the modules can be looked at one by one.
var libraries = map[string]string{"preact": "vendor/preact.mjs", "preact/hooks": "vendor/hooks.mjs", "@preact/signals-core": "vendor/signals-core.mjs",
	"@preact/signals": "vendor/signals.mjs", "htm": "vendor/htm.mjs"}

func newAsset(name string, data []byte) *asset {
	kind := mime.TypeByExtension(path.Ext(name))
	switch path.Ext(name) { // not left to the system's table: browsers refuse modules of another type
	case ".mjs", ".js":
		kind = "text/javascript; charset=utf-8"
	case ".svg":
		kind = "image/svg+xml"
	case ".css":
		kind = "text/css; charset=utf-8"
	case ".html":
		kind = "text/html; charset=utf-8"
	case "":
		kind = "text/plain; charset=utf-8"
	}
	sum := sha256.Sum256(data)
	a := &asset{kind: kind, etag: fmt.Sprintf(`"%x"`, sum[:12]), plain: data}
	var buf bytes.Buffer
	z, _ := gzip.NewWriterLevel(&buf, gzip.BestCompression) // the level is valid, and memory does not fail to be written
	_, _ = z.Write(data)
	_ = z.Close()
	if buf.Len() < len(data)*9/10 {
		a.gzipped = buf.Bytes()
	}
	return a
}

var inlineScript = regexp.MustCompile(`(?s)<script(?: type="importmap")?>(.*?)</script>`)

// policy allows this server's files, the page's own inline scripts by their hash, and nothing else.
func policy(index []byte) string {
	scripts := []string{"'self'"}
	for _, m := range inlineScript.FindAllSubmatch(index, -1) {
		sum := sha256.Sum256(m[1])
		scripts = append(scripts, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	return "default-src 'none'; script-src " + strings.Join(scripts, " ") +
		"; style-src 'self'; img-src 'self' data:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// storybook is the page of web/storybook, which shows every page in every state: the dashboard's own, that begins with another script.
func storybook(index []byte) []byte {
	return bytes.Replace(index, []byte(`src="/all.js"`), []byte(`src="/storybook/storybook.js"`), 1)
}

type handler struct {
	assets map[string]*asset
	policy string
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the dashboard is read with GET", http.StatusMethodNotAllowed)
		return
	}
	name := path.Clean(r.URL.Path)
	a := h.assets[name]
	if a == nil && path.Ext(name) == ".js" {
		a = scripts()[name]
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if a == nil && (path.Ext(name) == "" || slices.Contains(pages, first)) {
		a = h.assets["/index.html"]
	}
	if a == nil {
		http.Error(w, "there is no "+name+" in the dashboard", http.StatusNotFound)
		return
	}
	header := w.Header()
	header.Set("Content-Type", a.kind)
	header.Set("Content-Security-Policy", h.policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cache-Control", "no-cache") // kept, and asked for again by its ETag: a new binary is seen at once
	header.Set("ETag", a.etag)
	header.Set("Vary", "Accept-Encoding")
	if slices.Contains(strings.Split(strings.ReplaceAll(r.Header.Get("If-None-Match"), " ", ""), ","), a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := a.plain
	if a.gzipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		header.Set("Content-Encoding", "gzip")
		body = a.gzipped
	}
	header.Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // a reader that went away needs no answer
	}
}
