package api

import (
	"encoding/base64"
	"slices"
)

// Paging are the parameters of lists that come in pages.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"1000" doc:"of a page"`
	Cursor string `query:"cursor" maxLength:"512" pattern:"^[A-Za-z0-9_-]*$" doc:"next of the page before"`
}

// page cuts a list. A page begins behind the item of the cursor's key; key must be unique and stable. next is "" on the last page.
func page[T any](items []T, in Paging, key func(T) string) (out []T, next string, err error) {
	if in.Cursor != "" {
		after, err := keyOf(in.Cursor)
		if err != nil {
			return nil, "", err
		}
		i := slices.IndexFunc(items, func(t T) bool { return key(t) == after })
		if i < 0 {
			return nil, "", wrongField("query.cursor",
				"is not one that an answer gave as next, or what it stands for is gone; leave it out for the first page", in.Cursor)
		}
		items = items[i+1:]
	}
	if len(items) > in.Limit {
		items = items[:in.Limit]
		next = cursorOf(key(items[in.Limit-1]))
	}
	if items == nil {
		items = []T{}
	}
	return items, next, nil
}

// cursorOf is the cursor of the page behind the item with that key.
func cursorOf(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }

// keyOf is the inverse of cursorOf.
func keyOf(cursor string) (string, error) {
	key, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return "", wrongField("query.cursor", "is not one that an answer gave as next; leave it out for the first page", cursor)
	}
	return string(key), nil
}
