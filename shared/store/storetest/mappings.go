package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// calendar gives an employee a record in a state, with a calendar or none.
func (r *rig) calendar(id int64, state store.EmployeeState, cal *store.CalendarRecord) {
	r.Helper()
	h := r.take(store.Employees, id, "")
	r.must(r.s.SaveEmployee(r.ctx, h.employee, func(e *store.EmployeeRecord) { e.State, e.Calendar = state, cal }))
	r.release(h, store.Result{})
}

// active gives an employee a calendar with an epoch.
func (r *rig) active(id int64, epoch string) {
	r.Helper()
	r.calendar(id, store.StateActive, &store.CalendarRecord{ID: "cal-" + epoch, Epoch: epoch, From: r.began})
}

// intent announces the event of an employee in the calendar of an epoch.
func (r *rig) intent(employee int64, epoch string) store.Intent {
	id := "event-" + strconv.FormatInt(employee, 10)
	now := r.b.now()
	return store.Intent{
		Employee: employee,
		Mapping: store.Mapping{
			Epoch: epoch, EventID: id, Generation: 2, State: store.MappingIntended, Sequence: 3,
			Sent: "hash", Via: "executor", Deadline: now.Add(time.Minute),
		},
		Activity: store.ActivityRecord{
			ID: "write-" + id, At: now, Action: "event.insert", Employee: employee, Event: id,
			ExpiresAt: now.Add(store.ActivityKept),
		},
	}
}

// intendNeedsEpoch shows rule 1.6.
func intendNeedsEpoch(r *rig) {
	cal := func(id, epoch string) *store.CalendarRecord {
		return &store.CalendarRecord{ID: id, Epoch: epoch, From: r.began}
	}
	r.calendar(1, store.StateActive, cal("c", "now"))
	r.calendar(2, store.StateActive, cal("c", "other"))
	r.calendar(3, store.StateActive, cal("", "now")) // itself only announced
	r.calendar(4, store.StateActive, nil)
	r.calendar(5, store.StateNone, nil)
	r.calendar(6, store.StatePending, cal("c", "now"))
	r.calendar(7, store.StateHeld, cal("c", "now"))
	r.calendar(8, store.StateDeleting, cal("c", "now"))
	r.calendar(9, store.StateError, cal("c", "now"))
	r.calendar(11, store.StateActive, cal("c", "now"))
	var intents []store.Intent
	for id := range int64(11) {
		intents = append(intents, r.intent(id+1, "now")) // 10 has no record at all
	}
	h := r.take(store.Tasks, 70, "m")
	refused, err := r.s.IntendTask(r.ctx, h.task, intents)
	r.must(err)
	equal(r, "refused", refused, []int64{2, 3, 4, 5, 6, 7, 8, 9, 10})

	rec, _, err := r.s.Task(r.ctx, 70)
	r.must(err)
	want := map[string]store.Mapping{"1": intents[0].Mapping, "11": intents[10].Mapping}
	for id, m := range want {
		m.Owner, m.AnnouncedAt = h.task.Token, r.began
		want[id] = m
	}
	equal(r, "mappings announced", rec.Mappings, want)
	equal(r, "concerned", rec.Employees, []int64{1, 11})
	equal(r, "record of the lease", h.task.Record, rec)
	equal(r, "writes announced", rec.Announced, []store.ActivityRecord{intents[0].Activity, intents[10].Activity})
	if _, found, err := r.s.Employee(r.ctx, 10); err != nil || found {
		r.Errorf("an employee was made by an intent: found %v, error %v", found, err)
	}

	// The calendar gets another life while the task is held.
	r.active(1, "next")
	refused, err = r.s.IntendTask(r.ctx, h.task, []store.Intent{r.intent(1, "now")})
	r.must(err)
	equal(r, "refused in another epoch", refused, []int64{1})
	refused, err = r.s.IntendTask(r.ctx, h.task, []store.Intent{r.intent(1, "next")})
	r.must(err)
	equal(r, "refused in the right epoch", len(refused), 0)
}

