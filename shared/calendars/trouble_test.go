package calendars_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// A creation of unknown outcome whose employee gets another address is
// re-targeted, not forgotten: the calendar may be there (rules 5.2 and 3.6).
func TestANewAddressWhileACreationIsUnknownMakesNoSecondCalendar(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := b.start(0)
	who := b.hire("Olena")
	i.google.after = creationLost
	i.employee(queue.CauseNotify, who)
	if len(b.live(who)) != 1 || b.record(who).Calendar.ID != "" {
		t.Fatal("the creation's outcome is known")
	}
	i.google.after = nil
	must(t, b.erp.UpdateEmployee(who, func(e *fakeerp.Employee) { e.Email = "new@provider.example" }))
	i.employee(queue.CauseNotify, who)
	i.rest()
	if n := len(b.live(who)); n != 1 {
		t.Fatalf("%d calendars", n)
	}
	wantShares(b, "new@provider.example", 1)
	wantShares(b, "olena@provider.example", 0)
	b.wantQuiet(who)
}

func TestACreationOfUnknownOutcomeIsFoundByItsMark(t *testing.T) {
	t.Parallel()
	for name, made := range map[string]bool{"it was made": true, "it never was": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			i := b.start(0)
			who := b.hire("Olena")
			b.addTask(b.hour(9), who)
			if made {
				i.google.after = creationLost
			} else {
				i.google.before = creationLost
			}
			began := b.clock.Now()
			i.employee(queue.CauseNotify, who)
			i.google.after, i.google.before = nil, nil
			b.google.ResetRequests()
			// Looked at before its time, nothing is searched and nothing made.
			i.employee(queue.CauseReconcile, who)
			if calls := b.google.Requests(fakegoogle.Filter{Method: "calendar.*"}); len(calls) != 0 {
				t.Fatalf("called %s before the wait was over", calls[0].Method)
			}
			i.rest()
			lists := b.google.Requests(fakegoogle.Filter{Method: "calendar.calendarList.list"})
			inserts := b.google.Requests(fakegoogle.Filter{Method: "calendar.calendars.insert"})
			if made && (len(lists) != 1 || len(inserts) != 0) || !made && (len(lists) != 2 || len(inserts) != 1) {
				t.Fatalf("%d lists, %d inserts", len(lists), len(inserts))
			}
			if first := lists[0].Time.Sub(began); first < intentTime {
				t.Errorf("searched after %v", first)
			}
			if !made {
				if apart := lists[1].Time.Sub(lists[0].Time); apart < intentTime/5 {
					t.Errorf("searches %v apart", apart)
				}
			}
			b.want(who, b.hour(9))
			wantShares(b, "olena@provider.example", 1)
			b.wantQuiet(who)
		})
	}
}

// Of two calendars of one creation the smaller id wins, and the other goes (rule 3.6).
func TestOfACreationMadeTwiceOneCalendarStays(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := b.start(0)
	who := b.hire("Olena")
	i.google.after = creationLost
	i.employee(queue.CauseNotify, who)
	i.google.after = nil
	c := b.record(who).Calendar
	in, err := b.store.Installation(t.Context())
	must(t, err)
	mark := calendarsync.CalendarMark{Tenant: in.Tenant, Employee: calendarsync.EmployeeID(who), Epoch: c.Epoch, From: c.From}
	_, err = i.google.CreateCalendar(t.Context(), c.Name, c.Zone, mark)
	must(t, err)
	made := b.live(who)
	if len(made) != 2 {
		t.Fatalf("%d calendars", len(made))
	}
	i.rest()
	if got, want := b.calendar(who), min(made[0].ID, made[1].ID); got != want {
		t.Errorf("calendar %s stays, want %s of %s and %s", got, want, made[0].ID, made[1].ID)
	}
	b.wantQuiet(who)
}

// The second search waits for its time even where the first came late.
func TestSearchesForACreationAreApartEvenAfterALongPause(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := b.start(0)
	who := b.hire("Olena")
	i.google.before = creationLost
	i.employee(queue.CauseNotify, who)
	i.google.before = nil
	b.clock.advance(24 * time.Hour)
	i.employee(queue.CauseNotify, who)
	i.employee(queue.CauseNotify, who)
	if n := len(b.google.Requests(fakegoogle.Filter{Method: "calendar.calendarList.list"})); n != 2 { // one is the tenant's
		t.Fatalf("%d searches at one moment", n-1)
	}
	if n := len(b.live(who)); n != 0 {
		t.Fatalf("%d calendars", n)
	}
	i.rest()
	if b.calendar(who) == "" {
		t.Fatal("no calendar")
	}
}

