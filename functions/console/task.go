package console

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const tasksPath = "/tasks"

// taskStore is what the answer about a task reads.
type taskStore interface {
	// Task reads one task's record; found is false where there is none.
	Task(ctx context.Context, id int64) (rec store.TaskRecord, found bool, err error)
	// EmployeesOfDivisions lists the employees that any of the divisions has.
	EmployeesOfDivisions(ctx context.Context, divisions []int64) ([]store.EmployeeRecord, error)
	// ActivityOf lists what was written for one task or employee, the latest first.
	ActivityOf(ctx context.Context, key store.Key, limit int) ([]store.ActivityRecord, error)
}

// taskView answers why a task is, or is not, in whose calendar.
type taskView struct {
	ID           int64
	Path         string
	Typed        string // what was typed and is no number
	Title, Start string
	ERP          string // opens the task in the ERP; "" without an address
	Answer       cause  // where it is about nobody in particular
	Level        string
	Outcome      *outcome
	Standstill   *cause // why nothing is written for anybody
	Facts        []fact
	Read         stamp
	Fault        cause // why the ERP could not be read
	People       []taskPerson
	History      []activityLine
	Asked        bool // a task is named
}

// taskPerson is how a task stands in one employee's calendar.
type taskPerson struct {
	eventLine
	Name, Path string
}

// findTask leads to the page of the task whose number was typed.
func (h *handler) findTask(w http.ResponseWriter, r *http.Request, s signin.Session) {
	typed := strings.TrimSpace(r.URL.Query().Get("id"))
	if id, err := strconv.ParseInt(strings.TrimPrefix(typed, "#"), 10, 64); err == nil && id > 0 {
		h.redirect(w, h.console.URL(taskPath(id), nil))
		return
	}
	c := h.locale(r, "")
	h.show(w, r, http.StatusOK, view{Page: "task", Title: c.T("task.find.title"), Session: &s, Body: taskView{Path: tasksPath, Typed: typed}})
}

func taskPath(id int64) string { return tasksPath + "/" + strconv.FormatInt(id, 10) }

// showTask answers about one task: the ERP is read now, and the workers' own code decides.
// Nothing is written.
func (h *handler) showTask(w http.ResponseWriter, r *http.Request, s signin.Session) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id <= 0 {
		h.notFound(w, r, s)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	var (
		all      conditions
		rec      store.TaskRecord
		activity []store.ActivityRecord
	)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { all, err = h.conditions(ctx); return err })
	g.Go(func() (err error) { rec, _, err = h.Store.Task(ctx, id); return err })
	g.Go(func() (err error) {
		activity, err = h.Store.ActivityOf(ctx, store.TaskKey(id), mostHistory)
		return err
	})
	if err := g.Wait(); err != nil {
		h.trouble(w, r, "read the task", err)
		return
	}
	c := all.heeded(h.locale(r, all.saved.Settings.TimeZone))
	v := taskView{ID: id, Path: taskPath(id), Asked: true, ERP: taskLink(all.saved.Settings.TaskURL)(id), Standstill: all.standstill(c)}
	v.Outcome = outcomeOf(c, askedAt(r, c.now), rec.Work, activity, v.Standstill)
	if err := h.explainTask(r.Context(), c, &v, rec); err != nil {
		v.Fault = h.erpCause(r, c, "read task "+strconv.FormatInt(id, 10), err)
	}
	names := map[int64]string{}
	for _, p := range v.People {
		if id, err := strconv.ParseInt(strings.TrimPrefix(p.Path, peoplePath+"/"), 10, 64); err == nil {
			names[id] = p.Name
		}
	}
	for _, a := range activity {
		v.History = append(v.History, activityOf(c, a, names))
	}
	h.show(w, r, http.StatusOK, view{Page: "task", Title: c.T("task.title", "ID", id), Session: &s, Body: v})
}