func intendNeedsLease(r *rig) {
	r.active(1, "now")
	h := r.take(store.Tasks, 70, "m1")
	r.b.advance(ttl - time.Microsecond)
	refused, err := r.s.IntendTask(r.ctx, h.task, []store.Intent{r.intent(1, "now")})
	r.must(err)
	equal(r, "refused at the last moment", len(refused), 0)
	r.b.advance(time.Microsecond)
	late := r.intent(1, "now")
	late.Activity.ID = "late"
	refuse := func(what string) {
		r.Helper()
		r.unchanged(what, func() {
			before := *h.task
			refused, err := r.s.IntendTask(r.ctx, h.task, []store.Intent{late})
			r.is(err, store.ErrLeaseLost)
			equal(r, what+": refused", len(refused), 0)
			equal(r, what+": the lease", *h.task, before)
		})
	}
	refuse("intent after the lease's end")
	other := r.take(store.Tasks, 70, "m2")
	refuse("intent in another's lease")
	if m, ok := other.task.Record.Mapping(1); !ok || m.Owner != h.task.Token {
		r.Errorf("the next holder sees the mapping %+v, want the open intent of the first", m)
	}
}

func settleConfirms(r *rig) {
	for id := range int64(3) {
		r.active(id+1, "now")
	}
	h := r.take(store.Tasks, 70, "m")
	intents := []store.Intent{r.intent(1, "now"), r.intent(2, "now"), r.intent(3, "now")}
	_, err := r.s.IntendTask(r.ctx, h.task, intents)
	r.must(err)

	live := store.Mapping{
		Epoch: "now", EventID: "event-1", Generation: 2, State: store.MappingLive, Sequence: 4, ETag: "e",
		Returned: "returned", Sent: "hash", Via: "division", AbsentSince: r.began,
	}
	done := intents[0].Activity
	done.Result = "done"
	o := store.TaskOutcome{
		Mappings:  map[int64]*store.Mapping{1: &live, 2: nil},
		Concerned: []int64{9, 1, 1},
		Updated:   "2026-03-01 10:00:00",
		Activity:  []store.ActivityRecord{done},
	}
	// A pass that has to be repeated keeps what it did all the same.
	r.acquire(store.Tasks, 70, r.claim("m2"))
	for pass, want := range []bool{false, true} {
		if pass == 1 {
			o.Updated = "" // leaves it
		}
		released, err := r.s.SettleTask(r.ctx, h.task, o)
		r.must(err)
		equal(r, "released", released, want)
		rec, found, err := r.s.Task(r.ctx, 70)
		r.must(err)
		open := intents[2].Mapping
		open.Owner, open.AnnouncedAt = h.task.Token, r.began
		equal(r, "found", found, true)
		equal(r, "mappings", rec.Mappings, map[string]store.Mapping{"1": live, "3": open})
		equal(r, "mapped", rec.Mapped(), []int64{1, 3})
		equal(r, "concerned", rec.Employees, []int64{1, 3, 9})
		equal(r, "updated", rec.Updated, "2026-03-01 10:00:00")
		equal(r, "record of the lease", h.task.Record, rec)
		equal(r, "writes still announced", len(rec.Announced), 0)
	}
	done.Known, done.Ended = r.began, r.b.now()
	equal(r, "activity", all[store.ActivityRecord](r, store.Activity),
		[]store.ActivityRecord{done, intents[1].Activity, intents[2].Activity})
}

