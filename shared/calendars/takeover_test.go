package calendars_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// found is what the admin is asked about.
func (b *bench) found() store.FoundRecord {
	b.t.Helper()
	f, _, found, err := b.store.Found(b.t.Context())
	must(b.t, err)
	if !found {
		b.t.Fatal("nobody is asked about anything")
	}
	return f
}

// fullRun has an instance pass over everybody, and waits for what follows.
func (i *instance) fullRun() {
	i.b.t.Helper()
	must(i.b.t, i.calendars.StartFullRun(i.b.t.Context(), queue.CauseReconcile, i.b.newID()))
	i.rest()
}

// takenOver loses the database, and has an admin say that the calendars found are this
// installation's.
func (b *bench) takenOver() *instance {
	b.t.Helper()
	b.freshStore()
	i := b.start(0)
	must(b.t, i.calendars.StartFullRun(b.t.Context(), queue.CauseConsole, b.newID()))
	i.outbox = nil
	f := b.found()
	must(b.t, b.store.TakeOver(b.t.Context(), f.Hash, f.Calendars[0].Tenant))
	return b.start(0)
}

// seen is what employees and the account's owner see of a calendar.
type seen struct {
	Description, Name, Zone string
	Deleted                 bool
	Rules                   []fakegoogle.RuleSnapshot
	Events                  int
}

// world is all that they see.
func (b *bench) world() map[string]seen {
	b.t.Helper()
	all := map[string]seen{}
	for _, c := range b.google.Calendars() {
		if !c.Primary {
			all[c.ID] = seen{c.Description, c.Summary, c.TimeZone, c.Deleted, c.Rules, len(b.google.Events(c.ID))}
		}
	}
	return all
}

// A database is lost, or a second installation begins with one of its own: what is found
// in the account is reported, and nothing is written until an admin has decided, however
// many messages come (rule 3.13).
func TestCalendarsThatNobodyRemembersAreAskedAbout(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		change  func(t *testing.T, b *bench, ids []int64)
		written store.Written
		reason  calendarsync.Reason
	}{
		{"the database of a confirmed installation is lost", nil, store.WrittenHere, calendarsync.ReasonUndecided},
		{"the settings are lost with it", func(_ *testing.T, b *bench, _ []int64) { b.use(map[string]any{"confirmed": false}) },
			store.WrittenHere, calendarsync.ReasonUnconfirmed},
		{"another ERP", func(_ *testing.T, b *bench, _ []int64) { b.erpAddress = "https://copy.example" }, store.WrittenElsewhere, calendarsync.ReasonUndecided},
		{"marks of before the digest", func(t *testing.T, b *bench, ids []int64) {
			for _, id := range ids {
				mark := b.marked(id)
				must(t, b.google.EditCalendar(b.calendar(id), func(c *calendar.Calendar) {
					c.Description = strings.Replace(c.Description, " erp="+mark.ERP, "", 1)
				}))
			}
		}, store.WrittenUnknown, calendarsync.ReasonUndecided},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			i, ids := b.staffed("Olena", "Petro")
			task := b.addTask(b.hour(9), ids...)
			i.task(task)
			var want []store.FoundCalendar
			for n, id := range ids {
				mark := b.marked(id)
				want = append(want, store.FoundCalendar{ID: b.calendar(id), Tenant: mark.Tenant, Employee: id, Name: []string{"Olena", "Petro"}[n], Written: row.written})
			}
			if row.change != nil {
				row.change(t, b, ids)
			}
			before := b.world()
			b.freshStore()
			// By a notification, by a task's, by night, again and again.
			b.google.ResetRequests()
			i = b.start(0)
			i.employee(queue.CauseNotify, ids...)
			i.fullRun()
			b.clock.advance(24 * time.Hour)
			must(t, b.erp.MoveTask(task, b.hour(11)))
			i = b.start(0)
			i.task(task)
			i.fullRun()
			if w := b.writes(); len(w) > 0 {
				t.Errorf("wrote %v", w)
			}
			if diff := cmp.Diff(before, b.world()); diff != "" {
				t.Error(diff)
			}
			got := b.found()
			got.LookedAt, got.Hash = time.Time{}, ""
			if diff := cmp.Diff(store.FoundRecord{Account: sub, Calendars: want}, got); diff != "" {
				t.Error(diff)
			}
			for _, id := range ids {
				if rec := b.record(id); rec.State != store.StatePending || rec.Reason != string(row.reason) || rec.Calendar != nil {
					t.Errorf("%s: %s because of %q", rec.Name, rec.State, rec.Reason)
				}
			}
		})
	}
}