// explainTask reads the task from the ERP and says for each whom it concerns how it stands.
func (h *handler) explainTask(ctx context.Context, c locale, v *taskView, rec store.TaskRecord) error {
	ctx, cancel := context.WithTimeout(ctx, erpDeadline)
	defer cancel()
	id := calendarsync.TaskID(v.ID)
	rules, err := h.rules.Knowing(ctx, nil)
	if err != nil {
		return err
	}
	readings, err := h.ERP.TasksWith(ctx, []calendarsync.TaskID{id}, rules.Texts.Extras)
	if err != nil {
		return err
	}
	reading := readings[id]
	var states []calendarsync.StateID
	if reading.Task != nil {
		if state, said := reading.Task.State.Get(); said {
			states = append(states, state)
		}
	}
	if rules, err = h.rules.Knowing(ctx, states); err != nil {
		return err
	}
	v.Read = c.stamp(h.Now())
	found, err := events.Explain(ctx, h.Store, rules, reading, rec)
	if err != nil {
		return err
	}
	names := map[int64]string{}
	for _, x := range found {
		line := explained(c, x, reading, rec)
		e := x.Employee
		e.ID = x.ID
		names[x.ID] = nameOf(c, e)
		v.People = append(v.People, taskPerson{eventLine: line, Name: names[x.ID], Path: personPath(x.ID)})
		v.Title, v.Start = cmp.Or(v.Title, line.Title), cmp.Or(v.Start, line.Start)
	}
	v.Answer, v.Level = c.answer(rules, reading, rec, found)
	v.Facts = c.taskFacts(rules, reading, names)
	return nil
}

// answer says in a sentence how a task stands altogether.
func (c locale) answer(rules *calendarsync.Rules, reading calendarsync.TaskReading, rec store.TaskRecord, found []events.Explained) (cause, string) {
	live := 0
	for _, x := range found {
		if x.Live {
			live++
		}
	}
	switch {
	case live > 0 && live == len(found):
		return cause{What: c.N("task.answer.there", live)}, "good"
	case live > 0:
		return cause{What: c.T("task.answer.some", "Live", live, "All", len(found))}, ""
	}
	// What keeps it from everybody is said once; else each has a reason of their own.
	d := rules.Decide(reading, calendarsync.Recipient{}, rec.Vouched)
	why := taskCause(c.Texts, string(d.Reason))
	switch {
	case d.Reason != calendarsync.ReasonReassigned && d.Reason != calendarsync.ReasonNone && why.What != "":
		why.What = c.T("task.answer.nowhere") + " " + why.What
	case len(found) == 0:
		why = cause{What: c.T("task.answer.nobody"), Do: c.T("task.answer.assign")}
	default:
		why = cause{What: c.T("task.answer.nowhere") + " " + c.T("task.answer.each")}
	}
	return why, ""
}

// taskFacts are what the ERP says of a task. It is shown to whoever may see the ERP anyway,
// and stored nowhere.
func (c locale) taskFacts(rules *calendarsync.Rules, reading calendarsync.TaskReading, names map[int64]string) []fact {
	t := reading.Task
	if t == nil {
		return nil
	}
	var facts []fact
	add := func(label, value string) {
		if value != "" {
			facts = append(facts, fact{label, value})
		}
	}
	add(c.T("task.fact.type"), t.TypeName)
	add(c.T("task.fact.address"), t.Address)
	add(c.T("task.fact.state"), c.stateFact(rules, *t))
	if start, said := t.Start.Get(); !said {
		add(c.T("task.fact.date"), c.T("task.fact.unsaid"))
	} else if start.IsZero() {
		add(c.T("task.fact.date"), c.T("task.fact.none"))
	} else if start.DateOnly {
		add(c.T("task.fact.date"), start.In(rules.Zone).Format(c.day()))
	} else {
		add(c.T("task.fact.date"), c.moment(start.Instant(rules.Zone)))
	}
	executors, said := t.Executors.Get()
	people := make([]string, 0, len(executors))
	for _, id := range executors {
		people = append(people, cmp.Or(names[int64(id)], c.T("people.unnamed", "ID", int64(id))))
	}
	slices.Sort(people)
	switch {
	case !said:
		add(c.T("task.fact.executors"), c.T("task.fact.unsaid"))
	case len(people) == 0:
		add(c.T("task.fact.executors"), c.T("task.fact.none"))
	default:
		add(c.T("task.fact.executors"), strings.Join(people, ", "))
	}
	return facts
}

// stateFact names a task's state, and whether tasks in it are shown.
func (c locale) stateFact(rules *calendarsync.Rules, t calendarsync.Task) string {
	id, said := t.State.Get()
	if !said {
		return c.T("task.fact.unsaid")
	}
	state, known := rules.Catalogue.States[id]
	if !known {
		return c.T("task.fact.unknown", "Name", cmp.Or(t.StateName, strconv.FormatInt(int64(id), 10)))
	}
	if slices.Contains(rules.Settings.ShownRoles, state.Role) {
		return c.T("task.fact.shown", "Name", state.Name)
	}
	return c.T("task.fact.hidden", "Name", state.Name)
}
