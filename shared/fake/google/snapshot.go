package google

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"google.golang.org/api/calendar/v3"
)

// CalendarSnapshot is a copy of one calendar's state.
type CalendarSnapshot struct {
	ID, Summary, Description, TimeZone string
	// Owner is the data owner's e-mail; ClientID the OAuth client that made the
	// calendar, empty if made by hand or primary.
	Owner, ClientID  string
	Primary, Deleted bool
	// OutOfReach: the client that made it cannot use it any more (G13).
	OutOfReach bool
	Created    time.Time
	// Rules has every rule that ever was, removed ones with role "none".
	Rules []RuleSnapshot
	// Live and Cancelled count events.
	Live, Cancelled int

	spelled func(kind, value string) (string, string)
}

// RuleSnapshot is a copy of one access-control rule.
type RuleSnapshot struct {
	ID, Type, Value, Role string
	// Hidden: invited and not accepted, so that acl.list does not show it.
	Hidden bool
	// Default: the calendar has carried it since its creation, unasked.
	Default bool
}

// Role gives the role of address in the rules: "none" if it has none.
func (c CalendarSnapshot) Role(address string) string {
	id := ruleID("user", address)
	if c.spelled != nil {
		id = ruleID(c.spelled("user", address))
	}
	for _, r := range c.Rules {
		if r.ID == id {
			return r.Role
		}
	}
	return "none"
}

// Calendars gives every calendar that ever was, in order of creation.
func (s *Server) Calendars() []CalendarSnapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A snapshot outlives the lock, so it respells by itself.
	var spelled func(kind, value string) (string, string)
	if s.opt.Ways.GmailSpelling || s.opt.Ways.GroupsOneIn > 0 {
		spelled = (&Server{opt: s.opt, accounts: maps.Clone(s.accounts)}).spelled
	}
	out := make([]CalendarSnapshot, 0, len(s.calOrder))
	for _, cal := range s.calOrder {
		c := CalendarSnapshot{ID: cal.id, Summary: cal.summary(), Description: str(cal.data, "description"), TimeZone: str(cal.data, "timeZone"),
			Owner: cal.owner.Email, ClientID: cal.clientID, Primary: cal.primary, Deleted: cal.deleted, OutOfReach: cal.outOfReach, Created: cal.created, spelled: spelled}
		for _, r := range cal.ruleOrder {
			c.Rules = append(c.Rules, r.snapshot())
		}
		c.Live, c.Cancelled = cal.counts()
		out = append(out, c)
	}
	return out
}

func (r *rule) snapshot() RuleSnapshot {
	return RuleSnapshot{ID: r.id, Type: r.kind, Value: r.value, Role: r.role, Hidden: r.hidden, Default: r.inborn}
}

// counts are the numbers of events that are there, and of cancelled ones.
func (c *calendarState) counts() (live, cancelled int) {
	for _, ev := range c.eventOrder {
		if ev.cancelled() {
			cancelled++
		} else {
			live++
		}
	}
	return live, cancelled
}

// Events gives every event of a calendar, deleted calendars included, live and
// cancelled, in order of creation, as its owner would see it. An unknown
// calendar has none.
func (s *Server) Events(calendarID string) []*calendar.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	cal := s.cals[calendarID]
	if cal == nil {
		return nil
	}
	var out []*calendar.Event
	for _, ev := range cal.eventOrder {
		if e, err := s.snapshot(cal, ev); err == nil {
			out = append(out, e)
		}
	}
	return out
}

// snapshot copies ev; it cannot fail but for a fault of this package.
func (s *Server) snapshot(cal *calendarState, ev *event) (*calendar.Event, error) {
	raw, err := json.Marshal(s.renderEvent(cal, ev, view{role: "owner", account: ev.creator, zone: cal.zone(), stored: true}))
	if err != nil {
		return nil, fmt.Errorf("encoding event %s: %w", ev.id, err)
	}
	var out calendar.Event
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("decoding event %s: %w", ev.id, err)
	}
	return &out, nil
}
