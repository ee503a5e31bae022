package calendars_test

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// unreadable is what the installation notes of a mark that did not come back.
func (b *bench) unreadable() *store.UnreadableMark {
	b.t.Helper()
	in, err := b.store.Installation(b.t.Context())
	must(b.t, err)
	return cmp.Or(in.Unreadable, in.UnreadableEvent)
}

// made are all calendars that were ever made.
func (b *bench) made() []fakegoogle.CalendarSnapshot {
	return slices.DeleteFunc(b.google.Calendars(), func(c fakegoogle.CalendarSnapshot) bool { return c.Primary })
}

var descriptionsLost = fakegoogle.DescriptionForm{Lost: true, Answers: true, Lists: true}

// Rule 3.14: a calendar whose mark does not come back is remembered by its id and used,
// and no second one is made until the mark does.
func TestAMarkThatDoesNotComeBackStopsBeforeASecondCalendar(t *testing.T) {
	t.Parallel()
	b := newBench(t, ways(fakegoogle.Ways{Descriptions: descriptionsLost}))
	i := b.start(0)
	ids := []int64{b.hire("Olena"), b.hire("Petro"), b.hire("Ivan"), b.hire("Roman"), b.hire("Maria")}
	b.addTask(b.hour(9), ids...)
	i.employee(queue.CauseNotify, ids...)
	for range 3 {
		i.employee(queue.CauseReconcile, ids...)
		b.clock.advance(6 * time.Hour)
		i.due()
	}
	if n := len(b.made()); n != 1 {
		t.Fatalf("%d calendars were made", n)
	}
	noted := b.unreadable()
	only := b.made()[0]
	if noted == nil || noted.Calendar != only.ID || noted.Event != "" {
		t.Fatalf("noted %+v", noted)
	}
	owner := noted.Employee
	if rec := b.record(owner); rec.State != store.StateActive || rec.Calendar.ID != only.ID {
		t.Errorf("the calendar is not used: %+v", rec)
	}
	if only.Live != 1 {
		t.Errorf("it holds %d events", only.Live)
	}
	for _, id := range ids {
		if rec := b.record(id); id != owner && (rec.State != store.StatePending || rec.Reason != string(calendarsync.ReasonMarkUnreadable) || rec.Failure != nil) {
			t.Errorf("employee %d: %s, %q, %+v", id, rec.State, rec.Reason, rec.Failure)
		}
	}

	// Mended, everybody follows.
	b.google.ChangeWays(func(w *fakegoogle.Ways) { w.Descriptions = fakegoogle.DescriptionForm{} })
	i.employee(queue.CauseReconcile, ids...)
	i.rest()
	if b.unreadable() != nil {
		t.Errorf("still noted: %+v", b.unreadable())
	}
	for _, id := range ids {
		b.want(id, b.hour(9))
	}
	if n := len(b.made()); n != len(ids) {
		t.Errorf("%d calendars", n)
	}
	b.wantQuiet(ids...)
}

// Rule 3.14: the mark is read in the insert's own answer; only where it lacks it, the
// calendar is read, once.
func TestTheMarkIsCheckedInTheAnswerToTheInsert(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		lost bool
		gets int
	}{"it comes back": {false, 0}, "not in the answer": {true, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			i := b.start(0)
			i.google.answered = func(c *googlecalendar.Calendar) {
				if row.lost {
					c.Description, c.Mark, c.Marked = "", calendarsync.CalendarMark{}, false
				}
			}
			who := b.hire("Olena")
			i.employee(queue.CauseNotify, who)
			i.rest()
			if n := len(b.google.Requests(fakegoogle.Filter{Method: "calendar.calendars.get"})); n != row.gets {
				t.Errorf("the calendar was read %d times", n)
			}
			if b.unreadable() != nil {
				t.Errorf("noted %+v", b.unreadable())
			}
		})
	}
}

