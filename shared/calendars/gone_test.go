package calendars_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// lives notes whose calendar is which and what was mailed, and gives a check that
// nothing of it changed.
func (b *bench) lives(staff []int64) (unchanged func()) {
	b.t.Helper()
	before := make([]string, len(staff))
	for i, id := range staff {
		before[i] = b.calendar(id)
	}
	mails := len(b.google.Mails())
	b.google.ResetRequests()
	return func() {
		b.t.Helper()
		for i, id := range staff {
			if now := b.calendar(id); now != before[i] {
				b.t.Errorf("employee %d has calendar %q after %q", id, now, before[i])
			}
			if rec := b.record(id); rec.Calendar == nil || rec.Calendar.ID != before[i] || len(rec.Retiring) > 0 || rec.Held != "" || rec.Reason != "" {
				b.t.Errorf("employee %d: %+v, calendar %+v", id, rec, rec.Calendar)
			}
		}
		for _, method := range []string{"calendar.calendars.insert", "calendar.calendars.delete", "calendar.acl.insert", "calendar.acl.delete"} {
			if n := len(b.google.Requests(fakegoogle.Filter{Method: method})); n > 0 {
				b.t.Errorf("%d calls of %s", n, method)
			}
		}
		if n := len(b.google.Mails()) - mails; n > 0 {
			b.t.Errorf("%d mails", n)
		}
	}
}

// TestASpellOf404ReplacesNothing shows rule 3.9. Google answers 404 for calendars that
// exist, once or for hours, in its own form or another's.
func TestASpellOf404ReplacesNothing(t *testing.T) {
	t.Parallel()
	both := []string{"calendar.calendars.get", "calendar.events.list"}
	for _, row := range []struct {
		name    string
		methods []string
		body    fakegoogle.BodyForm
		lasts   time.Duration // 0: once on each method
		count   int           // employees
		// notified: a notification meets it; otherwise a full run does.
		notified bool
	}{
		{"once on each method in a full run", both, fakegoogle.BodyDefault, 0, 1, false},
		{"a moment in a full run", nil, fakegoogle.BodyDefault, 2 * time.Second, 30, false},
		{"20 minutes in a full run", nil, fakegoogle.BodyWithStatus, 20 * time.Minute, 30, false},
		{"3 hours in a full run", both, fakegoogle.BodyWithoutStatus, 3 * time.Hour, 30, false},
		{"a page in a full run", nil, fakegoogle.BodyHTML, 20 * time.Minute, 30, false},
		{"nothing in a full run", both, fakegoogle.BodyEmpty, 3 * time.Hour, 30, false},
		{"a moment at a notification", nil, fakegoogle.BodyDefault, 2 * time.Second, 2, true},
		{"3 hours at a notification", nil, fakegoogle.BodyDefault, 3 * time.Hour, 2, true},
		{"a page at a notification", nil, fakegoogle.BodyHTML, time.Hour, 2, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBench(t)
				var names []string
				for n := range row.count {
					names = append(names, fmt.Sprintf("Employee%d", n))
				}
				i, staff := b.staffed(names...)
				task := b.addTask(b.hour(9), staff[0])
				i.task(task)
				i.rest()
				b.clock.advance(48 * time.Hour)
				unchanged := b.lives(staff)
				if row.lasts == 0 {
					for _, method := range row.methods {
						b.google.Inject(fakegoogle.Fault{Method: method, Status: http.StatusNotFound, Count: 1})
					}
				} else {
					spell := fakegoogle.NotFoundSpell(row.body, row.methods...)
					spell.For = row.lasts
					b.google.Begin(spell)
				}
				if row.notified {
					must(t, b.erp.MoveTask(task, b.hour(11)))
					i.task(task)
				} else {
					i.employee(queue.CauseReconcile, staff...)
				}
				i.rest()
				unchanged()
				if row.lasts > time.Minute && row.lasts < 24*time.Hour {
					b.clock.advance(row.lasts)
				}
				want := b.hour(9)
				if row.notified {
					want = b.hour(11)
				}
				b.want(staff[0], want)
				b.wantQuiet(staff...)
				unchanged()
			})
		})
	}
}