// writesUnderWay shows rule 2.5: a write stands in every list of activity from its
// announcement on, once, and whatever becomes of its maker and of its mapping.
func writesUnderWay(r *rig) {
	r.active(1, "now")
	other := store.ActivityRecord{ID: "other", At: r.began.Add(-time.Second), Action: "calendar.insert", Employee: 1, Result: "done", ExpiresAt: r.began.Add(time.Hour)}
	later := other
	later.ID, later.At = "later", r.began.Add(time.Second)
	latest := later
	latest.ID, latest.At = "latest", r.began.Add(2*time.Second)
	for _, a := range []store.ActivityRecord{other, later, latest} {
		r.must(r.s.RecordAction(r.ctx, a))
	}
	h := r.take(store.Tasks, 70, "m")
	mapped, double := r.intent(1, "now"), r.intent(1, "now")
	double.Activity.ID, double.Unmapped = "double", true
	mapped.Activity.Task, double.Activity.Task = 70, 70
	for _, in := range []store.Intent{mapped, double} {
		refused, err := r.s.IntendTask(r.ctx, h.task, []store.Intent{in})
		r.must(err)
		equal(r, "refused", len(refused), 0)
	}
	shown := func(what string, writes ...store.ActivityRecord) {
		r.Helper()
		all := append(append([]store.ActivityRecord{latest, later}, writes...), other)
		recent, err := r.s.RecentActivity(r.ctx, 0)
		r.must(err)
		equal(r, what, recent, all)
		three, err := r.s.RecentActivity(r.ctx, 3)
		r.must(err)
		equal(r, what+", the latest three", three, all[:3])
		of, err := r.s.ActivityOf(r.ctx, store.TaskKey(70), 10)
		r.must(err)
		equal(r, what+", of the task", of, writes)
		of, err = r.s.ActivityOf(r.ctx, store.EmployeeKey(1), 10)
		r.must(err)
		equal(r, what+", of the employee", of, all)
		of, err = r.s.ActivityOf(r.ctx, store.EmployeeKey(2), 10)
		r.must(err)
		equal(r, what+", of another", len(of), 0)
		for limit := range 5 {
			paged := []store.ActivityRecord{}
			for at, id := r.began.Add(time.Hour), ""; ; at, id = paged[len(paged)-1].At, paged[len(paged)-1].ID {
				page, err := r.s.ActivityBefore(r.ctx, at, id, limit+1)
				if r.must(err); len(page) == 0 {
					break
				}
				paged = append(paged, page...)
			}
			equal(r, what+", page by page", paged, all)
		}
	}
	shown("announced", mapped.Activity, double.Activity)
	equal(r, "recorded while they are under way", len(all[store.ActivityRecord](r, store.Activity)), 3)

	// Their maker dies, and the mapping goes.
	r.b.advance(ttl)
	r.must(r.s.ForgetMapping(r.ctx, 70, 1, ""))
	rec, _, err := r.s.Task(r.ctx, 70)
	r.must(err)
	equal(r, "mappings", len(rec.Mappings), 0)
	shown("of a dead maker", mapped.Activity, double.Activity)

	// The next holder makes a write of its own, of which it says how it ended.
	h = r.take(store.Tasks, 70, "m2")
	own := r.intent(1, "now")
	own.Activity.ID, own.Activity.Task, own.Activity.At = "own", 70, r.began.Add(time.Millisecond)
	_, err = r.s.IntendTask(r.ctx, h.task, []store.Intent{own})
	r.must(err)
	shown("of a dead maker and of the next", own.Activity, mapped.Activity, double.Activity)
	done := own.Activity
	done.Result = "done"
	released, err := r.s.SettleTask(r.ctx, h.task, store.TaskOutcome{Activity: []store.ActivityRecord{done}, Concerned: []int64{}, Mappings: map[int64]*store.Mapping{1: nil}})
	r.must(err)
	equal(r, "released", released, true)
	done.Known, done.Ended = r.began, r.b.now()
	shown("settled", done, mapped.Activity, double.Activity)
	if _, found, err := r.s.Task(r.ctx, 70); err != nil || found {
		r.Errorf("a task at rest that concerns nobody is remembered: %v, error %v", found, err)
	}
}

func tasksOf(r *rig) {
	for id := range int64(3) {
		r.active(id+1, "now")
	}
	concerns := func(what string, want map[int64][]int64) {
		r.Helper()
		for employee := range int64(4) {
			recs, err := r.s.TasksOf(r.ctx, employee)
			r.must(err)
			got := map[int64]bool{}
			for _, rec := range recs {
				got[rec.ID] = true
			}
			expect := map[int64]bool{}
			for _, id := range want[employee] {
				expect[id] = true
			}
			equal(r, what+": tasks of employee "+strconv.FormatInt(employee, 10), got, expect)
		}
	}
	pass := func(id int64, o store.TaskOutcome, intents ...store.Intent) {
		r.Helper()
		h := r.take(store.Tasks, id, "m")
		if len(intents) > 0 {
			_, err := r.s.IntendTask(r.ctx, h.task, intents)
			r.must(err)
		}
		released, err := r.s.SettleTask(r.ctx, h.task, o)
		r.must(err)
		equal(r, "released", released, true)
	}
	tombstone := store.Mapping{Epoch: "now", EventID: "e", State: store.MappingTombstone}
	live := store.Mapping{Epoch: "now", EventID: "e", State: store.MappingLive}

	h := r.take(store.Tasks, 72, "m")
	_, err := r.s.IntendTask(r.ctx, h.task, []store.Intent{r.intent(2, "now")})
	r.must(err)
	concerns("announced, and its maker died", map[int64][]int64{2: {72}})

	pass(70, store.TaskOutcome{Concerned: []int64{1, 2}}, r.intent(1, "now"))
	pass(71, store.TaskOutcome{Concerned: []int64{2}})
	concerns("read", map[int64][]int64{1: {70}, 2: {70, 71, 72}})

	pass(70, store.TaskOutcome{Concerned: []int64{3}})
	concerns("a mapping stays of concern although the reading lacks it", map[int64][]int64{1: {70}, 2: {71, 72}, 3: {70}})

	pass(70, store.TaskOutcome{Result: store.Result{Err: errors.New("x"), RetryAt: r.began}})
	concerns("a pass that could not read", map[int64][]int64{1: {70}, 2: {71, 72}, 3: {70}})

	pass(70, store.TaskOutcome{Mappings: map[int64]*store.Mapping{1: &tombstone}, Concerned: []int64{3}})
	concerns("deleted, its id still taken", map[int64][]int64{1: {70}, 2: {71, 72}, 3: {70}})

	pass(70, store.TaskOutcome{Mappings: map[int64]*store.Mapping{1: nil}, Concerned: []int64{}})
	concerns("nobody's any more", map[int64][]int64{2: {71, 72}})

	// An event found by its mark is mapped without an intent, though the ERP may
	// not be readable then.
	pass(70, store.TaskOutcome{Result: store.Result{Err: errors.New("x"), RetryAt: r.began}, Mappings: map[int64]*store.Mapping{1: &live}})
	concerns("found by its mark, task not read", map[int64][]int64{1: {70}, 2: {71, 72}})
}

