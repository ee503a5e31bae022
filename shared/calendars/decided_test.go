package calendars_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// In whatever order people come and go in the ERP, settings change, an admin confirms, drops
// and reopens what is held, begins purges and stops them half-way, the owner deletes
// calendars and Google denies some: once all that ends, everybody who is to have a calendar
// has one, and nobody else has, and nothing is held or kept any more.
func TestWhateverAnAdminDecidesTheCalendarsEndUpRight(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			d := &decisions{bench: newBench(t), r: rand.New(rand.NewPCG(seed, 9))}
			d.undecided = true
			_, d.staff = d.staffed("Olena", "Petro", "Ivan", "Iryna", "Taras")
			for n := range 5 {
				d.addTask(d.hour(9+n), d.staff[n], d.staff[(n+1)%5])
			}
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(strings.Join(d.history, "\n"))
				}
			})
			for range 40 {
				d.step()
			}
			d.end(t)
		})
	}
}

// decisions is a walk through what people decide.
type decisions struct {
	*bench
	r       *rand.Rand
	staff   []int64
	history []string
}

func (d *decisions) note(format string, args ...any) {
	d.history = append(d.history, d.clock.Now().Format("02 15:04 ")+fmt.Sprintf(format, args...))
}

func (d *decisions) save(over map[string]any) {
	d.t.Helper()
	d.use(over)
	rec, _, err := d.store.SavedSettings(d.t.Context())
	must(d.t, err)
	must(d.t, d.store.SaveSettings(d.t.Context(), d.set, account, rec.Version))
}

func (d *decisions) card(who int64, change func(*fakeerp.Employee)) {
	d.t.Helper()
	must(d.t, d.erp.UpdateEmployee(who, change))
}

func (d *decisions) step() {
	d.t.Helper()
	ctx, who := d.t.Context(), d.staff[d.r.IntN(len(d.staff))]
	of := []int64{who}
	switch choice := d.r.IntN(16); choice {
	case 0, 1:
		gone := d.r.IntN(2) == 0
		d.note("%d dismissed %t", who, gone)
		d.card(who, func(e *fakeerp.Employee) { e.Dismissed = gone })
	case 2:
		value := []string{"", "1"}[d.r.IntN(2)]
		d.note("%d bound %q", who, value)
		must(d.t, d.erp.SetField(who, binding, value))
	case 3:
		address := []string{"", "none", fmt.Sprintf("e%d@provider.example", who), fmt.Sprintf("new%d@provider.example", who)}[d.r.IntN(4)]
		d.note("%d has address %q", who, address)
		d.card(who, func(e *fakeerp.Employee) { e.Email = address })
	case 4:
		d.note("everybody is dismissed")
		for _, id := range d.staff {
			d.card(id, func(e *fakeerp.Employee) { e.Dismissed = true })
		}
		of = d.staff
	case 5:
		over := []map[string]any{{}, {"binding_field": 0}, {"time_zone": "Europe/Warsaw"}, {"enabled": false}}[d.r.IntN(4)]
		if in, err := d.store.Installation(ctx); err != nil || !in.Purge.Open() {
			d.note("settings %v", over)
			d.save(over)
		}
	case 6, 7, 8:
		d.decideHeld()
	case 9, 10:
		d.purgeOn()
	case 11:
		if all := d.live(who); len(all) > 0 {
			d.note("the owner deletes %s of %d", all[0].ID, who)
			must(d.t, d.google.DeleteCalendar(all[0].ID))
		}
	case 12:
		spell := fakegoogle.NotFoundSpell(fakegoogle.BodyDefault)
		spell.For = time.Duration(1+d.r.IntN(40)) * time.Minute
		d.note("404 for %v", spell.For)
		d.google.Begin(spell)
	default:
		of = d.staff
	}
	at := 0
	if d.r.IntN(3) == 0 {
		at = 1 + d.r.IntN(40)
	}
	cause := []queue.Cause{queue.CauseNotify, queue.CauseReconcile, queue.CauseConsole}[d.r.IntN(3)]
	i := d.start(at)
	d.note("pass over %v because of %s, killed at %d", of, cause, at)
	i.deliver(delivery{id: d.newID(), employees: of, cause: cause})
	d.clock.advance([]time.Duration{time.Second, time.Minute, 12 * time.Minute, 3 * time.Hour, 25 * time.Hour}[d.r.IntN(5)])
	if d.r.IntN(2) == 0 {
		d.start(0).due()
	}
}

