package calendars_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// withTask is an employee with one event, at nine.
func withTask(t *testing.T, options ...option) (b *bench, i *instance, who, task int64) {
	t.Helper()
	b = newBench(t, options...)
	i, ids := b.staffed("Olena")
	task = b.addTask(b.hour(9), ids[0])
	i.task(task)
	b.want(ids[0], b.hour(9))
	b.clock.advance(time.Minute)
	b.google.ResetRequests()
	return b, i, ids[0], task
}

// An update took effect, its maker died; the next look finds all well. When the
// task then moves back to where it was before that update, the event has to
// follow: what was remembered before the lost update is not what is there.
func TestAnUpdateThatOutlivedItsMakerIsRemembered(t *testing.T) {
	t.Parallel()
	b, i, who, task := withTask(t)
	must(t, b.erp.MoveTask(task, b.hour(11)))
	i.google.after = func(string, string) error { return lost() }
	i.task(task)
	i.google.after = nil
	i.rest()
	b.want(who, b.hour(11))
	must(t, b.erp.MoveTask(task, b.hour(9)))
	i.task(task)
	b.want(who, b.hour(9))
	b.wantQuiet(who)
}

// The same where what follows the recovery is refused.
func TestARefusedWriteAfterARecoveryKeepsWhatWasRead(t *testing.T) {
	t.Parallel()
	b, i, who, task := withTask(t)
	must(t, b.erp.MoveTask(task, b.hour(11)))
	i.google.after = func(string, string) error { return lost() }
	i.task(task)
	i.google.after = nil
	must(t, b.erp.MoveTask(task, b.hour(12)))
	refuse := b.google.Inject(fakegoogle.Fault{Method: "calendar.events.update", Status: 403, Reason: "forbidden", Count: -1})
	b.clock.advance(10 * time.Minute)
	i.task(task)
	if refuse.Hits() != 1 {
		t.Fatalf("%d refusals", refuse.Hits())
	}
	refuse.Remove()
	must(t, b.erp.MoveTask(task, b.hour(9)))
	i.task(task)
	b.want(who, b.hour(9))
	b.wantQuiet(who)
}

// An open intent of an owner who may still be at it is left alone until its
// deadline and the grace are over; then the event is read before it is written (rule 2.4).
func TestAnOpenIntentIsLeftUntilItCannotArriveAnyMore(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(i *instance, hook func(string, string) error){
		"it arrived":       func(i *instance, hook func(string, string) error) { i.google.after = hook },
		"it never arrived": func(i *instance, hook func(string, string) error) { i.google.before = hook },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			i, ids := b.staffed("Olena")
			task := b.addTask(b.hour(9), ids[0])
			lose(i, func(string, string) error { return lost() })
			i.task(task)
			i.google.before, i.google.after = nil, nil
			until := b.mapping(task, ids[0]).Deadline.Add(leaseTime * 2 / 3)
			b.google.ResetRequests()
			for b.clock.Now().Before(until) {
				i.task(task)
				if calls := b.google.Requests(fakegoogle.Filter{Method: "calendar.*"}); len(calls) > 0 {
					t.Fatalf("%s at %v, open until %v", calls[0].Method, b.clock.Now(), until)
				}
				b.clock.advance(10 * time.Second)
			}
			if due := b.taskRecord(task).DueAt; due.After(until) || due.IsZero() {
				t.Fatalf("due at %v, the intent ends at %v", due, until)
			}
			i.rest()
			calls := b.google.Requests(fakegoogle.Filter{Method: "calendar.events.*"})
			if len(calls) == 0 || calls[0].Method != "calendar.events.get" {
				t.Fatal("written before it was read")
			}
			b.want(ids[0], b.hour(9))
			b.wantQuiet(ids...)
		})
	}
}

// The vouching of a signed deletion outlives the wait for an open intent, so that
// the ERP's last task can go.
func TestASignedDeletionIsNotForgottenWhileAnIntentIsOpen(t *testing.T) {
	t.Parallel()
	b, i, who, task := withTask(t)
	must(t, b.erp.MoveTask(task, b.hour(11)))
	i.google.after = func(string, string) error { return lost() }
	i.task(task)
	i.google.after = nil
	must(t, b.erp.DeleteTask(task))
	if !i.deliver(delivery{id: b.newID(), tasks: []int64{task}, cause: queue.CauseNotify, deleted: true}) {
		t.Fatal("refused")
	}
	began := b.clock.Now()
	i.rest()
	b.want(who)
	if took := b.clock.Now().Sub(began); took >= absenceTime {
		t.Errorf("took %v: as for an absence nobody vouched for", took)
	}
	b.wantQuiet(who)
}

