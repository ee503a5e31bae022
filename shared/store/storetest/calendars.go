package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

func saveKeepsWork(r *rig) {
	r.release(r.take(store.Employees, 7, "m1"), store.Result{Err: failure.New(failure.Forbidden, "share", ""), RetryAt: r.began})
	h := r.take(store.Employees, 7, "m2")
	before := r.work(store.Employees, 7)
	activity := []store.ActivityRecord{
		{ID: "a", At: r.began, Action: "calendar.create", Employee: 7, ExpiresAt: r.began.Add(time.Hour)},
		{ID: "b", At: r.began, Action: "acl.insert", Employee: 7, ExpiresAt: r.began.Add(time.Hour)},
	}
	cal := &store.CalendarRecord{Epoch: "e", From: r.began, Name: "n", Deadline: r.began.Add(time.Minute)}
	r.must(r.s.SaveEmployee(r.ctx, h.employee, func(e *store.EmployeeRecord) {
		e.Name, e.State, e.Calendar = "Olena", store.StatePending, cal
		e.Failure.Count, e.Failure.Kind = 50, failure.Gone
		e.Work = store.Work{Dirty: 99, DueAt: r.began, Vouched: true}
	}, activity...))
	want := store.EmployeeRecord{ID: 7, Name: "Olena", State: store.StatePending, Calendar: cal, Work: before}
	rec, _, err := r.s.Employee(r.ctx, 7)
	r.must(err)
	equal(r, "record stored", rec, want)
	equal(r, "record of the lease", h.employee.Record, want)
	equal(r, "activity", all[store.ActivityRecord](r, store.Activity), activity)

	// The change is made to what is stored, not to what the lease remembers.
	h.employee.Record.Name, h.employee.Record.Calendar = "forgotten", nil
	r.must(r.s.SaveEmployee(r.ctx, h.employee, func(e *store.EmployeeRecord) { e.Reason += "x" }))
	want.Reason = "x" // and not "xx": the run for nothing left no trace
	equal(r, "record saved twice", h.employee.Record, want)

	// A notification during the pass is not overwritten.
	r.acquire(store.Employees, 7, r.claim("m3"))
	r.must(r.s.SaveEmployee(r.ctx, h.employee, func(e *store.EmployeeRecord) { e.Reason = "" }))
	equal(r, "dirty", r.work(store.Employees, 7).Dirty, before.Dirty+1)
	equal(r, "dirty noted", h.employee.Dirty, before.Dirty)
	released, err := r.settle(h, store.Result{})
	r.must(err)
	equal(r, "released although notified", released, false)
}

func saveNeedsLease(r *rig) {
	h := r.take(store.Employees, 7, "m1")
	r.must(r.s.SaveEmployee(r.ctx, h.employee, func(e *store.EmployeeRecord) { e.Name = "Olena" }))
	r.b.advance(ttl)
	r.refuses("saved after the lease's end", h)
	other := r.take(store.Employees, 7, "m2")
	r.refuses("saved in another's lease", h)
	equal(r, "name", other.employee.Record.Name, "Olena")
}

func forgetEmployee(r *rig) {
	cal := store.CalendarRecord{ID: "c", Epoch: "e", From: r.began}
	for i, c := range []struct {
		what   string
		change func(e *store.EmployeeRecord)
		then   func(id int64)
	}{
		{"has a calendar", func(e *store.EmployeeRecord) { e.Calendar = &cal }, nil},
		{"has an announced calendar", func(e *store.EmployeeRecord) { e.Calendar = &store.CalendarRecord{Epoch: "e", From: r.began} }, nil},
		{"loses a calendar", func(e *store.EmployeeRecord) { e.Retiring = []store.CalendarRecord{cal} }, nil},
		{"was notified", nil, func(id int64) { r.acquire(store.Employees, id, r.claim("m2")) }},
		{"gave up meanwhile", nil, func(id int64) { r.must(r.s.RecordDeadLetter(r.ctx, store.EmployeeKey(id), "poll", 100)) }},
		{"got a calendar by its mark", nil, func(id int64) {
			adopted, err := r.s.AdoptCalendar(r.ctx, id, cal)
			r.must(err)
			equal(r, "adopted", adopted, true)
		}},
	} {
		id := int64(10 + i)
		h := r.take(store.Employees, id, "m1")
		if c.change != nil {
			r.must(r.s.SaveEmployee(r.ctx, h.employee, c.change))
		}
		if c.then != nil {
			c.then(id)
		}
		r.unchanged(c.what, func() { r.is(r.s.ForgetEmployee(r.ctx, h.employee), store.ErrLeaseLost) })
	}

	r.must(r.s.RecordDeadLetter(r.ctx, store.EmployeeKey(7), "poll", 100))
	before := r.state()
	h := r.take(store.Employees, 7, "m1")
	r.must(r.s.ForgetEmployee(r.ctx, h.employee))
	after := before
	after.Employees = slices.DeleteFunc(slices.Clone(before.Employees), func(e store.EmployeeRecord) bool { return e.ID == 7 })
	after.DeadLetters = slices.DeleteFunc(slices.Clone(before.DeadLetters), func(d store.DeadLetterRecord) bool { return d.Key == 7 })
	equal(r, "everything but employee 7", r.state(), after)
	if h := r.take(store.Employees, 7, "m2"); h.lease().Dirty != 1 {
		r.Errorf("taken back, dirty is %d, want a fresh record", h.lease().Dirty)
	}
}

