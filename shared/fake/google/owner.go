package google

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"google.golang.org/api/calendar/v3"
)

// ErrNotThere is wrapped by the errors of the owner's actions that name a
// calendar, an event, a rule or an account that does not exist (any more).
var ErrNotThere = errors.New("not there")

// What the owner's actions take, for callers that may not import Google's client
// library.
type (
	// Event is an event as the API shows it.
	Event = calendar.Event
	// EventDateTime is an event's start or end.
	EventDateTime = calendar.EventDateTime
	// Calendar is a calendar as the API shows it.
	Calendar = calendar.Calendar
)

// The methods below act as a person in the web UI of Google Calendar: no OAuth
// client, no scopes, no quota, no entry in the request log.

func (s *Server) liveCalendar(id string) (*calendarState, error) {
	cal := s.cals[id]
	if cal == nil || cal.deleted {
		return nil, fmt.Errorf("calendar %s: %w", id, ErrNotThere)
	}
	return cal, nil
}

func (s *Server) liveEvent(calendarID, eventID string) (*calendarState, *event, error) {
	cal, err := s.liveCalendar(calendarID)
	if err != nil {
		return nil, nil, err
	}
	ev := cal.events[eventID]
	if ev == nil || ev.cancelled() {
		return nil, nil, fmt.Errorf("event %s: %w", eventID, ErrNotThere)
	}
	return cal, ev, nil
}

// webData checks an event written in the web UI as the API would.
func (s *Server) webData(cal *calendarState, in *calendar.Event) (obj, time.Time, time.Time, error) {
	raw, err := json.Marshal(in)
	if err != nil {
		return nil, time.Time{}, time.Time{}, fmt.Errorf("encoding an event: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, time.Time{}, time.Time{}, fmt.Errorf("decoding an event: %w", err)
	}
	x, aerr := s.table.checkBody(s.table.Schemas["Event"], v, "event")
	if aerr != nil {
		return nil, time.Time{}, time.Time{}, errors.New(aerr.message)
	}
	body, ok := x.(obj)
	if !ok {
		return nil, time.Time{}, time.Time{}, errors.New("an event must be an object")
	}
	data, start, end, aerr := (&call{s: s}).eventData(body, cal)
	if aerr != nil {
		return nil, time.Time{}, time.Time{}, errors.New(aerr.message)
	}
	return data, start, end, nil
}

// CreateEvent makes an event by hand and gives its id.
func (s *Server) CreateEvent(calendarID string, in *calendar.Event) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cal, err := s.liveCalendar(calendarID)
	if err != nil {
		return "", fmt.Errorf("creating an event: %w", err)
	}
	data, start, end, err := s.webData(cal, in)
	if err != nil {
		return "", fmt.Errorf("creating an event in %s: %w", calendarID, err)
	}
	return s.addEvent(cal, s.eventID(), cal.owner.Email, "", data, start, end, 0).id, nil
}

// EditEvent changes an event; edit gets a copy as the API shows it.
func (s *Server) EditEvent(calendarID, eventID string, edit func(*calendar.Event)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cal, ev, err := s.liveEvent(calendarID, eventID)
	if err != nil {
		return fmt.Errorf("editing: %w", err)
	}
	shown, err := s.snapshot(cal, ev)
	if err != nil {
		return err
	}
	edit(shown)
	data, start, end, err := s.webData(cal, shown)
	if err != nil {
		return fmt.Errorf("editing event %s: %w", eventID, err)
	}
	data["iCalUID"] = ev.data["iCalUID"]
	s.put(ev, withStatus(data, ev), start, end, ev.sequence)
	return nil
}

