package simulation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Database is a real one.
type Database struct {
	store.Backend
	// Empty loses every document.
	Empty func(ctx context.Context) error
}

// RunOnRealClock runs a history on a real database, and so on the real clock: a gRPC
// client would stop a bubble's clock. It shows how instances meet in the database, with
// all the other steps and faults.
//
// The world's waits are short, and so are those of the product that are configuration
// (useRealClock). The others end as in production: where a failed key waits, an admin
// presses "Try again" (standInForWaiting, untilNothingDue), and instances that remember
// something for half a minute are replaced (lookedAtByNewInstances). Only Google's
// quotaExceeded is left out: the pause after it lasts at least 15 minutes, and neither a
// setting nor the console shortens it (rule 6.6).
//
// Two rules cannot be broken here: a history ends before the auditor would take a write
// for one that paused settings forbid, and the budget is so large that nothing waits.
func (r *Runner) RunOnRealClock(t *testing.T, h History, db Database, defect Defect) (result Result) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if r.Log != nil {
		log = slog.New(slog.NewTextHandler(r.Log, nil))
	}
	var steps []Step
	for _, s := range h.Steps {
		switch {
		case s.Kind == FaultGoogle && googleFault(s).Reason == "quotaExceeded":
		case s.Kind == AdminPurge: // it lasts at least a minute, however little there is to delete
		default:
			steps = append(steps, s)
		}
	}
	w, err := open(t.Context(), r.env, h, defect, log, &db)
	if err != nil {
		t.Error(err)
		return result
	}
	began := time.Now()
	result = w.play(History{Seed: h.Seed, Rows: h.Rows, Steps: steps})
	result.Took = time.Since(began)
	if err := w.close(); err != nil {
		result.Violations = append(result.Violations, Violation{"the simulation ends", err.Error()})
	}
	return result
}

// errSilent is what a caller gets whose call had no answer for too long.
var errSilent = fmt.Errorf("simulation: nothing came for too long: %w", io.ErrUnexpectedEOF)

// Waits on the real clock.
const (
	longOnRealClock = 10 * time.Second
	mostOnRealClock = 4 * time.Minute
	// longestWait bounds a step that waits.
	longestWait = 2 * time.Second
	// silence is how long the network waits for an answer.
	silence = 3 * time.Second
)

// useRealClock puts the world on the real clock and another database.
func (w *world) useRealClock(db *Database) {
	w.realClock, w.memory, w.backoff, w.pollEvery = true, db.Backend, 300*time.Millisecond, time.Second
	w.wipe = func() { w.fail(w.empty(db)) }
	w.setup.RequestsPerMinute, w.setup.CalendarsPerHour, w.setup.Google.RequestsPerMinute = 6000, 1000, 0
	w.setup.Google.CalendarListDelay, w.setup.Unaided = 0, false
	w.setup.Employees = min(w.setup.Employees, 4) // nobody waits for a turn here
	w.config.Lease, w.config.Intent, w.config.Absence = 6*time.Second, 5*time.Second, time.Second
}

// empty loses the database. As when one is restored, everything that uses it is stopped
// meanwhile: no instance starts, and no call of a dead one is on its way.
func (w *world) empty(db *Database) error {
	err := func() error {
		w.mu.Lock() // no slot gets a fresh instance
		defer w.mu.Unlock()
		for _, i := range w.slots {
			i.die()
		}
		pause(w.ctx, 300*time.Millisecond)
		// The activity since it was last kept.
		if err := w.keepActivity(); err != nil {
			return err
		}
		w.auditor.Wiped()
		return db.Empty(w.ctx)
	}()
	// The ledger of slots is lost with the database, and with it what was written to a
	// calendar within the last second (rule 6.4).
	pause(w.ctx, 2*time.Second)
	return err
}

// brief shortens a wait on the real clock.
func (w *world) brief(d time.Duration) time.Duration {
	if w.realClock {
		return min(d/10, 150*time.Millisecond)
	}
	return d
}

// shorter shortens a fault's wait on the real clock, less than brief does: it has to
// outlast some of the product's deadlines, which depend on the lease.
func (w *world) shorter(d time.Duration) time.Duration {
	if w.realClock {
		return d / 5
	}
	return d
}

// withSilenceLimit ends a call on the real clock that has had no answer for long, as load
// balancers do: the product would wait minutes for one that never comes.
func (w *world) withSilenceLimit(ctx context.Context) (context.Context, context.CancelFunc) {
	if w.realClock {
		return context.WithTimeoutCause(ctx, silence, errSilent)
	}
	return ctx, func() {}
}

// lookedAtByNewInstances has new instances make a full run on the real clock, and
// replaces them once more; it reports whether the product came to rest. An instance
// remembers settings, catalogue and names for half a minute, and in production, too, it
// may be replaced at any time. In a bubble settle takes far longer than that.
func (w *world) lookedAtByNewInstances() bool {
	if !w.realClock {
		return true
	}
	w.replaceInstances()
	w.scheduled("Reconcile")
	if !w.untilNothingDue(time.Now().Add(mostOnRealClock), 1) {
		return false
	}
	w.replaceInstances()
	return true
}

// replaceInstances replaces all instances while they have nothing to do.
func (w *world) replaceInstances() {
	if !w.idle() {
		return // untilNothingDue reports it
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for n, old := range w.slots {
		fresh, err := w.boot(n)
		if err != nil {
			w.failures = append(w.failures, err)
			return
		}
		w.slots[n] = fresh
		w.renewals++
		old.cancel()
	}
}

// standInForWaiting does, on the real clock, what happens in a history's minutes and
// hours of waiting: an admin who hears of the lost grant connects the account, and
// failed keys are tried again.
func (w *world) standInForWaiting(s Step) error {
	if !w.realClock || s.Kind != Wait {
		return nil
	}
	account, err := store.New(w.memory).Account(w.ctx)
	switch {
	case errors.Is(err, store.ErrNotConnected), err == nil && !account.Connected:
		w.connect()
		err = nil
	case err == nil:
		err = w.tryAllAgain()
	}
	pause(w.ctx, min(s.After/100, longestWait))
	return err
}

// tryAllAgain presses "Try again" at every key that waits for long.
func (w *world) tryAllAgain() error {
	for _, c := range []store.Collection{store.Employees, store.Tasks} {
		docs, err := w.memory.Query(w.ctx, store.Query{Collection: c, Field: "due_at", Op: store.Exists})
		if err != nil {
			return err
		}
		for _, d := range docs {
			if due, err := dueAt(d); err != nil {
				return err
			} else if time.Until(due) > longOnRealClock {
				if err := w.tryAgain(string(c) + "/" + d.ID); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// dueAt reads when a key is due.
func dueAt(d store.Document) (time.Time, error) {
	var rec struct {
		Due time.Time `firestore:"due_at" json:"due_at"`
	}
	err := d.Decode(&rec)
	return rec.Due, err
}