// What Google says is gone is shown as the employee's reason, and no second look comes
// too early.
func TestACalendarThatIsGoneIsReplacedAfterTheSecondLook(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		rows  time.Duration // how long the list keeps the row of the deleted calendar
		after time.Duration
	}{
		{"the list drops it", 0, absenceTime},
		{"the list names it for ever", -1, 24 * time.Hour},
		{"the list names it for hours", 5 * time.Hour, 5 * time.Hour},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(o *fakegoogle.Options) { o.Ways.StaleRows = row.rows })
			i, ids := b.staffed("Olena")
			i.task(b.addTask(b.hour(9), ids[0]))
			i.rest()
			old, from := b.calendar(ids[0]), b.record(ids[0]).Calendar.From
			must(t, b.google.DeleteCalendar(old))
			began := b.clock.Now()
			i.employee(queue.CauseReconcile, ids...)
			rec := b.record(ids[0])
			if rec.Calendar == nil || rec.Calendar.ID != old || rec.State != store.StateActive || rec.Reason != string(calendarsync.ReasonCalendarGone) {
				t.Fatalf("after the first look: %+v, calendar %+v", rec, rec.Calendar)
			}
			if again := rec.DueAt.Sub(rec.Calendar.GoneSince); again != absenceTime {
				t.Errorf("looked for again after %v, want %v", again, absenceTime)
			}
			// Any other pass in between looks too, and does not end the doubt early.
			i.employee(queue.CauseNotify, ids...)
			for b.calendar(ids[0]) == "" {
				if b.clock.Now().After(began.Add(48 * time.Hour)) {
					t.Fatalf("no calendar after two days: %+v", b.record(ids[0]))
				}
				b.clock.advance(5 * time.Minute)
				i.due()
			}
			if took := b.clock.Now().Sub(began); took < row.after || took > row.after+time.Hour {
				t.Errorf("replaced after %v, want %v", took, row.after)
			}
			i.rest()
			if now := b.record(ids[0]); !now.Calendar.From.Equal(from) || now.Reason != "" || len(now.Retiring) > 0 {
				t.Errorf("the record is %+v, calendar %+v", now, now.Calendar)
			}
			if n := b.shares("olena@provider.example"); n != 2 {
				t.Errorf("invited %d times, want once to each", n)
			}
			b.want(ids[0], b.hour(9))
			b.wantQuiet(ids...)
		})
	}
}

// A calendar that is shown between two looks is not half gone: the first look counts
// anew.
func TestACalendarShownBetweenTwoLooksIsLookedForAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena")
	unchanged := b.lives(ids)
	gone := func() *fakegoogle.Injected { return b.google.Begin(fakegoogle.NotFoundSpell(fakegoogle.BodyDefault)) }
	spell := gone()
	i.employee(queue.CauseReconcile, ids...)
	spell.Remove()
	b.clock.advance(absenceTime / 2)
	i.employee(queue.CauseReconcile, ids...)
	if since := b.record(ids[0]).Calendar.GoneSince; !since.IsZero() {
		t.Errorf("gone since %v, though it was shown", since)
	}
	spell = gone()
	b.clock.advance(absenceTime)
	i.employee(queue.CauseReconcile, ids...)
	spell.Remove()
	i.rest()
	unchanged()
}

// Many calendars that are gone at once are held like any mass deletion, and replaced
// once an admin has looked; those that come back are nobody's business any more
// (rule 4.3).
func TestManyCalendarsThatAreGoneAreHeld(t *testing.T) {
	t.Parallel()
	for _, back := range []bool{false, true} {
		t.Run(fmt.Sprintf("back %t", back), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.undecided = true
			i, staff := b.staffed("Anna", "Bohdan", "Daria", "Fedir", "Halyna", "Ivan", "Kateryna", "Lesia")
			must2 := func(id int64) string { return b.record(id).Calendar.ID }
			old := map[int64]string{}
			for _, id := range staff {
				old[id] = must2(id)
			}
			var spell *fakegoogle.Injected
			if back {
				// For longer than a day even a list that names them is not believed.
				spell = b.google.Begin(fakegoogle.NotFoundSpell(fakegoogle.BodyDefault))
			} else {
				for _, id := range staff {
					must(t, b.google.DeleteCalendar(old[id]))
				}
			}
			i.employee(queue.CauseReconcile, staff...)
			for range 27 {
				b.clock.advance(time.Hour)
				i.due()
			}
			var held []int64
			for _, id := range staff {
				if rec := b.record(id); rec.Held != "" {
					held = append(held, id)
					if rec.Calendar == nil || rec.Calendar.ID != old[id] || rec.CardState() != store.StateHeld {
						t.Errorf("a held one: %+v, calendar %+v", rec, rec.Calendar)
					}
				}
			}
			plan, err := b.store.Held(t.Context())
			must(t, err)
			if len(held) != 5 || plan.Calendars != 5 {
				t.Fatalf("%d are held, %d calendars in the plan, want 5 of 8", len(held), plan.Calendars)
			}
			if back {
				spell.Remove()
				i.employee(queue.CauseReconcile, held...)
			} else {
				b.undecided = false
			}
			i.rest()
			for _, id := range held {
				rec := b.record(id)
				if rec.Held != "" || rec.Reason != "" || rec.Calendar == nil || (rec.Calendar.ID == old[id]) != back {
					t.Errorf("employee %d: %+v, calendar %+v", id, rec, rec.Calendar)
				}
			}
			if plan, err = b.store.Held(t.Context()); err != nil || len(plan.Keys) > 0 {
				t.Errorf("still held: %+v, %v", plan, err)
			}
			b.wantQuiet(staff...)
		})
	}
}

