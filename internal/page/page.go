// Package page is the page of the admin listener: what the limits do, seen live
// in a browser. It is a few files that are part of the binary and ask for
// nothing from elsewhere.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed files
var files embed.FS

// Policy is the Content-Security-Policy of the page: files of its own origin and
// nothing else, no script or style within the HTML, nobody's frame, and no way
// from text to HTML in its scripts.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// types are those of the files, by what their names end in: a machine's own table
// may say something else.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// A file is one that is served.
type file struct {
	kind, tag string
	content   []byte
}

// Handler returns a handler that serves the page at / and its files beside it,
// and answers all other paths with 404. It asks for no token, for nothing that a
// server knows is in them: the page fetches that from the API.
func Handler() http.Handler {
	served := map[string]file{}
	list, err := files.ReadDir("files")
	if err != nil {
		panic(err) // they are part of the binary
	}
	for _, entry := range list {
		content, err := files.ReadFile("files/" + entry.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(content)
		name := "/" + entry.Name()
		if name == "/index.html" {
			name = "/"
		}
		served[name] = file{types[path.Ext(entry.Name())], `"` + hex.EncodeToString(sum[:8]) + `"`, content}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", Policy)
		f, found := served[r.URL.Path]
		switch {
		case !found:
			http.Error(w, "404 there is no such page: want /", http.StatusNotFound)
			return
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "405 want GET or HEAD", http.StatusMethodNotAllowed)
			return
		}
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), usb=()")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cache-Control", "no-cache") // asks again, so that a new binary is seen
		h.Set("Content-Type", f.kind)
		h.Set("ETag", f.tag)
		http.ServeContent(w, r, strings.TrimPrefix(r.URL.Path, "/"), time.Time{}, bytes.NewReader(f.content))
	})
}
