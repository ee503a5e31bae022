package google

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	scopePrefix = "https://www.googleapis.com/auth/"
	maxBody     = 1 << 20
)

// call is one Calendar request while it takes effect, under the lock.
type call struct {
	s     *Server
	m     *method
	path  map[string]string
	query url.Values
	body  obj
	acc   *account
	tok   *accessToken
	entry *Request
	match string // If-Match
	none  string // If-None-Match
	now   time.Time
	// appOnly: only calendar.app.created admits this call, so other calendars
	// than this client's do not exist. ownedOnly, freeBusy and aclsOnly likewise.
	appOnly, ownedOnly, freeBusy bool
	aclsOnly                     bool
	shortPage                    int
	etagOut                      string
	noContent                    bool
}

// handlers serve the methods of the table; each gives the reply's JSON.
func handlers() map[string]func(*call) (obj, *apiError) {
	return map[string]func(*call) (obj, *apiError){
		"calendar.acl.delete": aclDelete, "calendar.acl.get": aclGet, "calendar.acl.insert": aclInsert,
		"calendar.acl.list": aclList, "calendar.acl.patch": aclWrite, "calendar.acl.update": aclWrite,
		"calendar.calendarList.delete": listDelete, "calendar.calendarList.get": listGet,
		"calendar.calendarList.insert": listInsert, "calendar.calendarList.list": listList,
		"calendar.calendarList.patch": listWrite, "calendar.calendarList.update": listWrite,
		"calendar.calendars.clear": calendarsClear, "calendar.calendars.delete": calendarsDelete,
		"calendar.calendars.get": calendarsGet, "calendar.calendars.insert": calendarsInsert,
		"calendar.calendars.patch": calendarsWrite, "calendar.calendars.update": calendarsWrite,
		"calendar.colors.get":    colorsGet,
		"calendar.events.delete": eventsDelete, "calendar.events.get": eventsGet, "calendar.events.import": eventsImport,
		"calendar.events.insert": eventsInsert, "calendar.events.list": eventsList, "calendar.events.move": eventsMove,
		"calendar.events.patch": eventsWrite, "calendar.events.update": eventsWrite,
	}
}

func (s *Server) serveCalendar(w http.ResponseWriter, r *http.Request, rest string) {
	m, path := s.table.route(r.Method, rest)
	if m == nil {
		a := jsonAnswer(http.StatusNotFound, notFound().body(s.opt.StatusErrors), "notFound")
		w.Header().Set("Content-Type", a.header.Get("Content-Type"))
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body) // the caller has gone: nobody to tell
		return
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		panic(http.ErrAbortHandler) // the request never arrived whole
	}
	q, qerr := url.ParseQuery(r.URL.RawQuery)
	e := entryOf(r, m, path, q, raw)
	bearer := strings.TrimSpace(r.Header.Get("Authorization"))

	s.mu.Lock()
	if tok := s.bearer(bearer); tok != nil {
		e.Account, e.ClientID = tok.acc.Email, tok.client
		if e.CalendarID == "primary" {
			e.CalendarID = tok.acc.Email
		}
	}
	s.mu.Unlock()

	s.perform(w, r, operation{
		entry: e,
		effect: func(f *Fault) answer {
			c := &call{s: s, m: m, path: path, query: q, entry: e, now: s.now(),
				match: r.Header.Get("If-Match"), none: r.Header.Get("If-None-Match")}
			if f != nil {
				c.shortPage = f.ShortPage
			}
			// Once more: the token may have died while the request was on its way.
			if c.tok = s.bearer(bearer); c.tok == nil {
				ae := authError()
				if bearer == "" {
					ae.reason, ae.message = "required", "Login Required."
				}
				return s.refuse(ae)
			}
			c.acc = c.tok.acc
			if qerr != nil {
				return s.refuse(invalidf("badRequest", "The query string is malformed."))
			}
			return c.answer(c.run(raw, r.Header.Get("Content-Type")))
		},
		refuse: s.refuse,
	})
}

// entryOf is what the log keeps of a request.
func entryOf(r *http.Request, m *method, path map[string]string, q url.Values, raw []byte) *Request {
	e := &Request{
		Method: m.ID, HTTPMethod: m.HTTPMethod, CalendarID: path["calendarId"], EventID: path["eventId"], RuleID: path["ruleId"],
		Query: cleanQuery(q), IfMatch: r.Header.Get("If-Match"), Units: 1, Write: isWrite(m.HTTPMethod),
	}
	if m.HTTPMethod == http.MethodPatch {
		e.Units = 3
	}
	if len(raw) > 0 && json.Valid(raw) {
		e.Body = slices.Clone(raw)
	}
	var id struct {
		ID string `json:"id"`
	}
	// A body that does not decode is refused later; here only the log's sake.
	if json.Unmarshal(raw, &id) == nil {
		switch m.ID {
		case "calendar.events.insert":
			e.EventID = id.ID
		case "calendar.calendarList.insert":
			e.CalendarID = id.ID
		}
	}
	return e
}

