package google

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fault is a rule that spoils chosen requests. Empty matchers match everything.
type Fault struct {
	// Name stands in the log and in Server.Met; empty names the fault by its kind.
	Name string
	// Method is the method name: "calendar.events.update", "oauth2.token", …; a
	// trailing * matches the rest ("calendar.events.*"). Methods are several.
	Method  string
	Methods []string
	// Account (e-mail), CalendarID and EventID as the request names them.
	Account, CalendarID, EventID string
	// NamesCalendar limits the rule to requests that name a calendar, OneCalendarIn
	// to those of about one calendar in so many, always the same ones (0 and 1: all).
	NamesCalendar bool
	OneCalendarIn int
	// Writes limits the rule to Calendar requests that write, IfMatched to those that
	// carry an If-Match.
	Writes, IfMatched bool
	// From and Until are when the rule is in force: from the first, and before the
	// second; zero is no bound.
	From, Until time.Time
	// Match, if set, decides further. It runs inside the server's lock: it must
	// not call the Server.
	Match func(Request) bool
	// Nth is the first matching request to be spoilt, counted from 1 (0 = 1).
	Nth int
	// Count is how many in a row are spoilt: 0 = one, negative = all.
	Count int

	// Status (with Reason, Message, RetryAfter) is answered instead of the effect.
	// Reasons of quotas get the domain usageLimits, as Google's do.
	Status          int
	Reason, Message string
	RetryAfter      time.Duration
	// Body is the form of that answer.
	Body BodyForm
	// Delay waits before the effect, DelayAfter between effect and answer.
	Delay, DelayAfter time.Duration
	// Drop breaks the connection before the effect, LoseResponse after it.
	Drop, LoseResponse bool
	// Hang never answers, and has no effect: it ends with the request's context.
	Hang bool
	// TruncateBody breaks the connection in the middle of the answer's body.
	TruncateBody bool
	// ShortPage makes a list answer at most that many items (negative: none) with
	// a nextPageToken although more would fit, which Google allows itself.
	ShortPage int

	seen, hits int
	removed    bool
}

// Injected is a fault in force.
type Injected struct {
	s *Server
	f *Fault
}

// Inject puts a copy of the rule in force. The first rule in force that matches a request
// and is due is the only one applied to it.
func (s *Server) Inject(rule Fault) *Injected {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := rule
	s.faults = append(s.faults, &f)
	return &Injected{s: s, f: &f}
}

// Hits is how many requests were spoilt.
func (i *Injected) Hits() int {
	i.s.mu.Lock()
	defer i.s.mu.Unlock()
	return i.f.hits
}

// Remove ends the rule.
func (i *Injected) Remove() {
	i.s.mu.Lock()
	defer i.s.mu.Unlock()
	i.f.removed = true
}

// ClearFaults ends all rules.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

func (s *Server) fault(e *Request) *Fault {
	now := s.now()
	for _, f := range s.faults {
		if f.removed || now.Before(f.From) || !f.Until.IsZero() && !now.Before(f.Until) || !f.matches(e) {
			continue
		}
		f.seen++
		first, count := max(f.Nth, 1), f.Count
		if count == 0 {
			count = 1
		}
		if f.seen < first || (count > 0 && f.hits >= count) {
			continue
		}
		f.hits++
		if f.Name != "" {
			s.met[f.Name]++
		}
		return f
	}
	return nil
}

func (f *Fault) matches(e *Request) bool {
	patterns := f.Methods
	if f.Method != "" || len(patterns) == 0 {
		patterns = append([]string{f.Method}, patterns...)
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matchesMethod(pattern, e.Method) }) &&
		(!f.NamesCalendar || e.CalendarID != "") &&
		(f.OneCalendarIn < 2 || e.CalendarID != "" && share(e.CalendarID, uint64(f.OneCalendarIn)) == 0) &&
		(!f.IfMatched || e.IfMatch != "") &&
		(f.Account == "" || strings.EqualFold(f.Account, e.Account)) &&
		(f.CalendarID == "" || f.CalendarID == e.CalendarID) &&
		(f.EventID == "" || f.EventID == e.EventID) &&
		(!f.Writes || e.Write) &&
		(f.Match == nil || f.Match(*e))
}

