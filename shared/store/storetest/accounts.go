package storetest

import (
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
	until := r.pause("a", time.Time{})
	r.refuse("a", 1, false)
	r.b.advance(time.Minute)
	r.refuse("a", 1, true)
	want.Version, want.ConnectedAt, want.PausedUntil, want.PauseSeconds = 2, r.b.now(), until, 15*60
	want.PauseReason = "quotaExceeded"
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
		r.must(r.s.RaiseIncident(r.ctx, "b", shutOut()))
		until, err := r.s.PauseWrites(r.ctx, "b", "quotaExceeded")
		r.must(err)
		equal(r, "paused until", until, time.Time{})
		r.must(r.s.WritesWork(r.ctx, "b"))
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

func zoneNames(r *rig) {
	name := func(zone, want string) {
		r.Helper()
		got, err := r.s.GoogleZone(r.ctx, zone)
		r.must(err)
		equal(r, "the name of "+zone, got, want)
	}
	name("Europe/Kyiv", "")
	r.must(r.s.SetGoogleZone(r.ctx, "Europe/Kyiv", "Europe/Kiev"))
	r.must(r.s.SetGoogleZone(r.ctx, "Asia/Kolkata", "Asia/Calcutta"))
	name("Europe/Kyiv", "Europe/Kiev")
	name("Asia/Kolkata", "Asia/Calcutta")
	r.unchanged("the same name again", func() { r.must(r.s.SetGoogleZone(r.ctx, "Europe/Kyiv", "Europe/Kiev")) })
	r.must(r.s.SetGoogleZone(r.ctx, "Europe/Kyiv", "Europe/Kyiv"))
	name("Europe/Kyiv", "Europe/Kyiv")
}

func unreadableMark(r *rig) {
	noted := func(what string, calendar, event *store.UnreadableMark, calendars, events bool) {
		r.Helper()
		in, err := r.s.Installation(r.ctx)
		r.must(err)
		equal(r, what+": of a calendar", in.Unreadable, calendar)
		equal(r, what+": of an event", in.UnreadableEvent, event)
		equal(r, what+": calendars are stopped", in.Unreadable.Stops(r.b.now()), calendars)
		equal(r, what+": events are stopped", in.UnreadableEvent.Stops(r.b.now()), events)
	}
	one, other := store.UnreadableMark{Employee: 7, Calendar: "c7"}, store.UnreadableMark{Employee: 9, Calendar: "c9"}
	event, later := store.UnreadableMark{Employee: 8, Calendar: "c8", Event: "e"}, store.UnreadableMark{Employee: 8, Calendar: "c8", Event: "e2"}
	noted("nothing", nil, nil, false, false)
	r.unchanged("what was never noted", func() { r.must(r.s.NoteReadable(r.ctx, one)) })
	r.must(r.s.NoteUnreadable(r.ctx, one))
	one.Since = r.b.now()
	noted("a calendar's", &one, nil, true, false)
	r.b.advance(48 * time.Hour)
	r.unchanged("another, and the end of another", func() {
		r.must(r.s.NoteUnreadable(r.ctx, other))
		r.must(r.s.NoteReadable(r.ctx, other))
	})
	noted("the first stays", &one, nil, true, false)

	r.must(r.s.NoteUnreadable(r.ctx, event))
	event.Since = r.b.now()
	noted("an event's beside it", &one, &event, true, true)
	r.must(r.s.NoteReadable(r.ctx, one))
	noted("the calendar's is readable", nil, &event, false, true)
	r.b.advance(24 * time.Hour)
	noted("an event's, a day later", nil, &event, false, false)
	r.must(r.s.NoteUnreadable(r.ctx, later))
	later.Since = r.b.now()
	noted("another in its place", nil, &later, false, true)
	r.must(r.s.NoteReadable(r.ctx, later))
	noted("readable", nil, nil, false, false)
}
