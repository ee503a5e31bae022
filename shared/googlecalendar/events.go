package googlecalendar

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/api/calendar/v3"
	"google.golang.org/api/googleapi"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// Event is an event as Google has it.
type Event struct {
	ID        string
	ETag      string
	Sequence  int64
	Cancelled bool
	Fields    calendarsync.Fields
	// Mark is what the private properties say; Owned is set when it is whole and
	// the id is the hash of what it says (rule 3.2).
	Mark   calendarsync.Mark
	Marked bool
	Owned  bool
	// Bare: it shows no private property at all, as all do while Google gives none back.
	Bare bool
}

// Draft is an event to be written.
type Draft struct {
	ID      string
	Content calendarsync.Event
	Mark    calendarsync.Mark
	// Sequence must be the one Google has; ETag, where known, must match.
	Sequence int64
	ETag     string
}

// InsertEvent makes an event under its own id. Kind conflict: the id is taken,
// by a live event or a cancelled one.
func (g *Gateway) InsertEvent(ctx context.Context, calendarID string, d Draft) (Event, error) {
	var made *calendar.Event
	err := g.callZoned(ctx, op{"events.insert", calendarID + "/" + d.ID, "insert event " + d.ID}, calendarID, always, d.zoneOf(), func(ctx context.Context, zone string) (err error) {
		made, err = g.api.Events.Insert(calendarID, d.inZone(zone).body(g.location)).SendUpdates("none").Fields(eventFields).Context(ctx).Do()
		return err
	})
	return checked(d.ID, made, err)
}

// UpdateEvent writes the whole event, which also revives a cancelled one. Kind
// conflict: somebody changed it since ETag.
func (g *Gateway) UpdateEvent(ctx context.Context, calendarID string, d Draft) (Event, error) {
	var made *calendar.Event
	err := g.callZoned(ctx, op{"events.update", calendarID + "/" + d.ID, "update event " + d.ID}, calendarID, always, d.zoneOf(), func(ctx context.Context, zone string) (err error) {
		call := g.api.Events.Update(calendarID, d.ID, d.inZone(zone).body(g.location)).SendUpdates("none").Fields(eventFields).Context(ctx)
		ifMatch(call.Header(), d.ETag)
		made, err = call.Do()
		return err
	})
	return checked(d.ID, made, err)
}

// DeleteEvent cancels an event. Kind gone: it is cancelled already, or never
// was; kind conflict: somebody changed it since etag.
func (g *Gateway) DeleteEvent(ctx context.Context, calendarID, eventID, etag string) error {
	return g.call(ctx, op{"events.delete", calendarID + "/" + eventID, "delete event " + eventID}, calendarID, always, func(ctx context.Context) error {
		call := g.api.Events.Delete(calendarID, eventID).SendUpdates("none").Context(ctx)
		ifMatch(call.Header(), etag)
		return call.Do()
	})
}

// Event reads one event; cancelled ones are given as such, and kind gone means
// that the id was never used.
func (g *Gateway) Event(ctx context.Context, calendarID, eventID string) (Event, error) {
	var e *calendar.Event
	err := g.call(ctx, op{"events.get", calendarID + "/" + eventID, "read event " + eventID}, "", always, func(ctx context.Context) (err error) {
		e, err = g.api.Events.Get(calendarID, eventID).Fields(eventFields).Context(ctx).Do()
		return err
	})
	return checked(eventID, e, err)
}

// Events lists all events of a calendar but cancelled ones, all pages. Google says
// with each page what the calendar is called and described as, so that a look at the
// events is one at the calendar too; only the ETag is not said.
func (g *Gateway) Events(ctx context.Context, calendarID string) (Calendar, []Event, error) {
	var head Calendar
	var out []Event
	for page := ""; ; {
		var list *calendar.Events
		err := g.call(ctx, op{"events.list", calendarID, "list events of calendar " + calendarID}, "", always, func(ctx context.Context) (err error) {
			list, err = g.api.Events.List(calendarID).MaxResults(2500).PageToken(page).
				Fields(googleapi.Field("nextPageToken,summary,description,timeZone,items(" + string(eventFields) + ")")).Context(ctx).Do()
			return err
		})
		if err != nil {
			return Calendar{}, nil, err
		}
		head = fromCalendar(calendarID, list.Summary, list.Description, list.TimeZone, "")
		for _, item := range list.Items {
			// An instance of a series is not an event of ours, whatever it inherited.
			if item.RecurringEventId != "" || item.Status == "cancelled" {
				continue
			}
			out = append(out, eventOf(item))
		}
		if page = list.NextPageToken; page == "" {
			return head, out, nil
		}
	}
}

