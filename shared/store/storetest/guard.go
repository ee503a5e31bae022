package storetest

import (
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// guardWindow shows the rolling day of rule 4.3: what came before goes,
// what is beyond is held, and each hour's deletions leave the count a day later.
func guardWindow(r *rig) {
	ask := func(what store.Guarded, want, grant int) time.Time {
		r.Helper()
		granted, began, err := r.s.Permit(r.ctx, what, want, 20)
		r.must(err)
		if granted != grant {
			r.Errorf("%s: %d of %d granted, want %d", what, granted, want, grant)
		}
		return began
	}
	if began := ask(store.GuardedCalendars, 2, 2); !began.IsZero() {
		r.Error("a hold began although all was granted")
	}
	r.b.advance(12 * time.Hour)
	began := ask(store.GuardedCalendars, 2, 1)
	if began.IsZero() {
		r.Error("the first hold did not begin an incident")
	}
	if again := ask(store.GuardedCalendars, 1, 0); !again.IsZero() {
		r.Error("a second hold began an incident of its own")
	}
	// Events are counted by themselves, and share the incident.
	if again := ask(store.GuardedEvents, 12, 10); !again.IsZero() {
		r.Error("held events began an incident beside the calendars'")
	}
	r.b.advance(14 * time.Hour)
	ask(store.GuardedCalendars, 3, 2)
	r.b.advance(40 * time.Hour)
	ask(store.GuardedCalendars, 4, 3)

	plan, err := r.s.Held(r.ctx)
	r.must(err)
	if !plan.Since.Equal(began) || len(plan.Keys) != 0 {
		r.Errorf("plan %+v, want the incident of %s", plan, began)
	}
	for _, want := range []time.Time{began, {}} {
		ended, err := r.s.HoldEnded(r.ctx)
		r.must(err)
		if !ended.Equal(want) {
			r.Errorf("ended %s, want %s", ended, want)
		}
	}
}

// guardPercent shows that a large company may lose a share of what it owned when
// the window began, however much of that has gone since.
func guardPercent(r *rig) {
	for id := range int64(40) {
		_, err := r.s.AdoptCalendar(r.ctx, id+1, store.CalendarRecord{ID: "c", Epoch: "e", From: r.b.now()})
		r.must(err)
	}
	for _, want := range []int{5, 3, 0} {
		granted, _, err := r.s.Permit(r.ctx, store.GuardedCalendars, 5, 20)
		r.must(err)
		if granted != want {
			r.Errorf("%d granted, want %d", granted, want)
		}
		l := r.take(store.Employees, 1, "m")
		r.release(l, store.Result{})
	}
}

// guardCounts shows that callers at once get no more than there is room for, and
// that one of them begins the incident.
func guardCounts(r *rig) {
	var granted counts[int]
	var incidents counts[bool]
	r.together(func(int) {
		n, began, err := r.s.Permit(r.ctx, store.GuardedEvents, 1, 20)
		if err != nil {
			r.Error(err)
		}
		granted.add(n)
		incidents.add(!began.IsZero())
	})
	equal(r, "granted", granted.n, map[int]int{1: 10, 0: callers - 10})
	equal(r, "incidents begun", incidents.n, map[bool]int{true: 1, false: callers - 1})
}

// guardRenews shows that a deletion counts in the day in which it happens, once.
func guardRenews(r *rig) {
	renew := func(granted time.Time, want bool) {
		r.Helper()
		got, err := r.s.Renew(r.ctx, store.GuardedCalendars, granted)
		r.must(err)
		if got != want {
			r.Errorf("renewed %v, want %v", got, want)
		}
	}
	ask := func(want, grant int) {
		r.Helper()
		granted, _, err := r.s.Permit(r.ctx, store.GuardedCalendars, want, 20)
		r.must(err)
		if granted != grant {
			r.Errorf("%d of %d granted, want %d", granted, want, grant)
		}
	}
	began := r.b.now()
	ask(2, 2)
	for range 5 { // tried again and again
		r.b.advance(4 * time.Hour)
		renew(began.Add(-time.Minute), true) // by a clock that is a little behind
		began = r.b.now()
	}
	ask(2, 1)
	// A day after the first grant one of the two counts no more, the renewed one does.
	r.b.advance(6 * time.Hour)
	ask(3, 1)
	renew(began.Add(-23*time.Hour), false)
}
