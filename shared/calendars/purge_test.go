package calendars_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

func TestAPurgeFindsCalendarsThatTheStateDoesNotKnow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, staff := b.staffed("Olena")
	in, err := b.store.Installation(t.Context())
	must(t, err)
	// One made by a call whose answer was lost, of somebody who was forgotten since;
	// one of another installation; one of the owner's own.
	lost := calendarsync.CalendarMark{Tenant: in.Tenant, Employee: 77, Epoch: "lost", From: b.clock.Now()}
	_, err = i.google.CreateCalendar(t.Context(), "Lost", zone, lost)
	must(t, err)
	other := lost
	other.Tenant = "another"
	foreign, err := i.google.CreateCalendar(t.Context(), "Another's", zone, other)
	must(t, err)
	startPurge(b)
	b.clock.advance(2 * time.Minute)
	i = b.start(0)
	must(t, i.calendars.StartFullRun(t.Context(), queue.CauseConsole, "run"))
	i.rest()
	if n := len(b.live(77)) + len(b.live(staff[0])); n != 1 || !b.isLive(foreign.ID) {
		t.Fatalf("%d calendars of employees are left, want only that of the other installation", n)
	}
	in, err = b.store.Installation(t.Context())
	must(t, err)
	if in.Purge.Open() {
		t.Error("the purge has not ended")
	}
}

// A purge that is ordered before a lost database is found out about deletes what there
// is all the same, and does not say before that it has (found by the simulation).
func TestAPurgeAfterALostDatabaseFindsItsCalendars(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, staff := b.staffed("Olena", "Petro")
	b.takenOver()
	startPurge(b)
	b.clock.advance(2 * time.Minute)
	if ended, err := b.store.FinishPurge(t.Context()); ended || err != nil {
		t.Fatalf("it ended: %v, %v", ended, err)
	}
	i := b.start(0)
	must(t, i.calendars.StartFullRun(t.Context(), queue.CauseConsole, "run"))
	i.rest()
	if n := len(b.live(staff[0])) + len(b.live(staff[1])); n != 0 {
		t.Errorf("%d calendars are left", n)
	}
	in, err := b.store.Installation(t.Context())
	must(t, err)
	if in.Purge.Open() {
		t.Error("the purge has not ended")
	}
}

// stoppedPurge begins a purge whose worker dies when the share is gone and the
// calendar is retiring, stops it, and switches syncing on again.
func (b *bench) stoppedPurge(staff []int64) {
	b.t.Helper()
	startPurge(b)
	i := b.start(4)
	if i.deliver(delivery{id: b.newID(), employees: staff, cause: queue.CauseConsole}) {
		b.t.Fatal("the instance was not killed")
	}
	must(b.t, b.store.StopPurge(b.t.Context()))
	b.use(map[string]any{})
	must(b.t, b.store.SaveSettings(b.t.Context(), b.set, account, 1))
	b.clock.advance(10 * time.Minute)
}

// A purge that was stopped is no reason to believe a single reading that lacks an
// employee's address (found by the simulation).
func TestAStoppedPurgeDoesNotMakeAbsenceOfOneReading(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, staff := b.staffed("Olena")
	before := b.calendar(staff[0])
	b.stoppedPurge(staff)
	b.erp.Inject(fakeerp.Rule{Action: "get_data", Count: 1, Fault: fakeerp.Missing("email")})
	i := b.start(0)
	i.employee(queue.CauseConsole, staff...)
	if !b.isLive(before) {
		t.Fatal("the calendar was deleted on one reading")
	}
	i.rest()
	if got := b.calendar(staff[0]); got != before || b.live(staff[0])[0].Role("olena@provider.example") != "reader" {
		t.Errorf("calendar %q, want the one before, shared", got)
	}
}