// What an admin had taken over is the installation's own: it costs no write, and whatever
// changed meanwhile follows.
func TestTakenOverCalendarsAreTheirEmployees(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena", "Petro")
	task := b.addTask(b.hour(9), ids...)
	i.task(task)
	unchanged := b.lives(ids)
	before := b.marked(ids[0])
	i = b.takenOver()
	i.employee(queue.CauseNotify, ids...) // before any full run
	i.rest()
	i.fullRun()
	unchanged()
	if w := b.writes(); len(w) > 0 {
		t.Errorf("wrote %v", w)
	}
	in, err := b.store.Installation(t.Context())
	must(t, err)
	if in.Tenant != before.Tenant || in.Undecided() || in.TakingOver != "" {
		t.Errorf("the installation is %+v", in)
	}
	must(t, b.erp.MoveTask(task, b.hour(11)))
	i.task(task)
	b.want(ids[0], b.hour(11))
	b.want(ids[1], b.hour(11))
	b.wantQuiet(ids...)
}

// A second installation, a copy of the ERP with other addresses, starts afresh beside
// what is in the account: nothing of that is touched, by night, by a purge or by its own
// database's loss (rule 3.13). Seen to go wrong: of 6 calendars 3 were deleted, 3 unshared
// and 6 made.
func TestStartingAfreshTouchesNothingOfBefore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var names []string
	for n := range 6 {
		names = append(names, fmt.Sprintf("Employee%d", n))
	}
	i, ids := b.staffed(names...)
	i.task(b.addTask(b.hour(9), ids...))
	before := b.world()
	same := func(doing string) {
		t.Helper()
		now := b.world()
		for id := range now {
			if _, old := before[id]; !old {
				delete(now, id)
			}
		}
		if diff := cmp.Diff(before, now); diff != "" {
			t.Errorf("%s: %s", doing, diff)
		}
	}
	for n, id := range ids {
		must(t, b.erp.UpdateEmployee(id, func(e *fakeerp.Employee) {
			if n%2 == 0 {
				e.Email = "test-" + e.Email
			} else {
				e.Dismissed = true
			}
		}))
	}
	b.erpAddress = "https://test.example"
	afresh := func(tenant string) *instance {
		t.Helper()
		b.freshStore()
		b.start(0).fullRun()
		must(t, b.store.StartAfresh(t.Context(), b.found().Hash, tenant))
		i := b.start(0)
		i.fullRun()
		return i
	}
	i = afresh("mine")
	same("begun afresh")
	if n := len(b.world()) - len(before); n != 3 {
		t.Errorf("%d calendars were made", n)
	}
	for _, id := range ids {
		if c := b.record(id).Calendar; c != nil && before[c.ID].Description != "" {
			t.Errorf("employee %d was given the other installation's calendar", id)
		}
	}
	b.clock.advance(24 * time.Hour)
	i.fullRun()
	same("a night later")
	// Of two installations' calendars that one is taken over that the admin names.
	b.freshStore()
	b.start(0).fullRun()
	must(t, b.store.TakeOver(t.Context(), b.found().Hash, "mine"))
	i = b.start(0)
	i.fullRun()
	same("its database lost, and its calendars taken over")
	if n := len(b.world()) - len(before); n != 3 {
		t.Errorf("%d calendars are there beside the others", n)
	}
	startPurge(b)
	b.clock.advance(2 * time.Minute)
	i.fullRun()
	same("purged")
	for id, c := range b.world() {
		if _, old := before[id]; !old && !c.Deleted {
			t.Error("the purge left a calendar of its own")
		}
	}
}