// MoveEvent drags an event to another start; it keeps its length.
func (s *Server) MoveEvent(calendarID, eventID string, start time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cal, ev, err := s.liveEvent(calendarID, eventID)
	if err != nil {
		return fmt.Errorf("moving: %w", err)
	}
	data := maps.Clone(ev.data)
	from, _ := data["start"].(obj)
	length := ev.end.Sub(ev.start)
	end := start.Add(length)
	if str(from, "date") != "" {
		local := start.In(cal.zone())
		days := int((length + 12*time.Hour) / (24 * time.Hour)) // a day may have 23 or 25 hours
		start = time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, cal.zone())
		end = start.AddDate(0, 0, days)
		data["start"], data["end"] = obj{"date": start.Format(time.DateOnly)}, obj{"date": end.Format(time.DateOnly)}
	} else {
		for k, t := range map[string]time.Time{"start": start, "end": end} {
			before, _ := ev.data[k].(obj)
			data[k] = mergePatch(before, obj{"dateTime": t.UTC().Truncate(time.Second).Format(time.RFC3339)})
		}
	}
	s.put(ev, data, start.UTC(), end.UTC(), ev.sequence)
	return nil
}

// MoveEventTo puts an event into another calendar under the same id; the old
// calendar keeps a tombstone.
func (s *Server) MoveEventTo(calendarID, eventID, toCalendarID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ev, err := s.liveEvent(calendarID, eventID)
	if err != nil {
		return fmt.Errorf("moving: %w", err)
	}
	to, err := s.liveCalendar(toCalendarID)
	if err != nil {
		return fmt.Errorf("moving event %s: %w", eventID, err)
	}
	if to.events[ev.id] != nil {
		return fmt.Errorf("moving event %s: %s has one with that id", eventID, toCalendarID)
	}
	s.moveEvent(to, ev)
	return nil
}

// CopyEvent duplicates an event, extended properties included, under a new id,
// and gives that.
func (s *Server) CopyEvent(calendarID, eventID, toCalendarID string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ev, err := s.liveEvent(calendarID, eventID)
	if err != nil {
		return "", fmt.Errorf("copying: %w", err)
	}
	to, err := s.liveCalendar(toCalendarID)
	if err != nil {
		return "", fmt.Errorf("copying event %s: %w", eventID, err)
	}
	data := maps.Clone(ev.data)
	delete(data, "iCalUID")
	return s.addEvent(to, s.eventID(), to.owner.Email, "", data, ev.start, ev.end, 0).id, nil
}

// DeleteEvent deletes in the web UI; Options.WebDeletionForbidsRevival applies.
func (s *Server) DeleteEvent(calendarID, eventID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ev, err := s.liveEvent(calendarID, eventID)
	if err != nil {
		return fmt.Errorf("deleting: %w", err)
	}
	s.cancelEvent(ev, true)
	return nil
}

// RestoreEvent takes an event out of the bin.
func (s *Server) RestoreEvent(calendarID, eventID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cal, err := s.liveCalendar(calendarID)
	if err != nil {
		return fmt.Errorf("restoring: %w", err)
	}
	ev := cal.events[eventID]
	if ev == nil || !ev.cancelled() || s.vanished(ev) {
		return fmt.Errorf("restoring event %s: %w", eventID, ErrNotThere)
	}
	data := maps.Clone(ev.data)
	data["status"] = "confirmed"
	s.put(ev, data, ev.start, ev.end, ev.sequence)
	return nil
}

// EmptyBin makes the deleted events of a calendar unfindable (404); their ids
// stay taken.
func (s *Server) EmptyBin(calendarID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cal, err := s.liveCalendar(calendarID)
	if err != nil {
		return fmt.Errorf("emptying the bin: %w", err)
	}
	for _, ev := range cal.eventOrder {
		ev.purged = ev.purged || ev.cancelled()
	}
	s.touch()
	return nil
}