// A message that finds the lease taken may ask for more than the holder's does:
// the holder's pass is complete then (rule 1.7).
func TestACompletePassAskedForDuringACardPassIsNotLost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena")
	task := b.addTask(b.hour(9), ids[0])
	i.task(task)
	i.rest()
	event := b.events(ids[0])[0]
	must(t, b.google.MoveEvent(b.calendar(ids[0]), event.Id, b.hour(20)))
	lease, outcome, err := b.store.AcquireEmployee(t.Context(), ids[0], store.Claim{Message: "other", TTL: leaseTime, Token: "other"})
	if err != nil || outcome != store.Acquired {
		t.Fatal(outcome, err)
	}
	// The reconcile's message is left to the holder, who dies.
	i.employee(queue.CauseReconcile, ids[0])
	_ = lease
	b.clock.advance(2 * leaseTime)
	// Whoever comes first has only a card in mind.
	i.employee(queue.CausePoll, ids[0])
	b.want(ids[0], b.hour(9))
}

func TestTheCentralAccountsOwnAddressLosesItsCalendarWithoutItsRule(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := b.start(0)
	who := b.erp.AddEmployee(fakeerp.Employee{Name: "Self", Email: account, Fields: map[int64]string{binding: "1"}})
	b.addTask(b.hour(9), who)
	i.employee(queue.CauseNotify, who)
	i.rest()
	b.want(who, b.hour(9))
	wantShares(b, account, 0)
	must(t, b.erp.DismissEmployee(who))
	i.employee(queue.CauseNotify, who)
	if c := b.calendar(who); c != "" {
		t.Fatalf("calendar %s stays, record %+v", c, b.record(who))
	}
}

func TestOurRuleIsForcedBackToReaderAndOthersStay(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"writer", "owner", "writerWithoutPrivateAccess"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			i, ids := b.staffed("Olena")
			c := b.calendar(ids[0])
			must(t, b.google.SetShare(c, "olena@provider.example", role))
			must(t, b.google.SetShare(c, "boss@provider.example", "writer"))
			i.employee(queue.CauseReconcile, ids[0])
			got := b.live(ids[0])[0]
			if r := got.Role("olena@provider.example"); r != "reader" {
				t.Errorf("our rule is %s", r)
			}
			if r := got.Role("boss@provider.example"); r != "writer" {
				t.Errorf("a foreign rule is %s", r)
			}
			if r := got.Role(account); r != "owner" {
				t.Errorf("the account's own rule is %s", r)
			}
			wantShares(b, "olena@provider.example", 1)
			b.wantQuiet(ids...)
		})
	}
}

// TestARuleRemovedByHandComesBackOnlyIfItWasVisibleOnce shows rule 5.3.
func TestARuleRemovedByHandComesBackOnlyIfItWasVisibleOnce(t *testing.T) {
	t.Parallel()
	for name, hidden := range map[string]bool{"visible": false, "never visible": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(o *fakegoogle.Options) { o.InviteHidden = func(string) bool { return hidden } })
			i, ids := b.staffed("Olena")
			i.employee(queue.CauseReconcile, ids[0]) // sees the rule, if it shows
			must(t, b.google.RemoveShare(b.calendar(ids[0]), "olena@provider.example"))
			i.employee(queue.CauseReconcile, ids[0])
			i.employee(queue.CauseReconcile, ids[0])
			wantShares(b, "olena@provider.example", 1)
			i.rest()
			want := 2
			if hidden {
				want = 1
			}
			wantShares(b, "olena@provider.example", want)
		})
	}
}

// A list that lacks a rule once mails nobody: it is looked for again (rule 5.3).
func TestARuleThatAListLacksOnceMailsNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena")
	i.employee(queue.CauseReconcile, ids[0])
	unchanged := b.lives(ids)
	c := b.calendar(ids[0])
	for range 3 {
		must(t, b.google.RemoveShare(c, "olena@provider.example"))
		i.employee(queue.CauseReconcile, ids[0])
		if b.record(ids[0]).Calendar.RuleMissingSince.IsZero() {
			t.Fatal("the list did not lack it")
		}
		must(t, b.google.SetShare(c, "olena@provider.example", "reader"))
		i.rest()
	}
	unchanged()
	if since := b.record(ids[0]).Calendar.RuleMissingSince; !since.IsZero() {
		t.Errorf("missing since %v", since)
	}
	b.wantQuiet(ids...)
}

