package calendars_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// The two readings that absence needs are ten minutes apart even where the ERP took
// long over the first: it is the readings that count, not the leases around them.
func TestAbsenceIsCountedFromTheReading(t *testing.T) {
	t.Parallel()
	const slow = 40 * time.Second
	for _, row := range []struct {
		name   string
		action string
		vanish func(b *bench, who, task int64) error
		again  func(i *instance, who, task int64)
		gone   func(b *bench, who, task int64) bool
	}{
		{"a task", "show", func(b *bench, _, task int64) error { return b.erp.DeleteTask(task) },
			func(i *instance, _, task int64) { i.task(task) },
			func(b *bench, who, _ int64) bool { return len(b.events(who)) < 2 }},
		{"an employee", "get_data", func(b *bench, who, _ int64) error { return b.erp.DeleteEmployee(who) },
			func(i *instance, who, _ int64) { i.employee(queue.CauseNotify, who) },
			func(b *bench, who, _ int64) bool { return b.calendar(who) == "" }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			i, staff := b.staffed("Olena", "Petro")
			who := staff[0]
			task := b.addTask(b.hour(9), who)
			i.task(task, b.addTask(b.hour(12), who))
			i.rest()
			must(t, row.vanish(b, who, task))
			b.erp.Inject(fakeerp.Rule{Action: row.action, Fault: fakeerp.Delay(slow)})
			began := b.clock.Now()
			row.again(i, who, task)
			read := b.clock.Now()
			if read.Sub(began) < slow {
				t.Fatalf("the reading took %s", read.Sub(began))
			}
			b.clock.advance(began.Add(absenceTime).Sub(read) + time.Second)
			row.again(i, who, task)
			if row.gone(b, who, task) {
				t.Fatalf("it went %s after the first reading", b.clock.Now().Sub(read))
			}
			b.clock.advance(slow)
			row.again(i, who, task)
			if !row.gone(b, who, task) {
				t.Fatal("it stays after the second reading")
			}
		})
	}
}

// held changes so many employees that the delete guard holds what is to become of
// some calendars, which nobody confirms; who is one of theirs.
func (b *bench) held(change func(e *fakeerp.Employee)) (i *instance, who int64) {
	b.t.Helper()
	b.undecided = true
	i, staff := b.staffed("Anna", "Bohdan", "Daria", "Fedir", "Halyna", "Stays")
	for _, id := range staff[:5] {
		must(b.t, b.erp.UpdateEmployee(id, change))
	}
	i.employee(queue.CauseNotify, staff[:5]...)
	i.rest()
	at := slices.IndexFunc(staff, func(id int64) bool { return b.record(id).Held != "" })
	if at < 0 {
		b.t.Fatal("no calendar is held")
	}
	return i, staff[at]
}

// A calendar whose deletion is held may be deleted by its owner: then nothing is held
// any more, and its tasks do not wait for it.
func TestAHeldCalendarThatIsDeletedByHandIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, who := b.held(func(e *fakeerp.Employee) { e.Email = "no address" })
	must(t, b.google.DeleteCalendar(b.calendar(who)))
	task := b.addTask(b.hour(9), who)
	i := b.start(0)
	i.task(task)
	i.employee(queue.CauseReconcile, who)
	i.rest()
	if rec := b.record(who); rec.Calendar != nil || len(rec.Retiring) > 0 || rec.Held != "" {
		t.Errorf("still held: %+v", rec)
	}
	if rec := b.taskRecord(task); rec.Dirty != 0 || rec.Failure != nil {
		t.Errorf("the task still waits: %+v", rec.Work)
	}
}

// A held calendar of which Google says once that it is gone is not forgotten: nobody
// would know it any more, and the owner's own shares of it would be taken for the
// product's (found by the simulation).
func TestAHeldCalendarThatIsOnlySaidToBeGoneStays(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"calendar.calendars.get", "calendar.calendars.delete"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			_, who := b.held(func(e *fakeerp.Employee) { e.Dismissed = true })
			held := b.record(who).Retiring[0].ID
			if method == "calendar.calendars.delete" {
				must(t, b.store.Allow(t.Context(), store.EmployeeKey(who)))
			}
			b.google.Inject(fakegoogle.Fault{Method: method, Status: http.StatusNotFound, Count: 1})
			i := b.start(0)
			i.employee(queue.CauseConsole, who)
			i.rest()
			known := len(b.record(who).Retiring) == 1 && b.record(who).Retiring[0].ID == held
			if known != b.isLive(held) {
				t.Errorf("the calendar is known: %v, and there: %v", known, b.isLive(held))
			}
		})
	}
}

// A calendar that is held has to go for a new address, and Google refuses to take
// the old one off: it does not keep its access after the next pass
// (found by the simulation).
func TestAFormerAddressThatGoogleRefusedToRemoveIsNotForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, who := b.held(func(e *fakeerp.Employee) { e.Email = "no address" })
	former := b.record(who).Calendar.Address
	readers := func(address string) int {
		n := 0
		for _, c := range b.live(who) {
			n += len(slices.DeleteFunc(c.Rules, func(r fakegoogle.RuleSnapshot) bool { return r.Role == "none" || r.Value != address }))
		}
		return n
	}
	if readers(former) != 1 {
		t.Fatalf("the address on record can read %d calendars", readers(former))
	}
	must(t, b.erp.UpdateEmployee(who, func(e *fakeerp.Employee) { e.Email = "new@provider.example" }))
	b.google.Inject(fakegoogle.Fault{Method: "calendar.acl.delete", Status: http.StatusForbidden, Reason: "forbidden", Count: 2})
	i.employee(queue.CauseNotify, who)
	i.rest()
	if readers(former) != 0 || readers("new@provider.example") != 1 {
		t.Errorf("%d calendars can be read by the former address, %d by the new one", readers(former), readers("new@provider.example"))
	}
}