func forgetsIdle(r *rig) {
	live := store.Mapping{Epoch: "now", EventID: "e", State: store.MappingLive}
	tombstone := store.Mapping{Epoch: "now", EventID: "e", State: store.MappingTombstone}
	for i, c := range []struct {
		what string
		o    store.TaskOutcome
		kept bool
	}{
		{"concerns nobody", store.TaskOutcome{Concerned: []int64{}, Updated: "2026-03-01 10:00:00"}, false},
		{"never read, nothing known", store.TaskOutcome{}, false},
		{"concerns somebody without a calendar", store.TaskOutcome{Concerned: []int64{1}}, true},
		{"has an event", store.TaskOutcome{Mappings: map[int64]*store.Mapping{1: &live}}, true},
		{"had an event", store.TaskOutcome{Mappings: map[int64]*store.Mapping{1: &tombstone}}, true},
		{"awaits a second pass", store.TaskOutcome{Concerned: []int64{}, Result: store.Result{RetryAt: r.began}}, true},
		{"failed", store.TaskOutcome{Concerned: []int64{}, Result: store.Result{Err: errors.New("x")}}, true},
	} {
		id := int64(70 + i)
		h := r.take(store.Tasks, id, "m")
		released, err := r.s.SettleTask(r.ctx, h.task, c.o)
		r.must(err)
		equal(r, c.what+": released", released, true)
		rec, found, err := r.s.Task(r.ctx, id)
		r.must(err)
		equal(r, c.what+": kept", found, c.kept)
		if found {
			equal(r, c.what+": record of the lease", h.task.Record, rec)
		}
	}

	h := r.take(store.Tasks, 60, "m")
	r.acquire(store.Tasks, 60, r.claim("m2"))
	released, err := r.s.SettleTask(r.ctx, h.task, store.TaskOutcome{Concerned: []int64{}})
	r.must(err)
	_, found, err := r.s.Task(r.ctx, 60)
	r.must(err)
	if released || !found {
		r.Errorf("a task notified meanwhile: released %v, remembered %v", released, found)
	}
	_, err = r.s.SettleTask(r.ctx, h.task, store.TaskOutcome{Concerned: []int64{}})
	r.must(err)
	if _, found, err := r.s.Task(r.ctx, 60); err != nil || found {
		r.Errorf("after the second pass: found %v, error %v", found, err)
	}
	if _, outcome := r.acquire(store.Tasks, 60, r.claim("m2")); outcome != store.Acquired {
		r.Errorf("a forgotten task: outcome %v, want taken", outcome)
	}
}