// Rule 3.14: the calendar whose mark is lost is the one that is written again to see
// whether it comes back, once a full run; no other is.
func TestOneCalendarIsWrittenAgainUntilItsMarkComesBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena", "Petro")
	i.employee(queue.CauseReconcile, ids...)
	b.google.ChangeWays(func(w *fakegoogle.Ways) { w.Descriptions = descriptionsLost })
	for night := range 4 {
		b.google.ResetRequests()
		i.employee(queue.CauseReconcile, ids...)
		updates := len(b.google.Requests(fakegoogle.Filter{Method: "calendar.calendars.update"}))
		if night == 0 && (updates > 2 || b.unreadable() == nil) || night > 0 && updates != 1 {
			t.Errorf("night %d: %d updates, noted %+v", night, updates, b.unreadable())
		}
	}
	b.google.ChangeWays(func(w *fakegoogle.Ways) { w.Descriptions = fakegoogle.DescriptionForm{} })
	i.employee(queue.CauseReconcile, ids...)
	if b.unreadable() != nil {
		t.Errorf("still noted: %+v", b.unreadable())
	}
	b.wantQuiet(ids...)
}

// Rule 3.14: what is noted of a calendar that is nobody's present one any more keeps
// nobody waiting.
func TestAnUnreadableMarkOfAFormerCalendarKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	b := newBench(t, ways(fakegoogle.Ways{Descriptions: descriptionsLost}))
	i := b.start(0)
	first := b.hire("Olena")
	i.employee(queue.CauseNotify, first)
	if b.unreadable() == nil {
		t.Fatal("nothing is noted")
	}
	b.google.ChangeWays(func(w *fakegoogle.Ways) { w.Descriptions = fakegoogle.DescriptionForm{} })
	must(t, b.google.DeleteCalendar(b.made()[0].ID))
	b.change(first, func(r *store.EmployeeRecord) { r.Calendar, r.State = nil, store.StatePending })
	second := b.hire("Petro")
	i.employee(queue.CauseNotify, second)
	i.rest()
	if b.calendar(second) == "" || b.unreadable() != nil {
		t.Errorf("calendar %q, noted %+v", b.calendar(second), b.unreadable())
	}
}

// Rule 3.14: the same of events: the one whose mark does not come back stays as it is and
// no other is inserted, under whatever generation.
func TestAnEventsMarkThatDoesNotComeBackStopsInserts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena")
	b.google.ChangeWays(func(w *fakegoogle.Ways) { w.PropertiesLost = true })
	one := b.addTask(b.hour(9), ids...)
	i.task(one)
	noted := b.unreadable()
	if noted == nil || noted.Calendar != b.calendar(ids[0]) || noted.Event == "" {
		t.Fatalf("noted %+v", noted)
	}
	i.task(b.addTask(b.hour(10), ids...))
	for range 3 {
		i.employee(queue.CauseReconcile, ids...)
		i.due()
		b.clock.advance(4 * time.Hour)
	}
	b.want(ids[0], b.hour(9))
	if inserts := b.inserted(); len(inserts) != 1 {
		t.Errorf("inserted %v", inserts)
	}
	// It goes on being moved.
	must(t, b.erp.MoveTask(one, b.hour(11)))
	i.task(one)
	b.want(ids[0], b.hour(11))

	b.google.ChangeWays(func(w *fakegoogle.Ways) { w.PropertiesLost = false })
	i.employee(queue.CauseReconcile, ids...)
	i.rest()
	if b.unreadable() != nil {
		t.Errorf("still noted: %+v", b.unreadable())
	}
	b.want(ids[0], b.hour(10), b.hour(11))
	b.wantQuiet(ids...)
}