// An admin who wants a new one now waits for nothing but the present look: a calendar
// that is there after all stays.
func TestAnAdminHasACalendarThatIsGoneReplacedAtOnce(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{true, false} {
		t.Run(fmt.Sprintf("gone %t", gone), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(o *fakegoogle.Options) { o.Ways.StaleRows = -1 })
			i, ids := b.staffed("Olena")
			old := b.calendar(ids[0])
			if asked, err := b.store.AskReplacement(t.Context(), ids[0]); err != nil || asked {
				t.Fatalf("a calendar that is not gone: asked %v, %v", asked, err)
			}
			spell := b.google.Begin(fakegoogle.NotFoundSpell(fakegoogle.BodyDefault))
			i.employee(queue.CauseReconcile, ids...)
			spell.Remove()
			if gone {
				must(t, b.google.DeleteCalendar(old))
			}
			asked, err := b.store.AskReplacement(t.Context(), ids[0])
			must(t, err)
			if !asked {
				t.Fatal("not asked")
			}
			began := b.clock.Now()
			i.employee(queue.CauseConsole, ids...)
			if now := b.calendar(ids[0]); now == "" || (now == old) == gone {
				t.Errorf("calendar %q after %q", now, old)
			}
			if !b.clock.Now().Equal(began) {
				t.Error("it waited")
			}
			i.rest()
			b.wantQuiet(ids...)
		})
	}
}

// A calendar that exists, and that Google keeps from the client, is not replaced by itself,
// however long that lasts: its share would stay, with a second calendar beside it. An admin
// may have another one made, and then the old one is no longer shared (rule 3.9).
func TestACalendarOutOfReachIsReplacedOnlyByAnAdmin(t *testing.T) {
	t.Parallel()
	for _, back := range []bool{true, false} {
		t.Run(fmt.Sprintf("comes back %t", back), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			i, ids := b.staffed("Olena")
			who := ids[0]
			i.task(b.addTask(b.hour(9), who))
			i.employee(queue.CauseReconcile, who) // the list shows the share
			i.rest()
			old := b.calendar(who)
			b.google.ResetRequests()
			must(t, b.google.LoseReach(account))
			i.employee(queue.CauseReconcile, who)
			for range 30 {
				b.clock.advance(time.Hour)
				i.due()
			}
			rec := b.record(who)
			if rec.Calendar == nil || rec.Calendar.ID != old || rec.Reason != string(calendarsync.ReasonCalendarUnreachable) || len(rec.Retiring) > 0 || rec.DueAt.IsZero() {
				t.Fatalf("after 30 hours: %+v, calendar %+v", rec, rec.Calendar)
			}
			if wrote := b.google.Requests(fakegoogle.Filter{Writes: true}); len(wrote) > 0 {
				t.Errorf("it wrote: %s", wrote[0].Method)
			}
			if back {
				must(t, b.google.RegainReach(account))
				i.rest()
				if rec = b.record(who); rec.Calendar.ID != old || rec.Reason != "" {
					t.Errorf("within reach again: %+v, calendar %+v", rec, rec.Calendar)
				}
				b.want(who, b.hour(9))
				b.wantQuiet(who)
				return
			}
			asked, err := b.store.AskReplacement(t.Context(), who)
			must(t, err)
			if !asked {
				t.Fatal("not asked")
			}
			i.employee(queue.CauseConsole, who)
			i.rest()
			for _, c := range b.live(who) {
				shared := slices.ContainsFunc(c.Rules, func(r fakegoogle.RuleSnapshot) bool { return r.Role == "reader" })
				if shared != (c.ID != old) {
					t.Errorf("calendar %s, the old one %v, is shared: %v", c.ID, c.ID == old, shared)
				}
			}
			if rec = b.record(who); rec.Calendar == nil || rec.Calendar.ID == old || rec.Reason != "" || len(rec.Retiring) > 0 {
				t.Errorf("replaced: %+v, calendar %+v", rec, rec.Calendar)
			}
			must(t, b.google.DeleteCalendar(old)) // as the reason says
			b.want(who, b.hour(9))
			b.wantQuiet(who)
		})
	}
}