// checked refuses an answer that speaks of another event: Google's answers are
// input, not truth.
func checked(id string, e *calendar.Event, err error) (Event, error) {
	if err != nil {
		return Event{}, err
	}
	if e == nil || e.Id != id {
		return Event{}, &failure.Error{Kind: failure.Transient, Op: "read Google's answer for event " + id, Detail: "it speaks of another event", Ambiguous: true}
	}
	return eventOf(e), nil
}

func (d Draft) body(location func(name string) *time.Location) *calendar.Event {
	return &calendar.Event{
		Id:          d.ID,
		Status:      "confirmed",
		Summary:     d.Content.Title,
		Location:    d.Content.Location,
		Description: d.Content.Description,
		ColorId:     d.Content.Color,
		Start:       timeOut(d.Content.Start, location),
		End:         timeOut(d.Content.End, location),
		Sequence:    d.Sequence,
		ExtendedProperties: &calendar.EventExtendedProperties{
			Private: d.Mark.Properties(),
		},
		// The structs drop zero values; a sequence of 0 must be said (shared/googlecalendar/README.md).
		ForceSendFields: []string{"Sequence"},
	}
}

// location gives a zone, which is read from its file once; nil where there is none.
func (g *Gateway) location(name string) *time.Location {
	if known, ok := g.locations.Load(name); ok {
		zone, _ := known.(*time.Location)
		return zone
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	g.locations.Store(name, zone)
	return zone
}

func timeOut(t calendarsync.EventTime, location func(name string) *time.Location) *calendar.EventDateTime {
	if t.Date != "" {
		return &calendar.EventDateTime{Date: t.Date}
	}
	out := &calendar.EventDateTime{TimeZone: t.Zone, DateTime: t.Instant.UTC().Format(time.RFC3339)}
	if zone := location(t.Zone); zone != nil {
		out.DateTime = t.Instant.In(zone).Format(time.RFC3339)
	}
	return out
}

func timeIn(t *calendar.EventDateTime) calendarsync.EventTime {
	if t == nil {
		return calendarsync.EventTime{}
	}
	if t.Date != "" {
		return calendarsync.EventTime{Date: t.Date}
	}
	out := calendarsync.EventTime{Zone: t.TimeZone}
	if at, err := time.Parse(time.RFC3339, t.DateTime); err == nil {
		out.Instant = at.UTC()
	}
	return out
}

func eventOf(e *calendar.Event) Event {
	out := Event{
		ID: e.Id, ETag: e.Etag, Sequence: e.Sequence, Cancelled: e.Status == "cancelled",
		Fields: calendarsync.Fields{
			Title: e.Summary, Location: e.Location, Description: e.Description, Color: e.ColorId,
			Start: timeIn(e.Start), End: timeIn(e.End),
			Visibility: e.Visibility, Transparency: e.Transparency, Recurrence: e.Recurrence, Attendees: len(e.Attendees),
		},
	}
	// An unconfirmed event shows greyed out: a status other than confirmed is drift.
	if e.Status != "confirmed" && e.Status != "cancelled" && e.Status != "" {
		out.Fields.Transparency += "/" + e.Status
	}
	out.Bare = e.ExtendedProperties == nil || len(e.ExtendedProperties.Private) == 0
	if !out.Bare {
		out.Mark, out.Marked = calendarsync.ReadMark(e.ExtendedProperties.Private)
		out.Owned = out.Marked && out.Mark.Owns(e.Id)
	}
	return out
}

// Ours reports whether an event is this installation's for a task and employee.
func (e Event) Ours(tenant string, task calendarsync.TaskID, employee calendarsync.EmployeeID) bool {
	return e.Owned && e.Mark.Tenant == tenant && e.Mark.Task == task && e.Mark.Employee == employee
}

// String names the event for logs by its id only.
func (e Event) String() string { return "event " + e.ID + " seq " + strconv.FormatInt(e.Sequence, 10) }