// CreateCalendar makes a calendar by hand, which no OAuth client created, and
// gives its id.
func (s *Server) CreateCalendar(account, summary, timeZone string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	acc := s.account(account)
	if acc == nil {
		return "", fmt.Errorf("creating a calendar: account %s: %w", account, ErrNotThere)
	}
	data, aerr := s.calendarData(obj{"summary": summary, "timeZone": timeZone})
	if aerr != nil {
		return "", errors.New("creating a calendar: " + aerr.message)
	}
	if data["timeZone"] == nil {
		data["timeZone"] = "UTC"
	}
	cal := s.newCalendar(acc, "c_"+s.hex(32)+"@group.calendar.google.com", "")
	cal.data = data
	s.tellCalendar(cal)
	return cal.id, nil
}

// EditCalendar changes a calendar's summary, description, location or time zone.
func (s *Server) EditCalendar(calendarID string, edit func(*calendar.Calendar)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cal, err := s.liveCalendar(calendarID)
	if err != nil {
		return fmt.Errorf("editing: %w", err)
	}
	shown := &calendar.Calendar{Id: cal.id, Summary: cal.summary(), Description: str(cal.data, "description"), Location: str(cal.data, "location"), TimeZone: str(cal.data, "timeZone")}
	edit(shown)
	data, aerr := s.calendarData(obj{"summary": shown.Summary, "description": shown.Description, "location": shown.Location, "timeZone": shown.TimeZone})
	if aerr != nil {
		return fmt.Errorf("editing calendar %s: %s", calendarID, aerr.message)
	}
	s.setCalendar(cal, data)
	return nil
}

// DeleteCalendar deletes a calendar for everybody.
func (s *Server) DeleteCalendar(calendarID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cal, err := s.liveCalendar(calendarID)
	if err != nil {
		return fmt.Errorf("deleting: %w", err)
	}
	s.dropCalendar(cal)
	return nil
}

// SetShare gives address a role (freeBusyReader, reader, writer, owner) on a
// calendar, by widening, narrowing or making its rule; no mail is sent.
func (s *Server) SetShare(calendarID, address, role string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cal, err := s.liveCalendar(calendarID)
	if err != nil {
		return fmt.Errorf("sharing: %w", err)
	}
	if _, ok := roleRank[role]; !ok {
		return fmt.Errorf("sharing calendar %s: no role %q", calendarID, role)
	}
	s.setRule(cal, "user", address, role)
	return nil
}

// RemoveShare takes address off a calendar.
func (s *Server) RemoveShare(calendarID, address string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cal, err := s.liveCalendar(calendarID)
	if err != nil {
		return fmt.Errorf("removing a share: %w", err)
	}
	r := cal.rules[ruleID(s.spelled("user", address))]
	if r == nil || r.role == "none" {
		return fmt.Errorf("removing the share of calendar %s: %w", calendarID, ErrNotThere)
	}
	s.setRule(cal, "user", address, "none")
	return nil
}

// AcceptShare makes the invited address follow the link in its mail: a hidden
// rule shows in acl.list, and the calendar enters the account's list.
func (s *Server) AcceptShare(calendarID, address string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cal, err := s.liveCalendar(calendarID)
	if err != nil {
		return fmt.Errorf("accepting a share: %w", err)
	}
	r := cal.rules[ruleID(s.spelled("user", address))]
	if r == nil || r.role == "none" {
		return fmt.Errorf("accepting the share of calendar %s: %w", calendarID, ErrNotThere)
	}
	r.hidden = false
	r.etag, r.rev = s.etag(), s.touch()
	s.tellRule(cal, r)
	if acc := s.accounts[strings.ToLower(address)]; acc != nil {
		s.listAdd(acc, cal)
	}
	return nil
}

// RevokeGrant takes back, in the Google account's settings, all that account
// granted to any client: its refresh and access tokens die.
func (s *Server) RevokeGrant(account string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	acc := s.account(account)
	if acc == nil {
		return fmt.Errorf("revoking a grant: account %s: %w", account, ErrNotThere)
	}
	s.revokeGrant(acc, "")
	return nil
}

// UnlockQuota ends what quotaExceeded locked, and forgets what was counted.
func (s *Server) UnlockQuota() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.order {
		clear(a.created)
		clear(a.lockedTil)
	}
}