// A calendar that its owner deletes before it could be shared is made anew.
func TestACalendarDeletedBeforeItWasSharedComesBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := b.start(0)
	who := b.hire("Olena")
	b.addTask(b.hour(9), who)
	b.google.Inject(fakegoogle.Fault{Method: "calendar.acl.insert", Status: 403, Reason: "forbidden"})
	i.employee(queue.CauseNotify, who)
	first := b.calendar(who)
	must(t, b.google.DeleteCalendar(first))
	i.rest()
	if c := b.calendar(who); c == "" || c == first {
		t.Fatalf("calendar %q, record %+v", c, b.record(who))
	}
	b.want(who, b.hour(9))
	b.wantQuiet(who)
}

// Google answers 404 for a calendar that is there after all: the second one made
// for it must not stay beside it (rule 3.9).
func TestACalendarThatWasOnlySaidToBeGoneIsNotDoubled(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena")
	i.task(b.addTask(b.hour(9), ids[0]))
	from := b.record(ids[0]).Calendar.From
	b.clock.advance(48 * time.Hour)
	b.google.Inject(fakegoogle.Fault{Method: "calendar.events.list", Status: 404})
	i.employee(queue.CauseReconcile, ids[0])
	i.rest()
	if n := len(b.live(ids[0])); n != 1 {
		t.Fatalf("%d calendars", n)
	}
	if got := b.record(ids[0]).Calendar.From; !got.Equal(from) {
		t.Errorf("from %v, want %v", got, from)
	}
	b.wantQuiet(ids...)
}

// Found by a simulated history: the address changed shortly before the database was
// lost, and the old one went on reading beside the new one.
func TestAnAdoptedCalendarOfAFormerAddressIsReplaced(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fakegoogle.Fault{
		"Google answers": {Method: "calendar.nothing"},
		// Found by the simulation: the former address kept its access.
		"Google says once that its rules are gone": {Method: "calendar.acl.list", Status: http.StatusGone, Count: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			i, ids := b.staffed("Olena")
			task := b.addTask(b.hour(9), ids[0])
			i.task(task)
			old := b.calendar(ids[0])
			must(t, b.erp.UpdateEmployee(ids[0], func(e *fakeerp.Employee) { e.Email = "olena.new@provider.example" }))
			i = b.takenOver()
			b.google.Inject(fault)
			i.employee(queue.CauseConsole, ids...)
			i.rest()
			if now := b.calendar(ids[0]); now == "" || now == old {
				t.Errorf("calendar %q after %q", now, old)
			}
			for _, c := range b.google.Calendars() {
				for _, r := range c.Rules {
					if r.Role == "reader" && r.Value != "olena.new@provider.example" {
						t.Errorf("%s still reads calendar %s", r.Value, c.ID)
					}
				}
			}
			b.want(ids[0], b.hour(9))
			b.wantQuiet(ids...)
		})
	}
}