func TestWhatTheOwnerDidMeanwhileIsReadAndOverwritten(t *testing.T) {
	t.Parallel()
	rows := map[string]func(b *bench, c, event string) error{
		"moved": func(b *bench, c, e string) error { return b.google.MoveEvent(c, e, b.hour(20)) },
		"edited": func(b *bench, c, e string) error {
			return b.google.EditEvent(c, e, func(e *calendar.Event) { e.Summary = "No" })
		},
		"deleted": func(b *bench, c, e string) error { return b.google.DeleteEvent(c, e) },
		"deleted for good": func(b *bench, c, e string) error {
			return errors.Join(b.google.DeleteEvent(c, e), b.google.EmptyBin(c))
		},
		"deleted and restored": func(b *bench, c, e string) error {
			return errors.Join(b.google.DeleteEvent(c, e), b.google.RestoreEvent(c, e))
		},
		"sequence raised": func(b *bench, c, e string) error {
			// Another client of the account, with the api: the sequence grows.
			b.google.Inject(fakegoogle.Fault{Method: "calendar.events.update", Status: 400, Reason: "invalid"})
			return nil
		},
	}
	for name, meanwhile := range rows {
		for _, forbids := range []bool{false, true} {
			for _, cause := range []string{"move", "close", "audit"} {
				t.Run(name+"/"+cause, func(t *testing.T) {
					t.Parallel()
					b, i, who, task := withTask(t, func(o *fakegoogle.Options) { o.WebDeletionForbidsRevival = forbids })
					must(t, meanwhile(b, b.calendar(who), b.events(who)[0].Id))
					want := []time.Time{b.hour(11)}
					switch cause {
					case "move":
						must(t, b.erp.MoveTask(task, b.hour(11)))
						i.task(task)
					case "close":
						must(t, b.erp.CloseTask(task))
						i.task(task)
						want = nil
					case "audit":
						i.employee(queue.CauseReconcile, who)
						want = []time.Time{b.hour(9)}
					}
					b.want(who, want...)
					i.rest()
					b.want(who, want...)
					b.wantQuiet(who)
				})
			}
		}
	}
}

// A refused revival moves to the next generation, written ahead of its use (rule 3.3).
func TestTheNextGenerationIsWrittenAheadOfItsUse(t *testing.T) {
	t.Parallel()
	b, i, who, task := withTask(t, func(o *fakegoogle.Options) { o.WebDeletionForbidsRevival = true })
	first := b.events(who)[0].Id
	must(t, b.google.DeleteEvent(b.calendar(who), first))
	var ahead store.Mapping
	i.google.before = func(call, event string) error {
		if call == "insert" {
			ahead = b.mapping(task, who)
			if ahead.EventID != event {
				t.Errorf("insert of %s, announced %s", event, ahead.EventID)
			}
		}
		return nil
	}
	i.employee(queue.CauseReconcile, who)
	if ahead.State != store.MappingIntended || ahead.Generation != 1 || ahead.EventID == first {
		t.Fatalf("announced %+v", ahead)
	}
	b.want(who, b.hour(9))
	b.wantQuiet(who)
}

// Found by a simulated history: an insert whose answer was lost is repeated in
// place, its id is taken, and Google does not show the event: the next id is used,
// and both were written to (rule 2.5).
func TestEachIDThatWasTriedKeepsItsRecord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t)
		i, ids := b.staffed("Olena")
		task := b.addTask(b.hour(9), ids[0])
		b.google.Inject(fakegoogle.Fault{Method: "calendar.events.insert", LoseResponse: true})
		b.google.Inject(fakegoogle.Fault{Method: "calendar.events.get", Status: 404})
		i.task(task)
		i.rest()
		records, err := b.store.RecentActivity(t.Context(), 0)
		must(t, err)
		events := b.google.Events(b.calendar(ids[0]))
		if len(events) != 2 {
			t.Fatalf("%d events were made, want one of each generation", len(events))
		}
		for _, e := range events {
			if !slices.ContainsFunc(records, func(r store.ActivityRecord) bool { return r.Event == e.Id && r.Result != "" }) {
				t.Errorf("no record of the write to %s", e.Id)
			}
		}
	})
}

func TestAnIDThatIsTakenByAnotherMarkIsLeftToIt(t *testing.T) {
	t.Parallel()
	b, _, who, task := withTask(t)
	id := b.events(who)[0].Id
	must(t, b.google.EditEvent(b.calendar(who), id, func(e *calendar.Event) { e.ExtendedProperties.Private["erpTask"] = "4711" }))
	// The memory of it is lost; the id is what an insert would use.
	b.freshStore()
	i := b.start(0)
	i.employee(queue.CauseConsole, who)
	i.rest()
	all := b.events(who)
	if len(all) != 2 || !slices.ContainsFunc(all, func(e *calendar.Event) bool { return e.Id == id && e.ExtendedProperties.Private["erpTask"] == "4711" }) {
		t.Fatalf("%d events", len(all))
	}
	if m := b.mapping(task, who); m.Generation != 1 || m.State != store.MappingLive {
		t.Fatalf("mapping %+v", m)
	}
	b.wantQuiet(who)
}

