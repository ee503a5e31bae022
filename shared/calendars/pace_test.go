package calendars_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// crew hires people whose calendars are still to be made.
func (b *bench) crew(n int) (ids []int64) {
	for i := range n {
		ids = append(ids, b.hire(fmt.Sprintf("Employee%02d", i)))
	}
	return ids
}

// most is how many of the moments lie within a time of each other.
func most(at []time.Time, within time.Duration) (n int) {
	for i := range at {
		of := 0
		for _, other := range at[i:] {
			if other.Sub(at[i]) < within {
				of++
			}
		}
		n = max(n, of)
	}
	return n
}

// calls are when Google took, or refused, calls of a method.
func (b *bench) calls(method string, refused bool) (at []time.Time) {
	for _, r := range b.google.Requests(fakegoogle.Filter{Method: method}) {
		if r.Committed != refused && (!refused || r.Status == http.StatusForbidden) {
			at = append(at, r.Done)
		}
	}
	return at
}

// No 24 hours have more calendars or shares than the day's caps allow, whoever is first,
// and the queue says when the last is made (rule 6.5).
func TestCreatingKeepsToTheDaysCaps(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		perDay, shares, days int
	}{
		"calendars": {4, 100, 3},
		"shares":    {100, 5, 3},
		"both":      {4, 3, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.perDay, b.sharesPerDay = row.perDay, row.shares
			ids := b.crew(11)
			i := b.start(0)
			began := b.clock.Now()
			i.employee(queue.CauseNotify, ids...)
			_, last := b.waiting()
			m := &made{b: b}
			m.poll(ids, []*instance{i, b.start(0)}, 5*24*time.Hour)
			for _, id := range ids {
				if b.calendar(id) == "" || b.record(id).State != store.StateActive {
					t.Errorf("employee %d is %s after five days", id, b.record(id).State)
				}
			}
			calendars, shares := b.calls("calendar.calendars.insert", false), b.calls("calendar.acl.insert", false)
			if n := most(calendars, 24*time.Hour); n > row.perDay {
				t.Errorf("%d calendars in a day", n)
			}
			if n := most(shares, 24*time.Hour); n > row.shares {
				t.Errorf("%d shares in a day", n)
			}
			if len(shares) != len(ids) || len(calendars) != len(ids) {
				t.Errorf("%d calendars and %d shares for %d people", len(calendars), len(shares), len(ids))
			}
			end := m.at[len(m.at)-1]
			if took := end.Sub(began); took > time.Duration(row.days)*24*time.Hour {
				t.Errorf("it took %v", took)
			}
			// Of a calendar that was just granted the share is not counted yet.
			if off := end.Sub(last); row.shares > len(ids) && (off < -time.Minute || off > time.Hour) {
				t.Errorf("the last was told %v and made %v", last, end)
			}
			i.rest()
			b.wantQuiet(ids...)
		})
	}
}

