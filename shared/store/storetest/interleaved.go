package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// interleaved lets another transaction come between the run of a closure that loses
// and the one that counts: nothing that the first run saw may be told or stored.
func interleaved(t *testing.T, open func(t *testing.T) store.Backend) {
	for _, c := range []struct {
		name string
		// run prepares, and gives what comes between, the call, and what it must give.
		run func(r *rig) (between func(), do func() any, want any)
	}{
		{"a lease is taken first by another", func(r *rig) (func(), func() any, any) {
			return func() { r.take(store.Tasks, 70, "m1") },
				func() any {
					l, outcome, err := r.s.AcquireTask(r.ctx, 70, r.claim("m2"))
					r.must(err)
					return taken{l.Lease, outcome}
				},
				taken{store.Lease{}, store.Busy}
		}},
		{"a lease ends in time", func(r *rig) (func(), func() any, any) {
			r.take(store.Employees, 7, "m1")
			return func() { r.b.advance(ttl) },
				func() any {
					_, outcome, err := r.s.AcquireEmployee(r.ctx, 7, r.claim("m1"))
					r.must(err)
					return outcome
				},
				store.Acquired
		}},
		{"the lease ends before the intent", func(r *rig) (func(), func() any, any) {
			r.active(1, "now")
			r.active(2, "other")
			h := r.take(store.Tasks, 70, "m1")
			return func() { r.b.advance(ttl) },
				func() any {
					refused, err := r.s.IntendTask(r.ctx, h.task, []store.Intent{r.intent(1, "now"), r.intent(2, "now")})
					r.is(err, store.ErrLeaseLost)
					return []any{len(refused), len(h.task.Record.Mappings), len(h.task.Record.Announced)}
				}, []any{0, 0, 0}
		}},
		{"a calendar becomes active before the intent", func(r *rig) (func(), func() any, any) {
			h := r.take(store.Tasks, 70, "m1")
			return func() { r.active(1, "now") },
				func() any {
					refused, err := r.s.IntendTask(r.ctx, h.task, []store.Intent{r.intent(1, "now"), r.intent(2, "now")})
					r.must(err)
					return refused
				}, []int64{2}
		}},
		{"a notification comes before the release", func(r *rig) (func(), func() any, any) {
			h := r.take(store.Tasks, 70, "m1")
			return func() { r.acquire(store.Tasks, 70, r.claim("m2")) },
				func() any {
					released, err := r.s.SettleTask(r.ctx, h.task, store.TaskOutcome{})
					r.must(err)
					return []any{released, h.task.Pass, h.task.Dirty, r.work(store.Tasks, 70).Dirty}
				}, []any{false, 2, int64(2), int64(2)}
		}},
		{"a message gives up before the release", func(r *rig) (func(), func() any, any) {
			h := r.take(store.Employees, 7, "m1")
			return func() { r.must(r.s.RecordDeadLetter(r.ctx, store.EmployeeKey(7), "poll", 100)) },
				func() any {
					released, err := r.s.SettleEmployee(r.ctx, h.employee, store.Result{})
					r.must(err)
					return []any{released, h.employee.Record.DeadLetter, len(all[store.DeadLetterRecord](r, store.DeadLetters))}
				}, []any{false, true, 1}
		}},
		{"the same pass is settled first", func(r *rig) (func(), func() any, any) {
			first := r.take(store.Employees, 7, "m1")
			return func() { r.release(first, store.Result{}) },
				func() any {
					_, err := r.s.SettleEmployee(r.ctx, first.employee, store.Result{Err: errors.New("x")})
					r.is(err, store.ErrLeaseLost)
					return r.work(store.Employees, 7)
				}, store.Work{}
		}},
		{"a record changes before it is saved", func(r *rig) (func(), func() any, any) {
			h := r.take(store.Employees, 7, "m1")
			found := store.CalendarRecord{ID: "c", Epoch: "e", From: r.began}
			return func() {
					_, err := r.s.AdoptCalendar(r.ctx, 7, found)
					r.must(err)
				},
				func() any {
					r.must(r.s.SaveEmployee(r.ctx, h.employee, func(e *store.EmployeeRecord) { e.Name = "Olena" }))
					return *h.employee.Record.Calendar
				}, found
		}},
		{"a calendar is announced before one is adopted", func(r *rig) (func(), func() any, any) {
			return func() { r.active(7, "other") },
				func() any {
					adopted, err := r.s.AdoptCalendar(r.ctx, 7, store.CalendarRecord{ID: "c", Epoch: "e", From: r.began})
					r.must(err)
					rec, _, err := r.s.Employee(r.ctx, 7)
					r.must(err)
					return []any{adopted, rec.Calendar.Epoch}
				}, []any{false, "other"}
		}},
		{"another tenant is fixed first", func(r *rig) (func(), func() any, any) {
			return func() { r.must1(r.s.SetTenant(r.ctx, "theirs")) },
				func() any { got, err := r.s.SetTenant(r.ctx, "mine"); r.must(err); return got },
				"theirs"
		}},
		{"another account is connected first", func(r *rig) (func(), func() any, any) {
			return func() { r.connected("theirs", "client", false) },
				func() any {
					_, err := r.connect("mine", "client", true)
					r.is(err, store.ErrOtherAccount)
					return r.account().Sub
				},
				"theirs"
		}},
		{"a new grant comes before the old one's refusal", func(r *rig) (func(), func() any, any) {
			r.connected("a", "client", false)
			r.refuse("a", 1, false)
			r.b.advance(time.Hour)
			return func() { r.connected("a", "client", true) },
				func() any {
					gone, err := r.s.GrantRefused(r.ctx, "a", 1, "invalid_grant", time.Second)
					r.must(err)
					return []any{gone, r.account().Connected}
				}, []any{false, true}
		}},
		{"others take the slots", func(r *rig) (func(), func() any, any) {
			return func() { r.must1(r.reserve(time.Minute, make([]string, 10)...)) },
				func() any { got, err := r.reserve(time.Second, "", ""); r.must(err); return got },
				given(time.Second, 10*time.Second, 10*time.Second, 10*time.Second)
		}},
		{"another writes to the calendar", func(r *rig) (func(), func() any, any) {
			return func() { r.must1(r.reserve(time.Minute, "c", "c")) },
				func() any { got, err := r.reserve(time.Second, "c"); r.must(err); return got.Slots[0] },
				store.Slot{In: 3 * time.Second, Again: 3 * time.Second, Window: 3 * time.Second}
		}},
		{"another takes the last creation", func(r *rig) (func(), func() any, any) {
			h := r.take(store.Employees, 7, "m1")
			return func() { r.granted(1, 1) },
				func() any {
					turn, err := r.s.ReserveCreation(r.ctx, h.employee, r.creation(7, 1))
					r.must(err)
					return []any{turn, h.employee.Record.Calendar == nil}
				},
				[]any{store.QueuePosition{At: r.began.Add(time.Hour)}, true}
		}},
		{"the bucket fills in time", func(r *rig) (func(), func() any, any) {
			r.granted(1, 1)
			r.b.advance(time.Hour - time.Minute)
			h := r.take(store.Employees, 7, "m1")
			return func() { r.b.advance(time.Minute) },
				func() any {
					turn, err := r.s.ReserveCreation(r.ctx, h.employee, r.creation(7, 1))
					r.must(err)
					return turn.Granted
				},
				true
		}},
		{"somebody saves settings first", func(r *rig) (func(), func() any, any) {
			return func() { r.must(r.s.SaveSettings(r.ctx, "theirs", "ivan", 0)) },
				func() any {
					r.is(r.s.SaveSettings(r.ctx, "mine", "olena", 0), store.ErrStale)
					rec, _, err := r.s.SavedSettings(r.ctx)
					r.must(err)
					return rec.JSON
				}, "theirs"
		}},
		{"another takes the ticket", func(r *rig) (func(), func() any, any) {
			r.must(r.s.PutTicket(r.ctx, store.TicketRecord{ID: "t", Email: "e"}, time.Minute))
			return func() {
					_, _, err := r.s.TakeTicket(r.ctx, "t")
					r.must(err)
				},
				func() any { rec, found, err := r.s.TakeTicket(r.ctx, "t"); r.must(err); return consumed{rec, found} },
				consumed{store.TicketRecord{}, false}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, open(t))
			between, do, want := c.run(r)
			came := false
			r.b.mu.Lock()
			r.b.between = func() { came = true; between() }
			r.b.mu.Unlock()
			got := do()
			if diff := cmp.Diff(want, got); diff != "" {
				r.Errorf("got + want -:\n%s", diff)
			}
			if !came {
				r.Error("nothing came between")
			}
		})
	}
}