func TestEvidenceDeletesAtOnceAndAbsenceOnlyTwice(t *testing.T) {
	t.Parallel()
	replace := func(path string, v any) fakeerp.Rule {
		return fakeerp.Rule{Cat: "task", Action: "show", Count: -1, Fault: fakeerp.Replace(path, v)}
	}
	missing := func(path string) fakeerp.Rule {
		return fakeerp.Rule{Cat: "task", Action: "show", Count: -1, Fault: fakeerp.Missing(path)}
	}
	rows := []struct {
		name   string
		lie    fakeerp.Rule
		absent bool
	}{
		{"staff missing", missing("staff"), true},
		{"executors missing", missing("staff.employee"), true},
		{"date key missing", missing("date.todo"), true},
		{"state missing", missing("state"), true},
		{"unknown state", fakeerp.Rule{Cat: "task", Action: "show", Count: -1, Fault: fakeerp.UnknownState(77)}, true},
		{"date null", replace("date.todo", nil), false},
		{"another state", replace("state.id", stateClosed), false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b, i, who, task := withTask(t)
			remove := b.erp.Inject(row.lie)
			i.task(task)
			if !row.absent {
				b.want(who)
				remove()
				i.task(task)
				b.want(who, b.hour(9))
				b.wantQuiet(who)
				return
			}
			b.want(who, b.hour(9))
			since := b.mapping(task, who).AbsentSince
			if since.IsZero() {
				t.Fatal("no doubt is recorded")
			}
			// Read again too early: still nothing; recovered in between: no doubt left.
			b.clock.advance(absenceTime - time.Minute)
			i.task(task)
			b.want(who, b.hour(9))
			if got := b.mapping(task, who).AbsentSince; !got.Equal(since) {
				t.Fatalf("in doubt since %v, then %v", since, got)
			}
			remove()
			i.task(task)
			if !b.mapping(task, who).AbsentSince.IsZero() {
				t.Fatal("the doubt outlived the recovery")
			}
			i.rest()
			remove = b.erp.Inject(row.lie)
			b.clock.advance(time.Hour)
			i.task(task)
			b.want(who, b.hour(9))
			began := b.clock.Now()
			i.rest()
			b.want(who)
			if took := b.clock.Now().Sub(began); took < absenceTime {
				t.Errorf("gone after %v", took)
			}
			remove()
			i.task(task)
			b.want(who, b.hour(9))
			i.rest()
			b.wantQuiet(who)
		})
	}
}

// A shown role gone from the catalogue takes nothing at once.
func TestARoleGoneFromTheCatalogueIsAbsence(t *testing.T) {
	t.Parallel()
	b, i, who, task := withTask(t)
	remove := b.erp.Inject(fakeerp.Rule{Count: -1, Fault: fakeerp.RoleGone(fakeerp.RoleNotCompleted)})
	b.clock.advance(time.Minute)
	i.task(task)
	i.employee(queue.CauseReconcile, who)
	b.want(who, b.hour(9))
	remove()
	b.clock.advance(time.Minute)
	i.rest()
	b.want(who, b.hour(9))
	b.wantQuiet(who)
}

func TestWhatTakesACalendarAtOnceAndWhatOnlyTwice(t *testing.T) {
	t.Parallel()
	data := func(f fakeerp.Fault) fakeerp.Rule {
		return fakeerp.Rule{Cat: "employee", Action: "get_data", Count: -1, Fault: f}
	}
	rows := []struct {
		name   string
		lie    fakeerp.Fault
		absent bool
	}{
		{"e-mail key missing", fakeerp.Missing("email"), true},
		{"e-mail invalid", fakeerp.Replace("email", "olena at provider"), true},
		{"is_work missing", fakeerp.Missing("is_work"), true},
		{"e-mail empty", fakeerp.Replace("email", ""), false},
		{"dismissed", fakeerp.Replace("is_work", 0), false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b, i, who, _ := withTask(t)
			before := b.calendar(who)
			remove := b.erp.Inject(data(row.lie))
			i.employee(queue.CauseNotify, who)
			if !row.absent {
				if c := b.calendar(who); c != "" {
					t.Fatalf("calendar %s stays", c)
				}
				return
			}
			if b.calendar(who) != before || b.record(who).AbsentSince.IsZero() {
				t.Fatalf("calendar %q, record %+v", b.calendar(who), b.record(who))
			}
			b.clock.advance(absenceTime - time.Second)
			remove()
			i.employee(queue.CauseNotify, who)
			if rec := b.record(who); b.calendar(who) != before || !rec.AbsentSince.IsZero() || rec.State != store.StateActive {
				t.Fatalf("after the recovery: %+v", rec)
			}
			i.rest()
			b.wantQuiet(who)
			remove = b.erp.Inject(data(row.lie))
			defer remove()
			b.clock.advance(time.Hour)
			i.employee(queue.CauseNotify, who)
			if b.calendar(who) != before {
				t.Fatal("gone at the first reading of a new doubt")
			}
			i.rest()
			if c := b.calendar(who); c != "" {
				t.Fatalf("calendar %s stays after two readings", c)
			}
		})
	}
}

