package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// connect connects an account with a client.
func (r *rig) connect(sub, client string, known bool) (store.AccountRecord, error) {
	return r.s.Connect(r.ctx, store.AccountRecord{
		Sub: sub, Email: sub + "@example.org", ClientID: client, Scopes: []string{"calendar"}, Sealed: []byte("sealed " + client),
	}, known)
}

// connected wants the account to be connected and gives it.
func (r *rig) connected(sub, client string, known bool) store.AccountRecord {
	r.Helper()
	a, err := r.connect(sub, client, known)
	r.must(err)
	return a
}

func (r *rig) account() store.AccountRecord {
	r.Helper()
	a, err := r.s.Account(r.ctx)
	r.must(err)
	return a
}

func connections(r *rig) {
	_, err := r.s.Account(r.ctx)
	r.is(err, store.ErrNotConnected)
	in, err := r.s.Installation(r.ctx)
	r.must(err)
	equal(r, "installation before", in, store.InstallationRecord{})

	got := r.connected("a", "client", false)
	want := store.AccountRecord{
		Sub: "a", Email: "a@example.org", ClientID: "client", Scopes: []string{"calendar"}, Sealed: []byte("sealed client"),
		Version: 1, Connected: true, ConnectedAt: r.began,
	}
	equal(r, "first connection", got, want)
	equal(r, "first connection, stored", r.account(), want)

	// Connected anew: nothing of the old grant's troubles stays, but Google's pause,
	// which is the account's.
	until := r.began.Add(time.Hour)
	r.must(r.s.PauseWrites(r.ctx, "a", until))
	r.refuse("a", 1, false)
	r.b.advance(time.Minute)
	r.refuse("a", 1, true)
	want.Version, want.ConnectedAt, want.PausedUntil = 2, r.b.now(), until
	equal(r, "connected anew", r.connected("a", "client", true), want)
	equal(r, "connected anew, stored", r.account(), want)
	r.refuse("a", 2, false)
	r.b.advance(time.Minute)
	r.refuse("a", 2, true)
	revived, err := r.s.Connect(r.ctx, r.account(), true)
	r.must(err)
	want.Version, want.ConnectedAt = 3, r.b.now()
	equal(r, "connected anew with all that was recorded", revived, want)

	r.must1(r.s.SetTenant(r.ctx, "tenant"))
	b := r.connected("b", "client", false)
	equal(r, "version of another account", b.Version, 1)
	equal(r, "account in use", r.account(), b)
	in, err = r.s.Installation(r.ctx)
	r.must(err)
	equal(r, "installation", in, store.InstallationRecord{Tenant: "tenant", Account: "b"})
	equal(r, "version of the first account, connected again", r.connected("a", "client", false).Version, 4)
}

// must1 is must for a value that does not matter.
func (r *rig) must1(_ any, err error) {
	r.Helper()
	r.must(err)
}

func otherAccount(r *rig) {
	for _, known := range []bool{true, false} {
		if _, err := r.connect("a", "client", known); err != nil {
			r.Errorf("the same account, calendars known %v: %v", known, err)
		}
	}
	r.unchanged("while calendars are known", func() {
		for _, c := range [][2]string{{"b", "client"}, {"a", "other"}, {"b", "other"}} {
			got, err := r.connect(c[0], c[1], true)
			r.is(err, store.ErrOtherAccount)
			equal(r, "account", got, store.AccountRecord{})
		}
	})
	equal(r, "another client, no calendars known", r.connected("a", "other", false).ClientID, "other")
	equal(r, "another account, no calendars known", r.connected("b", "other", false).Sub, "b")
	r.unchanged("an account of earlier, while calendars are known", func() {
		_, err := r.connect("a", "other", true)
		r.is(err, store.ErrOtherAccount)
	})
}

// refuse tells the store that Google refused a version, which disconnects or not.
func (r *rig) refuse(sub string, version int64, disconnects bool) {
	r.Helper()
	got, err := r.s.GrantRefused(r.ctx, sub, version, "invalid_grant", 30*time.Second)
	r.must(err)
	equal(r, "disconnected", got, disconnects)
}

func grantRefused(r *rig) {
	r.connected("a", "client", false)
	want := r.account()
	same := func(what string) {
		r.Helper()
		equal(r, what, r.account(), want)
	}
	r.refuse("a", 1, false)
	want.SuspectSince = r.began
	same("refused once")
	r.b.advance(30*time.Second - time.Microsecond)
	r.refuse("a", 1, false)
	same("refused again too soon to be a repeat")
	r.must(r.s.GrantWorks(r.ctx, "a", 1))
	want.SuspectSince = time.Time{}
	same("works after all")

	r.must(r.s.ClientRefused(r.ctx, "a"))
	want.ClientRefusedAt = r.b.now()
	same("our client refused")
	r.b.advance(time.Minute)
	r.must(r.s.ClientRefused(r.ctx, "a"))
	same("refused still: since the first time")
	r.must(r.s.GrantWorks(r.ctx, "a", 1))
	want.ClientRefusedAt = time.Time{}
	same("taken again")

	r.b.advance(time.Hour)
	r.refuse("a", 1, false)
	want.SuspectSince = r.b.now()
	same("refused once, much later")
	r.b.advance(30 * time.Second)
	r.refuse("a", 1, true)
	want.Connected, want.DisconnectedAt, want.Disconnected = false, r.b.now(), "invalid_grant"
	same("refused twice")
	r.b.advance(time.Minute)
	r.refuse("a", 1, false)
	same("refused when disconnected")
	r.must(r.s.GrantAlarmed(r.ctx, "a", 1))
	want.Alarmed = 1
	same("told")

	r.unchanged("an account nobody knows", func() {
		r.refuse("b", 1, false)
		r.must(r.s.GrantWorks(r.ctx, "b", 1))
		r.must(r.s.GrantAlarmed(r.ctx, "b", 1))
		r.must(r.s.ClientRefused(r.ctx, "b"))
		r.must(r.s.PauseWrites(r.ctx, "b", r.b.now().Add(time.Hour)))
	})
}