// After a lost database the mark sets the product's own share apart from one that the
// account's owner gave to somebody (found by the simulation).
func TestAnAdoptedCalendarKeepsWhatItsOwnerShared(t *testing.T) {
	t.Parallel()
	const former, boss = "olena@provider.example", "boss@provider.example"
	for _, row := range []struct {
		name    string
		owner   func(b *bench, calendar string) error
		address string
		// kept: the calendar stays; else it is replaced.
		kept       bool
		boss, then string // the roles in what is there afterwards
	}{
		{"the employee's share is gone and the owner's is there", func(b *bench, calendar string) error {
			return errors.Join(b.google.RemoveShare(calendar, former), b.google.SetShare(calendar, boss, "reader"))
		}, former, true, "reader", "reader"},
		{"the employee's was widened, and their address is another now", func(b *bench, calendar string) error {
			return b.google.SetShare(calendar, former, "writer")
		}, "olena.new@provider.example", false, "none", "reader"},
		// Its invitation may be one that the list does not show.
		{"the employee's is not listed, and their address is another now", func(b *bench, calendar string) error {
			return b.google.RemoveShare(calendar, former)
		}, "olena.new@provider.example", false, "none", "reader"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			i, ids := b.staffed("Olena")
			i.task(b.addTask(b.hour(9), ids[0]))
			old := b.calendar(ids[0])
			must(t, row.owner(b, old))
			must(t, b.erp.UpdateEmployee(ids[0], func(e *fakeerp.Employee) { e.Email = row.address }))
			i = b.takenOver()
			i.employee(queue.CauseConsole, ids...)
			i.rest()
			if kept := b.calendar(ids[0]) == old; kept != row.kept {
				t.Errorf("kept: %v", kept)
			}
			for _, c := range b.google.Calendars() {
				if c.Deleted || c.Primary {
					continue
				}
				if got := c.Role(row.address); got != row.then {
					t.Errorf("%s is %s", row.address, got)
				}
				if got := c.Role(boss); got != row.boss {
					t.Errorf("%s is %s", boss, got)
				}
				if got := c.Role(former); row.address != former && got != "none" {
					t.Errorf("the former address is %s", got)
				}
			}
			b.want(ids[0], b.hour(9))
			b.wantQuiet(ids...)
		})
	}
}

// Found anew after the loss of the database, a calendar is listed before
// anything is inserted, also where the event has a higher generation (rule 3.4).
func TestAnAdoptedCalendarIsListedBeforeAnythingIsInserted(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *fakegoogle.Options) { o.WebDeletionForbidsRevival = true })
	i, ids := b.staffed("Olena")
	task := b.addTask(b.hour(9), ids[0])
	i.task(task)
	must(t, b.google.DeleteEvent(b.calendar(ids[0]), b.events(ids[0])[0].Id))
	i.employee(queue.CauseReconcile, ids[0])
	i.rest()
	if m := b.mapping(task, ids[0]); m.Generation != 1 {
		t.Fatalf("generation %d", m.Generation)
	}
	i = b.takenOver()
	if _, err := i.calendars.Tenant(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.google.ResetRequests()
	i.task(task)
	if w := b.writes(); len(w) != 0 {
		t.Fatalf("wrote %v before the listing", w)
	}
	// The listing finds the task held: it must not count as having seen it.
	_, outcome, err := b.store.AcquireTask(t.Context(), task, store.Claim{TTL: leaseTime, Token: "other"})
	if err != nil || outcome != store.Acquired {
		t.Fatal(outcome, err)
	}
	i.employee(queue.CauseFill, ids[0])
	i.rest()
	if m := b.mapping(task, ids[0]); m.Generation != 1 {
		t.Fatalf("adopted generation %d", m.Generation)
	}
	if w := slices.DeleteFunc(b.writes(), func(s string) bool { return strings.HasPrefix(s, "acl") }); len(w) != 0 {
		t.Errorf("rebuilding wrote %v", w)
	}
	b.want(ids[0], b.hour(9))
	b.wantQuiet(ids...)
}

