package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// callTime bounds one call.
	callTime = 20 * time.Second
	// maxReply is how much of an answer is read.
	maxReply = 4 << 20
)

// object is a JSON object of the Calendar API.
type object = map[string]any

// client asks the Calendar API as one account. What matters is what Google really
// answers, so nothing stands between: no library that drops fields or retries.
type client struct {
	http     *http.Client
	endpoint string // ends in "/calendar/v3/"
	token    string
	pause    func(ctx context.Context, d time.Duration) error
	calls    int
}

// request is one call. path is below the endpoint, its parts escaped.
type request struct {
	method, path string
	query        url.Values
	body         object
	ifMatch      string
	// once: it must not be repeated, for it may have taken effect unheard.
	once bool
}

// apiError is an answer other than 2xx. It holds no word of the answer's body but
// the reason.
type apiError struct {
	method, path string
	status       int
	reason       string
	form         string // of the body: json, json without status, html, empty
	// saysZone: its words are those by which the product tells that a zone's name is not
	// taken (rule 2.9).
	saysZone bool
}

func (e *apiError) Error() string {
	words := fmt.Sprintf("status %d", e.status)
	if e.reason != "" {
		words += " " + e.reason
	}
	if e.form != "json" && e.form != "json without status" {
		words += " (" + e.form + ")"
	}
	return words
}

// unanswered is a call of which nobody knows what became.
type unanswered struct{ err error }

func (u *unanswered) Error() string { return "Google did not answer: " + u.err.Error() }
func (u *unanswered) Unwrap() error { return u.err }

// parts escapes the parts of a path.
func parts(names ...string) string {
	for i, n := range names {
		names[i] = url.PathEscape(n)
	}
	return strings.Join(names, "/")
}

// do makes a call, and once more what Google says to be passing.
func (c *client) do(ctx context.Context, r request) (object, error) {
	for attempt := 1; ; attempt++ {
		out, err := c.once(ctx, r)
		if err == nil || attempt == 4 || ctx.Err() != nil || !passes(err) || r.once && ambiguous(err) {
			return out, err
		}
		if err := c.pause(ctx, time.Duration(attempt*attempt)*2*time.Second); err != nil {
			return nil, err
		}
	}
}

// passes reports whether Google means to answer otherwise soon.
func passes(err error) bool {
	said, ok := errors.AsType[*apiError](err)
	if !ok {
		return ambiguous(err)
	}
	switch said.reason {
	case "rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED":
		return true
	}
	return said.status == http.StatusTooManyRequests || said.status >= 500
}

// ambiguous reports whether the call may have taken effect.
func ambiguous(err error) bool {
	if said, ok := errors.AsType[*apiError](err); ok {
		return said.status >= 500
	}
	_, ok := errors.AsType[*unanswered](err)
	return ok
}

func (c *client) once(ctx context.Context, r request) (object, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	var body io.Reader
	if r.body != nil {
		raw, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("encode a request: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	address := c.endpoint + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.ifMatch != "" {
		req.Header.Set("If-Match", r.ifMatch)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	c.calls++
	res, err := c.http.Do(req)
	if err != nil {
		// The cause without the address, which names the calendar.
		if ue, is := errors.AsType[*url.Error](err); is {
			err = ue.Err
		}
		return nil, &unanswered{err}
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	if err != nil {
		return nil, &unanswered{err}
	}
	var out object
	decoded := json.Unmarshal(raw, &out) == nil
	if res.StatusCode/100 == 2 {
		if !decoded && len(raw) > 0 {
			return nil, &unanswered{errors.New("the answer is no JSON")}
		}
		return out, nil
	}
	said := &apiError{method: r.method, path: r.path, status: res.StatusCode}
	said.form, said.reason = formOf(raw, out, decoded)
	said.saysZone = said.status == http.StatusBadRequest && strings.Contains(strings.ToLower(text(inner(out, "error"), "message")), "invalid time zone")
	return nil, said
}

// formOf describes the body of an error and finds the reason in it.
func formOf(raw []byte, out object, decoded bool) (form, reason string) {
	switch {
	case len(bytes.TrimSpace(raw)) == 0:
		return "empty", ""
	case !decoded:
		return "html", ""
	}
	in, _ := out["error"].(object)
	form = "json"
	if _, ok := in["status"]; !ok {
		form = "json without status"
	}
	for _, list := range []string{"errors", "details"} {
		items, _ := in[list].([]any)
		for _, item := range items {
			one, _ := item.(object)
			if r := text(one, "reason"); r != "" {
				return form, r
			}
		}
	}
	return form, text(in, "status")
}

func text(o object, name string) string { s, _ := o[name].(string); return s }

func inner(o object, name string) object { i, _ := o[name].(object); return i }

func items(o object) []object {
	list, _ := o["items"].([]any)
	out := make([]object, 0, len(list))
	for _, e := range list {
		if one, ok := e.(object); ok {
			out = append(out, one)
		}
	}
	return out
}

// all lists every page.
func (c *client) all(ctx context.Context, path string, query url.Values) ([]object, error) {
	var out []object
	for page := ""; ; {
		q := url.Values{"pageToken": {page}}
		if page == "" {
			q = url.Values{}
		}
		for k, v := range query {
			q[k] = v
		}
		list, err := c.do(ctx, request{method: http.MethodGet, path: path, query: q})
		if err != nil {
			return nil, err
		}
		out = append(out, items(list)...)
		if page = text(list, "nextPageToken"); page == "" {
			return out, nil
		}
	}
}
