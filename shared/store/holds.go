package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// What a key's Held says.
const (
	// HeldWaiting: its deletions wait for an admin.
	HeldWaiting = "yes"
	// HeldDropped: an admin decided that what is held stays, until its source says
	// something new. It is in no plan and no alarm.
	HeldDropped = "dropped"
)

// HeldKey is one key whose deletions wait for an admin.
type HeldKey struct {
	Key
	Events    int // held events of a task
	Calendars int // held calendars of an employee
	Reason    string
}

// HeldPlan is everything that is held, with a hash that names exactly this list.
type HeldPlan struct {
	Keys              []HeldKey
	Events, Calendars int
	Hash              string
	Since             time.Time
}

// Held reads the plan of what is held. It is several reads: what is held in between
// may be missing.
func (s *Store) Held(ctx context.Context) (plan HeldPlan, err error) {
	if plan.Keys, err = s.heldKeys(ctx, HeldWaiting); err != nil {
		return plan, err
	}
	var list []byte
	for _, k := range plan.Keys {
		plan.Events += k.Events
		plan.Calendars += k.Calendars
		list = fmt.Appendf(list, "%s %d %d\n", k.Key, k.Events, k.Calendars)
	}
	if len(list) > 0 {
		sum := sha256.Sum256(list)
		plan.Hash = hex.EncodeToString(sum[:8])
	}
	for _, what := range guarded() {
		g, _, err := get[GuardRecord](ctx, s, fmt.Sprintf("read the delete guard of %s", what), guardRef(what))
		if err != nil {
			return plan, err
		}
		plan.Since = earlier(plan.Since, g.HeldSince)
	}
	return plan, nil
}

func guarded() []Guarded { return []Guarded{GuardedEvents, GuardedCalendars} }

// earlier gives the earlier of two times; zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Dropped lists the keys whose deletion an admin decided against.
func (s *Store) Dropped(ctx context.Context) ([]HeldKey, error) { return s.heldKeys(ctx, HeldDropped) }

// heldKeys lists the keys whose Held says how, ordered.
func (s *Store) heldKeys(ctx context.Context, how string) ([]HeldKey, error) {
	employees, err := query[EmployeeRecord](ctx, s, "list held employees", Query{Collection: Employees, Field: "held", Op: Equal, Value: how})
	if err != nil {
		return nil, err
	}
	tasks, err := query[TaskRecord](ctx, s, "list held tasks", Query{Collection: Tasks, Field: "held", Op: Equal, Value: how})
	if err != nil {
		return nil, err
	}
	var keys []HeldKey
	for _, e := range employees {
		keys = append(keys, HeldKey{Key: EmployeeKey(e.ID), Calendars: e.heldCalendars(), Reason: e.Reason})
	}
	for _, t := range tasks {
		keys = append(keys, t.heldEvents(how))
	}
	slices.SortFunc(keys, func(a, b HeldKey) int {
		return cmp.Or(cmp.Compare(a.Collection, b.Collection), cmp.Compare(a.ID, b.ID))
	})
	return keys, nil
}

// heldCalendars counts the calendars whose deletion is held.
func (e *EmployeeRecord) heldCalendars() int {
	n := 0
	for _, c := range e.Retiring {
		if !c.Permitted {
			n++
		}
	}
	if e.heldPresent() {
		n++
	}
	return n
}

func (t *TaskRecord) heldEvents(how string) HeldKey {
	k := HeldKey{Key: TaskKey(t.ID)}
	for _, m := range t.Mappings {
		if !m.HeldSince.IsZero() && m.DroppedAt.IsZero() == (how == HeldWaiting) {
			k.Events++
			k.Reason = m.HeldFor
		}
	}
	return k
}

// Drop keeps what is held of a key: an admin saw the plan and decided that the
// calendar or the events stay. Reopen takes that back. It needs no lease.
func (s *Store) Drop(ctx context.Context, key Key) error {
	return s.decideHeld(ctx, key, "drop the held deletions of", func(m *Mapping, now time.Time) {
		if m.DroppedAt.IsZero() {
			m.DroppedAt, m.AllowedAt = now, time.Time{}
		}
	}, HeldDropped)
}

// Reopen puts what was dropped back into the plan, for an admin to decide anew. It
// needs no lease.
func (s *Store) Reopen(ctx context.Context, key Key) error {
	return s.decideHeld(ctx, key, "reopen the held deletions of", func(m *Mapping, _ time.Time) { m.DroppedAt = time.Time{} }, HeldWaiting)
}

func (s *Store) decideHeld(ctx context.Context, key Key, doing string, event func(m *Mapping, now time.Time), employee string) error {
	return s.changeAny(ctx, doing, key, func(tx Tx, rec keyed) (effect, error) {
		switch r := rec.(type) {
		case *TaskRecord:
			r.changeHeld(func(m *Mapping) { event(m, tx.Now()) })
			if r.holding(); r.Held == "" {
				return nothing, nil
			}
		case *EmployeeRecord:
			if r.Held == "" {
				return nothing, nil
			}
			r.Held, r.AllowedAt = employee, time.Time{}
		}
		return set, nil
	})
}

// changeHeld changes the mappings whose event's deletion is held.
func (t *TaskRecord) changeHeld(f func(m *Mapping)) {
	for id, m := range t.Mappings {
		if !m.HeldSince.IsZero() {
			f(&m)
			t.Mappings[id] = m
		}
	}
}

// Allow grants the held deletions of a key: an admin saw the plan and confirmed it.
// The key's own pass reads everything again and deletes only what is still due. It
// needs no lease and marks the key dirty.
func (s *Store) Allow(ctx context.Context, key Key) error {
	return s.changeAny(ctx, "allow", key, func(tx Tx, rec keyed) (effect, error) {
		now := tx.Now()
		switch r := rec.(type) {
		case *TaskRecord:
			r.changeHeld(func(m *Mapping) {
				if m.DroppedAt.IsZero() {
					m.AllowedAt = now
				}
			})
		case *EmployeeRecord:
			if r.Held != HeldWaiting {
				return nothing, nil
			}
			r.AllowedAt = now
		}
		w := rec.work()
		w.markDirty(now)
		if w.DueAt.IsZero() || now.Before(w.DueAt) {
			w.DueAt = now
		}
		return set, nil
	})
}

// HoldEnded clears the incident once nothing is held any more; ended is since
// when there was one, zero if there was none.
func (s *Store) HoldEnded(ctx context.Context) (ended time.Time, err error) {
	err = s.transact(ctx, "end the hold", func(tx Tx) error {
		ended = time.Time{}
		records := map[Guarded]GuardRecord{}
		for _, what := range guarded() {
			var g GuardRecord
			if _, err := tx.Get(guardRef(what), &g); err != nil {
				return err
			}
			records[what] = g
		}
		for _, what := range guarded() {
			g := records[what]
			if g.HeldSince.IsZero() {
				continue
			}
			ended = earlier(ended, g.HeldSince)
			g.HeldSince = time.Time{}
			if err := tx.Set(guardRef(what), &g); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return time.Time{}, err
	}
	return ended, nil
}