// Two readings that lack different things are each a first one (found by the
// simulation: a task that had lost its last executor and was deleted afterwards).
func TestReadingsThatLackDifferentThingsDoNotAddUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, staff := b.staffed("Olena", "Petro")
	who := staff[0]
	task := b.addTask(b.hour(9), who)
	i.task(task, b.addTask(b.hour(12), who))
	i.rest()
	gone := false
	lacking := func(ofTask, ofEmployee string) {
		b.erp.Inject(fakeerp.Rule{Action: "show", Count: 1, Fault: fakeerp.Missing(ofTask)})
		b.erp.Inject(fakeerp.Rule{Action: "get_data", Count: 1, Fault: fakeerp.Missing(ofEmployee)})
		i.task(task)
		if len(b.live(who)) > 0 && len(b.events(who)) == 1 {
			gone = true
		}
		i.employee(queue.CauseNotify, who)
	}
	there := func(when string) {
		t.Helper()
		if b.calendar(who) == "" || len(b.events(who)) != 2 {
			t.Fatalf("%s: calendar %q, %d events", when, b.calendar(who), len(b.events(who)))
		}
	}
	lacking("staff", "email")
	there("after the first reading")
	b.clock.advance(absenceTime + time.Minute)
	lacking("date.todo", "is_work")
	there("after a reading that lacks something else")
	b.clock.advance(absenceTime + time.Minute)
	lacking("date.todo", "is_work")
	if c := b.calendar(who); c != "" || !gone {
		t.Fatalf("after the second reading of one kind: calendar %q, event gone: %v", c, gone)
	}
}

// A deletion that the guard counted goes in that very time or is counted again:
// otherwise those of a day that Google refused come on top of the next day's (found by
// the simulation; rule 4.8).
func TestADeletionThatComesLateIsCountedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t)
		b.undecided = true
		i, staff := b.staffed("Anna", "Bohdan", "Daria", "Fedir", "Stays")
		gone := func() int {
			n := 0
			for _, id := range staff {
				if len(b.live(id)) == 0 {
					n++
				}
			}
			return n
		}
		b.google.Inject(fakegoogle.Fault{Method: "calendar.calendars.delete", Status: http.StatusServiceUnavailable, Count: -1})
		must(t, b.erp.DismissEmployee(staff[0]))
		i.employee(queue.CauseNotify, staff[0])
		b.clock.advance(23 * time.Hour)
		b.google.ClearFaults()
		i.employee(queue.CauseRetry, staff[0])
		if gone() != 1 {
			t.Fatalf("%d calendars are gone, want that of the first day", gone())
		}
		b.clock.advance(2 * time.Hour)
		for _, id := range staff[1:4] {
			must(t, b.erp.DismissEmployee(id))
		}
		i = b.start(0)
		i.employee(queue.CauseNotify, staff[1:4]...)
		i.rest()
		if gone() != 3 {
			t.Errorf("%d calendars went within three hours, 3 may in a day", gone())
		}
	})
}

// However often Google refuses to delete a calendar, it counts once: others go as they
// would have.
func TestADeletionThatIsTriedForHoursCountsOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.undecided = true
	i, staff := b.staffed("Anna", "Bohdan", "Daria", "Fedir", "Stays")
	b.google.Inject(fakegoogle.Fault{Method: "calendar.calendars.delete", Status: http.StatusForbidden, Count: -1})
	must(t, b.erp.DismissEmployee(staff[0]))
	i.employee(queue.CauseNotify, staff[0])
	for range 8 {
		b.clock.advance(time.Hour)
		i.employee(queue.CauseRetry, staff[0])
	}
	b.google.ClearFaults()
	for _, id := range staff[1:4] {
		must(t, b.erp.DismissEmployee(id))
	}
	i.employee(queue.CauseNotify, staff[1:3]...)
	i.employee(queue.CauseRetry, staff[0])
	for _, id := range staff[:3] {
		if len(b.live(id)) != 0 {
			t.Errorf("the calendar of %d is held: %+v", id, b.record(id))
		}
	}
	i.employee(queue.CauseNotify, staff[3])
	if len(b.live(staff[3])) != 1 {
		t.Error("a fourth calendar went")
	}
}

// Somebody reinstated gets the calendar they had last, not one of a former address that
// is held besides.
func TestWhoIsReinstatedKeepsTheCalendarTheyHadLast(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.undecided = true
	i, staff := b.staffed("Anna", "Bohdan", "Daria", "Fedir", "Stays")
	for _, id := range staff[:3] { // as many calendars as may go in a day
		must(t, b.erp.DismissEmployee(id))
	}
	i.employee(queue.CauseNotify, staff[:3]...)
	i.rest()
	who := staff[3]
	must(t, b.erp.UpdateEmployee(who, func(e *fakeerp.Employee) { e.Email = "fedir.new@provider.example" }))
	i.employee(queue.CauseNotify, who)
	i.rest()
	last := b.record(who).Calendar
	if last == nil || len(b.record(who).Retiring) != 1 {
		t.Fatalf("the calendar of the former address is not held: %+v", b.record(who))
	}
	must(t, b.erp.DismissEmployee(who))
	i.employee(queue.CauseNotify, who)
	i.rest()
	if n := len(b.record(who).Retiring); n != 2 {
		t.Fatalf("%d calendars are held, want 2", n)
	}
	must(t, b.erp.RehireEmployee(who))
	i.employee(queue.CauseNotify, who)
	i.rest()
	if now := b.record(who).Calendar; now == nil || now.ID != last.ID {
		t.Errorf("reinstated with calendar %+v, want %s", now, last.ID)
	}
}