// Rule 3.14: an event that shows that marks do not come back stops nobody once its calendar is
// nobody's: nothing would ever show its mark (seed 23 on Firestore).
func TestAnEventOfNobodysCalendarStopsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena", "Petro")
	b.google.ChangeWays(func(w *fakegoogle.Ways) { w.PropertiesLost = true })
	i.task(b.addTask(b.hour(9), ids[0]))
	if noted := b.unreadable(); noted == nil || noted.Event == "" {
		t.Fatalf("noted %+v", noted)
	}
	i.task(b.addTask(b.hour(10), ids[1]))
	b.want(ids[1])
	b.google.ChangeWays(func(w *fakegoogle.Ways) { w.PropertiesLost = false })
	b.clock.advance(24 * time.Hour) // a younger calendar might only not be listed yet
	must(t, b.google.DeleteCalendar(b.calendar(ids[0])))
	must(t, b.erp.UpdateEmployee(ids[0], func(e *fakeerp.Employee) { e.Email = "" }))
	for range 2 {
		i.employee(queue.CauseNotify, ids[0])
		b.clock.advance(time.Hour)
	}
	ids = append(ids, b.hire("Stepan"))
	began := b.clock.Now()
	i.employee(queue.CauseReconcile, ids[1:]...)
	i.rest()
	b.want(ids[1], b.hour(10))
	if waited := b.clock.Now().Sub(began); waited > 3*time.Hour || b.calendar(ids[2]) == "" || b.unreadable() != nil {
		t.Errorf("after %s noted %+v", waited, b.unreadable())
	}
}

// Rules 3.4 and 3.14: after a lost database the list of a calendar tells which events are there
// only by their marks. While it shows none, nothing is inserted: the event may live under
// another generation than the first.
func TestATakenOverCalendarWaitsForItsEventsMarks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena", "Petro")
	task, closed := b.addTask(b.hour(9), ids...), b.addTask(b.hour(10), ids...)
	i.task(task)
	i.task(closed)
	must(t, b.google.DeleteEvent(b.calendar(ids[0]), b.mapping(task, ids[0]).EventID))
	// It refuses to live again only once, so that it would later.
	b.google.Inject(fakegoogle.Fault{Method: "calendar.events.update", Status: http.StatusForbidden, Reason: "forbidden", Count: 1})
	i.employee(queue.CauseReconcile, ids[0])
	i.rest()
	if m := b.mapping(task, ids[0]); m.Generation != 1 {
		t.Fatalf("generation %d", m.Generation)
	}
	before := b.google.Events(b.calendar(ids[0]))

	b.google.ChangeWays(func(w *fakegoogle.Ways) { w.PropertiesLost = true })
	i = b.takenOver()
	must(t, b.erp.SetTaskState(closed, stateClosed))
	for range 3 {
		i.employee(queue.CauseReconcile, ids...)
		i.task(task)
		i.due()
		b.clock.advance(4 * time.Hour)
	}
	if after := b.google.Events(b.calendar(ids[0])); len(after) != len(before) {
		t.Fatalf("%d events were made", len(after))
	}
	b.want(ids[0], b.hour(9), b.hour(10))
	b.want(ids[1], b.hour(9), b.hour(10))
	if u := b.unreadable(); u == nil || u.Event == "" {
		t.Errorf("noted %+v", u)
	}

	b.google.ChangeWays(func(w *fakegoogle.Ways) { w.PropertiesLost = false })
	i.fullRun()
	i.rest()
	b.want(ids[0], b.hour(9))
	b.want(ids[1], b.hour(9))
	if after := b.google.Events(b.calendar(ids[0])); len(after) != len(before) || b.unreadable() != nil {
		t.Errorf("%d events were made, noted %+v", len(after), b.unreadable())
	}
	b.wantQuiet(ids...)
}

// inserted are the ids of the events that were inserted.
func (b *bench) inserted() []string {
	var out []string
	for _, r := range b.google.Requests(fakegoogle.Filter{Method: "calendar.events.insert"}) {
		if r.Status < 300 {
			out = append(out, strings.TrimSpace(r.EventID))
		}
	}
	return out
}