// What a stopped purge gives back after a lost database is not shared with anybody new
// while a former address still reads it.
func TestAStoppedPurgeAfterALostDatabaseLeavesNoFormerAddress(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, staff := b.staffed("Olena")
	b.takenOver()
	must(t, b.erp.UpdateEmployee(staff[0], func(e *fakeerp.Employee) { e.Email = "olena.new@provider.example" }))
	startPurge(b)
	b.google.Inject(fakegoogle.Fault{Method: "calendar.acl.delete", Status: http.StatusForbidden, Reason: "forbidden", Count: -1})
	b.clock.advance(2 * time.Minute)
	i := b.start(0)
	must(t, i.calendars.StartFullRun(t.Context(), queue.CauseConsole, "run"))
	i.employee(queue.CauseConsole, staff...)
	must(t, b.store.StopPurge(t.Context()))
	b.google.ClearFaults()
	b.use(map[string]any{})
	must(t, b.store.SaveSettings(t.Context(), b.set, account, 1))
	b.clock.advance(10 * time.Minute)
	i = b.start(0)
	i.employee(queue.CauseConsole, staff...)
	i.rest()
	for _, c := range b.live(staff[0]) {
		if former := c.Role("olena@provider.example"); former != "none" || c.Role("olena.new@provider.example") != "reader" {
			t.Errorf("the former address is %s, the new one %s", former, c.Role("olena.new@provider.example"))
		}
	}
	if b.calendar(staff[0]) == "" {
		t.Error("there is no calendar")
	}
}

// TestAPurgeThatIsStoppedGivesTheCalendarsBack shows rule 4.11.
func TestAPurgeThatIsStoppedGivesTheCalendarsBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, staff := b.staffed("Olena")
	before := b.calendar(staff[0])
	event, err := b.google.CreateEvent(before, holiday())
	must(t, err)
	b.stoppedPurge(staff)
	i := b.start(0)
	i.employee(queue.CauseConsole, staff...)
	i.rest()
	if got := b.calendar(staff[0]); got != before {
		t.Errorf("calendar %q, want the one before", got)
	}
	if !slices.ContainsFunc(b.events(staff[0]), func(e *calendar.Event) bool { return e.Id == event }) {
		t.Error("the owner's event is gone")
	}
	must(t, b.google.DeleteEvent(before, event))
	b.wantQuiet(staff...)
}

// A purge meets a spell of 404 and is stopped: what Google denied once is given back like
// everything else, and is replaced only if a second look does not find it either
// (rules 3.9 and 4.11; found by the simulation, which saw the living calendar deleted).
func TestAPurgeStoppedInASpellOf404GivesTheCalendarsBack(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		lasts   time.Duration
		deleted bool // by its owner
	}{
		{"the spell ends before the purge", 30 * time.Second, false},
		{"the spell outlasts the purge", 5 * time.Minute, false},
		{"it is gone", 0, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			i, staff := b.staffed("Olena")
			i.task(b.addTask(b.hour(9), staff[0]))
			i.rest()
			before, from := b.calendar(staff[0]), b.record(staff[0]).Calendar.From
			startPurge(b)
			if spell := fakegoogle.NotFoundSpell(fakegoogle.BodyWithStatus); row.deleted {
				must(t, b.google.DeleteCalendar(before))
			} else {
				spell.For = row.lasts
				b.google.Begin(spell)
			}
			b.start(0).employee(queue.CauseConsole, staff...)
			if c := b.record(staff[0]).Retiring; len(c) != 1 || c[0].GoneSince.IsZero() {
				t.Fatalf("the purge has no doubt: %+v", c)
			}
			must(t, b.store.StopPurge(t.Context()))
			b.use(map[string]any{})
			must(t, b.store.SaveSettings(t.Context(), b.set, account, 1))
			b.clock.advance(time.Minute)
			i = b.start(0)
			i.employee(queue.CauseConsole, staff...)
			if rec := b.record(staff[0]); rec.Calendar == nil || rec.Calendar.ID != before {
				t.Fatalf("not given back: %+v, calendar %+v", rec, rec.Calendar)
			}
			b.clock.advance(2 * absenceTime)
			i.rest()
			if got := b.calendar(staff[0]); got == "" || (got != before) != row.deleted {
				t.Errorf("calendar %q, before %q", got, before)
			}
			if rec := b.record(staff[0]); !rec.Calendar.From.Equal(from) || len(rec.Retiring) > 0 && !row.deleted {
				t.Errorf("from %v, want %v; retiring %+v", rec.Calendar.From, from, rec.Retiring)
			}
			b.want(staff[0], b.hour(9))
			b.wantQuiet(staff...)
		})
	}
}