// A listing during a pause of Google's has seen nothing either.
func TestAListingDuringAPauseDoesNotCountAsOne(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena")
	task := b.addTask(b.hour(9), ids[0])
	i.task(task)
	i = b.takenOver()
	if _, err := i.calendars.Tenant(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := b.store.PauseWrites(t.Context(), sub, "quotaExceeded")
	must(t, err)
	i.employee(queue.CauseFill, ids[0])
	if c := b.record(ids[0]).Calendar; c.Listed {
		t.Fatal("counts as listed, though nothing was adopted")
	}
	i.rest()
	b.want(ids[0], b.hour(9))
	b.wantQuiet(ids...)
}

func TestWhatIsNotOursStays(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena", "Petro")
	task := b.addTask(b.hour(9), ids[0])
	i.task(task)
	c, own := b.calendar(ids[0]), b.events(ids[0])[0].Id
	foreign, err := b.google.CreateEvent(c, &calendar.Event{Summary: "Dentist",
		Start: &calendar.EventDateTime{DateTime: "2026-03-04T09:00:00+02:00"}, End: &calendar.EventDateTime{DateTime: "2026-03-04T10:00:00+02:00"}})
	must(t, err)
	copied, err := b.google.CopyEvent(c, own, c)
	must(t, err)
	elsewhere, err := b.google.CopyEvent(c, own, b.calendar(ids[1]))
	must(t, err)
	must(t, b.erp.CloseTask(task))
	i.task(task)
	i.employee(queue.CauseReconcile, ids...)
	i.rest()
	left := map[string]bool{}
	for _, who := range ids {
		for _, e := range b.events(who) {
			left[e.Id] = true
		}
	}
	if len(left) != 3 || !left[foreign] || !left[copied] || !left[elsewhere] {
		t.Fatalf("left: %v", left)
	}
}

// Old calendars go only after the new one is filled (rule 5.2).
func TestTheOldCalendarStaysUntilTheNewOneIsFilled(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena")
	for h := range 24 {
		b.addTask(b.hour(h), ids[0])
	}
	i.employee(queue.CauseReconcile, ids[0])
	first := b.calendar(ids[0])
	must(t, b.erp.UpdateEmployee(ids[0], func(e *fakeerp.Employee) { e.Email = "new@provider.example" }))
	report, err := i.calendars.Sync(t.Context(), orderUntil(ids[0], b.clock.Now().Add(-time.Second)))
	must(t, err)
	if len(report.Remaining) != 1 {
		t.Fatalf("left %v", report.Remaining)
	}
	if !b.isLive(first) {
		t.Fatal("the old calendar went before the new one was filled")
	}
	i.employee(queue.CauseFill, ids[0])
	if b.isLive(first) || len(b.events(ids[0])) != 24 {
		t.Fatalf("old one live: %v, %d events", b.isLive(first), len(b.events(ids[0])))
	}
	b.wantQuiet(ids...)
}

// One whose answer was lost and that Google lists long after both searches is made a second
// time; nobody has ever seen the first, and the full run that finds it deletes it (rule 3.6).
func TestACreationThatIsListedTooLateLeavesNoDouble(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := b.start(0)
	who := b.hire("Olena")
	b.addTask(b.hour(9), who)
	b.google.ChangeWays(func(to *fakegoogle.Ways) { to.ListDelayUpTo = 10_000 * time.Hour })
	i.google.after = creationLost
	i.employee(queue.CauseNotify, who)
	i.google.after = nil
	i.rest()
	stays := b.record(who).Calendar.ID
	if made := b.live(who); len(made) != 2 {
		t.Fatalf("%d calendars", len(made))
	}
	wantShares(b, "olena@provider.example", 1)
	b.google.ChangeWays(func(to *fakegoogle.Ways) { to.ListDelayUpTo = 0 })
	i.fullRun()
	i.rest()
	if got := b.live(who); len(got) != 1 || got[0].ID != stays {
		t.Errorf("%d calendars stay", len(got))
	}
	b.want(who, b.hour(9))
	wantShares(b, "olena@provider.example", 1)
	b.wantQuiet(who)
}

// Before another is made later, it is searched for once more: the list may have been a late one.
func TestACreationThatIsListedMeanwhileIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := b.start(0)
	who := b.hire("Olena")
	b.addTask(b.hour(9), who)
	b.google.ChangeWays(func(to *fakegoogle.Ways) { to.ListDelayUpTo = 10_000 * time.Hour })
	i.google.after = creationLost
	i.employee(queue.CauseNotify, who)
	i.google.after = nil
	made := b.live(who)
	if len(made) != 1 {
		t.Fatalf("%d calendars", len(made))
	}
	// What would be made after both searches has to wait, since Google wants a pause.
	b.google.Inject(fakegoogle.Fault{Method: "calendar.calendars.insert", Status: http.StatusForbidden, Reason: "quotaExceeded", Count: 1})
	for range 2 {
		b.clock.advance(b.record(who).DueAt.Sub(b.clock.Now()))
		i.due()
	}
	if rec := b.record(who); rec.Calendar != nil || rec.Lost == nil {
		t.Fatalf("not searched for twice: %+v", rec)
	}
	b.google.ChangeWays(func(to *fakegoogle.Ways) { to.ListDelayUpTo = 0 })
	i.rest()
	if got := b.live(who); len(got) != 1 || got[0].ID != made[0].ID || b.calendar(who) != made[0].ID {
		t.Errorf("%d calendars", len(got))
	}
	b.want(who, b.hour(9))
	wantShares(b, "olena@provider.example", 1)
	b.wantQuiet(who)
}
