package calendars_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// dayOfPolls lets a day pass, with a poll every five minutes.
func (i *instance) dayOfPolls() {
	i.b.t.Helper()
	for range 24 * 12 {
		i.due()
		i.b.clock.advance(5 * time.Minute)
	}
}

// counted counts the calls of a method since the requests were reset.
func (b *bench) counted(method string) int {
	return len(b.google.Requests(fakegoogle.Filter{Method: method}))
}

// forbid has Google refuse a method for good, of one event or of all.
func (b *bench) forbid(method, event string) *fakegoogle.Injected {
	return b.refuse(method, event, http.StatusForbidden, "forbidden")
}

// triesOfADay is how often at most something is tried in a day that rests ten minutes,
// doubling to six hours (rule 7.2).
const triesOfADay = 10

// doubled gives an employee a second event of one task.
func (b *bench) doubled(i *instance, employee int64) (task int64, lower string) {
	b.t.Helper()
	task = b.addTask(b.hour(9), employee)
	i.task(task)
	lower = b.events(employee)[0].Id
	must(b.t, b.google.DeleteEvent(b.calendar(employee), lower))
	i.employee(queue.CauseReconcile, employee)
	i.rest()
	must(b.t, b.google.RestoreEvent(b.calendar(employee), lower))
	return task, lower
}

// Rules 3.3 and 7.2: a double that Google does not delete is the failure of its task, tried
// with it, resting ever longer, until it goes. The calendar is not listed again for it, and
// all else goes on.
func TestADoubleThatGoogleRefusesToDeleteCostsItselfAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *fakegoogle.Options) { o.WebDeletionForbidsRevival = true })
	i, ids := b.staffed("Olena")
	task, lower := b.doubled(i, ids[0])
	refused := b.forbid("calendar.events.delete", lower)
	i.employee(queue.CauseReconcile, ids[0])
	b.google.ResetRequests()
	i.dayOfPolls()
	if lists, deletions := b.counted("calendar.events.list"), b.counted("calendar.events.delete"); lists > 0 || deletions == 0 || deletions > triesOfADay {
		t.Errorf("in a day %d lists and %d deletions", lists, deletions)
	}
	if f := b.taskRecord(task).Failure; f == nil || f.Kind != failure.Forbidden || f.Reason != "forbidden" || f.Count < 5 {
		t.Errorf("recorded as %+v", f)
	}
	if w := b.record(ids[0]).Work; w.Dirty != 0 || w.Failure != nil {
		t.Errorf("the employee waits for it: %+v", w)
	}
	must(t, b.erp.MoveTask(task, b.hour(11)))
	i.task(task)
	b.want(ids[0], b.hour(9), b.hour(11))
	refused.Remove()
	b.google.ResetRequests()
	i.dayOfPolls()
	b.want(ids[0], b.hour(11))
	if lists := b.counted("calendar.events.list"); lists > 0 {
		t.Errorf("%d lists", lists)
	}
	b.wantQuiet(ids[0])
}

// hourlyTries is how often at most something is looked at in a day that rests half a minute,
// doubling to an hour, beside what a day's changes ask for.
const hourlyTries = 40

// refuse has Google refuse a method for good, of one event or of all.
func (b *bench) refuse(method, event string, status int, reason string) *fakegoogle.Injected {
	return b.google.Inject(fakegoogle.Fault{Method: method, EventID: event, Count: -1, Status: status, Reason: reason})
}

// moved moves the first event of one employee into another's calendar.
func (b *bench) moved(from, to int64) (event string) {
	b.t.Helper()
	event = b.events(from)[0].Id
	must(b.t, b.google.MoveEventTo(b.calendar(from), event, b.calendar(to)))
	return event
}