// What Google refuses teaches the account how many it takes: it is tripped once, and at
// most once a day as that is forgotten (rule 6.5).
func TestARefusalTeachesALowerCap(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		ways     fakegoogle.Ways
		lock     time.Duration
		days     int // until everybody has one
		refusals int // rows of them
	}{
		"by the hour":               {fakegoogle.Ways{CalendarsPerHour: 4}, 30 * time.Minute, 1, 1},
		"by the day":                {fakegoogle.Ways{CalendarsPerDay: 4}, 5 * time.Hour, 5, 3},
		"shares by the day":         {fakegoogle.Ways{SharesPerDay: 4}, 5 * time.Hour, 5, 3},
		"by the day, locks all":     {fakegoogle.Ways{CalendarsPerDay: 4, CreationLocksAll: true}, 5 * time.Hour, 5, 3},
		"by the hour, locks longer": {fakegoogle.Ways{CalendarsPerHour: 4}, 6 * time.Hour, 5, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(o *fakegoogle.Options) { o.Ways, o.QuotaLock = row.ways, row.lock })
			b.perHour = 20
			ids := b.crew(11)
			i := b.start(0)
			i.employee(queue.CauseNotify, ids...)
			m := &made{b: b}
			m.poll(ids, []*instance{i, b.start(0)}, 5*24*time.Hour)
			if len(m.who) != len(ids) || m.at[len(m.at)-1].Sub(m.at[0]) > time.Duration(row.days)*24*time.Hour {
				t.Errorf("%d of %d have a calendar, the last after %v", len(m.who), len(ids), m.at[len(m.at)-1].Sub(m.at[0]))
			}
			refused := slices.Concat(b.calls("calendar.calendars.insert", true), b.calls("calendar.acl.insert", true))
			slices.SortFunc(refused, time.Time.Compare)
			rows := 0
			for n, at := range refused {
				if n == 0 || at.Sub(refused[n-1]) > 12*time.Hour {
					rows++
				}
			}
			if rows == 0 || rows > row.refusals {
				t.Errorf("refused %d times in %d rows: %v", len(refused), rows, refused)
			}
			a, err := b.store.Account(t.Context())
			must(t, err)
			if a.Learned == nil {
				t.Error("nothing was learned")
			}
			for _, id := range ids {
				if rec := b.record(id); rec.State != store.StateActive || rec.DeadLetter {
					t.Errorf("employee %d is %s", id, rec.State)
				}
			}
		})
	}
}

// A full run with Google locking all writes of the account as soon as it has made too many
// calendars (G9): what a dispatcher changes meanwhile waits, and goes before any further
// calendar once Google takes writes again; everybody gets theirs in the end.
func TestAllWritesLockedAtOnceIsSurvived(t *testing.T) {
	t.Parallel()
	const lock = 3 * time.Hour
	b := newBench(t, func(o *fakegoogle.Options) {
		o.CalendarsPerPeriod, o.Period, o.QuotaLocksAll, o.QuotaLock = 5, 24*time.Hour, true, lock
	})
	b.perHour = 20
	i, ids := b.staffed("Olena", "Petro")
	ids = append(ids, b.crew(10)...)
	var tasks []int64
	for n, id := range ids {
		tasks = append(tasks, b.addTask(b.hour(9+n), id))
	}
	i.task(tasks[:2]...)
	b.clock.advance(time.Hour)
	must(t, i.calendars.StartFullRun(t.Context(), queue.CauseReconcile, "run"))
	i.due() // what the full run publishes
	locked := b.calls("calendar.calendars.insert", true)
	if len(locked) == 0 {
		t.Fatal("Google refused nothing")
	}
	// A dispatcher moves a task while nothing can be written.
	b.clock.advance(10 * time.Minute)
	must(t, b.erp.MoveTask(tasks[0], b.hour(22)))
	i.task(tasks[0])
	if a, err := b.store.Account(t.Context()); err != nil || !a.PausedUntil.After(b.clock.Now()) || !a.CreationsResume().After(a.PausedUntil) {
		t.Fatalf("writes are paused until %v, creations until %v", a.PausedUntil, a.CreationsResume())
	}
	// Poll comes every five minutes, with what is due.
	for end := b.clock.Now().Add(5 * 24 * time.Hour); b.clock.Now().Before(end); b.clock.advance(5 * time.Minute) {
		i.due()
	}
	moved := false
	for _, r := range b.google.Requests(fakegoogle.Filter{Writes: true, Since: locked[0].Add(lock)}) {
		if moved = moved || r.Committed && r.Method == "calendar.events.update"; moved {
			break
		}
		if !strings.HasPrefix(r.Method, "calendar.events.") {
			t.Errorf("%s comes before the dispatcher's change", r.Method)
		}
	}
	for n, id := range ids {
		want := b.hour(9 + n)
		if n == 0 {
			want = b.hour(22)
		}
		b.want(id, want)
	}
	if n := most(b.calls("calendar.calendars.insert", false), 24*time.Hour); n > 5 {
		t.Errorf("%d calendars in a day", n)
	}
	b.wantQuiet(ids...)
}

