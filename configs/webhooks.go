package configs

import (
	"encoding/json"
	"errors"
	"net/url"

	"weir/views/webhook"
)

// formatReceivers writes receivers as the file's reader takes them, with their secrets hidden.
func formatReceivers(receivers []webhook.Receiver) string {
	if len(receivers) == 0 {
		return "[]"
	}
	b, err := json.Marshal(receivers)
	if err != nil {
		panic(err) // texts and numbers always can be
	}
	return string(b)
}

// checkPublicURL accepts the address of the dashboard as people reach it, or none.
func checkPublicURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("is no address of a page; write it like https://weir.example.com")
	}
	return nil
}