// Rule 3.9: a calendar on its way out that no list names yet (G15), and that Google denies for
// hours in every way, is not forgotten before it is a day old: whoever lost it would read it again
// once it turns up (seed 960984). One that is gone indeed is forgotten then.
func TestARetiringCalendarThatMayNotBeListedYetLeavesNobodyTheAccess(t *testing.T) {
	t.Parallel()
	edit := func(change func(*fakeerp.Employee)) func(*bench, int64) {
		return func(b *bench, who int64) { must(b.t, b.erp.UpdateEmployee(who, change)) }
	}
	for name, lose := range map[string]func(b *bench, who int64){
		"unbound":       edit(func(e *fakeerp.Employee) { e.Email = "" }),
		"dismissed":     edit(func(e *fakeerp.Employee) { e.Dismissed = true }),
		"a new address": edit(func(e *fakeerp.Employee) { e.Email = "halyna@provider.example" }),
		"a purge":       func(b *bench, _ int64) { startPurge(b) },
	} {
		for _, deleted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, deleted by hand %t", name, deleted), func(t *testing.T) {
				t.Parallel()
				b := newBench(t, func(o *fakegoogle.Options) { o.CalendarListDelay = 20 * time.Hour })
				i, ids := b.staffed("Olena")
				who, old := ids[0], b.calendar(ids[0])
				spell := fakegoogle.NotFoundSpell(fakegoogle.BodyWithStatus)
				spell.For = 3 * time.Hour
				b.google.Begin(spell)
				if deleted {
					must(t, b.google.DeleteCalendar(old))
				}
				lose(b, who)
				i.employee(queue.CauseNotify, who)
				for range 30 {
					b.clock.advance(time.Hour)
					i.due()
				}
				if b.isLive(old) {
					t.Errorf("the calendar is there, with the rules %+v", b.live(who)[0].Rules)
				}
				if rec := b.record(who); len(rec.Retiring) > 0 {
					t.Errorf("not over: %+v", rec)
				}
			})
		}
	}
}

// Where Google lists the rules of deleted calendars (G16), one that was deleted by hand is taken
// for one out of reach: said to be so, and replaced once an admin asks (rule 3.9).
func TestWhereDeletedCalendarsHaveRulesAnAdminHasThemReplaced(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *fakegoogle.Options) { o.Ways.Rules = fakegoogle.RulesOfDeleted })
	i, ids := b.staffed("Olena")
	who := ids[0]
	i.task(b.addTask(b.hour(9), who))
	i.rest()
	old := b.calendar(who)
	must(t, b.google.DeleteCalendar(old))
	i.employee(queue.CauseReconcile, who)
	for range 30 {
		b.clock.advance(time.Hour)
		i.due()
	}
	if rec := b.record(who); rec.Calendar == nil || rec.Calendar.ID != old || rec.Reason != string(calendarsync.ReasonCalendarUnreachable) || rec.DueAt.IsZero() {
		t.Fatalf("after 30 hours: %+v, calendar %+v", rec, rec.Calendar)
	}
	_, err := b.store.AskReplacement(t.Context(), who)
	must(t, err)
	i.employee(queue.CauseConsole, who)
	for range 30 {
		b.clock.advance(time.Hour)
		i.due()
	}
	i.rest()
	if rec := b.record(who); rec.Calendar == nil || rec.Calendar.ID == old || rec.Reason != "" || len(rec.Retiring) > 0 || rec.Failure != nil {
		t.Errorf("replaced: %+v, calendar %+v", rec, rec.Calendar)
	}
	b.want(who, b.hour(9))
	b.wantQuiet(who)
}

// A single 404 puts nothing off until the night: what a notification brought is looked into
// in the same pass, and done where Google shows the calendar after all.
func TestOneNotFoundPutsNothingOff(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena")
	b.google.Inject(fakegoogle.Fault{Method: "calendar.calendars.get", Status: http.StatusNotFound, Reason: "notFound", Count: 1})
	must(t, b.erp.UpdateEmployee(ids[0], func(e *fakeerp.Employee) { e.Name = "Olha" }))
	i.employee(queue.CauseNotify, ids[0])
	i.rest()
	if got := b.live(ids[0])[0].Summary; got != "Olha" {
		t.Errorf("the calendar is called %q", got)
	}
	b.wantQuiet(ids...)
}