// One that a purge has emptied already stays as the purge would have left it, with
// what others have in it; the employee gets another.
func TestAPurgeThatIsStoppedKeepsWhatOthersHaveInAClearedCalendar(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, staff := b.staffed("Olena")
	before := b.calendar(staff[0])
	event, err := b.google.CreateEvent(before, holiday())
	must(t, err)
	startPurge(b)
	i.employee(queue.CauseConsole, staff...)
	if c := b.record(staff[0]).Retiring; len(c) != 1 || c[0].Cleared.IsZero() {
		t.Fatalf("the calendar is not cleared: %+v", c)
	}
	must(t, b.store.StopPurge(t.Context()))
	b.use(map[string]any{})
	must(t, b.store.SaveSettings(t.Context(), b.set, account, 1))
	b.clock.advance(time.Minute)
	b.undecided = true
	i = b.start(0)
	i.employee(queue.CauseConsole, staff...)
	if plan, err := b.store.Held(t.Context()); err != nil || len(plan.Keys) != 0 {
		t.Errorf("held: %+v, %v", plan, err)
	}
	b.clock.advance(10 * time.Minute)
	i = b.start(0)
	i.employee(queue.CauseConsole, staff...)
	i.rest()
	if !b.isLive(before) || !slices.ContainsFunc(b.google.Events(before), func(e *calendar.Event) bool { return e.Id == event && e.Status != "cancelled" }) {
		t.Error("the owner's event is gone")
	}
	if got := b.calendar(staff[0]); got == before || got == "" {
		t.Errorf("calendar %q, want another than before", got)
	}
	b.wantQuiet(staff...)
}

// Google refuses to take an invitation off that no list shows, the purge is stopped, and another
// one begins before the calendar that was given back could be shared anew (found by the simulation,
// in which the calendar stayed because of what others had in it, and so did the access).
func TestAPurgeAfterAStoppedOneLeavesNobodyTheAccess(t *testing.T) {
	t.Parallel()
	b := newBench(t, ways(fakegoogle.Ways{InvitationsHidden: true}))
	i, staff := b.staffed("Olena")
	calendarID := b.calendar(staff[0])
	_, err := b.google.CreateEvent(calendarID, holiday())
	must(t, err)
	startPurge(b)
	b.google.Inject(fakegoogle.Fault{Method: "calendar.*", Status: http.StatusForbidden, Reason: "forbidden", Count: -1})
	i.employee(queue.CauseConsole, staff...)
	must(t, b.store.StopPurge(t.Context()))
	b.use(map[string]any{})
	must(t, b.store.SaveSettings(t.Context(), b.set, account, 1))
	b.clock.advance(10 * time.Minute)
	b.start(0).employee(queue.CauseConsole, staff...)
	if c := b.record(staff[0]).Calendar; c == nil || c.ID != calendarID {
		t.Fatalf("not given back: %+v", b.record(staff[0]))
	}
	b.google.ClearFaults()
	startPurge(b)
	for range 3 {
		b.clock.advance(10 * time.Minute)
		b.start(0).employee(queue.CauseConsole, staff...)
	}
	if in, err := b.store.Installation(t.Context()); err != nil || in.Purge.Kept != 1 {
		t.Fatalf("%+v, %v", in.Purge, err)
	}
	wantRole(t, b, calendarID, "olena@provider.example", "none")
}