// A purge deletes no calendar whose mark it cannot see, and gives none up for that: it waits
// until Google gives marks back. Taken for somebody else's, the calendar stayed for ever.
func TestAPurgeWaitsForMarksThatDoNotComeBack(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ first, lost fakegoogle.Ways }{
		"of calendars":                     {first: fakegoogle.Ways{Descriptions: descriptionsLost}},
		"of calendars, that came at first": {lost: fakegoogle.Ways{Descriptions: descriptionsLost}},
		"of events":                        {first: fakegoogle.Ways{PropertiesLost: true}},
		"of events, without a database":    {first: fakegoogle.Ways{PropertiesLost: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, ways(row.first))
			i := b.start(0)
			who := b.hire("Olena")
			b.addTask(b.hour(9), who)
			i.employee(queue.CauseReconcile, who)
			if b.calendar(who) == "" {
				t.Fatal("no calendar")
			}
			if name == "of events, without a database" {
				i = b.takenOver()
				_, err := i.calendars.Tenant(t.Context())
				must(t, err)
			}
			if row.lost.Descriptions.Lost {
				b.clock.advance(time.Hour)
				b.google.ChangeWays(func(w *fakegoogle.Ways) { *w = row.lost })
			}
			startPurge(b)
			for range 3 {
				i.employee(queue.CauseConsole, who)
				b.clock.advance(time.Hour)
				i.due()
			}
			if rec := b.record(who); b.calendar(who) == "" || len(rec.Retiring) != 1 || rec.DueAt.IsZero() {
				t.Fatalf("while they do not come back: %+v", rec)
			}
			b.google.ChangeWays(func(w *fakegoogle.Ways) { *w = fakegoogle.Ways{} })
			i.rest()
			if rec := b.record(who); b.calendar(who) != "" || len(rec.Retiring) > 0 {
				t.Errorf("once they do: %+v", rec)
			}
		})
	}
}

// The alarm ends where somebody deletes the calendar for whose mark a purge waits.
func TestTheMarkOfADeletedCalendarIsForgotten(t *testing.T) {
	t.Parallel()
	for name, seen := range map[string]bool{"that was seen before": true, "that never came": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, ways(fakegoogle.Ways{Descriptions: fakegoogle.DescriptionForm{Lost: !seen, Answers: true, Lists: true}}))
			i := b.start(0)
			who := b.hire("Olena")
			i.employee(queue.CauseReconcile, who)
			b.clock.advance(time.Hour)
			b.google.ChangeWays(func(w *fakegoogle.Ways) { w.Descriptions = descriptionsLost })
			startPurge(b)
			i.employee(queue.CauseConsole, who)
			if b.unreadable() == nil || len(b.record(who).Retiring) != 1 {
				t.Fatalf("noted %v: %+v", b.unreadable(), b.record(who))
			}
			must(t, b.google.DeleteCalendar(b.calendar(who)))
			i.rest()
			if rec := b.record(who); b.unreadable() != nil || len(rec.Retiring) > 0 {
				t.Errorf("noted %+v: %+v", b.unreadable(), rec)
			}
		})
	}
}

// Where another calendar shows its mark, one without any description was cleared by hand: a purge
// leaves it to whoever did so.
func TestAPurgeLeavesACalendarWhoseDescriptionWasCleared(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena", "Petro")
	i.rest()
	cleared := b.calendar(ids[0])
	must(t, b.google.EditCalendar(cleared, func(c *calendar.Calendar) { c.Description = "" }))
	b.clock.advance(time.Hour)
	startPurge(b)
	i.employee(queue.CauseConsole, ids...)
	i.rest()
	for _, id := range ids {
		if rec := b.record(id); rec.Calendar != nil || len(rec.Retiring) > 0 || !rec.DueAt.IsZero() {
			t.Errorf("employee %d: %+v", id, rec)
		}
	}
	left := b.made()
	if left = slices.DeleteFunc(left, func(c fakegoogle.CalendarSnapshot) bool { return c.Deleted }); len(left) != 1 || left[0].ID != cleared {
		t.Errorf("calendars that are left: %+v", left)
	}
}
