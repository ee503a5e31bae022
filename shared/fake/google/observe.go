package google

import "time"

// Observer is told of everything that happens, in the order in which it happens
// and inside the server's lock: it must be quick and must not call the Server.
type Observer interface {
	// Arrived is a request on its arrival, before anything befell it: Status and
	// Done are not known yet.
	Arrived(Request)
	// Changed is a change of the world, made by a request or by a person.
	Changed(Change)
	// Answered is a request after its effect, whether or not the answer arrives.
	Answered(Request)
}

// Change is one change of one calendar, event or rule: exactly one of Calendar,
// Event and Rule is set, and says how the thing is from now on.
type Change struct {
	Time time.Time
	// Request is what made the change; nil is the account's owner in the web UI.
	// Its Status is not known yet.
	Request    *Request
	CalendarID string
	Calendar   *CalendarChange
	Event      *EventChange
	Rule       *RuleSnapshot
}

// CalendarChange is a calendar after a change. ClientID is empty for one that no
// OAuth client made.
type CalendarChange struct {
	Summary, Description, TimeZone, ClientID string
	Primary, Deleted                         bool
}

// EventChange is an event after a change: what identifies it, and when it starts.
type EventChange struct {
	ID        string
	Cancelled bool
	// Private are the private extended properties.
	Private map[string]string
	// Start is the instant, or the first moment of the day in the calendar's zone.
	Start  time.Time
	AllDay bool
}

// Observe tells o of everything from now on, beginning with what is there. There
// is one observer; nil ends it.
func (s *Server) Observe(o Observer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observer = o
	for _, cal := range s.calOrder {
		s.tellCalendar(cal)
		for _, r := range cal.ruleOrder {
			s.tellRule(cal, r)
		}
		for _, ev := range cal.eventOrder {
			s.tellEvent(ev)
		}
	}
}

func (s *Server) tell(c Change) {
	c.Time = s.now()
	if s.current != nil {
		r := *s.current
		c.Request = &r
	}
	s.observer.Changed(c)
}

func (s *Server) tellCalendar(cal *calendarState) {
	if s.observer == nil {
		return
	}
	s.tell(Change{CalendarID: cal.id, Calendar: &CalendarChange{
		Summary: cal.summary(), Description: str(cal.data, "description"), TimeZone: str(cal.data, "timeZone"),
		ClientID: cal.clientID, Primary: cal.primary, Deleted: cal.deleted,
	}})
}

func (s *Server) tellRule(cal *calendarState, r *rule) {
	if s.observer == nil {
		return
	}
	now := r.snapshot()
	s.tell(Change{CalendarID: cal.id, Rule: &now})
}

func (s *Server) tellEvent(ev *event) {
	if s.observer == nil {
		return
	}
	private := map[string]string{}
	ext, _ := ev.data["extendedProperties"].(obj)
	props, _ := ext["private"].(obj)
	for k, v := range props {
		if text, ok := v.(string); ok {
			private[k] = text
		}
	}
	start, _ := ev.data["start"].(obj)
	s.tell(Change{CalendarID: ev.cal.id, Event: &EventChange{
		ID: ev.id, Cancelled: ev.cancelled(), Private: private, Start: ev.start, AllDay: str(start, "date") != "",
	}})
}
