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
	Within    int // events in those calendars
	Reason    string
	Since     time.Time // when the first of a task's events was held, or since when an employee's calendars are
	// Title and Start are what a task's held event says, where that could be read.
	Title, Start string
	// Employees are those whose calendars a task's held events are in.
	Employees []int64
	// Withdrawn: the employee's share is gone already, and only the deletion waits.
	Withdrawn bool
}

// HeldPlan is everything that is held, with a hash that names exactly this list.
type HeldPlan struct {
	Keys                      []HeldKey
	Events, Calendars, Within int
	Hash                      string
	Since                     time.Time
}

// Only gives the part of a plan that concerns some of its keys, with a hash of its own;
// complete is false where the plan lacks one of them.
func (p HeldPlan) Only(keys []Key) (part HeldPlan, complete bool) {
	for _, k := range p.Keys {
		if slices.Contains(keys, k.Key) {
			part.Keys = append(part.Keys, k)
		}
	}
	part.Since = p.Since
	part.sum()
	return part, len(part.Keys) == len(keys)
}

// sum counts the keys and names the list.
func (p *HeldPlan) sum() {
	var list []byte
	for _, k := range p.Keys {
		p.Events += k.Events
		p.Calendars += k.Calendars
		p.Within += k.Within
		list = fmt.Appendf(list, "%s %d %d\n", k.Key, k.Events, k.Calendars)
	}
	if len(list) > 0 {
		sum := sha256.Sum256(list)
		p.Hash = hex.EncodeToString(sum[:8])
	}
}

// Held reads the plan of what is held. It is several reads: what is held in between
// may be missing.
func (s *Store) Held(ctx context.Context) (plan HeldPlan, err error) {
	if plan.Keys, err = s.heldKeys(ctx, HeldWaiting); err != nil {
		return plan, err
	}
	plan.sum()
	if plan.Since, err = s.holdBegan(ctx); err != nil || !plan.Since.IsZero() {
		return plan, err
	}
	// An admin reopened something after its end.
	for _, k := range plan.Keys {
		plan.Since = earlier(plan.Since, k.Since)
	}
	return plan, nil
}

// holdBegan is when the alarm's incident began in which anything is held; zero for none.
func (s *Store) holdBegan(ctx context.Context) (began time.Time, err error) {
	for _, what := range guarded() {
		g, _, err := get[GuardRecord](ctx, s, fmt.Sprintf("read the delete guard of %s", what), guardRef(what))
		if err != nil {
			return time.Time{}, err
		}
		began = earlier(began, g.HeldSince)
	}
	return began, nil
}

func guarded() []Guarded { return []Guarded{GuardedEvents, GuardedCalendars} }

// earlier gives the earlier of two times; zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Dropped lists the keys whose deletion an admin decided against: what stays as it was
// when it was held, and employees who were given back what had been taken.
func (s *Store) Dropped(ctx context.Context) ([]HeldKey, error) {
	keys, err := s.heldKeys(ctx, HeldDropped)
	if err != nil {
		return nil, err
	}
	kept, err := query[EmployeeRecord](ctx, s, "list employees kept by an admin", Query{Collection: Employees, Field: "kept_for", Op: Exists})
	if err != nil {
		return nil, err
	}
	for _, e := range kept {
		// A former calendar of theirs may wait for a decision of its own.
		if e.Held != HeldDropped {
			keys = append(keys, HeldKey{Key: EmployeeKey(e.ID), Calendars: 1, Reason: e.KeptFor})
		}
	}
	return keys, nil
}

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
		keys = append(keys, e.heldKey())
	}
	for _, t := range tasks {
		keys = append(keys, t.heldEvents(how))
	}
	slices.SortFunc(keys, func(a, b HeldKey) int {
		return cmp.Or(cmp.Compare(a.Collection, b.Collection), cmp.Compare(a.ID, b.ID))
	})
	return keys, nil
}

// heldKey tells what is held of an employee: calendars on their way out whose deletion
// was not granted, and the present one where nobody said that it is to go.
func (e *EmployeeRecord) heldKey() HeldKey {
	k := HeldKey{Key: EmployeeKey(e.ID), Reason: e.Reason, Since: e.HeldSince, Withdrawn: !e.heldPresent()}
	for _, c := range e.Retiring {
		if !c.Permitted {
			k.Calendars++
			k.Within += c.Events
		}
	}
	if e.heldPresent() {
		k.Calendars++
		k.Within += e.Calendar.Events
	}
	return k
}

func (t *TaskRecord) heldEvents(how string) HeldKey {
	k := HeldKey{Key: TaskKey(t.ID)}
	for _, employee := range t.Mapped() {
		m, _ := t.Mapping(employee)
		if m.HeldSince.IsZero() || m.DroppedAt.IsZero() != (how == HeldWaiting) {
			continue
		}
		k.Events++
		k.Employees = append(k.Employees, employee)
		k.Reason, k.Since = m.HeldFor, earlier(k.Since, m.HeldSince)
		k.Title, k.Start = cmp.Or(k.Title, m.HeldTitle), cmp.Or(k.Start, m.HeldStart)
	}
	return k
}

// Drop keeps what is held of a key: an admin saw the plan and decided that the
// calendar or the events stay. An employee's next pass gives back what was taken
// already, for as long as the ERP says no more than it said (rule 4.9). Reopen takes
// that back. It needs no lease.
func (s *Store) Drop(ctx context.Context, key Key) error {
	return s.decideHeld(ctx, key, "drop the held deletions of", func(m *Mapping, now time.Time) {
		if m.DroppedAt.IsZero() {
			m.DroppedAt, m.AllowedAt = now, time.Time{}
		}
	}, func(e *EmployeeRecord) {
		if e.Held == "" {
			return
		}
		e.Held = HeldDropped
		if e.Reason != "" && !e.heldReplacement() {
			e.KeptFor = e.Reason // a former calendar alone is held for nothing that the ERP says
		}
	})
}

// Reopen puts what was dropped back into the plan, for an admin to decide anew; what was
// given back waits for them too, whatever the delete guard would grant. It needs no lease.
func (s *Store) Reopen(ctx context.Context, key Key) error {
	return s.decideHeld(ctx, key, "reopen the held deletions of", func(m *Mapping, _ time.Time) { m.DroppedAt = time.Time{} }, func(e *EmployeeRecord) {
		switch {
		case e.Held == "":
			e.Reason, e.KeptFor = e.KeptFor, ""
		case e.Held == HeldWaiting || !e.heldReplacement():
			e.KeptFor = "" // else the replacement alone is reopened, which was dropped after it
		}
		e.Held = HeldWaiting
	})
}

func (s *Store) decideHeld(ctx context.Context, key Key, doing string, event func(m *Mapping, now time.Time), employee func(*EmployeeRecord)) error {
	return s.changeAny(ctx, doing, key, func(tx Tx, rec keyed) (effect, error) {
		switch r := rec.(type) {
		case *TaskRecord:
			r.changeHeld(func(m *Mapping) { event(m, tx.Now()) })
			if r.holding(); r.Held == "" {
				return nothing, nil
			}
		case *EmployeeRecord:
			if r.Held == "" && r.KeptFor == "" {
				return nothing, nil
			}
			employee(r)
			r.AllowedAt = time.Time{}
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
