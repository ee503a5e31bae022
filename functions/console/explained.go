package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// mostRead is how many tasks one page has the ERP read.
const mostRead = 300

// readOnly lets the rulebook read what it needs of the store: looking at a page must change
// nothing.
type readOnly struct{ Store }

func (readOnly) SaveCatalogueFaults(context.Context, []string) error { return nil }

func (readOnly) SaveKnownCatalogue(context.Context, store.KnownCatalogue) error { return nil }

// eventLine is how one task stands in one employee's calendar.
type eventLine struct {
	Level, Label string
	cause
	Title, Start string
	// Decided says what was decided by which rule, for whoever wants to know exactly.
	Decided string
}

// explained puts into words how a task stands in an employee's calendar: what ought to be
// there, and what is.
func explained(c locale, x events.Explained, reading calendarsync.TaskReading, rec store.TaskRecord) eventLine {
	l := c.eventStanding(x, rec)
	d := x.Decision
	l.Decided = c.T("task.decided", "Verdict", c.T("task.verdict."+verdictName(d.Verdict)), "Rule", ruleOf(x))
	if why := taskCause(c.Texts, string(d.Reason)); !strings.Contains(l.What, why.What) {
		l.Decided += " " + why.What
	}
	if m := x.Mapping; m.EventID != "" {
		l.Decided += " " + c.T("task.event-id", "ID", m.EventID, "State", c.T("task.mapping."+string(m.State)))
	}
	switch t := reading.Task; {
	case d.Verdict == calendarsync.Keep:
		l.Title, l.Start = d.Event.Title, c.starts(d.Event.Start)
	case t != nil:
		l.Title = strings.Trim(t.TypeName+", "+t.Address, ", ")
	default:
		l.Title = x.Mapping.HeldTitle
	}
	return l
}

func (c locale) eventStanding(x events.Explained, rec store.TaskRecord) eventLine {
	line := func(level, label string, why cause) eventLine {
		return eventLine{Level: level, Label: c.T("task.label." + label), cause: why}
	}
	why := taskCause(c.Texts, string(x.Decision.Reason))
	m, keep := x.Mapping, x.Decision.Verdict == calendarsync.Keep
	switch {
	case x.Live && !keep && !m.HeldSince.IsZero() && m.DroppedAt.IsZero():
		return line("bad", "held", cause{What: c.T("task.event.held") + " " + taskCause(c.Texts, m.HeldFor).What, Do: c.T("standing.held.do"), Person: true}.on(c.Texts, heldPath))
	case x.Live && !keep && !m.HeldSince.IsZero():
		return line("", "there", cause{What: c.T("task.event.dropped") + " " + taskCause(c.Texts, m.HeldFor).What})
	case x.Live && x.Decision.Verdict == calendarsync.Unknown:
		why.What = c.T("task.event.stays") + " " + why.What
		return line("bad", "there", why)
	case x.Live && x.Decision.Verdict == calendarsync.Absent:
		why.What = c.T("task.event.second") + " " + why.What
		return line("wait", "going", why)
	case x.Live && !keep:
		why.What = c.T("task.event.going") + " " + why.What
		return line("wait", "going", why)
	case x.Live && x.Step == calendarsync.Nothing:
		return line("good", "there", cause{What: c.T("task.event.there")})
	case x.Live:
		return line("wait", "there", cause{What: c.T("task.event.stale"), Do: c.promise(c.T("task.event.soon"))})
	case keep && !x.Active:
		s := standingOf(c, x.Employee, nil)
		if x.Employee.ID == 0 {
			s.cause = cause{What: c.T("standing.unread.what"), Do: c.T("standing.unread.do")}
		}
		return line(s.Level, "no-calendar", s.cause)
	case keep && rec.Failure != nil:
		f := failureCause(c.Texts, rec.Failure)
		if f.Person {
			return line("bad", "absent", f)
		}
		return line("wait", "coming", f)
	case keep:
		return line("wait", "coming", cause{What: c.T("task.event.coming"), Do: c.promise(c.T("task.event.soon"))})
	case why.Person:
		return line("bad", "absent", why)
	}
	return line("", "absent", why)
}

// starts is an event's beginning as the reader writes it.
func (c locale) starts(t calendarsync.EventTime) string {
	if t.Date == "" {
		return c.moment(t.Instant)
	}
	day, err := time.Parse(time.DateOnly, t.Date)
	if err != nil {
		return t.Date
	}
	return c.T("task.all-day", "Day", day.Format(c.day()))
}