func matchesMethod(pattern, method string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(method, prefix)
	}
	return pattern == "" || pattern == method
}

func (f *Fault) apiError() *apiError {
	reason, message := f.Reason, f.Message
	if reason == "" {
		reason = map[int]string{400: "invalid", 401: "authError", 403: "forbidden", 404: "notFound", 409: "duplicate",
			410: "deleted", 412: "conditionNotMet", 429: "rateLimitExceeded", 503: "backendError"}[f.Status]
		if reason == "" {
			reason = "internalError"
		}
	}
	if message == "" {
		message = http.StatusText(f.Status)
	}
	e := errorf(f.Status, reason, "%s", message)
	switch reason {
	case "rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded", "accessNotConfigured":
		e.domain = "usageLimits"
	case "notACalendarUser":
		e.domain = "calendar"
	}
	if reason == "accessNotConfigured" {
		e.detail = "SERVICE_DISABLED"
	}
	e.retryAfter, e.form = f.RetryAfter, f.Body
	return e
}

func (f *Fault) name() string {
	switch {
	case f == nil:
		return ""
	case f.Name != "":
		return f.Name
	case f.Hang:
		return "hang"
	case f.Drop:
		return "drop"
	case f.Status != 0:
		return "status"
	case f.LoseResponse:
		return "response lost"
	case f.TruncateBody:
		return "body truncated"
	case f.ShortPage != 0:
		return "short page"
	}
	return "delay"
}

// answer is a whole reply, made under the lock and sent outside it.
type answer struct {
	status int
	header http.Header
	body   []byte
	reason string // for the log
}

// operation is one request on its way through faults and latency.
type operation struct {
	entry *Request
	// effect makes the answer; called once, under the lock. f may be nil.
	effect func(f *Fault) answer
	// refuse makes the answer of an injected status.
	refuse func(e *apiError) answer
}

// perform runs op: fault, latency, effect, log, answer.
func (s *Server) perform(w http.ResponseWriter, r *http.Request, op operation) {
	s.mu.Lock()
	f := s.record(op.entry)
	s.mu.Unlock()
	ctx := r.Context()

	before, after := s.opt.Latency/2, s.opt.Latency-s.opt.Latency/2
	if f != nil {
		before, after = before+f.Delay, after+f.DelayAfter
	}
	if f != nil && f.Hang {
		<-ctx.Done()
		s.abort(op.entry)
	}
	// A caller who has gone before the effect gets none; one who goes after it
	// has caused it all the same.
	if !sleep(ctx, before) || (f != nil && f.Drop) {
		s.abort(op.entry)
	}

	s.mu.Lock()
	var a answer
	if f != nil && f.Status != 0 {
		a = op.refuse(f.apiError()).inForm(f.Body)
	} else {
		s.current = op.entry
		a = op.effect(f)
		s.current = nil
		op.entry.Committed = a.status < 300 && op.entry.Write
	}
	op.entry.Status, op.entry.Reason, op.entry.Done = a.status, a.reason, s.now()
	s.answered(op.entry)
	s.wake()
	s.mu.Unlock()

	if !sleep(ctx, after) || (f != nil && f.LoseResponse) {
		panic(http.ErrAbortHandler) // net/http's way to break a connection off
	}
	for k, v := range a.header {
		w.Header()[k] = v
	}
	truncate := f != nil && f.TruncateBody
	body := a.body
	if truncate {
		body = body[:len(body)/2]
	}
	w.WriteHeader(a.status)
	_, err := w.Write(body)
	if truncate || err != nil {
		if fl, ok := w.(http.Flusher); ok {
			fl.Flush()
		}
		panic(http.ErrAbortHandler)
	}
}

// abort ends a request without an effect by breaking off the connection.
func (s *Server) abort(e *Request) {
	s.mu.Lock()
	e.Done = s.now()
	s.answered(e)
	s.mu.Unlock()
	panic(http.ErrAbortHandler)
}

func (s *Server) answered(e *Request) {
	if s.observer != nil {
		s.observer.Answered(*e)
	}
}

// sleep waits d and reports whether ctx lasted as long.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
