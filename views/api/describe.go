package api

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// describe completes the description of all operations by what they have in common: statuses, headers, tables, and what may be null.
// What it says is checked against a running server by the tests of cmd/weir.
func describe(a huma.API) {
	doc := a.OpenAPI()
	d := describer{doc.Components.Schemas}
	for _, item := range doc.Paths {
		for method, op := range map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPut: item.Put, http.MethodPost: item.Post, http.MethodDelete: item.Delete} {
			if op == nil {
				continue
			}
			d.problems(op, http.StatusUnprocessableEntity) // an unknown parameter
			if method == http.MethodGet {
				d.get(op)
			} else {
				d.problems(op, http.StatusForbidden)
			}
			if op.RequestBody != nil {
				d.problems(op, http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
				d.body(op)
			}
		}
	}
	if item := doc.Paths["/v1/alerts/{id}/decisions"]; item != nil {
		item.Post.Responses["202"] = &huma.Response{Description: "Accepted", Content: item.Post.Responses["200"].Content}
	}
	doc.Paths["/readyz"].Get.Responses["503"].Content["application/problem+json"].Schema = d.schemas.Schema(reflect.TypeFor[unready](), true, "Unready")
	refused := d.schemas.Schema(reflect.TypeFor[refusal](), true, "Refusal")
	for _, op := range []*huma.Operation{doc.Paths["/v1/rules/{id}"].Put, doc.Paths["/v1/rules/{id}/state"].Post, doc.Paths["/v1/rules/backtest"].Post} {
		media := op.Responses["422"].Content["application/problem+json"]
		media.Schema = &huma.Schema{AnyOf: []*huma.Schema{media.Schema, refused}}
	}
	d.nulls()
}

type describer struct{ schemas huma.Registry }

// problems adds statuses that an operation may answer with.
func (d describer) problems(op *huma.Operation, statuses ...int) {
	for _, status := range statuses {
		code := strconv.Itoa(status)
		if op.Responses[code] == nil {
			op.Responses[code] = &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{
				"application/problem+json": {Schema: d.schemas.Schema(reflect.TypeFor[huma.ErrorModel](), true, "")}}}
		}
	}
}

// get tells of tags, freshness and tables.
func (d describer) get(op *huma.Operation) {
	if !strings.HasPrefix(op.Path, "/v1/") {
		return
	}
	text := func(about string) *huma.Param {
		return &huma.Param{Description: about, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	ok := op.Responses["200"]
	op.Responses["304"] = &huma.Response{Description: "Not Modified: as the If-None-Match says. The headers tell how fresh that is"}
	op.Parameters = append(op.Parameters, &huma.Param{Name: "If-None-Match", In: "header", Description: "ETag of an answer that the client has: 304 where it would be the same",
		Schema: &huma.Schema{Type: huma.TypeString}})
	if ok.Headers == nil {
		ok.Headers = map[string]*huma.Param{}
	}
	if ok.Headers["ETag"] == nil {
		ok.Headers["ETag"] = text("of what the answer tells, without meta")
	}
	headers := map[string]*huma.Param{}
	if d.has(ok, "meta") {
		headers[watermarkHeader] = text("meta.watermark: all events before this time have been counted")
		headers[asOfHeader] = text("meta.as_of: when the newest record behind the answer was written")
		headers[partialHeader] = text("partitions present/expected, where some are missing")
		headers[caughtUpHeader] = text("meta.caught_up_at: everything that was sent until then is in the answer")
		headers["Age"] = text("seconds since the later of meta.as_of and meta.caught_up_at")
	}
	if takes(op, "format") {
		headers[nextHeader] = text("cursor of the page after, of tables")
		line := "one JSON object a line"
		ok.Content[contentCSV] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Description: "with a header row; cells that a spreadsheet would take for a formula begin with '"}}
		ok.Content[contentNDJSON] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Description: line}}
	}
	for name, h := range headers {
		ok.Headers[name] = h
	}
}

func takes(op *huma.Operation, param string) bool {
	for _, p := range op.Parameters {
		if p.Name == param && p.In == "query" {
			return true
		}
	}
	return false
}

// has tells whether a body has a field.
func (d describer) has(r *huma.Response, field string) bool {
	media := r.Content[contentJSON]
	if media == nil || media.Schema == nil {
		return false
	}
	schema := media.Schema
	if schema.Ref != "" {
		schema = d.schemas.SchemaFromRef(schema.Ref)
	}
	return schema.Properties[field] != nil
}

// body takes back what huma adds to bodies that handlers read themselves, and lets fields that may be absent be null.
func (d describer) body(op *huma.Operation) {
	delete(op.RequestBody.Content, "application/octet-stream")
	if media := op.RequestBody.Content[contentJSON]; media != nil && media.Schema != nil {
		schema := media.Schema
		if schema.Ref != "" {
			schema = d.schemas.SchemaFromRef(schema.Ref)
		}
		d.optional(schema)
	}
}

func (d describer) optional(schema *huma.Schema) {
	needed := map[string]bool{}
	for _, name := range schema.Required {
		needed[name] = true
	}
	for name, p := range schema.Properties {
		switch {
		case p.Items != nil && p.Items.Ref != "":
			d.optional(d.schemas.SchemaFromRef(p.Items.Ref))
		case p.Ref != "":
			d.optional(d.schemas.SchemaFromRef(p.Ref))
		}
		if !needed[name] && p.Ref == "" && p.Type != "" {
			p.Nullable = true
			if len(p.Enum) > 0 {
				p.Enum = append(p.Enum, nil)
			}
		}
	}
}

// nulls says which objects may be null: those that Go has by pointers and tells nevertheless.
func (d describer) nulls() {
	for name, schema := range d.schemas.Map() {
		t := d.schemas.TypeFromRef("#/components/schemas/" + name)
		if t == nil || t.Kind() != reflect.Struct {
			continue
		}
		for _, f := range reflect.VisibleFields(t) {
			tag, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
			p := schema.Properties[tag]
			if p == nil || p.Ref == "" || f.Type.Kind() != reflect.Pointer || strings.Contains(rest, "omitempty") {
				continue
			}
			schema.Properties[tag] = &huma.Schema{Description: p.Description, AnyOf: []*huma.Schema{{Ref: p.Ref}, {Type: "null"}}}
		}
	}
}