func verdictName(v calendarsync.Verdict) string {
	switch v {
	case calendarsync.Keep:
		return "keep"
	case calendarsync.Remove:
		return "remove"
	case calendarsync.Absent:
		return "absent"
	case calendarsync.Unknown:
	}
	return "unknown"
}

// ruleOf is the rule of shared/README.md by which a decision was made.
func ruleOf(x events.Explained) string {
	d := x.Decision
	switch {
	case d.Verdict == calendarsync.Keep && x.Step == calendarsync.Nothing:
		return "2.2"
	case d.Verdict == calendarsync.Keep:
		return "1.2"
	case x.Live && !x.Mapping.HeldSince.IsZero() && x.Mapping.DroppedAt.IsZero():
		return "4.3"
	case x.Live && !x.Mapping.HeldSince.IsZero():
		return "4.9"
	case d.Verdict == calendarsync.Absent:
		return "4.2"
	case d.Reason == calendarsync.ReasonBefore:
		return "3.5"
	case d.Reason == calendarsync.ReasonRefusedContent:
		return "10.17"
	}
	return "4.1"
}

// erpCause says why the ERP could not be read for a page.
func (h *handler) erpCause(r *http.Request, c locale, what string, err error) cause {
	h.Log.WarnContext(r.Context(), "the ERP could not be read for a page", "doing", what, "error", err)
	if errors.Is(err, context.DeadlineExceeded) {
		err = failure.Wrap(failure.Source, what, err)
	}
	return failureCause(c.Texts, store.FailureOf(err, nil, c.now))
}

// comparedTasks sorts an employee's tasks by what the ERP says now, with the code that the
// workers decide with. Where the ERP cannot be read, what is recorded is shown, and why.
func (h *handler) comparedTasks(r *http.Request, c locale, e store.EmployeeRecord, tasks []store.TaskRecord, link func(int64) string) personTasks {
	v, err := h.compareTasks(r.Context(), c, e, tasks, link)
	if err != nil {
		v = recordedTasks(c, e, tasks, link)
		v.Fault = h.erpCause(r, c, "read the tasks of employee "+strconv.FormatInt(e.ID, 10), err)
	}
	return v
}

func (h *handler) compareTasks(ctx context.Context, c locale, e store.EmployeeRecord, tasks []store.TaskRecord, link func(int64) string) (personTasks, error) {
	ctx, cancel := context.WithTimeout(ctx, erpDeadline)
	defer cancel()
	rules, err := h.rules.Rules(ctx)
	if err != nil {
		return personTasks{}, err
	}
	records := map[calendarsync.TaskID]store.TaskRecord{}
	var ids []calendarsync.TaskID
	for _, t := range tasks {
		records[calendarsync.TaskID(t.ID)] = t
		if m, mapped := t.Mapping(e.ID); mapped && m.State != store.MappingTombstone {
			ids = append(ids, calendarsync.TaskID(t.ID))
		}
	}
	listed, err := h.ERP.ListTasks(ctx, userside.TaskFilter{Employee: calendarsync.EmployeeID(e.ID), States: rules.Catalogue.StatesWithRoles(rules.Settings.ShownRoles)})
	if err != nil {
		return personTasks{}, err
	}
	ids = slices.Compact(slices.Sorted(slices.Values(append(ids, listed...))))
	var v personTasks
	if n := len(ids); n > mostRead {
		v.More, ids = n-mostRead, ids[n-mostRead:] // the latest
	}
	readings, err := h.ERP.TasksWith(ctx, ids, rules.Texts.Extras)
	if err != nil {
		return personTasks{}, err
	}
	for _, id := range ids {
		rec, known := records[id]
		if !known {
			rec = store.TaskRecord{ID: int64(id)}
		}
		x := events.ExplainFor(e, rules, readings[id], rec)
		l := explained(c, x, readings[id], rec)
		line := taskLine{ID: int64(id), ERP: link(int64(id)), Title: l.Title, Start: l.Start, Level: l.Level, cause: l.cause, order: orderOf(x.Decision.Event.Start)}
		if x.Live {
			v.There = append(v.There, line)
		} else {
			v.Missing = append(v.Missing, line)
		}
	}
	v.Read = c.stamp(h.Now())
	v.arrange()
	return v, nil
}

// orderOf puts events in the order of time, and those without any last.
func orderOf(t calendarsync.EventTime) string {
	switch {
	case t.Date != "":
		return t.Date
	case t.Instant.IsZero():
		return "~"
	}
	return t.Instant.UTC().Format(time.RFC3339)
}
