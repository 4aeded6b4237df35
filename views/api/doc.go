// Package api is weir on HTTP: queries over metrics, orders with their timelines, status and health, and the websocket. It
// turns requests into calls of views/query and the readers of package views, and their errors into RFC 9457 problems. It is the
// end of the journey for everything that is not a browser.
//
// openapi.json beside this file is generated from the handlers; a test keeps it true.
package api
