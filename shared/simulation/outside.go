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

// Database is one of the real world.
type Database struct {
	store.Backend
	// Empty loses every document.
	Empty func(ctx context.Context) error
}

// RunOutside runs a history on a database of the real world, and so on the real
// clock: a gRPC client would stop a bubble's. What is to be seen here is how
// instances meet in the database, with everything else that befalls them.
//
// All waits of the world are short, and of the product's those that are
// configuration (moveOut). The others end as in production: where a failed key
// rests, an admin presses "Try again" (rested, undue), and what instances keep for
// half a minute ends with them (renewed). Left out is only Google's quotaExceeded:
// the pause after it lasts 15 minutes at least, and neither a setting nor anybody
// in the console ends it sooner (rule 6.6). Two rules cannot be broken
// here: a history ends before the auditor takes a write for one made in spite of
// paused settings, and the budget is too wide for anybody to wait.
func (r *Runner) RunOutside(t *testing.T, h History, db Database, plant Plant) (result Result) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if r.Log != nil {
		log = slog.New(slog.NewTextHandler(r.Log, nil))
	}
	var steps []Step
	for _, s := range h.Steps {
		switch {
		case s.Kind == FaultGoogle && googleFault(s).Reason == "quotaExceeded":
		case s.Kind == AdminPurge: // it lasts a minute at least, whatever is to be deleted
		default:
			steps = append(steps, s)
		}
	}
	w, err := open(t.Context(), r.env, h.Seed, plant, log, &db)
	if err != nil {
		t.Error(err)
		return result
	}
	began := time.Now()
	result = w.live(History{Seed: h.Seed, Steps: steps})
	result.Took = time.Since(began)
	if err := w.close(); err != nil {
		result.Violations = append(result.Violations, Violation{"the simulation ends", err.Error()})
	}
	return result
}

// errSilent is what a caller gets whose call was broken off.
var errSilent = fmt.Errorf("simulation: nothing came for too long: %w", io.ErrUnexpectedEOF)

// Waits on the real clock.
const (
	longOutside = 10 * time.Second
	mostOutside = 2 * time.Minute
	// longestWait is that of a step that waits.
	longestWait = 2 * time.Second
	// silence is how long the network outside carries a call without an answer.
	silence = 3 * time.Second
)

// moveOut puts the world on the real clock and another database.
func (w *world) moveOut(db *Database) {
	w.outside, w.memory, w.backoff, w.pollEvery = true, db.Backend, 300*time.Millisecond, time.Second
	w.wipe = func() { w.fault(w.empty(db)) }
	w.setup.RequestsPerMinute, w.setup.CalendarsPerHour, w.setup.Google.RequestsPerMinute = 6000, 1000, 0
	w.setup.Google.CalendarListDelay, w.setup.Unaided = 0, false
	w.config.Lease, w.config.Intent, w.config.Absence = 6*time.Second, 5*time.Second, time.Second
}

// empty loses the database. Whoever restores one keeps everything stopped that
// stands on it: no instance starts, and no call of a dead one is on its way any
// more.
func (w *world) empty(db *Database) error {
	err := func() error {
		w.mu.Lock() // no slot gets a fresh instance
		defer w.mu.Unlock()
		for _, i := range w.slots {
			i.die()
		}
		pause(w.ctx, 300*time.Millisecond)
		// What was written since it was kept last.
		if err := w.keepActivity(); err != nil {
			return err
		}
		w.auditor.Wiped()
		return db.Empty(w.ctx)
	}()
	// With the database goes the book of slots: what was written to a calendar
	// within the last second is forgotten (rule 6.4).
	pause(w.ctx, 2*time.Second)
	return err
}

// brief shortens a wait on the real clock.
func (w *world) brief(d time.Duration) time.Duration {
	if w.outside {
		return min(d/10, 150*time.Millisecond)
	}
	return d
}

// shorter shortens a fault's wait on the real clock, less than brief: it has to
// outlast some of the product's deadlines, which go with the lease.
func (w *world) shorter(d time.Duration) time.Duration {
	if w.outside {
		return d / 5
	}
	return d
}

// impatient breaks a call off on the real clock that got no answer for long, as
// balancers do: some that never get one the product would await for minutes.
func (w *world) impatient(ctx context.Context) (context.Context, context.CancelFunc) {
	if w.outside {
		return context.WithTimeoutCause(ctx, silence, errSilent)
	}
	return ctx, func() {}
}

// renewed has on the real clock everybody looked at by new instances, and leaves
// new ones once more. What an instance keeps of settings and catalogue is in force
// for half a minute longer, and so are the names that were recorded meanwhile; in
// production too an instance may be replaced at any time. In a bubble settle takes
// far longer than that.
func (w *world) renewed() bool {
	if !w.outside {
		return true
	}
	w.renew()
	w.scheduled("Reconcile")
	if !w.undue(time.Now().Add(mostOutside), 1) {
		return false
	}
	w.renew()
	return true
}

// renew replaces all instances while they have nothing to do.
func (w *world) renew() {
	if !w.idle() {
		return // undue tells
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for n, old := range w.slots {
		fresh, err := w.boot(n)
		if err != nil {
			w.broken = append(w.broken, err)
			return
		}
		w.slots[n] = fresh
		w.renewals++
		old.cancel()
	}
}

// rested stands on the real clock for the minutes and hours of a history in which
// what is under way ends, failed keys are polled again and the alarm of a lost
// grant is heard: an admin does not wait for them.
func (w *world) rested(s Step) error {
	if !w.outside || s.Kind != Wait {
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

// tryAllAgain presses "Try again" at every key that rests for long.
func (w *world) tryAllAgain() error {
	for _, c := range []store.Collection{store.Employees, store.Tasks} {
		docs, err := w.memory.Query(w.ctx, store.Query{Collection: c, Field: "due_at", Op: store.Exists})
		if err != nil {
			return err
		}
		for _, d := range docs {
			if due, err := dueAt(d); err != nil {
				return err
			} else if time.Until(due) > longOutside {
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