func grantOfAnotherVersion(r *rig) {
	r.connected("a", "client", false)
	r.refuse("a", 1, false)
	r.connected("a", "client", true)
	r.b.advance(time.Hour)
	r.unchanged("an old version is refused again", func() { r.refuse("a", 1, false) })
	r.refuse("a", 2, false)
	r.unchanged("an old version works", func() { r.must(r.s.GrantWorks(r.ctx, "a", 1)) })
	r.unchanged("a version to come", func() {
		r.refuse("a", 3, false)
		r.must(r.s.GrantWorks(r.ctx, "a", 3))
	})
	r.b.advance(30 * time.Second)
	r.refuse("a", 2, true)
}

func pauses(r *rig) {
	r.connected("a", "client", false)
	for _, c := range []struct{ until, want time.Duration }{
		{15 * time.Minute, 15 * time.Minute},
		{30 * time.Minute, 30 * time.Minute},
		{20 * time.Minute, 30 * time.Minute}, // never shortened
	} {
		r.must(r.s.PauseWrites(r.ctx, "a", r.began.Add(c.until)))
		equal(r, fmt.Sprintf("paused after %v", c.until), r.account().PausedUntil, r.began.Add(c.want))
	}
}

func tenant(r *rig) {
	for _, mine := range []string{"first", "second", "first"} {
		got, err := r.s.SetTenant(r.ctx, mine)
		r.must(err)
		equal(r, "tenant", got, "first")
	}
	r.connected("a", "client", false)
	in, err := r.s.Installation(r.ctx)
	r.must(err)
	equal(r, "installation", in, store.InstallationRecord{Tenant: "first", Account: "a"})
}

func slots(r *rig) {
	const spacing = 100 * time.Millisecond
	for i, c := range []struct {
		what    string
		advance time.Duration
		k       int
		ahead   time.Duration
		got     int
		wait    time.Duration
	}{
		{"the first", 0, 3, 5 * time.Second, 3, 0},
		{"behind them", 0, 2, 5 * time.Second, 2, 300 * time.Millisecond},
		{"no further ahead than allowed", 0, 10, time.Second, 6, 500 * time.Millisecond},
		{"none so early", 0, 3, time.Second, 0, 1100 * time.Millisecond},
		{"the first that starts late enough", 0, 1, 1100 * time.Millisecond, 1, 1100 * time.Millisecond},
		{"time passes", 700 * time.Millisecond, 1, time.Second, 1, 500 * time.Millisecond},
		{"unused slots lapse", time.Minute, 10, 250 * time.Millisecond, 3, 0},
		{"at the moment of the last", 300 * time.Millisecond, 1, 0, 1, 0},
	} {
		r.b.advance(c.advance)
		got, wait, err := r.s.ReserveSlots(r.ctx, "a", c.k, spacing, c.ahead)
		r.must(err)
		if got != c.got || wait != c.wait {
			r.Errorf("%d, %s: %d slots in %v, want %d in %v", i, c.what, got, wait, c.got, c.wait)
		}
	}
	got, wait, err := r.s.ReserveSlots(r.ctx, "b", 1, spacing, 0)
	r.must(err)
	if got != 1 || wait != 0 {
		r.Errorf("another account: %d slots in %v, want its own", got, wait)
	}
}

func creations(r *rig) {
	reserve := func(what string, want time.Duration) {
		r.Helper()
		wait, err := r.s.ReserveCreation(r.ctx, "a", 3)
		r.must(err)
		// Reckoned in fractions of a creation.
		if d := wait - want; d.Abs() > time.Millisecond || (want == 0) != (wait == 0) {
			r.Errorf("%s: wait %v, want %v", what, wait, want)
		}
	}
	_, _, err := r.s.ReserveSlots(r.ctx, "a", 2, time.Second, time.Minute)
	r.must(err)
	for range 3 {
		reserve("a full bucket", 0)
	}
	reserve("an empty bucket", 20*time.Minute)
	r.b.advance(5 * time.Minute)
	reserve("asked too early", 15*time.Minute)
	r.b.advance(15*time.Minute + time.Microsecond)
	reserve("refilled by one", 0)
	reserve("empty again", 20*time.Minute)
	r.b.advance(100 * time.Hour)
	for range 3 {
		reserve("never fuller than an hour's", 0)
	}
	reserve("the fourth", 20*time.Minute)
	if wait, err := r.s.ReserveCreation(r.ctx, "b", 3); wait != 0 || err != nil {
		r.Error(errors.Join(fmt.Errorf("another account waits %v, want its own bucket", wait), err))
	}
	// Slots and creations share a document, but not a count.
	got, wait, err := r.s.ReserveSlots(r.ctx, "a", 1, time.Second, 0)
	r.must(err)
	if got != 1 || wait != 0 {
		r.Errorf("%d slots in %v, want 1 now", got, wait)
	}
	reserve("after slots", 20*time.Minute)
}