// TestABusyTaskIsLeftToItsHolderWhoLooksAgain shows rule 1.3.
func TestABusyTaskIsLeftToItsHolderWhoLooksAgain(t *testing.T) {
	t.Parallel()
	b, i, who, task := withTask(t)
	must(t, b.erp.MoveTask(task, b.hour(10)))
	other := b.start(0)
	once := false
	i.google.before = func(call, _ string) error {
		if !once {
			once = true
			must(t, b.erp.MoveTask(task, b.hour(12)))
			other.task(task) // acknowledged, and nothing written
			if n := len(b.writes()); n != 0 {
				t.Errorf("the second worker wrote %d times", n)
			}
		}
		return nil
	}
	i.task(task)
	b.want(who, b.hour(12))
	if n := len(b.writes()); n != 2 {
		t.Errorf("%d writes", n)
	}
	if rec := b.taskRecord(task); rec.Dirty != 0 || rec.LeaseToken != "" {
		t.Errorf("record %+v", rec.Work)
	}
	b.wantQuiet(who)
}

func TestARedeliveredMessageIsRefusedWhileItsOwnLeaseLives(t *testing.T) {
	t.Parallel()
	b, _, who, task := withTask(t)
	must(t, b.erp.MoveTask(task, b.hour(10)))
	message := delivery{id: "same", tasks: []int64{task}, cause: queue.CauseNotify}
	b.start(2).deliver(message) // dies after it took the lease
	heir := b.start(0)
	if heir.deliver(message) {
		t.Fatal("acknowledged, though its holder may be dead")
	}
	if !heir.deliver(delivery{id: "another", tasks: []int64{task}, cause: queue.CauseNotify}) {
		t.Fatal("another message was refused")
	}
	b.clock.advance(leaseTime + time.Second)
	if !heir.deliver(message) {
		t.Fatal("refused after the lease ended")
	}
	b.want(who, b.hour(10))
	heir.rest()
	b.wantQuiet(who)
}

// A worker that comes too late settles nothing over its successor's record.
func TestALostLeaseSettlesNothing(t *testing.T) {
	t.Parallel()
	b, i, who, task := withTask(t)
	must(t, b.erp.MoveTask(task, b.hour(10)))
	heir := b.start(0)
	once := false
	i.google.after = func(string, string) error {
		if !once {
			once = true
			b.clock.advance(3 * leaseTime)
			must(t, b.erp.MoveTask(task, b.hour(12)))
			heir.task(task)
		}
		return nil
	}
	i.task(task)
	b.want(who, b.hour(12))
	heir.rest()
	b.want(who, b.hour(12))
	b.wantQuiet(who)
}

// An ERP that hangs costs no more than the time before the lease's end, and the
// key is recorded with the time of its next look.
func TestAHangingERPIsRecordedBeforeTheLeaseEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, i, who, task := withTask(t)
		b.erp.Inject(fakeerp.Rule{Cat: "task", Action: "show", Count: -1, Fault: fakeerp.Hang()})
		began := time.Now()
		if !i.deliver(delivery{id: b.newID(), tasks: []int64{task}, cause: queue.CauseNotify}) {
			t.Fatal("nacked, though it could be recorded")
		}
		if took := time.Since(began); took > leaseTime {
			t.Errorf("took %v of a lease of %v", took, leaseTime)
		}
		rec := b.taskRecord(task)
		if rec.Failure == nil || rec.Failure.Kind != failure.Source || rec.DueAt.IsZero() || rec.Dirty == 0 || rec.LeaseToken != "" {
			t.Fatalf("recorded: %+v", rec.Work)
		}
		b.erp.ClearFaults()
		i.rest()
		b.want(who, b.hour(9))
		b.wantQuiet(who)
	})
}