// The answers to the share are lost, and no list shows it: nobody was told its id when the purge
// comes, and the calendar stays because of what others have in it.
func TestAPurgeTakesOffAShareWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		address string
		ways    fakegoogle.Ways
	}{
		"in no list":             {"O.Lena@provider.example", fakegoogle.Ways{InvitationsHidden: true}},
		"in no list, with a dot": {"O.Lena@googlemail.com", fakegoogle.Ways{InvitationsHidden: true, GmailSpelling: true}},
		"listed as a group's":    {"O.Lena@provider.example", fakegoogle.Ways{GroupsOneIn: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, ways(row.ways))
			who := b.hireAt(row.address)
			b.google.Inject(fakegoogle.Fault{Method: "calendar.acl.insert", LoseResponse: true, Count: -1})
			b.start(0).employee(queue.CauseNotify, who)
			b.google.ClearFaults()
			calendarID := b.live(who)[0].ID
			wantRole(t, b, calendarID, row.address, "reader")
			_, err := b.google.CreateEvent(calendarID, holiday())
			must(t, err)
			startPurge(b)
			for range 3 {
				b.clock.advance(10 * time.Minute)
				b.start(0).employee(queue.CauseConsole, who)
			}
			if in, err := b.store.Installation(t.Context()); err != nil || in.Purge.Kept != 1 {
				t.Fatalf("%+v, %v", in.Purge, err)
			}
			wantRole(t, b, calendarID, row.address, "none")
		})
	}
}

// After a lost database no pass has been made over the share when the purge comes. One that read
// the card, and that Google showed no calendar, may have been (seed 2000782).
func TestAPurgeAfterALostDatabaseLeavesNobodyTheAccess(t *testing.T) {
	t.Parallel()
	hidden := fakegoogle.Ways{InvitationsHidden: true}
	cardRead := func(b *bench, who int64) {
		b.google.Inject(fakegoogle.Fault{Method: "calendar.acl.list", Status: http.StatusServiceUnavailable, Count: -1})
		b.start(0).employee(queue.CauseConsole, who)
		b.google.ClearFaults()
	}
	moved := func(b *bench, who int64) {
		must(b.t, b.erp.UpdateEmployee(who, func(e *fakeerp.Employee) { e.Email = "olena.new@provider.example" }))
	}
	for name, row := range map[string]struct {
		ways      fakegoogle.Ways
		meanwhile []func(b *bench, who int64)
	}{
		"":                              {},
		"in no list":                    {ways: hidden},
		"in no list, the card was read": {hidden, []func(*bench, int64){cardRead}},
		"in no list, a former address":  {hidden, []func(*bench, int64){cardRead, moved, cardRead}},
		"in no list, a new address that nobody has read": {hidden, []func(*bench, int64){cardRead, moved}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, ways(row.ways))
			_, staff := b.staffed("Olena")
			calendarID := b.calendar(staff[0])
			_, err := b.google.CreateEvent(calendarID, holiday())
			must(t, err)
			b.takenOver()
			must(t, b.start(0).calendars.StartFullRun(t.Context(), queue.CauseConsole, b.newID())) // adopted, and no more
			for _, happens := range row.meanwhile {
				happens(b, staff[0])
			}
			startPurge(b)
			for range 3 {
				b.clock.advance(10 * time.Minute)
				i := b.start(0)
				must(t, i.calendars.StartFullRun(t.Context(), queue.CauseConsole, b.newID()))
				i.employee(queue.CauseConsole, staff...)
			}
			if in, err := b.store.Installation(t.Context()); err != nil || in.Purge.Open() || in.Purge.Kept != 1 {
				t.Fatalf("%+v, %v", in.Purge, err)
			}
			wantRole(t, b, calendarID, "olena@provider.example", "none")
		})
	}
}

func TestAPurgeDoesNotBelieveASingleGone(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"calendar.calendars.get", "calendar.events.list"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			_, staff := b.staffed("Olena")
			startPurge(b)
			b.google.Inject(fakegoogle.Fault{Method: method, Status: http.StatusGone, Reason: "deleted", Count: 1})
			for range 3 {
				b.clock.advance(10 * time.Minute)
				b.start(0).employee(queue.CauseConsole, staff...)
			}
			if n := len(b.live(staff[0])); n != 0 {
				t.Errorf("%d calendars are left", n)
			}
			if rec := b.record(staff[0]); len(rec.Retiring) != 0 {
				t.Errorf("the record still has %+v", rec.Retiring)
			}
		})
	}
}

