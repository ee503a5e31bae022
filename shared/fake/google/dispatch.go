package google

import (
	"bytes"
	"encoding/json"
	"fmt"
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
	// than this client's do not exist. ownedOnly and freeBusy likewise.
	appOnly, ownedOnly, freeBusy bool
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
	// A body that does not decode is refused below; here only the log's sake.
	if json.Unmarshal(raw, &id) == nil {
		switch m.ID {
		case "calendar.events.insert":
			e.EventID = id.ID
		case "calendar.calendarList.insert":
			e.CalendarID = id.ID
		}
	}
	bearer := strings.TrimSpace(r.Header.Get("Authorization"))

	s.mu.Lock()
	tok := s.bearer(bearer)
	if tok != nil {
		e.Account, e.ClientID = tok.acc.Email, tok.client
		if e.CalendarID == "primary" {
			e.CalendarID = tok.acc.Email
		}
	}
	s.mu.Unlock()

	refuse := func(ae *apiError) answer {
		a := jsonAnswer(ae.status, ae.body(s.opt.StatusErrors), ae.reason)
		ae.headers(a.header)
		return a
	}
	effect := func(f *Fault) answer {
		c := &call{s: s, m: m, path: path, query: q, entry: e, now: s.now(),
			match: r.Header.Get("If-Match"), none: r.Header.Get("If-None-Match")}
		if f != nil {
			c.shortPage = f.ShortPage
		}
		// Once more: the token may have died while the request was on its way.
		c.tok = s.bearer(bearer)
		if bearer == "" {
			ae := authError()
			ae.reason, ae.message = "required", "Login Required."
			return refuse(ae)
		}
		if c.tok == nil {
			return refuse(authError())
		}
		c.acc = c.tok.acc
		if qerr != nil {
			return refuse(invalidf("badRequest", "The query string is malformed."))
		}
		out, ae := c.run(raw, r.Header.Get("Content-Type"))
		if ae != nil {
			return refuse(ae)
		}
		if c.etagOut != "" && c.none == c.etagOut && m.HTTPMethod == http.MethodGet {
			return answer{status: http.StatusNotModified, header: http.Header{"Etag": {c.etagOut}}}
		}
		if c.noContent {
			return answer{status: http.StatusNoContent, header: http.Header{}}
		}
		if mask := q.Get("fields"); mask != "" {
			masked, err := s.table.project(mask, m.Response, out)
			if err != nil {
				return refuse(err)
			}
			out = masked
		}
		a := jsonAnswer(http.StatusOK, out, "")
		if c.etagOut != "" {
			a.header["Etag"] = []string{c.etagOut}
		}
		return a
	}
	s.perform(w, r, operation{entry: e, effect: effect, refuse: refuse})
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
	if c.entry.Write {
		if t, ok := c.acc.lockedTil["writes"]; ok && c.now.Before(t) {
			return nil, usageLimit(http.StatusForbidden, "quotaExceeded", "Calendar usage limits exceeded.")
		}
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
	all := func(names ...string) bool {
		for _, h := range have {
			if !slices.Contains(names, h) {
				return false
			}
		}
		return true
	}
	c.appOnly = all("calendar.app.created")
	owned := []string{"calendar.events.owned", "calendar.events.owned.readonly"}
	c.ownedOnly = all(append(owned, "calendar.app.created")...) && !c.appOnly
	c.freeBusy = all("calendar.events.freebusy", "calendar.events.public.readonly")
	return nil
}

// charge counts the call's quota units in the sliding minute. Refused calls are
// not counted.
func (s *Server) charge(c *call) *apiError {
	since := c.now.Add(-time.Minute)
	total := func(a *account) int {
		n, list := 0, a.units[c.tok.client]
		for len(list) > 0 && !list[0].at.After(since) {
			list = list[1:]
		}
		a.units[c.tok.client] = list
		for _, u := range list {
			n += u.units
		}
		return n
	}
	over := func(what string) *apiError {
		return usageLimit(s.opt.RateLimitStatus, "rateLimitExceeded", "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute"+what+"' of service 'calendar-json.googleapis.com'.")
	}
	if n := s.opt.RequestsPerMinute; n > 0 && total(c.acc)+c.entry.Units > n {
		return over(" per user")
	}
	if n := s.opt.ProjectRequestsPerMinute; n > 0 {
		sum := 0
		for _, a := range s.order {
			sum += total(a)
		}
		if sum+c.entry.Units > n {
			return over("")
		}
	}
	if s.opt.RequestsPerMinute > 0 || s.opt.ProjectRequestsPerMinute > 0 {
		c.acc.units[c.tok.client] = append(c.acc.units[c.tok.client], usage{c.now, c.entry.Units})
	}
	return nil
}

// Kinds of the anti-abuse limits.
const (
	kindCalendars = "calendars"
	kindEvents    = "events"
	kindShares    = "shares"
)

// create counts one creation against the anti-abuse limit of its kind, or trips
// it: 403 quotaExceeded, for hours.
func (c *call) create(kind string) *apiError {
	s, a := c.s, c.acc
	exceeded := usageLimit(http.StatusForbidden, "quotaExceeded", "Calendar usage limits exceeded.")
	lock := "creating"
	if kind == kindEvents || s.opt.QuotaLocksAll {
		lock = "writes"
	}
	if kind != kindEvents {
		if t, ok := a.lockedTil["creating"]; ok && c.now.Before(t) {
			return exceeded
		}
	}
	limit := map[string]int{kindCalendars: s.opt.CalendarsPerPeriod, kindEvents: s.opt.EventsPerPeriod, kindShares: s.opt.SharesPerPeriod}[kind]
	if limit <= 0 {
		return nil
	}
	list := a.created[kind]
	for len(list) > 0 && !list[0].After(c.now.Add(-s.opt.Period)) {
		list = list[1:]
	}
	if len(list) >= limit {
		a.created[kind] = list
		a.lockedTil[lock] = c.now.Add(s.opt.QuotaLock)
		return exceeded
	}
	a.created[kind] = append(list, c.now)
	return nil
}

// ifMatch compares the request's If-Match with the present ETag.
func (c *call) ifMatch(etag string) *apiError {
	if c.match == "" || c.match == "*" || c.match == etag {
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

// project applies the standard parameter fields, a partial-response mask such as
// "nextPageToken,items(id,start/dateTime)".
func (t *table) project(mask, response string, in obj) (obj, *apiError) {
	p := &maskParser{s: mask}
	tree, err := p.list(0)
	if err != nil || p.i != len(p.s) {
		return nil, invalidf("invalidParameter", "Invalid field selection %s", mask)
	}
	if bad := t.unknownField(tree, &schema{Ref: response}); bad != "" && response != "" {
		return nil, invalidf("invalidParameter", "Invalid field selection %s", bad)
	}
	out, _ := applyMask(tree, in).(obj)
	return out, nil
}

// mask is a tree of field names; an empty tree takes everything below.
type mask map[string]mask

type maskParser struct {
	s string
	i int
}

func (p *maskParser) list(depth int) (mask, error) {
	out := mask{}
	if depth > 20 {
		return nil, fmt.Errorf("the mask is nested too deeply")
	}
	for {
		at := out
		for {
			j := p.i
			for j < len(p.s) && !strings.ContainsRune(",/()", rune(p.s[j])) {
				j++
			}
			name := p.s[p.i:j]
			if name == "" {
				return nil, fmt.Errorf("a field name is missing at %d", p.i)
			}
			p.i = j
			if at[name] == nil {
				at[name] = mask{}
			}
			if p.i < len(p.s) && p.s[p.i] == '/' {
				p.i++
				at = at[name]
				continue
			}
			if p.i < len(p.s) && p.s[p.i] == '(' {
				p.i++
				sub, err := p.list(depth + 1)
				if err != nil {
					return nil, err
				}
				if p.i >= len(p.s) || p.s[p.i] != ')' {
					return nil, fmt.Errorf("a closing bracket is missing")
				}
				p.i++
				at[name] = sub
			}
			break
		}
		if p.i < len(p.s) && p.s[p.i] == ',' {
			p.i++
			continue
		}
		return out, nil
	}
}

func (t *table) unknownField(m mask, sc *schema) string {
	for name, sub := range m {
		if name == "*" {
			continue
		}
		at := sc
		for at != nil && (at.Ref != "" || at.Items != nil) {
			if at.Ref != "" {
				at = t.Schemas[at.Ref]
			} else {
				at = at.Items
			}
		}
		if at == nil {
			return name
		}
		next := at.Properties[name]
		if next == nil {
			next = at.Additional
		}
		if next == nil {
			return name
		}
		if bad := t.unknownField(sub, next); bad != "" {
			return bad
		}
	}
	return ""
}

func applyMask(m mask, v any) any {
	if len(m) == 0 {
		return v
	}
	switch x := v.(type) {
	case obj:
		out := obj{}
		for k, e := range x {
			sub, ok := m[k]
			if !ok {
				sub, ok = m["*"]
			}
			if ok {
				out[k] = applyMask(sub, e)
			}
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = applyMask(m, e)
		}
		return out
	}
	return v
}
