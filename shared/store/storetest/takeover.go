package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// oneDecision shows that of admins who take over, and others who start afresh, at the same
// time, one kind of decision holds, and whoever decided otherwise is told (rule 3.13). Who took
// the same calendars over is told nothing: it is done.
func oneDecision(r *rig) {
	_, err := r.s.AskTakeover(r.ctx, store.FoundRecord{Account: "a", Calendars: []store.FoundCalendar{
		{ID: "x", Tenant: "old", Employee: 1}, {ID: "y", Tenant: "another", Employee: 1},
	}})
	r.must(err)
	list, _, _, err := r.s.Found(r.ctx)
	r.must(err)
	// A decision is the tenant that is taken over, or that of a new beginning.
	wanted := func(i int) (takeOver, afresh string) {
		switch i % 3 {
		case 0:
			return "old", ""
		case 1:
			return "another", ""
		}
		return "", fmt.Sprint("new-", i)
	}
	var done counts[[2]string]
	var told counts[bool]
	r.together(func(i int) {
		takeOver, afresh := wanted(i)
		decide, tenant := r.s.TakeOver, takeOver
		if afresh != "" {
			decide, tenant = r.s.StartAfresh, afresh
		}
		switch err := decide(r.ctx, list.Hash, tenant); {
		case err == nil:
			done.add([2]string{takeOver, afresh})
		case errors.Is(err, store.ErrStale):
			told.add(true)
		default:
			r.Error(err)
		}
	})
	in, err := r.s.Installation(r.ctx)
	r.must(err)
	holds, same := [2]string{in.TakingOver, in.Tenant}, 0
	for i := range callers {
		if takeOver, afresh := wanted(i); holds == [2]string{takeOver, afresh} {
			same++
		}
	}
	equal(r, "what holds was decided, by whoever was not told otherwise", done.n, map[[2]string]int{holds: same})
	equal(r, "told", told.n, map[bool]int{true: callers - same})
	equal(r, "still to be decided", in.Undecided(), false)
}

// takeover shows that nothing gives the installation a tenant while an admin has to
// decide about what was found, that the decision concerns the very list that was shown,
// and that it is made once (rule 3.13).
func takeover(r *rig) {
	list := func(ids ...string) store.FoundRecord {
		f := store.FoundRecord{Account: "a", Dead: 1}
		for i, id := range ids {
			f.Calendars = append(f.Calendars, store.FoundCalendar{ID: id, Tenant: "old", Employee: int64(9 - i), Name: id, Written: store.WrittenHere})
		}
		return f
	}
	ask := func(f store.FoundRecord, want bool) {
		r.Helper()
		undecided, err := r.s.AskTakeover(r.ctx, f)
		r.must(err)
		equal(r, "undecided", undecided, want)
	}
	shown := func() (store.FoundRecord, time.Time) {
		r.Helper()
		f, asked, found, err := r.s.Found(r.ctx)
		r.must(err)
		if !found {
			r.Fatal("there is nothing to decide")
		}
		return f, asked
	}
	installation := func() store.InstallationRecord {
		r.Helper()
		in, err := r.s.Installation(r.ctx)
		r.must(err)
		return in
	}
	tenant := func(wanted, inForce string) {
		r.Helper()
		got, err := r.s.SetTenant(r.ctx, wanted)
		r.must(err)
		equal(r, "tenant", got, inForce)
	}
	if _, _, found, err := r.s.Found(r.ctx); found || err != nil {
		r.Fatalf("found %v, %v", found, err)
	}
	r.is(r.s.TakeOver(r.ctx, "", "old"), store.ErrStale)
	began := r.b.now()
	ask(list("x", "b"), true)
	before, asked := shown()
	equal(r, "asked", asked, began)
	equal(r, "the order", []string{before.Calendars[0].ID, before.Calendars[1].ID}, []string{"b", "x"})
	tenant("mine", "")
	r.b.advance(time.Hour)
	ask(list("b", "x"), true)
	again, asked := shown()
	equal(r, "asked, the second time", asked, began)
	equal(r, "looked at", again.LookedAt, r.b.now())
	// The same calendars are other employees' now.
	if again.Hash == before.Hash {
		r.Error("another list has the same hash")
	}
	r.unchanged("decisions about what was not shown", func() {
		r.is(r.s.TakeOver(r.ctx, before.Hash, "old"), store.ErrStale)
		r.is(r.s.TakeOver(r.ctx, again.Hash, "another"), store.ErrStale)
		r.is(r.s.StartAfresh(r.ctx, before.Hash, "mine"), store.ErrStale)
		r.is(r.s.StartAfresh(r.ctx, again.Hash, "old"), store.ErrStale)
	})
	r.must(r.s.TakeOver(r.ctx, again.Hash, "old"))
	equal(r, "decided", installation(), store.InstallationRecord{TakingOver: "old", TakingOverSince: r.b.now()})
	r.unchanged("it is decided", func() {
		r.must(r.s.TakeOver(r.ctx, again.Hash, "old"))
		r.is(r.s.StartAfresh(r.ctx, again.Hash, "mine"), store.ErrStale)
		ask(list("b"), false)
		tenant("mine", "")
		if _, _, found, err := r.s.Found(r.ctx); found || err != nil {
			r.Errorf("found %v, %v", found, err)
		}
	})
	tenant("old", "old")
	equal(r, "taken over", installation(), store.InstallationRecord{Tenant: "old"})
	ask(list("b"), false)
}