// refuse is the answer of an error.
func (s *Server) refuse(ae *apiError) answer {
	a := jsonAnswer(ae.status, ae.body(s.opt.StatusErrors), ae.reason)
	ae.headers(a.header)
	return a
}

// answer is the reply of a call that gave out, or failed with ae.
func (c *call) answer(out obj, ae *apiError) answer {
	switch {
	case ae != nil:
		return c.s.refuse(ae)
	case c.etagOut != "" && c.none == c.etagOut && c.m.HTTPMethod == http.MethodGet:
		return answer{status: http.StatusNotModified, header: http.Header{"Etag": {c.etagOut}}}
	case c.noContent:
		return answer{status: http.StatusNoContent, header: http.Header{}}
	}
	if mask := c.query.Get("fields"); mask != "" {
		masked, err := c.s.table.project(mask, c.m.Response, out)
		if err != nil {
			return c.s.refuse(err)
		}
		out = masked
	}
	a := jsonAnswer(http.StatusOK, out, "")
	if c.etagOut != "" {
		a.header["Etag"] = []string{c.etagOut}
	}
	return a
}

// run checks scope, quota, query and body, in Google's order, and then calls the
// method's handler.
func (c *call) run(raw []byte, contentType string) (obj, *apiError) {
	if err := c.checkScopes(); err != nil {
		return nil, err
	}
	if err := c.s.charge(c); err != nil {
		return nil, err
	}
	if err := c.s.table.checkQuery(c.m, c.query); err != nil {
		return nil, err
	}
	if mask := c.query.Get("fields"); mask != "" {
		// Checked before the effect: a bad mask must not half succeed.
		if _, err := c.s.table.project(mask, c.m.Response, obj{}); err != nil {
			return nil, err
		}
	}
	if c.m.Request != "" {
		if err := c.readBody(raw, contentType); err != nil {
			return nil, err
		}
	}
	if err := c.mayWrite(); err != nil {
		return nil, err
	}
	return handlers()[c.m.ID](c)
}

func (c *call) readBody(raw []byte, contentType string) *apiError {
	if len(raw) > maxBody {
		return errorf(http.StatusRequestEntityTooLarge, "uploadTooLarge", "The request is too large.")
	}
	if mt, _, err := mime.ParseMediaType(contentType); len(raw) > 0 && (err != nil || mt != "application/json") {
		return invalidf("parseError", "This API does not support parsing form-encoded input.")
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = []byte("{}")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil || dec.More() {
		return invalidf("parseError", "Parse Error")
	}
	sc := c.s.table.Schemas[c.m.Request]
	x, err := c.s.table.checkBody(sc, v, lowerFirst(c.m.Request))
	if err != nil {
		return err
	}
	body, ok := x.(obj)
	if !ok {
		return invalidf("parseError", "Parse Error")
	}
	c.body = body
	return nil
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// checkScopes decides by the method's documented scopes, and notes when only a
// scope that sees a part of the account admits the call.
func (c *call) checkScopes() *apiError {
	var have []string
	for _, sc := range c.m.Scopes {
		if slices.Contains(c.tok.scopes, sc) {
			have = append(have, strings.TrimPrefix(sc, scopePrefix))
		}
	}
	if len(have) == 0 {
		return scopeError()
	}
	c.appOnly = only(have, "calendar.app.created")
	owned := []string{"calendar.events.owned", "calendar.events.owned.readonly"}
	c.ownedOnly = only(have, append(owned, "calendar.app.created")...) && !c.appOnly
	c.freeBusy = only(have, "calendar.events.freebusy", "calendar.events.public.readonly")
	c.aclsOnly = only(have, "calendar.acls", "calendar.acls.readonly")
	return nil
}

// ifMatch compares the request's If-Match with the present ETag.
func (c *call) ifMatch(etag string) *apiError {
	if (c.match == "" || c.match == "*" || c.match == etag) && !c.strayPrecondition() {
		return nil
	}
	e := errorf(http.StatusPreconditionFailed, "conditionNotMet", "Precondition Failed")
	e.location = "If-Match"
	return e
}

func quoteETag(n int64) string { return `"` + strconv.FormatInt(n, 10) + `"` }

func (c *call) flag(name string) bool { return c.query.Get(name) == "true" }

// maxResults is the page size: the documented default and ceiling.
func (c *call) maxResults(def, ceiling int) int {
	n, err := strconv.Atoi(c.query.Get("maxResults"))
	if err != nil {
		n = def
	}
	n = min(n, ceiling)
	switch {
	case c.shortPage > 0:
		n = min(n, c.shortPage)
	case c.shortPage < 0:
		n = 0
	}
	return n
}