func adoptCalendar(r *rig) {
	cal := func(id, epoch string) store.CalendarRecord {
		return store.CalendarRecord{ID: id, Epoch: epoch, From: r.began, Name: "n", Account: "a"}
	}
	adopt := func(id int64, c store.CalendarRecord) bool {
		r.Helper()
		adopted, err := r.s.AdoptCalendar(r.ctx, id, c)
		r.must(err)
		return adopted
	}
	found := cal("found", "e1")
	equal(r, "adopted", adopt(7, found), true)
	rec, _, err := r.s.Employee(r.ctx, 7)
	r.must(err)
	equal(r, "record", rec, store.EmployeeRecord{ID: 7, State: store.StateActive, Calendar: &found})
	if rec.Calendar.Listed {
		r.Error("a calendar that was found counts as listed")
	}

	announced := cal("", "e2")
	r.calendar(8, store.StatePending, &announced)
	r.calendar(9, store.StateHeld, &found)
	h := r.take(store.Employees, 10, "m")
	r.must(r.s.SaveEmployee(r.ctx, h.employee, func(e *store.EmployeeRecord) {
		e.State, e.Retiring = store.StateDeleting, []store.CalendarRecord{found}
	}))
	r.release(h, store.Result{})
	r.unchanged("calendars that are known", func() {
		equal(r, "in place of another", adopt(7, cal("other", "e3")), false)
		equal(r, "the same", adopt(7, found), false)
		equal(r, "in place of an announced one", adopt(8, found), false)
		equal(r, "in place of a held one", adopt(9, cal("other", "e3")), false)
		// Else a calendar on its way out would come back as the present one.
		equal(r, "one that is leaving", adopt(10, found), false)
	})

	// The record's other fields and its holder's lease stay.
	h = r.take(store.Employees, 11, "m")
	r.must(r.s.SaveEmployee(r.ctx, h.employee, func(e *store.EmployeeRecord) { e.Name, e.Divisions = "Olena", []int64{3} }))
	want := h.employee.Record
	want.State, want.Calendar = store.StateActive, &found
	equal(r, "adopted while held", adopt(11, found), true)
	rec, _, err = r.s.Employee(r.ctx, 11)
	r.must(err)
	equal(r, "record held", rec, want)
	r.release(h, store.Result{})
}

func listEmployees(r *rig) {
	in := func(id int64, divisions ...int64) {
		h := r.take(store.Employees, id, "")
		r.must(r.s.SaveEmployee(r.ctx, h.employee, func(e *store.EmployeeRecord) { e.Divisions = divisions }))
		r.release(h, store.Result{})
	}
	in(100, 1)
	in(20, 1, 2)
	in(3, 35, 70)
	in(1000)
	ids := func(recs []store.EmployeeRecord, err error) []int64 {
		r.Helper()
		r.must(err)
		out := []int64{}
		for _, rec := range recs {
			out = append(out, rec.ID)
		}
		return out
	}
	equal(r, "everybody by number", ids(r.s.Employees(r.ctx)), []int64{3, 20, 100, 1000})
	sorted := func(divisions ...int64) []int64 {
		out := ids(r.s.EmployeesOfDivisions(r.ctx, divisions))
		slices.Sort(out)
		return out
	}
	many := []int64{}
	for d := range int64(80) { // more than Firestore takes at once
		many = append(many, d+1)
	}
	equal(r, "no division", sorted(), []int64{})
	equal(r, "division 1", sorted(1), []int64{20, 100})
	equal(r, "divisions 1 and 2", sorted(1, 2), []int64{20, 100})
	equal(r, "division 4", sorted(4), []int64{})
	equal(r, "80 divisions, each employee once", sorted(many...), []int64{3, 20, 100})

	in(20)
	equal(r, "division 1 once one has left it", sorted(1), []int64{100})
	if _, found, err := r.s.Employee(r.ctx, 4); found || err != nil {
		r.Error(errors.Join(errors.New("found an employee who is none"), err))
	}
}

func seenSince(r *rig) {
	at := func(minute int) time.Time { return time.Date(2041, 5, 6, 7, minute, 0, 0, time.UTC) }
	for id := range int64(70) { // more than are asked for at first, and then
		h := r.take(store.Employees, id+1, "")
		r.must(r.s.SaveEmployee(r.ctx, h.employee, func(e *store.EmployeeRecord) {
			if id%10 != 9 {
				e.Seen, e.SeenAt = fmt.Sprintf("s%d", e.ID), at(int(id)/10)
			}
		}))
		r.release(h, store.Result{})
	}
	for minute, want := range map[int]int{0: 63, 1: 54, 6: 9, 7: 0} {
		seen, err := r.s.SeenSince(r.ctx, at(minute))
		r.must(err)
		if len(seen) != want || want > 0 && seen[65] != "s65" {
			r.Errorf("since minute %d: %d employees, want %d: %v", minute, len(seen), want, seen)
		}
	}
}