// What Google refuses to share is no share of the day's: one address that it does not take would
// use up everybody's (rule 6.5).
func TestARefusedShareUsesUpNobodysDay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.sharesPerDay = 3
	refuse := b.google.Inject(fakegoogle.Fault{Method: "calendar.acl.insert", Status: http.StatusForbidden, Reason: "forbidden", Count: -1})
	i := b.start(0)
	refused := b.hire("Olena")
	i.employee(queue.CauseNotify, refused)
	for range 6 {
		b.clock.advance(b.record(refused).DueAt.Sub(b.clock.Now()))
		i.due()
	}
	if n := len(b.calls("calendar.acl.insert", true)); n < 6 {
		t.Fatalf("tried %d times", n)
	}
	refuse.Remove()
	for _, id := range []int64{b.hire("Petro"), b.hire("Iryna")} {
		i.employee(queue.CauseNotify, id)
		if rec := b.record(id); rec.State != store.StateActive {
			t.Errorf("employee %d: %s, due %v", id, rec.State, rec.DueAt)
		}
	}
	third := b.hire("Taras")
	b.clock.advance(b.record(refused).DueAt.Sub(b.clock.Now()))
	i.employee(queue.CauseNotify, refused)
	i.employee(queue.CauseNotify, third)
	if b.record(refused).State != store.StateActive || b.record(third).State == store.StateActive {
		t.Errorf("the cap of three: %s, %s", b.record(refused).State, b.record(third).State)
	}
}

// Room that is given back, since Google refused what somebody had reserved, is found by those
// who were told meanwhile that there is none until tomorrow.
func TestRoomGivenBackIsFoundWithinTheHour(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.sharesPerDay = 1
	other := b.hire("Olena")
	lease, _, err := b.store.AcquireEmployee(t.Context(), other, store.Claim{Message: b.newID(), TTL: leaseTime, Token: b.newID()})
	must(t, err)
	if _, granted, err := b.store.ReserveShare(t.Context(), &lease, sub, store.Caps{SharesPerDay: 1}); err != nil || !granted {
		t.Fatalf("granted %v, %v", granted, err)
	}
	i := b.start(0)
	id := b.hire("Petro")
	i.employee(queue.CauseNotify, id)
	if rec := b.record(id); rec.State != store.StatePending {
		t.Fatalf("%s though another has the only share", rec.State)
	}
	must(t, b.store.CreationRefused(t.Context(), sub, store.SharingCalendars, false))
	b.clock.advance(time.Hour)
	if rec := b.record(id); rec.DueAt.After(b.clock.Now()) {
		t.Errorf("due at %v only", rec.DueAt)
	}
	i.employee(queue.CauseRetry, id) // before the other, who is due as well, asks for it again
	if rec := b.record(id); rec.State != store.StateActive {
		t.Errorf("%s, due %v", rec.State, rec.DueAt)
	}
}

// A creation whose answer is lost again and again, and that was never made, uses up nobody's
// day either: two lists that lack it prove that it counts for nothing.
func TestACreationThatNeverTookEffectUsesUpNobodysDay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.perDay = 2
	i := b.start(0)
	unlucky := b.hire("Olena")
	tries := 0
	i.google.before = func(call, _ string) error {
		if call == "create" {
			tries++
			return lost()
		}
		return nil
	}
	i.employee(queue.CauseNotify, unlucky)
	for range 20 {
		b.clock.advance(max(0, b.record(unlucky).DueAt.Sub(b.clock.Now())))
		i.due()
	}
	if tries < 5 {
		t.Fatalf("tried %d times", tries)
	}
	i.google.before = nil
	other := b.hire("Petro")
	i.employee(queue.CauseNotify, other)
	if b.calendar(other) == "" {
		t.Errorf("nobody else gets a calendar: %+v", b.record(other))
	}
	i.rest()
	if b.calendar(unlucky) == "" {
		t.Error("it is never made")
	}
	b.wantQuiet(unlucky, other)
}