// decideHeld has an admin confirm, drop or reopen what is held.
func (d *decisions) decideHeld() {
	d.t.Helper()
	ctx := d.t.Context()
	plan, err := d.store.Held(ctx)
	must(d.t, err)
	dropped, err := d.store.Dropped(ctx)
	must(d.t, err)
	for _, k := range plan.Keys {
		switch d.r.IntN(3) {
		case 0:
			d.note("%v is confirmed", k.Key)
			must(d.t, d.store.Allow(ctx, k.Key))
		case 1:
			d.note("%v is kept", k.Key)
			must(d.t, d.store.Drop(ctx, k.Key))
		}
	}
	for _, k := range dropped {
		if d.r.IntN(2) == 0 {
			d.note("%v is reopened", k.Key)
			must(d.t, d.store.Reopen(ctx, k.Key))
		}
	}
}

// purgeOn begins a purge, stops it, or lets it end and syncing begin anew.
func (d *decisions) purgeOn() {
	d.t.Helper()
	ctx := d.t.Context()
	in, err := d.store.Installation(ctx)
	must(d.t, err)
	switch {
	case !in.Purge.Open():
		d.note("purge")
		d.use(map[string]any{"enabled": false})
		rec, _, err := d.store.SavedSettings(ctx)
		must(d.t, err)
		must(d.t, d.store.StartPurge(ctx, store.PurgeRecord{ID: d.newID(), By: account, Calendars: 2, Events: 2}, d.set, rec.Version))
	case d.r.IntN(2) == 0:
		d.note("purge stopped")
		must(d.t, d.store.StopPurge(ctx))
		d.save(nil)
	default:
		i := d.start(0)
		must(d.t, i.calendars.StartFullRun(ctx, queue.CauseConsole, d.newID()))
		for range 3 {
			i.due()
			d.clock.advance(2 * time.Minute)
		}
		_, err := d.store.FinishPurge(ctx)
		must(d.t, err)
		in, err := d.store.Installation(ctx)
		must(d.t, err)
		d.note("purge goes on: %t", in.Purge.Open())
		if !in.Purge.Open() {
			d.save(nil)
		}
	}
}

// end has everything be right in the ERP and at Google, and looks.
func (d *decisions) end(t *testing.T) {
	t.Helper()
	must(t, d.store.StopPurge(t.Context()))
	d.save(nil)
	for n, id := range d.staff {
		d.card(id, func(e *fakeerp.Employee) {
			e.Dismissed, e.Email, e.Fields = false, fmt.Sprintf("last%d@provider.example", id), map[int64]string{binding: "1"}
			if n == 4 {
				e.Dismissed = true
			}
		})
	}
	d.undecided = false
	d.clock.advance(50 * time.Hour)
	i := d.start(0)
	for range 3 {
		i.fullRun()
		d.clock.advance(26 * time.Hour)
	}
	dropped, err := d.store.Dropped(t.Context())
	must(t, err)
	for n, id := range d.staff {
		rec := d.record(id)
		if n == 4 {
			kept := slices.ContainsFunc(dropped, func(k store.HeldKey) bool { return k.Key == store.EmployeeKey(id) })
			if (d.calendar(id) != "") != kept {
				t.Errorf("%d is dismissed, kept %t, and has calendar %q: %+v", id, kept, d.calendar(id), rec)
			}
			continue
		}
		all := d.live(id)
		if len(all) != 1 || all[0].Role(fmt.Sprintf("last%d@provider.example", id)) != "reader" {
			t.Errorf("%d has %+v: %+v", id, all, rec)
			continue
		}
		if rec.Held != "" || rec.KeptFor != "" || len(rec.Retiring) > 0 || rec.Failure != nil || rec.State != store.StateActive {
			t.Errorf("%d: %+v", id, rec)
		}
	}
	d.wantQuiet(d.staff...)
}