// Row 2 of what was seen to go wrong: the list keeps the row of a deleted calendar, and
// the dead id sorts first. The living one is taken, whichever sorts first, also where the
// look falls into a spell of 404, and the row counts as no further calendar in any night.
func TestOfADeadRowAndALivingCalendarTheLivingIsTaken(t *testing.T) {
	t.Parallel()
	order := map[bool]int{}
	for seed := uint64(0); seed < 40 && (seed < 4 || order[true] == 0 || order[false] == 0); seed++ {
		b := newBench(t, func(o *fakegoogle.Options) { o.Seed, o.Ways.StaleRows = seed+1, -1 })
		i, ids := b.staffed("Olena", "Petro")
		task := b.addTask(b.hour(9), ids...)
		i.task(task)
		dead := b.calendar(ids[0])
		must(t, b.google.DeleteCalendar(dead))
		b.change(ids[0], func(r *store.EmployeeRecord) {
			*r = store.EmployeeRecord{ID: r.ID, State: store.StatePending, KeptFrom: r.Calendar.From, Work: r.Work}
		})
		i.employee(queue.CauseConsole, ids[0])
		i.rest()
		living := b.calendar(ids[0])
		order[dead < living]++
		unchanged := b.lives(ids)
		b.freshStore()
		i = b.start(0)
		i.fullRun()
		f := b.found()
		if len(f.Calendars) != 2 || f.Dead != 1 {
			t.Errorf("asked about %+v and %d that are dead", f.Calendars, f.Dead)
		}
		must(t, b.store.TakeOver(t.Context(), f.Hash, f.Calendars[0].Tenant))
		if seed%2 == 0 {
			b.google.Inject(fakegoogle.Fault{Method: "calendar.calendars.get", Status: http.StatusNotFound, Count: 2})
		}
		i = b.start(0)
		i.fullRun()
		for range 3 {
			b.clock.advance(24 * time.Hour)
			must(t, i.calendars.StartFullRun(t.Context(), queue.CauseReconcile, b.newID()))
			if r := b.record(ids[0]).Retiring; len(r) > 0 {
				t.Errorf("the row counts as a further calendar: %+v", r)
			}
			i.rest()
		}
		unchanged()
		b.want(ids[0], b.hour(9))
	}
	if order[true] == 0 || order[false] == 0 {
		t.Errorf("the dead id sorted first %d times, last %d times", order[true], order[false])
	}
}

// A row whose calendar is dead is asked about too: 404 alone is no proof (rule 3.9). An
// employee of whom nothing else is found is not given another at once.
func TestRowsThatDoNotAnswerAreNoReasonToMakeOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena", "Petro")
	i.task(b.addTask(b.hour(9), ids...))
	unchanged := b.lives(ids)
	spell := fakegoogle.NotFoundSpell(fakegoogle.BodyDefault)
	spell.For = 2 * time.Hour
	b.google.Begin(spell)
	b.freshStore()
	b.start(0).fullRun()
	if f := b.found(); len(f.Calendars) != 0 || f.Dead != 2 {
		t.Errorf("asked about %+v and %d that are dead", f.Calendars, f.Dead)
	}
	b.clock.advance(3 * time.Hour)
	i = b.start(0)
	i.fullRun()
	f := b.found()
	if len(f.Calendars) != 2 || f.Dead != 0 {
		t.Errorf("asked about %+v and %d that are dead", f.Calendars, f.Dead)
	}
	must(t, b.store.TakeOver(t.Context(), f.Hash, f.Calendars[0].Tenant))
	b.google.Begin(spell)
	i = b.start(0)
	i.fullRun()
	b.clock.advance(3 * time.Hour)
	i.fullRun()
	unchanged()
}

// Whatever an instance does not live to do of taking calendars in, the next does.
func TestATakeoverSurvivesItsMaker(t *testing.T) {
	t.Parallel()
	for at := 1; ; at++ {
		b := newBench(t)
		i, ids := b.staffed("Olena", "Petro")
		i.task(b.addTask(b.hour(9), ids...))
		unchanged := b.lives(ids)
		b.takenOver()
		mortal := b.start(at)
		_ = mortal.calendars.StartFullRun(context.WithoutCancel(t.Context()), queue.CauseConsole, b.newID())
		survived := mortal.death.state() == nil
		b.clock.advance(10 * time.Minute)
		i = b.start(0)
		i.employee(queue.CauseNotify, ids...)
		i.fullRun()
		unchanged()
		if survived || t.Failed() {
			if at < 4 {
				t.Errorf("there were only %d effects to die at", at)
			}
			return
		}
	}
}

