package google

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// discoveryJSON is the part of Google's discovery document that this package
// serves. Written by TestTableIsUpToDate with -update; never by hand.
//
//go:embed discovery.json
var discoveryJSON []byte

// served are the methods of the discovery document that the stand-in answers.
var served = []string{
	"calendar.acl.delete", "calendar.acl.get", "calendar.acl.insert",
	"calendar.acl.list", "calendar.acl.patch", "calendar.acl.update",
	"calendar.calendarList.delete", "calendar.calendarList.get", "calendar.calendarList.insert",
	"calendar.calendarList.list", "calendar.calendarList.patch", "calendar.calendarList.update",
	"calendar.calendars.clear", "calendar.calendars.delete", "calendar.calendars.get",
	"calendar.calendars.insert", "calendar.calendars.patch", "calendar.calendars.update",
	"calendar.colors.get",
	"calendar.events.delete", "calendar.events.get", "calendar.events.import",
	"calendar.events.insert", "calendar.events.list", "calendar.events.move",
	"calendar.events.patch", "calendar.events.update",
}

// table is the generated excerpt of the discovery document.
type table struct {
	Revision   string                `json:"revision"`
	Parameters map[string]*parameter `json:"parameters"`
	Scopes     []string              `json:"scopes"`
	Methods    map[string]*method    `json:"methods"`
	Schemas    map[string]*schema    `json:"schemas"`
}

type method struct {
	ID         string                `json:"-"`
	HTTPMethod string                `json:"httpMethod"`
	Path       string                `json:"path"`
	Parameters map[string]*parameter `json:"parameters,omitempty"`
	Request    string                `json:"request,omitempty"`
	Response   string                `json:"response,omitempty"`
	Scopes     []string              `json:"scopes"`
}

type parameter struct {
	Type     string   `json:"type"`
	Location string   `json:"location"`
	Format   string   `json:"format,omitempty"`
	Required bool     `json:"required,omitempty"`
	Repeated bool     `json:"repeated,omitempty"`
	Enum     []string `json:"enum,omitempty"`
	Minimum  string   `json:"minimum,omitempty"`
	Maximum  string   `json:"maximum,omitempty"`
}

type schema struct {
	Ref        string             `json:"$ref,omitempty"`
	Type       string             `json:"type,omitempty"`
	Format     string             `json:"format,omitempty"`
	Properties map[string]*schema `json:"properties,omitempty"`
	Additional *schema            `json:"additionalProperties,omitempty"`
	Items      *schema            `json:"items,omitempty"`
}

func loadTable(raw []byte) (*table, error) {
	var t table
	if err := json.Unmarshal(raw, &t); err != nil {
		return nil, fmt.Errorf("reading the excerpt of the discovery document: %w", err)
	}
	for id, m := range t.Methods {
		m.ID = id
	}
	return &t, nil
}

// route finds the method that serves httpMethod on path, which is still escaped
// and relative to the Calendar endpoint, and the decoded path parameters.
func (t *table) route(httpMethod, path string) (*method, map[string]string) {
	got := strings.Split(path, "/")
	for _, id := range served {
		m := t.Methods[id]
		if m == nil || m.HTTPMethod != httpMethod {
			continue
		}
		want := strings.Split(m.Path, "/")
		if len(want) != len(got) {
			continue
		}
		params, ok := map[string]string{}, true
		for i, seg := range want {
			if strings.HasPrefix(seg, "{") {
				v, err := url.PathUnescape(got[i])
				ok = ok && err == nil && v != ""
				params[strings.Trim(seg, "{}")] = v
			} else {
				ok = ok && seg == got[i]
			}
		}
		if ok {
			return m, params
		}
	}
	return nil, nil
}

// checkQuery refuses what the discovery document does not document for m.
func (t *table) checkQuery(m *method, q url.Values) *apiError {
	for name, values := range q {
		p := m.Parameters[name]
		if p == nil || p.Location != "query" {
			if p = t.Parameters[name]; p == nil {
				return invalidf("badRequest", "Invalid JSON payload received. Unknown name %q: Cannot bind query parameter. Field '%s' could not be found in request message.", name, name)
			}
		}
		if len(values) > 1 && !p.Repeated {
			return invalidf("invalidParameter", "Repeated value for the parameter %q, which takes one.", name)
		}
		for _, v := range values {
			if err := p.check(name, v); err != nil {
				return err
			}
		}
	}
	for name, p := range m.Parameters {
		if p.Location == "query" && p.Required && !q.Has(name) {
			return invalidf("required", "Required parameter: %s", name)
		}
	}
	return nil
}

func (p *parameter) check(name, v string) *apiError {
	bad := func() *apiError {
		return invalidf("invalidParameter", "Invalid value at '%s': %q", name, v)
	}
	switch p.Type {
	case "boolean":
		if v != "true" && v != "false" {
			return bad()
		}
	case "integer":
		n, err := strconv.ParseInt(v, 10, 32)
		if err != nil {
			return bad()
		}
		if lo, err := strconv.ParseInt(p.Minimum, 10, 64); err == nil && n < lo {
			return bad()
		}
		if hi, err := strconv.ParseInt(p.Maximum, 10, 64); err == nil && n > hi {
			return bad()
		}
	}
	if len(p.Enum) > 0 {
		for _, e := range p.Enum {
			if e == v {
				return nil
			}
		}
		return bad()
	}
	return nil
}

// checkBody gives v in the types of sc (whole numbers become int64) or the error
// that names the first field which the schema does not have.
func (t *table) checkBody(sc *schema, v any, at string) (any, *apiError) {
	if sc.Ref != "" {
		sc = t.Schemas[sc.Ref]
	}
	if v == nil || sc == nil || sc.Type == "any" {
		return v, nil
	}
	ok := true
	switch sc.Type {
	case "object":
		if in, is := v.(map[string]any); is {
			return t.checkObject(sc, in, at)
		}
		ok = false
	case "array":
		if in, is := v.([]any); is {
			return t.checkArray(sc, in, at)
		}
		ok = false
	case "boolean":
		_, ok = v.(bool)
	case "string":
		_, ok = v.(string)
	case "integer":
		v, ok = wholeNumber(v)
	}
	if !ok {
		return nil, invalidf("badRequest", "Invalid value at '%s' (%s), %s", at, sc.Type, jsonText(v))
	}
	return v, nil
}

func (t *table) checkObject(sc *schema, in map[string]any, at string) (any, *apiError) {
	out := obj{}
	for k, e := range in {
		sub := sc.Properties[k]
		if sub == nil {
			sub = sc.Additional
		}
		if sub == nil {
			return nil, invalidf("badRequest", "Invalid JSON payload received. Unknown name %q at '%s': Cannot find field.", k, at)
		}
		x, err := t.checkBody(sub, e, at+"."+k)
		if err != nil {
			return nil, err
		}
		out[k] = x
	}
	return out, nil
}

func (t *table) checkArray(sc *schema, in []any, at string) (any, *apiError) {
	out := make([]any, len(in))
	for i, e := range in {
		x, err := t.checkBody(sc.Items, e, fmt.Sprintf("%s[%d]", at, i))
		if err != nil {
			return nil, err
		}
		out[i] = x
	}
	return out, nil
}

// wholeNumber gives v as an int64; Google takes numbers in quotes too.
func wholeNumber(v any) (any, bool) {
	var text string
	switch n := v.(type) {
	case json.Number:
		text = n.String()
	case string:
		text = n
	default:
		return v, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return v, false
	}
	return n, true
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(b)
}

func isWrite(httpMethod string) bool { return httpMethod != http.MethodGet }
