package calendars_test

import (
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

func TestAnInvitationThatGoogleNeverShowsIsSentAgainOnlyByAnAdminAndOnceADay(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *fakegoogle.Options) { o.InviteHidden = func(string) bool { return true } })
	i, staff := b.staffed("Olena")
	who, address := staff[0], "olena@provider.example"
	ask := func() bool {
		t.Helper()
		asked, err := b.store.AskInvitation(t.Context(), who)
		must(t, err)
		i.employee(queue.CauseConsole, who)
		return asked
	}
	i.employee(queue.CauseReconcile, who)
	wantShares(b, address, 1)
	if c := b.record(who).Calendar; c.RuleSeen || c.Unseen.IsZero() {
		t.Fatalf("the share is not known as not visible: %+v", c)
	}
	if ask() {
		t.Error("asked again within a day")
	}
	wantShares(b, address, 1)
	for n := 2; n < 4; n++ {
		b.clock.advance(25 * time.Hour)
		i = b.start(0)
		i.employee(queue.CauseReconcile, who)
		wantShares(b, address, n-1)
		if !ask() {
			t.Error("not asked after a day")
		}
		wantShares(b, address, n)
		if ask() {
			t.Error("asked twice in a day")
		}
		wantShares(b, address, n)
	}
	b.wantQuiet(who)
}

// A calendar that was to be rebuilt and that its owner had deleted is made anew, which
// is all that was asked for: it is not emptied a day later (found by the simulation).
func TestARebuildOfADeletedCalendarEndsWithTheNewOne(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena")
	i.task(b.addTask(b.hour(9), ids[0]))
	must(t, b.google.DeleteCalendar(b.calendar(ids[0])))
	if asked, err := b.store.AskRebuild(t.Context(), ids[0]); !asked || err != nil {
		t.Fatalf("asked %v, %v", asked, err)
	}
	i = b.start(0)
	i.employee(queue.CauseConsole, ids...)
	i.rest()
	b.want(ids[0], b.hour(9))
	if at := b.record(ids[0]).RebuildAsked; !at.IsZero() {
		t.Errorf("the new calendar is still to be emptied, as asked at %s", at)
	}
	b.wantQuiet(ids...)
}

func TestARebuildIsOnlyForAnActiveCalendar(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.hire("Olena")
	if asked, err := b.store.AskRebuild(t.Context(), id); asked || err != nil {
		t.Errorf("asked %v, %v", asked, err)
	}
}

// What an admin decided to keep stays through every further pass, and is held anew
// once an admin wants to decide again (rule 4.9).
func TestADroppedPlanKeepsWhatWasHeld(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, staff := b.staffed("Olena")
	var ids []int64
	for n := range 14 {
		ids = append(ids, b.addTask(b.hour(8).Add(time.Duration(n)*time.Hour), staff[0]))
	}
	i.task(append(ids, b.addTask(b.hour(7), staff[0]))...) // one that stays: an ERP without any task is not believed
	i.rest()
	b.undecided = true
	for _, id := range ids {
		must(t, b.erp.DeleteTask(id))
	}
	i.task(ids...)
	i.rest()
	decide := func(f func(store.HeldKey) error, keys []store.HeldKey) {
		t.Helper()
		for _, k := range keys {
			must(t, f(k))
			i.task(k.ID)
		}
		i.rest()
	}
	plan, err := b.store.Held(t.Context())
	must(t, err)
	if plan.Events != 4 {
		t.Fatalf("%d events are held, want 4", plan.Events)
	}
	decide(func(k store.HeldKey) error { return b.store.Drop(t.Context(), k.Key) }, plan.Keys)
	wait := func() {
		b.clock.advance(26 * time.Hour) // the guard's day is over: nothing is asked again
		i = b.start(0)
		i.employee(queue.CauseReconcile, staff...)
		i.rest()
	}
	wait()
	if n := len(b.events(staff[0])); n != 5 {
		t.Errorf("%d events after dropping the plan, want 5", n)
	}
	if plan, err = b.store.Held(t.Context()); err != nil || len(plan.Keys) != 0 {
		t.Errorf("still held: %+v, %v", plan, err)
	}
	dropped, err := b.store.Dropped(t.Context())
	must(t, err)
	decide(func(k store.HeldKey) error { return b.store.Reopen(t.Context(), k.Key) }, dropped)
	wait()
	if plan, err = b.store.Held(t.Context()); err != nil || plan.Events != 4 || len(b.events(staff[0])) != 5 {
		t.Fatalf("after reopening: %+v, %v, %d events", plan, err, len(b.events(staff[0])))
	}
	decide(func(k store.HeldKey) error { return b.store.Allow(t.Context(), k.Key) }, plan.Keys)
	if n := len(b.events(staff[0])); n != 1 {
		t.Errorf("%d events after confirming", n)
	}
}

func holiday() *calendar.Event {
	return &calendar.Event{Summary: "Holiday", Start: &calendar.EventDateTime{Date: "2026-03-08"}, End: &calendar.EventDateTime{Date: "2026-03-09"}}
}