// A purge is not begun on counts that leave out what nobody has decided about; ordered
// before that was found, it waits for the decision.
func TestAPurgeWaitsForTheDecision(t *testing.T) {
	t.Parallel()
	for _, afresh := range []bool{false, true} {
		b := newBench(t)
		_, ids := b.staffed("Olena", "Petro")
		b.freshStore()
		startPurge(b)
		for range 3 {
			b.clock.advance(10 * time.Minute)
			b.start(0).fullRun()
		}
		in, err := b.store.Installation(t.Context())
		must(t, err)
		if ended, err := b.store.FinishPurge(t.Context()); ended || err != nil || !in.Purge.Open() || len(b.live(ids[0])) != 1 {
			t.Fatalf("ended %v, %v; %d calendars", ended, err, len(b.live(ids[0])))
		}
		f, left := b.found(), 0
		if afresh {
			must(t, b.store.StartAfresh(t.Context(), f.Hash, "mine"))
			left = 2
		} else {
			must(t, b.store.TakeOver(t.Context(), f.Hash, f.Calendars[0].Tenant))
		}
		b.start(0).fullRun()
		if n := len(b.live(ids[0])) + len(b.live(ids[1])); n != left {
			t.Errorf("afresh %v: %d calendars are left", afresh, n)
		}
		_, err = b.store.FinishPurge(t.Context()) // as Poll does
		must(t, err)
		if in, err = b.store.Installation(t.Context()); err != nil || in.Purge.Open() {
			t.Errorf("afresh %v: the purge has not ended (%v)", afresh, err)
		}
	}
}

// An account without marked calendars asks nobody anything.
func TestAnEmptyAccountAsksNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, ids := b.staffed("Olena")
	if in, err := b.store.Installation(t.Context()); err != nil || in.Undecided() || in.Tenant == "" || b.calendar(ids[0]) == "" {
		t.Errorf("the installation is %+v, %v", in, err)
	}
}

// Once the rows about which an admin was asked are gone from the account's list, there is
// nothing left to decide; calendars that were shown are missed twice before that.
func TestWhatIsGoneFromTheListIsNotAskedAbout(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		rows  time.Duration // how long the row of a deleted calendar stays
		looks int           // at an empty list, until nothing is asked any more
	}{
		"rows alone":        {rows: 2 * time.Hour, looks: 1},
		"a calendar itself": {looks: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(o *fakegoogle.Options) { o.Ways.StaleRows = row.rows })
			_, ids := b.staffed("Olena")
			b.freshStore()
			if row.rows > 0 {
				must(t, b.google.DeleteCalendar(b.calendar(ids[0])))
			}
			i := b.start(0)
			i.fullRun()
			if f := b.found(); len(f.Calendars)+f.Dead != 1 || f.Dead == 1 != (row.rows > 0) {
				t.Fatalf("asked about %+v and %d that are dead", f.Calendars, f.Dead)
			}
			if row.rows == 0 {
				must(t, b.google.DeleteCalendar(b.calendar(ids[0])))
			}
			b.clock.advance(3 * time.Hour)
			for look := range row.looks {
				if b.found(); b.calendar(ids[0]) != "" {
					t.Fatalf("look %d: made before anything was decided", look)
				}
				i = b.start(0)
				i.fullRun()
			}
			if in, err := b.store.Installation(t.Context()); err != nil || in.Undecided() || in.Tenant == "" || b.calendar(ids[0]) == "" {
				t.Errorf("the installation is %+v, %v; calendar %q", in, err, b.calendar(ids[0]))
			}
		})
	}
}

// What an admin decided to take over is recorded while syncing is paused, too: a purge that
// is planned then has to count it.
func TestATakeoverIsRecordedWhileSyncingIsPaused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, ids := b.staffed("Olena", "Petro")
	unchanged := b.lives(ids)
	b.takenOver()
	b.use(map[string]any{"enabled": false})
	i := b.start(0)
	must(t, i.calendars.StartFullRun(t.Context(), queue.CauseConsole, b.newID()))
	if in, err := b.store.Installation(t.Context()); err != nil || in.Tenant == "" || in.TakingOver != "" {
		t.Errorf("the installation is %+v, %v", in, err)
	}
	if calendars, err := b.store.OwnedCalendars(t.Context()); err != nil || calendars != 2 {
		t.Errorf("%d calendars would be purged, %v", calendars, err)
	}
	unchanged()
}

// What was found in another account is not asked about any more.
func TestWhatAnotherAccountHasIsNotAskedAbout(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.hire("Olena")
	_, err := b.store.AskTakeover(t.Context(), store.FoundRecord{Account: "another", Calendars: []store.FoundCalendar{{ID: "c", Tenant: "t", Employee: id}}})
	must(t, err)
	b.start(0).fullRun()
	if in, err := b.store.Installation(t.Context()); err != nil || in.Undecided() || in.Tenant == "" || in.Tenant == "t" || b.calendar(id) == "" {
		t.Errorf("the installation is %+v, %v", in, err)
	}
}