// Rule 7.2: what Google refuses for good of one calendar, event or rule is a failure that
// rests ever longer, and nothing else waits for it: the calendar is filled, a former one goes,
// and what comes later is written.
func TestWhatGoogleRefusesForGoodCostsItselfAlone(t *testing.T) {
	t.Parallel()
	type world struct {
		*bench
		i     *instance
		ids   []int64
		tasks []int64
	}
	for name, row := range map[string]struct {
		// spoil has Google refuse something from now on, and gives what ends that.
		spoil func(w world) (mend func())
		// kind is what the employee's failure is; "" for none.
		kind failure.Kind
		// calls is what is counted beside complete lists.
		calls string
	}{
		"an event moved into the calendar": {
			spoil: func(w world) func() {
				return w.forbid("calendar.events.delete", w.moved(w.ids[1], w.ids[0])).Remove
			},
			kind: failure.Forbidden, calls: "calendar.events.delete",
		},
		"an event moved into the calendar that seems to change": {
			spoil: func(w world) func() {
				return w.refuse("calendar.events.delete", w.moved(w.ids[1], w.ids[0]), http.StatusPreconditionFailed, "conditionNotMet").Remove
			},
			kind: failure.Conflict, calls: "calendar.events.delete",
		},
		"an event moved into the calendar that is not found": {
			spoil: func(w world) func() {
				return w.refuse("calendar.events.delete", w.moved(w.ids[1], w.ids[0]), http.StatusNotFound, "notFound").Remove
			},
			kind: failure.Gone, calls: "calendar.events.delete",
		},
		"an event of a rebuild": {
			spoil: func(w world) func() {
				w.change(w.ids[0], func(r *store.EmployeeRecord) { r.RebuildAsked = w.clock.Now() })
				return w.forbid("calendar.events.delete", w.events(w.ids[0])[0].Id).Remove
			},
			calls: "calendar.events.delete",
		},
		"the name": {
			spoil: func(w world) func() {
				must(w.t, w.erp.UpdateEmployee(w.ids[0], func(e *fakeerp.Employee) { e.Name = "Olha" }))
				return w.forbid("calendar.calendars.update", "").Remove
			},
			kind: failure.Forbidden, calls: "calendar.calendars.update",
		},
		"a rule that gives too much": {
			spoil: func(w world) func() {
				must(w.t, w.google.SetShare(w.calendar(w.ids[0]), "olena@provider.example", "writer"))
				return w.forbid("calendar.acl.update", "").Remove
			},
			kind: failure.Forbidden, calls: "calendar.acl.update",
		},
		"the rule of a former address": {
			spoil: func(w world) func() {
				must(w.t, w.erp.UpdateEmployee(w.ids[0], func(e *fakeerp.Employee) { e.Email = "olha@provider.example" }))
				return w.forbid("calendar.acl.delete", "").Remove
			},
			calls: "calendar.acl.delete",
		},
		"the calendar of a former address": {
			spoil: func(w world) func() {
				must(w.t, w.erp.UpdateEmployee(w.ids[0], func(e *fakeerp.Employee) { e.Email = "olha@provider.example" }))
				return w.forbid("calendar.calendars.delete", "").Remove
			},
			kind: failure.Forbidden, calls: "calendar.calendars.delete",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			i, ids := b.staffed("Olena", "Petro")
			w := world{bench: b, i: i, ids: ids, tasks: []int64{b.addTask(b.hour(9), ids[0]), b.addTask(b.hour(10), ids[0]), b.addTask(b.hour(12), ids[1])}}
			i.task(w.tasks...)
			i.rest()
			mend := row.spoil(w)
			// Missed by the connector and the poll: only a list finds it.
			must(t, b.google.DeleteEvent(b.calendar(ids[0]), b.events(ids[0])[1].Id))
			b.google.ResetRequests()
			i.employee(queue.CauseReconcile, ids...)
			i.dayOfPolls()
			if lists, calls := b.counted("calendar.events.list"), b.counted(row.calls); lists > hourlyTries || calls == 0 || calls > 2*hourlyTries {
				t.Errorf("in a day %d lists and %d calls of %s", lists, calls, row.calls)
			}
			switch f := b.record(ids[0]).Failure; {
			case row.kind == "" && f != nil, row.kind != "" && (f == nil || f.Kind != row.kind || f.Count < 3):
				t.Errorf("recorded as %+v", f)
			}
			if c := b.record(ids[0]).Calendar; c == nil || c.Filled.IsZero() {
				t.Errorf("not filled: %+v", c)
			}
			mend()
			i.dayOfPolls()
			b.want(ids[0], b.hour(9), b.hour(10))
			b.want(ids[1], b.hour(12))
			b.wantQuiet(ids...)
		})
	}
}

// Rule 5.2: a stray 412 is no refusal; the calendar is not deleted before its share is.
func TestARuleThatSeemsToHaveChangedIsRemovedBeforeTheCalendar(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena")
	was := b.calendar(ids[0])
	b.google.Inject(fakegoogle.Fault{Method: "calendar.acl.delete", Count: 1, Status: http.StatusPreconditionFailed, Reason: "conditionNotMet"})
	must(t, b.erp.DismissEmployee(ids[0]))
	b.google.ResetRequests()
	i.employee(queue.CauseNotify, ids[0])
	i.dayOfPolls()
	if left := b.live(ids[0]); len(left) > 0 {
		t.Errorf("it stays: %v", left)
	}
	var order []string
	for _, r := range b.google.Requests(fakegoogle.Filter{CalendarID: was}) {
		if r.Method == "calendar.acl.delete" || r.Method == "calendar.calendars.delete" {
			order = append(order, fmt.Sprint(r.Method, " ", r.Status))
		}
	}
	if want := []string{"calendar.acl.delete 412", "calendar.acl.delete 204", "calendar.calendars.delete 204"}; !slices.Equal(order, want) {
		t.Errorf("called %v, want %v", order, want)
	}
}

// Rule 7.2: a calendar that cannot be listed, and one whose tasks the ERP lists and does not
// show, rest ever longer, however often their tasks ask for a list.
func TestWhatCannotBeReadForLongIsAskedForEverMoreSeldom(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(b *bench, i *instance) (who int64, mend func()){
		"a calendar not listed yet": func(b *bench, i *instance) (int64, func()) {
			_, ids := b.staffed("Olena")
			b.change(ids[0], func(r *store.EmployeeRecord) { r.Calendar.Listed = false })
			mend := b.google.Inject(fakegoogle.Fault{Method: "calendar.events.list", Count: -1, Status: http.StatusForbidden, Reason: "forbidden"}).Remove
			i.task(b.addTask(b.hour(9), ids[0]))
			return ids[0], mend
		},
		"the few tasks of a new calendar": func(b *bench, i *instance) (int64, func()) {
			mend := b.erp.Inject(fakeerp.Rule{Cat: "task", Action: "show", Count: -1, Fault: fakeerp.HTMLPage(http.StatusInternalServerError)})
			who := b.hire("Olena")
			b.addTask(b.hour(9), who)
			i.employee(queue.CauseNotify, who)
			return who, mend
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBench(t)
				i := b.start(0)
				who, mend := spoil(b, i)
				b.google.ResetRequests()
				i.dayOfPolls()
				if lists := b.counted("calendar.events.list"); lists == 0 || lists > hourlyTries {
					t.Errorf("in a day %d lists", lists)
				}
				if f := b.record(who).Failure; f == nil || f.Count < 5 {
					t.Errorf("recorded as %+v", f)
				}
				mend()
				i.dayOfPolls()
				b.want(who, b.hour(9))
				b.wantQuiet(who)
			})
		})
	}
}
