package dashboard_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"weir/dashboard"
)

func get(path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	dashboard.Handler().ServeHTTP(w, r)
	return w
}

func TestPagesAndFiles(t *testing.T) {
	for path, kind := range map[string]string{
		"/": "text/html", "/orders/o-1": "text/html", "/app.js": "text/javascript", "/vendor/preact.mjs": "text/javascript", "/weir.css": "text/css", "/icon.svg": "image/svg+xml",
	} {
		if w := get(path); w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) {
			t.Errorf("%s: %d %s", path, w.Code, w.Header().Get("Content-Type"))
		}
	}
	for _, path := range []string{"/nothing.js", "/../dashboard.go", "/web/index.html"} {
		if w := get(path); w.Code != 404 {
			t.Errorf("%s: %d, want 404", path, w.Code)
		}
	}
	r := httptest.NewRecorder()
	dashboard.Handler().ServeHTTP(r, httptest.NewRequest(http.MethodPost, "/", nil))
	if r.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", r.Code)
	}
}

func TestFilesAreAskedForOnceAndCompressed(t *testing.T) {
	plain := get("/app.js")
	packed := get("/app.js", "Accept-Encoding", "br, gzip")
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	var unpacked bytes.Buffer
	if _, err := unpacked.ReadFrom(z); err != nil {
		t.Fatal(err)
	}
	if packed.Header().Get("Content-Encoding") != "gzip" || !bytes.Equal(unpacked.Bytes(), plain.Body.Bytes()) {
		t.Error("the compressed file differs from the plain one")
	}
	if w := get("/app.js", "If-None-Match", plain.Header().Get("ETag")); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
		t.Errorf("asked again with its ETag: %d", w.Code)
	}
}

// The policy must name the inline scripts that the page has, and allow no other origin.
func TestContentSecurityPolicy(t *testing.T) {
	policy := get("/").Header().Get("Content-Security-Policy")
	if n := strings.Count(policy, "'sha256-"); n != 2 {
		t.Errorf("%d inline scripts are allowed: %s", n, policy)
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("the policy is too wide: %s", policy)
	}
}

// Everything that the page needs is in the binary.
func TestNothingIsLoadedFromElsewhere(t *testing.T) {
	elsewhere := regexp.MustCompile(`(?i)(?:src|href|from|import|url|fetch)\s*[=(]?\s*['"(]\s*(?:https?:)?//[a-z]`)
	err := filepath.WalkDir("web", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "vendor") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if m := elsewhere.Find(data); m != nil {
			t.Errorf("%s loads from elsewhere: %s", path, m)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestVendoredFilesAreAsPublished(t *testing.T) {
	f, err := os.Open("web/vendor/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pinned := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		sum, name, ok := strings.Cut(s.Text(), "  ")
		if !ok {
			t.Fatalf("line %q", s.Text())
		}
		pinned[name] = sum
	}
	var found []string
	err = filepath.WalkDir("web/vendor", func(path string, d fs.DirEntry, err error) error {
		name := strings.TrimPrefix(filepath.ToSlash(path), "web/vendor/")
		if err != nil || d.IsDir() || name == "SHA256SUMS" || name == "README.md" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		if hex.EncodeToString(sum[:]) != pinned[name] {
			t.Errorf("%s is not what SHA256SUMS pins", name)
		}
		found = append(found, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range pinned {
		if !slices.Contains(found, name) {
			t.Errorf("%s is pinned but missing", name)
		}
	}
	for _, library := range []string{"preact-1", "preact-signals-core", "preact-signals-2", "htm"} {
		if !slices.ContainsFunc(found, func(n string) bool { return strings.HasPrefix(n, "licences/"+library) }) {
			t.Errorf("the licence of %s is missing", library)
		}
	}
}

// The page begins with one script, which loads the others.
func TestThePageLoadsOneScript(t *testing.T) {
	index := get("/").Body.String()
	if found := regexp.MustCompile(`(?:src|href)="(/[^"]+js)"`).FindAllStringSubmatch(index, -1); len(found) != 1 || found[0][1] != "/all.js" {
		t.Fatalf("the page loads %v", found)
	}
	if w := get("/all.js", "Accept-Encoding", "gzip"); w.Code != 200 || w.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}
