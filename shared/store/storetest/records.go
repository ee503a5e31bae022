package storetest

import (
	"fmt"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

func savedSettings(r *rig) {
	_, found, err := r.s.SavedSettings(r.ctx)
	r.must(err)
	equal(r, "found before", found, false)
	r.is(r.s.SaveSettings(r.ctx, "{}", "early", 1), store.ErrStale)
	for version := range int64(2) {
		r.b.advance(time.Second)
		text := fmt.Sprintf(`{"version": %d}`, version)
		r.must(r.s.SaveSettings(r.ctx, text, "olena", version))
		want := store.SettingsRecord{JSON: text, SavedAt: r.b.now(), SavedBy: "olena", Version: version + 1}
		rec, found, err := r.s.SavedSettings(r.ctx)
		r.must(err)
		equal(r, "found", found, true)
		equal(r, "settings", rec, want)
	}
	plan := &store.SettingsPlan{Employees: []int64{3, 5}, States: []int64{7}, Divisions: true, Made: 2, Events: 29}
	r.b.advance(time.Second)
	r.must(r.s.ApplySettings(r.ctx, store.SettingsRecord{JSON: `{"version": 2}`, SavedBy: "olena", Acted: "{}", Plan: plan}, 2))
	applied := *plan
	applied.At = r.b.now()
	third := store.SettingsRecord{JSON: `{"version": 2}`, SavedAt: r.b.now(), SavedBy: "olena", Version: 3, Acted: "{}", Plan: &applied}
	rec, _, err := r.s.SavedSettings(r.ctx)
	r.must(err)
	equal(r, "settings with their plan", rec, third)
	versions := func(before int64, limit int, want ...int64) {
		r.Helper()
		recs, err := r.s.SettingsHistory(r.ctx, before, limit)
		r.must(err)
		var got []int64
		for _, rec := range recs {
			got = append(got, rec.Version)
		}
		equal(r, fmt.Sprintf("%d versions before %d", limit, before), got, want)
	}
	versions(0, 10, 3, 2, 1)
	versions(0, 2, 3, 2)
	versions(2, 10, 1)
	versions(1, 10)
	old, found, err := r.s.SettingsVersion(r.ctx, 3)
	r.must(err)
	equal(r, "version found", found, true)
	equal(r, "version", old, third)
	_, found, err = r.s.SettingsVersion(r.ctx, 9)
	r.must(err)
	equal(r, "a version that never was is found", found, false)
	r.unchanged("what somebody else saved", func() {
		for _, seen := range []int64{0, 1, 2, 4} {
			r.is(r.s.SaveSettings(r.ctx, "{}", "ivan", seen), store.ErrStale)
		}
		r.is(r.s.SaveSettings(r.ctx, "{}", "olena", 2), store.ErrStale)
		r.is(r.s.SaveSettings(r.ctx, `{"version": 2}`, "ivan", 2), store.ErrStale)
		r.is(r.s.SaveSettings(r.ctx, `{"version": 2}`, "olena", 1), store.ErrStale)
		// The same admin with the same text, but on top of what is long replaced.
		r.is(r.s.SaveSettings(r.ctx, `{"version": 0}`, "olena", 0), store.ErrStale)
	})
}

func signInOnce(r *rig) {
	finish := func(what string, want bool) {
		r.Helper()
		first, err := r.s.FinishSignIn(r.ctx, "state", 10*time.Minute)
		r.must(err)
		equal(r, what, first, want)
	}
	finish("the first time", true)
	equal(r, "expires", all[store.SignInRecord](r, store.SignIns)[0].ExpiresAt, r.began.Add(10*time.Minute))
	finish("again", false)
	r.b.advance(10*time.Minute - time.Microsecond)
	finish("at the last moment", false)
	r.b.advance(time.Microsecond)
	finish("when nothing can be played again any more", true)
	other, err := r.s.FinishSignIn(r.ctx, "another", time.Minute)
	r.must(err)
	equal(r, "another", other, true)
}

func adminPinned(r *rig) {
	pin := func(address, sub, want string) {
		r.Helper()
		got, err := r.s.PinAdmin(r.ctx, address, sub)
		r.must(err)
		equal(r, address+" of "+sub, got, want)
	}
	pin("a", "1", "1")
	pin("a", "2", "1")
	pin("b", "2", "2")
	pin("a", "1", "1")
}

func sessionsEnd(r *rig) {
	ended := func(what, id string, generation int64, want bool) {
		r.Helper()
		got, err := r.s.SessionEnded(r.ctx, id, generation)
		r.must(err)
		equal(r, what, got, want)
	}
	ended("never ended", "a", 0, false)
	r.must(r.s.EndSession(r.ctx, "a", time.Hour))
	ended("ended", "a", 0, true)
	ended("another", "b", 0, false)
	r.must(r.s.EndAllSessions(r.ctx))
	ended("of those before", "b", 0, true)
	now, err := r.s.SessionGeneration(r.ctx)
	r.must(err)
	ended("begun since", "c", now, false)
	ended("ended still", "a", now, true)
	equal(r, "expires", all[store.SessionRecord](r, store.Sessions), []store.SessionRecord{
		{ID: "a", ExpiresAt: r.began.Add(time.Hour)}, {ID: store.AllSessions, Generation: 1}})
}

func ticketOnce(r *rig) {
	rec := store.TicketRecord{ID: "hash", Sub: "s", Email: "e", Purpose: "connect", Console: "c"}
	take := func(what, id string, want bool) {
		r.Helper()
		got, found, err := r.s.TakeTicket(r.ctx, id)
		r.must(err)
		equal(r, what, found, want)
		if found {
			expect := rec
			expect.ExpiresAt = got.ExpiresAt
			equal(r, what+": record", got, expect)
		}
	}
	r.must(r.s.PutTicket(r.ctx, rec, time.Minute))
	take("another", "other", false)
	r.b.advance(time.Minute - time.Microsecond)
	take("at the last moment", "hash", true)
	take("taken already", "hash", false)
	r.must(r.s.PutTicket(r.ctx, rec, time.Minute))
	r.b.advance(time.Minute)
	take("expired", "hash", false)
	equal(r, "left behind", len(all[store.TicketRecord](r, store.Tickets)), 0)
}

func pollRecords(r *rig) {
	_, found, err := r.s.TaskPoll(r.ctx)
	r.must(err)
	equal(r, "found before", found, false)
	tasks := store.TaskPollRecord{
		Watermark: "2026-03-01 10:00:00", RanAt: time.Unix(1, 0), Offset: 7200, Shown: []byte{1, 0, 255}, Missing: []int64{3, 4},
		Flood: []byte{2}, FloodedAt: r.began.Add(-time.Hour), Changed: map[string]string{"17": "2026-03-01 09:59:59"}, Before: r.began,
	}
	r.must(r.s.SaveTaskPoll(r.ctx, tasks))
	tasks.RanAt = r.began // the database's time, not the caller's
	gotTasks, found, err := r.s.TaskPoll(r.ctx)
	r.must(err)
	equal(r, "found", found, true)
	equal(r, "poll of tasks", gotTasks, tasks)

	// Each has a document of its own.
	if _, found, err := r.s.EmployeePoll(r.ctx); found || err != nil {
		r.Errorf("poll of employees: found %v, error %v", found, err)
	}
	employees := store.EmployeePollRecord{RanAt: time.Unix(1, 0), Hashes: map[string]string{"5": "h"}, Missing: []int64{6}, Before: r.began}
	r.must(r.s.SaveEmployeePoll(r.ctx, employees))
	employees.RanAt = r.began
	gotEmployees, found, err := r.s.EmployeePoll(r.ctx)
	r.must(err)
	equal(r, "found", found, true)
	equal(r, "poll of employees", gotEmployees, employees)
	alarms, err := r.s.Alarms(r.ctx)
	r.must(err)
	equal(r, "no alarms", alarms, nil)
	r.must(r.s.SaveAlarms(r.ctx, map[string]string{"quota": "id"}))
	alarms, err = r.s.Alarms(r.ctx)
	r.must(err)
	equal(r, "alarms", alarms, map[string]string{"quota": "id"})

	r.b.advance(time.Minute)
	r.must(r.s.SaveTaskPoll(r.ctx, store.TaskPollRecord{Watermark: "2026-03-01 10:01:00"}))
	gotTasks, _, err = r.s.TaskPoll(r.ctx)
	r.must(err)
	equal(r, "nothing of the poll before", gotTasks, store.TaskPollRecord{Watermark: "2026-03-01 10:01:00", RanAt: r.b.now()})
	gotEmployees, _, err = r.s.EmployeePoll(r.ctx)
	r.must(err)
	equal(r, "the other poll", gotEmployees, employees)
}

func putOffRuns(r *rig) {
	waiting := func(what string, want store.PutOffRecord) {
		r.Helper()
		got, err := r.s.PutOff(r.ctx)
		r.must(err)
		equal(r, what, got, want)
	}
	waiting("none put off", store.PutOffRecord{})
	r.unchanged("nothing to begin", func() { r.must(r.s.RunBegan(r.ctx)) })
	first, err := r.s.PutOffRun(r.ctx, "reconcile", "source")
	r.must(err)
	waiting("put off", store.PutOffRecord{Cause: "reconcile", DueAt: r.b.now().Add(time.Minute), Count: 1, Kind: "source"})
	second, err := r.s.PutOffRun(r.ctx, "console", "source-invalid")
	r.must(err)
	again := store.PutOffRecord{Cause: "console", DueAt: r.b.now().Add(2 * time.Minute), Count: 2, Kind: "source-invalid"}
	waiting("put off again", again)
	r.must(r.s.RunSent(r.ctx, first))
	waiting("an earlier one was sent", again)
	r.must(r.s.RunSent(r.ctx, second))
	again.DueAt = time.Time{}
	waiting("sent", again)
	r.must(r.s.RunBegan(r.ctx))
	waiting("began", store.PutOffRecord{})
}

func activityOrder(r *rig) {
	recs, err := r.s.RecentActivity(r.ctx, 10)
	r.must(err)
	equal(r, "before", len(recs), 0)
	record := func(id string, at time.Duration) store.ActivityRecord {
		return store.ActivityRecord{
			ID: id, At: r.began.Add(at), Action: "acl.insert", Employee: 7, Calendar: "c", Cause: "notify",
			Before: "h1", After: "h2", Result: "done", ExpiresAt: r.began.Add(at + store.ActivityKept),
		}
	}
	h := r.take(store.Employees, 7, "m")
	write := func(a ...store.ActivityRecord) {
		r.Helper()
		r.must(r.s.SaveEmployee(r.ctx, h.employee, func(*store.EmployeeRecord) {}, a...))
	}
	write(record("m", time.Second), record("a", 3*time.Second))
	write(record("z", 2*time.Second))
	ids := func(limit int) []string {
		r.Helper()
		recs, err := r.s.RecentActivity(r.ctx, limit)
		r.must(err)
		out := []string{}
		for _, rec := range recs {
			out = append(out, rec.ID)
		}
		return out
	}
	equal(r, "the latest first", ids(10), []string{"a", "z", "m"})
	equal(r, "at most two", ids(2), []string{"a", "z"})

	// An announced write is completed under the same id.
	done := record("m", 4*time.Second)
	done.Result = "gone"
	write(done)
	equal(r, "completed", ids(10), []string{"m", "a", "z"})
	recs, err = r.s.RecentActivity(r.ctx, 1)
	r.must(err)
	equal(r, "record", recs, []store.ActivityRecord{done})

	// Page by page, the same moment or not, each is given once.
	action := store.ActivityRecord{ID: "d", At: r.began.Add(3 * time.Second), Action: "admin.run", By: "olena@example.com", Result: "done", ExpiresAt: r.began.Add(store.ActivityKept)}
	r.must(r.s.RecordAction(r.ctx, action))
	for n := range 5 {
		write(record("same-"+string(rune('0'+n)), 3*time.Second))
	}
	for _, limit := range []int{1, 2, 3, 20} {
		var all []string
		at, id := r.began.Add(time.Hour), ""
		for {
			page, err := r.s.ActivityBefore(r.ctx, at, id, limit)
			r.must(err)
			if len(page) == 0 {
				break
			}
			for _, rec := range page {
				all = append(all, rec.ID)
				at, id = rec.At, rec.ID
			}
		}
		equal(r, "page by page", all, []string{"m", "same-4", "same-3", "same-2", "same-1", "same-0", "d", "a", "z"})
	}
}

func catalogueFaults(r *rig) {
	want := func(faults ...store.CatalogueFault) {
		r.Helper()
		got, err := r.s.CatalogueFaults(r.ctx)
		r.must(err)
		equal(r, "faults", got, faults)
	}
	want()
	r.must(r.s.SaveCatalogueFaults(r.ctx, nil))
	want()
	first := r.b.now()
	r.must(r.s.SaveCatalogueFaults(r.ctx, []string{"state 5", "task type 3"}))
	r.b.advance(time.Minute)
	r.must(r.s.SaveCatalogueFaults(r.ctx, []string{"state 7", "task type 3"}))
	want(store.CatalogueFault{What: "state 7", Since: r.b.now()}, store.CatalogueFault{What: "task type 3", Since: first})
	r.must(r.s.SaveCatalogueFaults(r.ctx, nil))
	want()
}

func knownCatalogue(r *rig) {
	want := func(when string, known store.KnownCatalogue) {
		r.Helper()
		got, err := r.s.KnownCatalogue(r.ctx)
		r.must(err)
		equal(r, when, got, known)
	}
	want("nothing", store.KnownCatalogue{})
	first := store.KnownCatalogue{
		States: []store.KnownState{{ID: 1, Name: "New", Role: 11, RoleName: "open"}}, StatesAt: r.began,
		Types: []store.KnownType{{ID: 4, Name: "Repair", Hours: 1.5}}, TypesAt: r.began,
	}
	r.must(r.s.SaveKnownCatalogue(r.ctx, first))
	want("stored", first)
	later := first
	later.StatesAt, later.TypesAt = r.began.Add(time.Minute), r.began.Add(time.Minute)
	r.must(r.s.SaveKnownCatalogue(r.ctx, later))
	want("the same again", first)
	divisions := store.KnownCatalogue{Divisions: []store.KnownDivision{{ID: 3, Name: "North"}}, DivisionsAt: r.began}
	r.must(r.s.SaveKnownCatalogue(r.ctx, divisions))
	first.Divisions, first.DivisionsAt = divisions.Divisions, divisions.DivisionsAt
	want("each by itself", first)
	other := store.KnownCatalogue{Types: []store.KnownType{{ID: 4, Name: "Repair"}}, TypesAt: r.began.Add(2 * time.Minute)}
	r.must(r.s.SaveKnownCatalogue(r.ctx, other))
	first.Types, first.TypesAt = other.Types, other.TypesAt
	want("another", first)
	again := store.KnownCatalogue{States: first.States, StatesAt: r.began.Add(time.Hour)}
	r.must(r.s.SaveKnownCatalogue(r.ctx, again))
	first.StatesAt = again.StatesAt
	want("the same an hour later", first)
	many := store.KnownCatalogue{States: make([]store.KnownState, 2001), StatesAt: r.began.Add(2 * time.Hour)}
	r.must(r.s.SaveKnownCatalogue(r.ctx, many))
	want("more than anybody has", first)
}

func knownRoles(r *rig) {
	want := func(when string, known store.KnownRoles) {
		r.Helper()
		got, err := r.s.KnownRoles(r.ctx)
		r.must(err)
		equal(r, when, got, known)
	}
	want("nothing", store.KnownRoles{})
	first := store.KnownRoles{
		At: r.began.Add(time.Minute), States: []store.StateRole{{State: 1, Role: 11}},
		Spellings: []store.RoleSpelling{{Role: 11, Number: 11}, {Role: 11, Text: "open"}},
	}
	r.must(r.s.SaveKnownRoles(r.ctx, first))
	want("stored", first)
	r.must(r.s.SaveKnownRoles(r.ctx, store.KnownRoles{At: r.began, States: []store.StateRole{{State: 1, Role: 12}}}))
	want("an earlier reading that comes later", first)
	later := store.KnownRoles{
		At: r.began.Add(time.Hour), States: []store.StateRole{{State: 1, Role: 12}, {State: 2, Role: 11}},
		Spellings: []store.RoleSpelling{{Role: 11, Number: 11}, {Role: 12, Number: 12}},
		Odd:       []store.OddRole{{Text: "abc", Since: r.began}},
	}
	r.must(r.s.SaveKnownRoles(r.ctx, later))
	later.Spellings = append(later.Spellings, store.RoleSpelling{Role: 11, Text: "open"})
	want("what another learned stays", later)
}

func refusedCards(r *rig) {
	want := func(when string, everybody bool, rec store.CardsRecord) {
		r.Helper()
		got, is, err := r.s.RefusedCards(r.ctx)
		r.must(err)
		equal(r, when, got, rec)
		equal(r, when+": everybody", is, everybody)
	}
	// Each has a calendar, and what of their card, if anything, was refused.
	card := func(id int64, f *store.Failure) {
		h := r.take(store.Employees, id, "m")
		r.must(r.s.SaveEmployee(r.ctx, h.employee, func(e *store.EmployeeRecord) { e.State, e.CardFailure = store.StateActive, f }))
		r.release(h, store.Result{})
	}
	refused := func(id int64, why string) {
		card(id, &store.Failure{Message: why})
		r.must(r.s.CardRefused(r.ctx, id, why))
	}
	want("nobody", false, store.CardsRecord{})
	r.must(r.s.CardTaken(r.ctx))
	first := r.b.now()
	refused(1, "no field")
	want("of one", true, store.CardsRecord{Since: first, Employees: []int64{1}, Why: "no field"})
	r.b.advance(time.Minute)
	card(2, nil)
	card(3, nil)
	want("one of three", false, store.CardsRecord{Since: first, Employees: []int64{1}, Why: "no field"})
	refused(1, "no key")
	refused(2, "no key")
	want("two of three", false, store.CardsRecord{Since: first, Employees: []int64{1, 2}, Why: "no key"})
	card(4, nil)
	refused(3, "no key")
	want("three of four", true, store.CardsRecord{Since: first, Employees: []int64{1, 2, 3}, Why: "no key"})
	refused(4, "no key")
	want("the first are enough", true, store.CardsRecord{Since: first, Employees: []int64{1, 2, 3}, Why: "no key"})
	card(1, nil)
	want("one is given up", false, store.CardsRecord{Since: first, Employees: []int64{1, 2, 3}, Why: "no key"})
	r.must(r.s.CardTaken(r.ctx))
	want("one was taken", false, store.CardsRecord{})
	again := r.b.now()
	refused(4, "no key")
	want("anew", false, store.CardsRecord{Since: again, Employees: []int64{4}, Why: "no key"})
}

func unreached(r *rig) {
	const why = "calendar-out-of-reach"
	want := func(when string, n int, many bool) {
		r.Helper()
		got, is, err := r.s.Unreached(r.ctx, why)
		r.must(err)
		equal(r, when, got, n)
		equal(r, when+": many", is, many)
	}
	is := func(id int64, state store.EmployeeState, reason string) {
		h := r.take(store.Employees, id, "m")
		r.must(r.s.SaveEmployee(r.ctx, h.employee, func(e *store.EmployeeRecord) { e.State, e.Reason = state, reason }))
		r.release(h, store.Result{})
	}
	want("nobody", 0, false)
	is(1, store.StateActive, why)
	want("the only one", 1, true)
	is(2, store.StateActive, "")
	is(3, store.StateNone, "no-address")
	want("one of two", 1, false)
	is(4, store.StatePending, why)
	want("one who waits does not make up for one who does not", 2, false)
	is(2, store.StateNone, "dismissed")
	want("all who have one", 2, true)
	is(2, store.StateActive, "")
	is(5, store.StateActive, why)
	want("three of four", 3, true)
	for id := range int64(9) {
		is(10+id, store.StateActive, why)
	}
	want("as many as there are", 12, true)
	for _, id := range []int64{1, 4, 5, 10, 11, 12, 13, 14, 15, 16, 17} {
		is(id, store.StateActive, "")
	}
	want("one is left", 1, false)
	is(18, store.StateActive, "")
	want("none is left", 0, false)
}

func activityOfOne(r *rig) {
	h := r.take(store.Employees, 7, "m")
	record := func(id string, at time.Duration, task, employee int64) store.ActivityRecord {
		return store.ActivityRecord{ID: id, At: r.began.Add(at), Action: "event.insert", Task: task, Employee: employee, ExpiresAt: r.began.Add(at + store.ActivityKept)}
	}
	all := []store.ActivityRecord{
		record("a", 3*time.Second, 10, 7), record("b", time.Second, 1, 7), record("c", 2*time.Second, 10, 8),
		record("d", 9*time.Second, 2, 77), record("e", 8*time.Second, 0, 6), record("f", 12*time.Second, 10, 7),
	}
	r.must(r.s.SaveEmployee(r.ctx, h.employee, func(*store.EmployeeRecord) {}, all...))
	of := func(key store.Key, limit int) []store.ActivityRecord {
		r.Helper()
		recs, err := r.s.ActivityOf(r.ctx, key, limit)
		r.must(err)
		return recs
	}
	equal(r, "of an employee, the latest first", of(store.EmployeeKey(7), 10), []store.ActivityRecord{all[5], all[0], all[1]})
	equal(r, "the latest two", of(store.EmployeeKey(7), 2), []store.ActivityRecord{all[5], all[0]})
	equal(r, "of a task", of(store.TaskKey(10), 10), []store.ActivityRecord{all[5], all[0], all[2]})
	equal(r, "of a task that begins with the number of another", of(store.TaskKey(1), 10), []store.ActivityRecord{all[1]})
	equal(r, "of nobody", of(store.EmployeeKey(9), 10), []store.ActivityRecord{})
	equal(r, "of an employee without tasks", of(store.EmployeeKey(6), 10), []store.ActivityRecord{all[4]})
}

func notifications(r *rig) {
	want := func(at time.Time, connector string) {
		r.Helper()
		got, err := r.s.LastNotification(r.ctx)
		r.must(err)
		equal(r, "last notification", got, store.NotificationRecord{At: at, Connector: connector})
	}
	want(time.Time{}, "")
	first := r.b.now()
	r.must(r.s.NotificationCame(r.ctx, "1.1"))
	want(first, "1.1")
	r.b.advance(30 * time.Second)
	r.must(r.s.NotificationCame(r.ctx, "1.1"))
	want(first, "1.1")
	second := r.b.now()
	r.must(r.s.NotificationCame(r.ctx, "1.2"))
	want(second, "1.2")
	r.b.advance(time.Minute)
	r.must(r.s.NotificationCame(r.ctx, "1.2"))
	want(r.b.now(), "1.2")
}