func deadLetters(r *rig, c store.Collection) {
	letters := func() []store.DeadLetterRecord {
		r.Helper()
		recs, err := r.s.DeadLetters(r.ctx, 0)
		r.must(err)
		for i, rec := range recs {
			if rec.ID == "" {
				r.Errorf("a dead letter without an id: %+v", rec)
			}
			recs[i].ID = ""
		}
		return recs
	}
	other := map[store.Collection]store.Collection{store.Tasks: store.Employees, store.Employees: store.Tasks}[c]
	letter := func(c store.Collection, key int64, cause string, attempts int, at time.Time) store.DeadLetterRecord {
		return store.DeadLetterRecord{Collection: string(c), Key: key, Cause: cause, Attempts: attempts, At: at}
	}

	// A key at rest: nothing else would bring it up again (rule 1.4).
	r.must(r.s.RecordDeadLetter(r.ctx, key(c, 7), "notify", 100))
	equal(r, "work", r.work(c, 7), store.Work{Dirty: 1, DueAt: r.began, PendingSince: r.began, DeadLetter: true})
	due, err := r.s.DueKeys(r.ctx, c, r.began, 0)
	r.must(err)
	equal(r, "due", due, []int64{7})
	first := letter(c, 7, "notify", 100, r.began)
	equal(r, "letters", letters(), []store.DeadLetterRecord{first})

	r.b.advance(time.Second)
	second := letter(other, 7, "poll", 99, r.b.now())
	r.must(r.s.RecordDeadLetter(r.ctx, key(other, 7), "poll", 99))
	equal(r, "letters of both", letters(), []store.DeadLetterRecord{first, second})
	recs, err := r.s.DeadLetters(r.ctx, 1)
	r.must(err)
	equal(r, "at most one", len(recs), 1)

	r.b.advance(time.Second)
	h := r.take(c, 7, "m1")
	retry := r.b.now().Add(time.Hour)
	r.release(h, store.Result{Err: errors.New("x"), RetryAt: retry})
	equal(r, "letters after a failure", letters(), []store.DeadLetterRecord{first, second})

	// One that gives up again keeps the time since when it has; the time it is due at stays.
	r.must(r.s.RecordDeadLetter(r.ctx, key(c, 7), "poll", 100))
	equal(r, "due after the failure", r.work(c, 7).DueAt, retry)
	again := letter(c, 7, "poll", 100, first.At)
	again.LastAt = r.b.now()
	equal(r, "letters, the longest first", letters(), []store.DeadLetterRecord{again, second})

	// Recorded while the key is held: the pass that began before says nothing of it.
	h = r.take(c, 7, "m2")
	r.must(r.s.RecordDeadLetter(r.ctx, key(c, 7), "poll", 101))
	again.Attempts = 101
	released, err := r.settle(h, store.Result{})
	r.must(err)
	equal(r, "released", released, false)
	equal(r, "letters after a pass to be repeated", letters(), []store.DeadLetterRecord{again, second})
	equal(r, "marked after a pass to be repeated", r.work(c, 7).DeadLetter, true)

	r.release(h, store.Result{})
	equal(r, "letters after success", letters(), []store.DeadLetterRecord{second})
	equal(r, "work after success", r.work(c, 7), store.Work{})
}

// A task counts from the announcement of an event that was not there; changing or
// deleting one, or announcing it again, does not count, nor does a task that Poll has
// listed.
func insertedSince(r *rig) {
	r.active(1, "now")
	polled := false
	announce := func(task int64, state store.MappingState) {
		r.Helper()
		h := r.take(store.Tasks, task, "")
		in := r.intent(1, "now")
		in.Polled = polled
		in.Activity.ID = fmt.Sprintf("%d-%s-%s", task, state, h.task.Token)
		in.Mapping.State = state
		refused, err := r.s.IntendTask(r.ctx, h.task, []store.Intent{in})
		if r.must(err); len(refused) > 0 {
			r.Fatalf("refused %v", refused)
		}
		in.Mapping.State = map[store.MappingState]store.MappingState{store.MappingIntended: store.MappingLive, store.MappingDeleting: store.MappingTombstone}[state]
		_, err = r.s.SettleTask(r.ctx, h.task, store.TaskOutcome{Mappings: map[int64]*store.Mapping{1: &in.Mapping}})
		r.must(err)
	}
	since := func(what string, at time.Time, want ...int64) {
		r.Helper()
		ids, err := r.s.InsertedSince(r.ctx, at)
		r.must(err)
		slices.Sort(ids)
		equal(r, what, ids, append([]int64{}, want...))
	}
	began := r.b.now()
	for task := range int64(12) { // more than are asked for at first
		announce(task+1, store.MappingIntended)
	}
	since("all", began, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
	r.b.advance(time.Minute)
	later := r.b.now()
	announce(3, store.MappingIntended) // changed
	announce(4, store.MappingDeleting)
	announce(13, store.MappingIntended)
	since("later", later, 13)
	r.b.advance(time.Minute)
	announce(4, store.MappingIntended) // again
	since("after a deletion", later, 4, 13)
	r.b.advance(time.Minute)
	later = r.b.now()
	polled = true
	announce(14, store.MappingIntended)
	since("what Poll has listed", later)
}
