package google

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Request is one entry of the log. Times are UTC.
type Request struct {
	ID int
	// Time is the arrival, Done the moment of the effect (or of giving up).
	Time, Done time.Time
	// Method is the discovery document's name ("calendar.events.insert") or
	// oauth2.discovery, .certs, .authorize, .token, .revoke, .userinfo.
	Method, HTTPMethod string
	// CalendarID ("primary" resolved), EventID (from the path, or the body of an
	// insert), RuleID: empty where the method has none.
	CalendarID, EventID, RuleID string
	// Query is without credentials. Body is kept for Calendar requests only.
	Query url.Values
	Body  json.RawMessage
	// IfMatch is the header.
	IfMatch string
	// Status is what was decided, also if the answer was lost; 0 when there was
	// no effect. Reason is the error's.
	Status int
	Reason string
	// Units are the quota units (patch: 3; oauth2: 0).
	Units             int
	Account, ClientID string
	// Write: the method changes something. Committed: and did.
	Write, Committed bool
	// Fault names the injected fault, if any.
	Fault string
	// Listed are the calendars on all pages of an answered calendarList.list.
	Listed []string
}

// Filter chooses log entries; empty fields match everything.
type Filter struct {
	Method                       string // exact, or with a trailing *
	Account, CalendarID, EventID string
	Since                        time.Time
	Writes, Committed, Failed    bool // only those
}

// Mail is a message Google would have sent.
type Mail struct {
	Time time.Time
	// Kind is "share", "invitation", "update", "cancellation", or "unaddressed":
	// a write that allowed mail (no sendUpdates=none) on an event without attendees.
	Kind string
	// To is the address; empty for "unaddressed".
	To                  string
	CalendarID, EventID string
	// Summary is the event's or calendar's title.
	Summary, Role string
}

// Requests gives copies of the logged requests that match, oldest first.
func (s *Server) Requests(f Filter) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Request
	for _, e := range s.log {
		prefix, star := strings.CutSuffix(f.Method, "*")
		if (f.Method != "" && f.Method != e.Method && (!star || !strings.HasPrefix(e.Method, prefix))) ||
			(f.Account != "" && !strings.EqualFold(f.Account, e.Account)) ||
			(f.CalendarID != "" && f.CalendarID != e.CalendarID) ||
			(f.EventID != "" && f.EventID != e.EventID) ||
			e.Time.Before(f.Since) || (f.Writes && !e.Write) || (f.Committed && !e.Committed) ||
			(f.Failed && e.Status < 400 && e.Status != 0) {
			continue
		}
		out = append(out, *e)
	}
	return out
}

// ResetRequests empties the log.
func (s *Server) ResetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

// Mails gives the mail sent so far, oldest first.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// ResetMails forgets the mail sent so far.
func (s *Server) ResetMails() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = nil
}

// record logs the arrival of e and gives the fault that shall befall it.
func (s *Server) record(e *Request) *Fault {
	s.seq++
	e.ID, e.Time = s.seq, s.now()
	if len(s.log) >= s.opt.KeepRequests {
		s.log = slices.Delete(s.log, 0, max(1, s.opt.KeepRequests/10))
	}
	s.log = append(s.log, e)
	f := s.fault(e)
	e.Fault = f.name()
	if s.observer != nil {
		s.observer.Arrived(*e)
	}
	return f
}

func (s *Server) mail(m Mail) {
	m.Time = s.now()
	s.mails = append(s.mails, m)
}

func cleanQuery(q url.Values) url.Values {
	out := url.Values{}
	for k, v := range q {
		if k != "oauth_token" && k != "key" && k != "access_token" {
			out[k] = slices.Clone(v)
		}
	}
	return out
}

func jsonAnswer(status int, v any, reason string) answer {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":{"code":500,"message":"Internal Error"}}`)
	}
	h := http.Header{"Content-Type": {"application/json; charset=UTF-8"}, "Cache-Control": {"no-cache, no-store, max-age=0, must-revalidate"}, "X-Content-Type-Options": {"nosniff"}}
	return answer{status: status, header: h, body: append(b, '\n'), reason: reason}
}
