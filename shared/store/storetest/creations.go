package storetest

import (
	"fmt"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

const grain = 10 * time.Minute // how finely it is remembered when something was made

// creationsOfADay shows that no 24 hours have more calendars or shares than the caps say,
// wherever they begin, and that those who wait are told when (rule 6.5).
func creationsOfADay(r *rig) {
	caps := store.Caps{CalendarsPerDay: 3, SharesPerDay: 4}
	ask := func(employee int64) store.QueuePosition {
		r.Helper()
		c := r.creation(employee, 100)
		c.Caps = caps
		return r.ask(employee, c)
	}
	share := func(want time.Time) {
		r.Helper()
		h := r.take(store.Employees, 99, "")
		at, granted, err := r.s.ReserveShare(r.ctx, h.employee, "a", caps)
		r.must(err)
		r.release(h, store.Result{})
		if granted != !want.After(r.b.now()) || granted != at.Equal(r.b.now()) || !granted && !at.Equal(want) {
			r.Errorf("a share may be made at %v (%v), want %v", at, granted, want)
		}
	}
	waits := func(employee int64, before int, until time.Time) {
		r.Helper()
		equal(r, "turn", ask(employee), store.QueuePosition{Before: before, At: until})
	}
	// The calendars of one day, two of them an hour after the first.
	full := func(t time.Time) time.Time { return t.Truncate(grain).Add(grain + 24*time.Hour) }
	first := full(r.b.now())
	if !ask(1).Granted {
		r.Fatal("the first waits")
	}
	r.b.advance(time.Hour)
	second := full(r.b.now())
	for id := range int64(2) {
		if turn := ask(id + 2); !turn.Granted {
			r.Fatalf("one of three waits: %+v", turn)
		}
	}
	waits(4, 0, first)
	r.b.advance(time.Second)
	waits(5, 1, second)
	r.b.advance(time.Second)
	waits(6, 2, second)
	r.b.advance(time.Second)
	waits(7, 3, full(first))
	q, err := r.s.CreationQueue(r.ctx, "a", r.b.now(), time.Time{})
	r.must(err)
	for i, want := range []time.Time{first, second, second, full(first)} {
		equal(r, "when the next may be made", q[i].At, want)
	}
	// A pause that ends later puts all of them off.
	late := first.Add(9 * time.Hour)
	q, err = r.s.CreationQueue(r.ctx, "a", r.b.now(), late)
	r.must(err)
	equal(r, "when the first may be made after a pause", q[0].At, late)
	r.b.advance(first.Sub(r.b.now()) - time.Second)
	waits(4, 0, first)
	r.b.advance(time.Second)
	if !ask(4).Granted {
		r.Error("not granted when told")
	}
	waits(5, 0, second)
	// Shares have a day of their own, and without any left no calendar is made.
	until := full(r.b.now())
	for range 4 {
		share(r.b.now())
	}
	share(until)
	r.b.advance(second.Sub(r.b.now()))
	waits(5, 0, until)
	r.b.advance(until.Sub(r.b.now()))
	share(r.b.now())
	// Another account's are its own.
	h := r.take(store.Employees, 99, "")
	if _, granted, err := r.s.ReserveShare(r.ctx, h.employee, "b", store.Caps{SharesPerDay: 1}); err != nil || !granted {
		r.Errorf("another account's share waits: %v", err)
	}
	r.release(h, store.Result{})
}

// sharesInOrder shows that who asked for a share first gets it first, through refusals, and
// that no calendar is made for which there would be no share (rule 6.5).
func sharesInOrder(r *rig) {
	caps := store.Caps{SharesPerDay: 2}
	share := func(employee int64) (time.Time, bool) {
		r.Helper()
		h := r.take(store.Employees, employee, "")
		defer r.release(h, store.Result{})
		at, granted, err := r.s.ReserveShare(r.ctx, h.employee, "a", caps)
		r.must(err)
		r.b.advance(time.Second)
		return at, granted
	}
	granted := func(want bool, employee int64) {
		r.Helper()
		if at, granted := share(employee); granted != want {
			r.Errorf("the share of %d: granted %v, at %v", employee, granted, at)
		}
	}
	waits := func(employee int64, until time.Time) {
		r.Helper()
		if at, granted := share(employee); granted || !at.Equal(until) {
			r.Errorf("the share of %d: granted %v, at %v, want %v", employee, granted, at, until)
		}
	}
	r.connected("a", "client", false)
	for id := range int64(10) {
		r.active(id+1, fmt.Sprint("e", id+1))
	}
	tomorrow := r.b.now().Truncate(grain).Add(grain + 24*time.Hour)
	granted(true, 1)
	granted(true, 2)
	for id := range int64(3) {
		waits(id+3, tomorrow.Add(time.Duration(id/2)*(24*time.Hour+grain)))
	}
	// A calendar's share comes after theirs.
	c := r.creation(100, 1000)
	c.Caps = caps
	if position := r.ask(100, c); position.Granted || !position.At.Equal(tomorrow.Add(24*time.Hour+grain)) {
		r.Errorf("a calendar that could not be shared: %+v", position)
	}
	// Whoever comes first the next day.
	r.b.advance(tomorrow.Sub(r.b.now()))
	granted(false, 6)
	granted(false, 5)
	granted(true, 4)
	granted(true, 3)
	// What Google refused is not made, and its place not lost.
	r.must(r.s.CreationRefused(r.ctx, "a", store.SharingCalendars, false))
	granted(false, 7)
	granted(false, 6)
	granted(true, 3)
	// Nor is what was kept for it, until an hour after the next try.
	r.must(r.s.CreationRefused(r.ctx, "a", store.SharingCalendars, false))
	granted(false, 5)
	granted(true, 3)
	r.must(r.s.CreationRefused(r.ctx, "a", store.SharingCalendars, false))
	r.b.advance(time.Hour)
	granted(true, 5)
	r.b.advance(24*time.Hour + grain)
	granted(true, 6)
	granted(true, 7)
	granted(false, 8)
	// Who stays away keeps nobody from what is there.
	r.b.advance(48*time.Hour + grain)
	granted(true, 9)
	granted(true, 10)
	granted(false, 8)
}

// refusalsTeach shows what is learned of how much had been made when Google refused more,
// and how it is forgotten (rule 6.5).
func refusalsTeach(r *rig) {
	configured := store.Caps{CalendarsPerHour: 20, CalendarsPerDay: 50, SharesPerDay: 70}
	inForce := func() store.Caps { return r.account().Learned.In(configured, r.b.now()) }
	refuse := func(what store.Creation) {
		r.Helper()
		r.must(r.s.CreationRefused(r.ctx, "a", what, true))
		r.must1(r.s.PauseCreations(r.ctx, "a", "quotaExceeded"))
	}
	id := int64(100)
	made := func(n int) {
		r.Helper()
		for range n {
			id++
			c := r.creation(id, 1000)
			if !r.ask(id, c).Granted {
				r.Fatal("a creation waits")
			}
		}
	}
	r.connected("a", "client", false)
	equal(r, "before any refusal", inForce(), store.Caps{CalendarsPerDay: 50, SharesPerDay: 70})
	// All of it was made within the hour: a limit of the hour. That is what it is of the day
	// only if it lasts; the refused ones count as asked for and not as made.
	made(8)
	r.unchanged("the refusal of another account", func() { r.must(r.s.CreationRefused(r.ctx, "b", store.CreatingCalendars, true)) })
	refuse(store.CreatingCalendars)
	equal(r, "after a first refusal", inForce(), store.Caps{CalendarsPerHour: 7, CalendarsPerDay: 50, SharesPerDay: 70})
	r.b.advance(16 * time.Minute)
	refuse(store.CreatingCalendars)
	equal(r, "after another within the hour", inForce(), store.Caps{CalendarsPerHour: 7, CalendarsPerDay: 50, SharesPerDay: 70})
	r.b.advance(time.Hour)
	made(1)
	refuse(store.CreatingCalendars)
	equal(r, "where it lasts", inForce(), store.Caps{CalendarsPerHour: 7, CalendarsPerDay: 7, SharesPerDay: 70})
	equal(r, "connected anew", r.connected("a", "client", true).Learned.In(configured, r.b.now()), inForce())
	// Forgotten by a tenth a day, and at least by one.
	for _, row := range []struct {
		days int
		want store.Caps
	}{
		{1, store.Caps{CalendarsPerHour: 8, CalendarsPerDay: 8, SharesPerDay: 70}}, {5, store.Caps{CalendarsPerHour: 13, CalendarsPerDay: 13, SharesPerDay: 70}},
		{10, store.Caps{CalendarsPerDay: 26, SharesPerDay: 70}}, {100, store.Caps{CalendarsPerDay: 50, SharesPerDay: 70}},
	} {
		r.b.advance(time.Duration(row.days) * 24 * time.Hour)
		equal(r, "forgotten", inForce(), row.want)
	}
	// A success ends the row; what was made over the day is a limit of the day.
	r.must(r.s.CreationsWork(r.ctx, "a"))
	made(4)
	r.b.advance(3 * time.Hour)
	made(3)
	refuse(store.CreatingCalendars)
	equal(r, "of a day", inForce(), store.Caps{CalendarsPerDay: 6, SharesPerDay: 70})
	// Shares.
	r.b.advance(7 * time.Hour)
	r.must(r.s.CreationsWork(r.ctx, "a"))
	h := r.take(store.Employees, 99, "")
	for range 3 {
		r.must1(func() (bool, error) {
			_, granted, err := r.s.ReserveShare(r.ctx, h.employee, "a", configured)
			return granted, err
		}())
	}
	r.release(h, store.Result{})
	refuse(store.SharingCalendars)
	equal(r, "of shares", inForce(), store.Caps{CalendarsPerDay: 6, SharesPerDay: 2})
	// While all writes are refused, it teaches nothing of creations.
	r.b.advance(24 * time.Hour)
	r.must(r.s.CreationsWork(r.ctx, "a"))
	r.must1(r.s.PauseWrites(r.ctx, "a", "quotaExceeded"))
	r.b.advance(6 * time.Minute)
	before := r.account()
	r.must(r.s.CreationRefused(r.ctx, "a", store.CreatingCalendars, true))
	equal(r, "a refusal while all writes are", r.account(), before)
}

// refusedIsNotMade shows that what Google refused leaves its room to others: in the day, and
// in the bucket (rule 6.5).
func refusedIsNotMade(r *rig) {
	r.connected("a", "client", false)
	caps := store.Caps{CalendarsPerDay: 2, SharesPerDay: 1}
	ask := func(employee int64) bool {
		r.Helper()
		c := r.creation(employee, 2)
		c.Caps = caps
		return r.ask(employee, c).Granted
	}
	for id := range int64(10) {
		if !ask(id + 1) {
			r.Fatalf("refused creation %d took a place", id)
		}
		r.must(r.s.CreationRefused(r.ctx, "a", store.CreatingCalendars, false))
		equal(r, "learned", r.account().Learned, nil)
	}
	if !ask(11) || !ask(12) || ask(13) {
		r.Error("not exactly two may be made")
	}
	h := r.take(store.Employees, 99, "")
	share := func() bool {
		r.Helper()
		_, granted, err := r.s.ReserveShare(r.ctx, h.employee, "a", caps)
		r.must(err)
		return granted
	}
	for range 5 {
		if !share() {
			r.Fatal("a refused share took a place")
		}
		r.must(r.s.CreationRefused(r.ctx, "a", store.SharingCalendars, false))
	}
	if !share() || share() {
		r.Error("not exactly one may be shared")
	}
	r.release(h, store.Result{})
}
