package google

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/api/calendar/v3"
)

// diary writes down what an observer is told.
type diary struct{ lines []string }

func (d *diary) Arrived(r Request) { d.add("arrived %s", r.Method) }
func (d *diary) Answered(r Request) {
	d.add("answered %s %d", r.Method, r.Status)
}

func (d *diary) Changed(c Change) {
	by := "by hand"
	if c.Request != nil {
		by = "by " + c.Request.Method
	}
	switch {
	case c.Calendar != nil:
		d.add("calendar %q deleted=%t %s", c.Calendar.Summary, c.Calendar.Deleted, by)
	case c.Rule != nil:
		d.add("rule %s %s %s", c.Rule.ID, c.Rule.Role, by)
	case c.Event != nil:
		d.add("event %s cancelled=%t %v %s", c.Event.Start.Format("15:04"), c.Event.Cancelled, c.Event.Private, by)
	}
}

func (d *diary) add(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// TestObserve: an observer hears of every change in its order, and who made it.
func TestObserve(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	made, err := svc.Calendars.Insert(&calendar.Calendar{Summary: "Olena"}).Do()
	if err != nil {
		t.Fatal(err)
	}
	d := &diary{}
	w.Observe(d)
	if !slices.Contains(d.lines, `calendar "Olena" deleted=false by hand`) {
		t.Errorf("what is there is not told: %q", d.lines)
	}
	d.lines = nil
	_, err = svc.Acl.Insert(made.Id, &calendar.AclRule{Role: "reader", Scope: &calendar.AclRuleScope{Type: "user", Value: reader}}).Do()
	if err != nil {
		t.Fatal(err)
	}
	ev, err := svc.Events.Insert(made.Id, &calendar.Event{
		Start: &calendar.EventDateTime{DateTime: "2026-11-23T09:00:00Z"}, End: &calendar.EventDateTime{DateTime: "2026-11-23T10:00:00Z"},
		ExtendedProperties: &calendar.EventExtendedProperties{Private: map[string]string{"k": "v"}},
	}).Do()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteEvent(made.Id, ev.Id); err != nil {
		t.Fatal(err)
	}
	if err := svc.Events.Delete(made.Id, ev.Id).Do(); err == nil {
		t.Fatal("a deleted event was deleted again")
	}
	if err := svc.Calendars.Delete(made.Id).Do(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"arrived calendar.acl.insert", "rule user:" + reader + " reader by calendar.acl.insert", "answered calendar.acl.insert 200",
		"arrived calendar.events.insert", "event 09:00 cancelled=false map[k:v] by calendar.events.insert", "answered calendar.events.insert 200",
		"event 09:00 cancelled=true map[k:v] by hand",
		"arrived calendar.events.delete", "answered calendar.events.delete 410",
		"arrived calendar.calendars.delete", `calendar "Olena" deleted=true by calendar.calendars.delete`, "answered calendar.calendars.delete 204",
	}
	if !slices.Equal(d.lines, want) {
		t.Errorf("told\n%q\nwant\n%q", d.lines, want)
	}
}
