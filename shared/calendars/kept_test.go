package calendars_test

import (
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// keptDismissed makes a calendar of somebody who is dismissed then, and whose calendar an
// admin keeps all the same.
func (b *bench) keptDismissed() (who int64, calendar string) {
	b.t.Helper()
	b.undecided = true
	_, staff := b.staffed("Anna", "Bohdan", "Daria", "Olena")
	who = staff[3]
	calendar = b.calendar(who)
	i := b.start(0)
	for _, id := range staff {
		must(b.t, b.erp.DismissEmployee(id))
		i.employee(queue.CauseNotify, id)
	}
	i.rest()
	if rec := b.record(who); rec.Held != store.HeldWaiting {
		b.t.Fatalf("not held: %+v", rec)
	}
	must(b.t, b.store.Drop(b.t.Context(), store.EmployeeKey(who)))
	i.employee(queue.CauseConsole, who)
	i.rest()
	if rec := b.record(who); b.calendar(who) != calendar || rec.KeptFor != string(calendarsync.ReasonDismissed) || rec.State != store.StateActive {
		b.t.Fatalf("not kept: %+v", rec)
	}
	b.clock.advance(26 * time.Hour) // the guard's day is over
	return who, calendar
}

// What an admin keeps is not deleted when there is nobody any more to share it with: it only
// loses its share, and comes back with the address (rule 4.9).
func TestAKeptCalendarWithoutAnAddressIsNotDeleted(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "dismissed", "оlena@provider.example"} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			who, calendar := b.keptDismissed()
			set := func(address string) {
				t.Helper()
				must(t, b.erp.UpdateEmployee(who, func(e *fakeerp.Employee) { e.Email = address }))
				i := b.start(0)
				i.employee(queue.CauseNotify, who)
				i.rest()
				i.employee(queue.CauseReconcile, who)
				i.rest()
			}
			set(address)
			if got := b.calendar(who); got != calendar {
				t.Fatalf("calendar %q, want the one that was kept, %q", got, calendar)
			}
			rec := b.record(who)
			if role := b.live(who)[0].Role("olena@provider.example"); role != "none" || rec.Held != store.HeldDropped || rec.Failure != nil || !rec.DueAt.IsZero() {
				t.Errorf("role %q, %+v", role, rec)
			}
			set("olena@provider.example")
			if got := b.calendar(who); got != calendar || b.live(who)[0].Role("olena@provider.example") != "reader" {
				t.Errorf("calendar %q, want %q, shared again", got, calendar)
			}
		})
	}
}

// A purge takes what an admin kept, too, and with it the decision: whoever is dismissed gets
// no new calendar when syncing is on again.
func TestAPurgeEndsWhatAnAdminKept(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	who, _ := b.keptDismissed()
	shares := b.shares("olena@provider.example")
	startPurge(b)
	i := b.start(0)
	i.employee(queue.CauseConsole, who)
	b.clock.advance(2 * time.Minute)
	i.rest()
	if b.calendar(who) != "" {
		t.Fatal("the purge left it")
	}
	must(t, b.store.StopPurge(t.Context()))
	b.use(map[string]any{})
	rec, _, err := b.store.SavedSettings(t.Context())
	must(t, err)
	must(t, b.store.SaveSettings(t.Context(), b.set, account, rec.Version))
	b.clock.advance(10 * time.Minute)
	i = b.start(0)
	i.employee(queue.CauseReconcile, who)
	i.rest()
	if got := b.calendar(who); got != "" || b.shares("olena@provider.example") != shares {
		t.Errorf("somebody dismissed got calendar %q, and %d mails", got, b.shares("olena@provider.example")-shares)
	}
}

// What an admin kept and reopens waits for them again, also where the guard's day has room:
// they want to decide anew, and have not (rule 4.9).
func TestAReopenedCalendarWaitsForItsAdmin(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	who, calendar := b.keptDismissed()
	must(t, b.store.Reopen(t.Context(), store.EmployeeKey(who)))
	i := b.start(0)
	for range 2 {
		i.employee(queue.CauseConsole, who)
		i.rest()
		plan, err := b.store.Held(t.Context())
		must(t, err)
		if b.calendar(who) != calendar || len(plan.Keys) != 1 || plan.Calendars != 1 || plan.Keys[0].Reason != string(calendarsync.ReasonDismissed) || !plan.Keys[0].Withdrawn {
			t.Fatalf("calendar %q, want %q held: %+v", b.calendar(who), calendar, plan)
		}
	}
	must(t, b.store.Allow(t.Context(), store.EmployeeKey(who)))
	i.rest()
	if b.calendar(who) != "" || b.record(who).State != store.StateNone {
		t.Errorf("confirmed, and there: %+v", b.record(who))
	}
}

// Dropping what is held for something else, the replacement of a calendar that is gone or
// a former calendar, ends no decision to keep the present one.
func TestDroppingAnotherHoldEndsNoDecision(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]func(r *store.EmployeeRecord, now time.Time){
		"a replacement": func(r *store.EmployeeRecord, now time.Time) {
			c := *r.Calendar
			c.GoneSince = now
			r.Calendar, r.Held, r.Reason = &c, store.HeldWaiting, string(calendarsync.ReasonCalendarGone)
		},
		"a former calendar": func(r *store.EmployeeRecord, _ time.Time) { r.Held = store.HeldWaiting },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			who, calendar := b.keptDismissed()
			b.change(who, func(r *store.EmployeeRecord) { hold(r, b.clock.Now()) })
			must(t, b.store.Drop(t.Context(), store.EmployeeKey(who)))
			i := b.start(0)
			i.employee(queue.CauseReconcile, who)
			i.rest()
			if got := b.calendar(who); got != calendar || b.live(who)[0].Role("olena@provider.example") != "reader" {
				t.Errorf("calendar %q, want %q: %+v", got, calendar, b.record(who))
			}
		})
	}
}
