package live

import (
	_ "embed"
	"net/http"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed asyncapi.yaml
var asyncAPI []byte

// Document is the AsyncAPI description of weir.v1, as JSON.
var Document = sync.OnceValues(func() ([]byte, error) { return yaml.YAMLToJSON(asyncAPI) })

func serveDocument(w http.ResponseWriter, _ *http.Request) {
	data, err := Document()
	if err != nil { // a test reads it
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(data) // the client is gone
}
