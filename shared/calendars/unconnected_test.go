package calendars_test

import (
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/memory"
)

// unconnected begins on a database that has never seen an account.
func (b *bench) unconnected() {
	b.backend = memory.New(b.clock.Now)
	b.store = store.New(b.backend)
}

// Whatever comes before an account is connected fails nothing, and writes nothing: not to
// the ERP either. Everything follows once there is one.
func TestBeforeAnAccountIsConnectedEverythingWaits(t *testing.T) {
	t.Parallel()
	for name, account := range map[string]func(b *bench){
		"a new installation": func(*bench) {},
		"disconnected": func(b *bench) {
			must(b.t, b.connect())
			for range 2 {
				_, err := b.store.GrantRefused(b.t.Context(), sub, 1, "invalid_grant", 30*time.Second)
				must(b.t, err)
				b.clock.advance(time.Minute)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.unconnected()
			account(b)
			ids := []int64{b.hire("Olena"), b.hire("Petro")}
			task := b.addTask(b.hour(9), ids...)
			i := b.start(0)
			for _, cause := range []queue.Cause{queue.CauseNotify, queue.CausePoll, queue.CauseReconcile, queue.CauseConsole, queue.CauseFill} {
				i.employee(cause, ids...)
			}
			i.task(task)
			must(t, i.calendars.StartFullRun(t.Context(), queue.CauseReconcile, b.newID()))
			for _, m := range i.outbox {
				i.employee(m.Cause, m.IDs...)
			}
			i.outbox = nil
			for _, id := range ids {
				if rec := b.record(id); rec.State != store.StatePending || rec.Reason != string(calendarsync.ReasonNotConnected) || rec.Failure != nil || rec.Dirty == 0 {
					t.Errorf("%s because of %q, %+v", rec.State, rec.Reason, rec.Work)
				}
			}
			if calls := b.google.Requests(fakegoogle.Filter{}); len(calls) > 0 {
				t.Errorf("asked Google: %s", calls[0].Method)
			}
			must(t, b.connect())
			i = b.start(0)
			i.fullRun()
			for _, id := range ids {
				b.want(id, b.hour(9))
			}
			b.wantQuiet(ids...)
		})
	}
}

// A purge where no account was ever connected ends: there is nothing to delete. Where it
// was disconnected, the purge waits for it.
func TestAPurgeWithoutAnAccount(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.unconnected()
	id := b.hire("Olena")
	i := b.start(0)
	i.employee(queue.CauseNotify, id)
	startPurge(b)
	b.clock.advance(2 * time.Minute)
	must(t, i.calendars.StartFullRun(t.Context(), queue.CauseConsole, b.newID()))
	for _, m := range i.outbox {
		i.employee(m.Cause, m.IDs...)
	}
	ended, err := b.store.FinishPurge(t.Context())
	must(t, err)
	in, err := b.store.Installation(t.Context())
	must(t, err)
	if in.Purge.Open() {
		t.Errorf("the purge is open: %v, %+v", ended, in.Purge)
	}
}

// While syncing is paused, whoever is looked at waits, and has not failed (rule 7.8).
func TestWhatSyncingPausedKeepsBackIsNoFailure(t *testing.T) {
	t.Parallel()
	for name, over := range map[string]map[string]any{"paused": {"enabled": false}, "not confirmed": {"confirmed": false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			_, ids := b.staffed("Olena")
			ids = append(ids, b.hire("Petro"))
			b.use(over)
			b.clock.advance(time.Minute)
			i := b.start(0)
			i.employee(queue.CauseReconcile, ids...)
			for _, id := range ids {
				if rec := b.record(id); rec.Failure != nil || rec.Dirty == 0 || rec.DueAt.IsZero() {
					t.Errorf("employee %d: %+v", id, rec.Work)
				}
			}
			b.use(nil)
			b.clock.advance(time.Minute)
			i = b.start(0)
			i.rest()
			if b.calendar(ids[1]) == "" {
				t.Error("what waited does not follow")
			}
			b.wantQuiet(ids...)
		})
	}
}
