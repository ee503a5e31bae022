package console

import (
	"context"
	"html"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// preview is an event as its reader's phone shows it.
type preview struct {
	Calendar, Title, When, Where string
	Lines                        []string
	Color                        int
	// Task is of which task it is; 0 for a made-up one.
	Task int64
}

// previewTasks is how many tasks of the ERP are read to find one that somebody has.
const previewTasks = 20

// preview renders an event under settings from a real task, or from a made-up one where the
// ERP shows none; nil where the settings cannot be used.
func (h *handler) preview(ctx context.Context, c locale, s calendarsync.Settings, erp knownERP) *preview {
	names := map[calendarsync.EmployeeID]string{}
	for id, card := range erp.cards {
		if card.Employee != nil {
			names[id] = card.Employee.Name
		}
	}
	rules, err := calendarsync.NewRules(s, erp.catalogue, names)
	if err != nil {
		return nil
	}
	if rules.Texts.NeedsDivisions && erp.err == nil {
		if rules.DivisionNames, err = h.ERP.Divisions(ctx); err != nil {
			h.Log.WarnContext(ctx, "the divisions could not be read for the preview", "error", err)
		}
	}
	for _, reading := range h.someTasks(ctx, erp, rules) {
		if p := rendered(c, rules, reading); p != nil {
			return p
		}
	}
	return rendered(c, sampleRules(rules), sampleTask(c))
}

// someTasks reads a few open tasks of the ERP; none where it does not answer.
func (h *handler) someTasks(ctx context.Context, erp knownERP, rules *calendarsync.Rules) []calendarsync.TaskReading {
	states := erp.catalogue.StatesWithRoles(rules.Settings.ShownRoles)
	if erp.err != nil || len(states) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, erpDeadline)
	defer cancel()
	ids, err := h.ERP.ListTasks(ctx, userside.TaskFilter{States: states, Limit: previewTasks})
	if err != nil || len(ids) == 0 {
		return nil
	}
	readings, err := h.ERP.TasksWith(ctx, ids, rules.Texts.Extras)
	if err != nil {
		h.Log.WarnContext(ctx, "no task could be read for the preview", "error", err)
		return nil
	}
	out := make([]calendarsync.TaskReading, 0, len(ids))
	for _, id := range ids {
		out = append(out, readings[id])
	}
	return out
}

// rendered is a task's event for the first of its executors; nil where nobody has it.
func rendered(c locale, rules *calendarsync.Rules, reading calendarsync.TaskReading) *preview {
	if reading.Task == nil {
		return nil
	}
	executors, _ := rules.Targets(*reading.Task)
	for _, id := range executors {
		d := rules.Decide(reading, calendarsync.Recipient{ID: id, Name: rules.Names[id]}, false)
		if d.Verdict != calendarsync.Keep {
			continue
		}
		name, err := rules.Texts.CalendarName(calendarsync.TemplateEmployee{ID: id, Name: rules.Names[id]})
		if err != nil {
			return nil
		}
		p := &preview{Calendar: name, Title: d.Event.Title, Where: d.Event.Location, When: whenWords(c, rules.Zone, d.Event),
			Lines: strings.Split(html.UnescapeString(d.Event.Description), "\n"), Task: int64(reading.Task.ID)}
		p.Color, _ = strconv.Atoi(d.Event.Color)
		return p
	}
	return nil
}

// whenWords says when an event is, in the settings' zone.
func whenWords(c locale, zone *time.Location, e calendarsync.Event) string {
	if e.Start.Date != "" {
		day, err := time.Parse(time.DateOnly, e.Start.Date)
		if err != nil {
			return e.Start.Date
		}
		return c.T("preview.all-day", "Day", day.Format(c.day()))
	}
	from, to := e.Start.Instant.In(zone), e.End.Instant.In(zone)
	return from.Format(c.day()) + ", " + from.Format("15:04") + "–" + to.Format("15:04")
}

// The made-up task's numbers.
const (
	sampleState    = 1
	sampleEmployee = 1
)

// sampleRules are rules under which the made-up task is shown.
func sampleRules(rules *calendarsync.Rules) *calendarsync.Rules {
	sample := *rules
	sample.Catalogue = calendarsync.Catalogue{States: map[calendarsync.StateID]calendarsync.State{sampleState: {ID: sampleState, Role: rules.Settings.ShownRoles[0]}}}
	sample.Names = map[calendarsync.EmployeeID]string{sampleEmployee: "Олена Коваленко"}
	return &sample
}

// sampleTask is a task such as the ERP might have.
func sampleTask(c locale) calendarsync.TaskReading {
	day := c.now.AddDate(0, 0, 1)
	start := calendarsync.LocalTime{Wall: time.Date(day.Year(), day.Month(), day.Day(), 10, 0, 0, 0, time.UTC)}
	return calendarsync.TaskReading{Task: &calendarsync.Task{
		TypeName: c.T("preview.sample.type"), StateName: c.T("preview.sample.state"), Customer: c.T("preview.sample.customer"),
		Address: c.T("preview.sample.address"), Description: c.T("preview.sample.note"), Priority: 1,
		State: calendarsync.Say[calendarsync.StateID](sampleState), Start: calendarsync.Say(start),
		Executors: calendarsync.Say([]calendarsync.EmployeeID{sampleEmployee}),
	}}
}