// A calendar with what others have in it stays when a purge is over. Denied for longer than
// ABSENCE_SECONDS, it still loses the employee's access when it turns up (rule 3.9; found
// by the simulation).
func TestAPurgeInALongSpellOf404LeavesNobodyTheAccess(t *testing.T) {
	t.Parallel()
	for name, methods := range map[string][]string{
		"everything":      nil,
		"the rules alone": {"calendar.acl.*"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			_, staff := b.staffed("Olena")
			before := b.calendar(staff[0])
			_, err := b.google.CreateEvent(before, holiday())
			must(t, err)
			startPurge(b)
			spell := fakegoogle.NotFoundSpell(fakegoogle.BodyWithStatus, methods...)
			spell.For = 3 * time.Hour
			b.google.Begin(spell)
			for range 9 {
				b.start(0).employee(queue.CauseConsole, staff...)
				b.clock.advance(30 * time.Minute)
			}
			if !b.isLive(before) {
				t.Error("what others have is gone")
			}
			for _, c := range b.google.Calendars() {
				if role := c.Role("olena@provider.example"); c.ID == before && role != "none" && role != "" {
					t.Errorf("she can still read it: %+v", c.Rules)
				}
			}
			if rec := b.record(staff[0]); len(rec.Retiring) != 0 || rec.Calendar != nil {
				t.Errorf("not over: %+v", rec)
			}
		})
	}
}

// Rule 3.9: that an admin asked for a new calendar in the place of one that Google denies is no
// reason to forget that one sooner in a purge (seed 950181).
func TestAPurgeDoubtsACalendarOfWhichAnotherWasAskedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, staff := b.staffed("Olena")
	before := b.calendar(staff[0])
	spell := fakegoogle.NotFoundSpell(fakegoogle.BodyWithStatus)
	spell.For = 3 * time.Hour
	b.google.Begin(spell)
	i.employee(queue.CauseReconcile, staff...)
	if asked, err := b.store.AskReplacement(t.Context(), staff[0]); err != nil || !asked {
		t.Fatalf("asked %v, %v", asked, err)
	}
	startPurge(b)
	for range 3 {
		b.start(0).employee(queue.CauseConsole, staff...)
		b.clock.advance(30 * time.Minute)
	}
	if rec := b.record(staff[0]); len(rec.Retiring) != 1 {
		t.Errorf("forgotten: %+v", rec)
	}
	b.clock.advance(2 * time.Hour)
	b.start(0).employee(queue.CauseConsole, staff...)
	if rec := b.record(staff[0]); b.isLive(before) || len(rec.Retiring) != 0 {
		t.Errorf("not deleted: %+v", rec)
	}
}

// Rule 3.9: a calendar that the account's list does not name yet, and that Google denies for
// hours, exists as long as its rules are listed: the purge waits, and deletes it (found by the
// simulation). Out of reach for good, it is given up after a day.
func TestAPurgeForgetsNothingWhoseRulesAreListed(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		spell time.Duration
		left  bool
	}{
		"a spell of hours": {3 * time.Hour, false},
		"for good":         {48 * time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(o *fakegoogle.Options) { o.CalendarListDelay = 72 * time.Hour })
			_, staff := b.staffed("Olena")
			before := b.calendar(staff[0])
			startPurge(b)
			spell := fakegoogle.NotFoundSpell(fakegoogle.BodyWithStatus, "calendar.calendars.get", "calendar.events.list")
			spell.For = row.spell
			b.google.Begin(spell)
			for range 3 {
				b.start(0).employee(queue.CauseConsole, staff...)
				b.clock.advance(30 * time.Minute)
			}
			if rec := b.record(staff[0]); len(rec.Retiring) != 1 {
				t.Errorf("given up in the spell: %+v", rec)
			}
			for range 26 {
				b.start(0).employee(queue.CauseConsole, staff...)
				b.clock.advance(time.Hour)
			}
			if b.isLive(before) != row.left {
				t.Errorf("it is there: %v", !row.left)
			}
			if rec := b.record(staff[0]); len(rec.Retiring) != 0 || rec.Calendar != nil {
				t.Errorf("not over: %+v", rec)
			}
		})
	}
}
