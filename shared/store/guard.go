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

// Guarded is a kind of thing whose deletions are counted (rule 4.3).
type Guarded string

// What is counted, each by itself.
const (
	GuardedEvents    Guarded = "events"
	GuardedCalendars Guarded = "calendars"
)

// least is how many may always go in a day.
func (g Guarded) least() int64 {
	if g == GuardedCalendars {
		return 3
	}
	return 10
}

func (g Guarded) other() Guarded {
	if g == GuardedEvents {
		return GuardedCalendars
	}
	return GuardedEvents
}

// guardWindow is how long a deletion counts.
const guardWindow = 24 * time.Hour

// GuardRecord counts the deletions of one kind that somebody might not have
// meant, by hour, over a rolling day.
type GuardRecord struct {
	// Hours counts by the hour in which it happened ("2006-01-02T15", UTC).
	Hours map[string]int64 `firestore:"hours,omitempty" json:"hours,omitempty"`
	// Owned is how many there were when the window began.
	Owned int64 `firestore:"owned" json:"owned"`
	// HeldSince is when the first of those held now was held: the alarm's incident.
	HeldSince time.Time `firestore:"held_since,omitempty" json:"held_since,omitzero"`
}

const hourForm = "2006-01-02T15"

// forget drops the hours that lie a day back and tells how many deletions count.
func (g *GuardRecord) forget(now time.Time) int64 {
	var sum int64
	oldest := now.Add(-guardWindow).UTC().Format(hourForm)
	for hour, n := range g.Hours {
		// The hour in which the window begins still counts: a little more is held
		// rather than a little less.
		if hour < oldest {
			delete(g.Hours, hour)
			continue
		}
		sum += n
	}
	return sum
}

func guardRef(what Guarded) Ref { return Ref{Guards, string(what)} }

// Permit asks to delete up to want things that somebody might not have meant. It
// grants as many as the rolling day has room for: the larger of a small number and
// percent of what was owned when the window began (rule 4.3). What is not
// granted is to be held; began tells that this holds the first.
func (s *Store) Permit(ctx context.Context, what Guarded, want, percent int) (granted int, began time.Time, err error) {
	var before GuardRecord
	if _, err := s.b.Get(ctx, guardRef(what), &before); err != nil {
		return 0, time.Time{}, fmt.Errorf("read the delete guard of %s: %w", what, err)
	}
	now, err := s.b.Now(ctx)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("read the delete guard of %s: %w", what, err)
	}
	owned := before.Owned
	if before.forget(now) == 0 {
		// A window begins: what is owned is counted once, before anything goes.
		if owned, err = s.owned(ctx, what); err != nil {
			return 0, time.Time{}, err
		}
	}
	err = s.b.Transact(ctx, func(tx Tx) error {
		granted, began = 0, time.Time{}
		var g, other GuardRecord
		if _, err := tx.Get(guardRef(what), &g); err != nil {
			return err
		}
		if _, err := tx.Get(guardRef(what.other()), &other); err != nil {
			return err
		}
		now := tx.Now()
		sum := g.forget(now)
		if sum == 0 {
			g.Owned = owned
		}
		room := max(what.least(), g.Owned*int64(percent)/100) - sum
		granted = int(min(int64(want), max(0, room)))
		if granted > 0 {
			if g.Hours == nil {
				g.Hours = map[string]int64{}
			}
			g.Hours[now.UTC().Format(hourForm)] += int64(granted)
		}
		if granted < want && g.HeldSince.IsZero() {
			// One plan, one alarm, whatever is held in it (rule 4.5).
			if g.HeldSince = other.HeldSince; g.HeldSince.IsZero() {
				g.HeldSince, began = now, now
			}
		}
		return tx.Set(guardRef(what), &g)
	})
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("ask the delete guard of %s: %w", what, err)
	}
	return granted, began, nil
}

// Renew counts a deletion that was granted at a time and has not happened yet as one
// of now, so that it goes with those of the day in which it does. renewed is false
// where it does not count any more: it has to be asked for again.
func (s *Store) Renew(ctx context.Context, what Guarded, granted time.Time) (renewed bool, err error) {
	err = s.b.Transact(ctx, func(tx Tx) error {
		renewed = false
		var g GuardRecord
		if _, err := tx.Get(guardRef(what), &g); err != nil {
			return err
		}
		now := tx.Now()
		g.forget(now)
		// The asker's time may be a little older than that of the count.
		for _, at := range []time.Time{granted, granted.Add(time.Hour)} {
			if hour := at.UTC().Format(hourForm); g.Hours[hour] > 0 {
				g.Hours[hour]--
				g.Hours[now.UTC().Format(hourForm)]++
				renewed = true
				return tx.Set(guardRef(what), &g)
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("renew what the delete guard of %s granted: %w", what, err)
	}
	return renewed, nil
}

// Owned counts the calendars and the events that the product has at Google as it
// remembers them: what a purge would delete. It reads every record.
func (s *Store) Owned(ctx context.Context) (calendars, events int, err error) {
	c, err := s.owned(ctx, GuardedCalendars)
	if err != nil {
		return 0, 0, err
	}
	e, err := s.owned(ctx, GuardedEvents)
	return int(c), int(e), err
}

// owned counts what there is of a kind.
func (s *Store) owned(ctx context.Context, what Guarded) (int64, error) {
	var n int64
	if what == GuardedCalendars {
		employees, err := s.Employees(ctx)
		if err != nil {
			return 0, err
		}
		for _, e := range employees {
			if e.Calendar != nil && e.Calendar.ID != "" {
				n++
			}
			n += int64(len(e.Retiring))
		}
		return n, nil
	}
	tasks, err := query[TaskRecord](ctx, s.b, Query{Collection: Tasks, Op: Every})
	if err != nil {
		return 0, fmt.Errorf("count the events: %w", err)
	}
	for _, t := range tasks {
		for _, m := range t.Mappings {
			if m.State == MappingLive {
				n++
			}
		}
	}
	return n, nil
}

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

// Held reads the plan of what is held.
func (s *Store) Held(ctx context.Context) (plan HeldPlan, err error) {
	if plan.Keys, err = s.heldKeys(ctx, HeldWaiting); err != nil {
		return plan, err
	}
	for _, k := range plan.Keys {
		plan.Events += k.Events
		plan.Calendars += k.Calendars
	}
	var list []byte
	for _, k := range plan.Keys {
		list = fmt.Appendf(list, "%s %d %d\n", k.Key, k.Events, k.Calendars)
	}
	if len(list) > 0 {
		sum := sha256.Sum256(list)
		plan.Hash = hex.EncodeToString(sum[:8])
	}
	for _, what := range []Guarded{GuardedEvents, GuardedCalendars} {
		var g GuardRecord
		if _, err := s.b.Get(ctx, guardRef(what), &g); err != nil {
			return plan, fmt.Errorf("read the delete guard of %s: %w", what, err)
		}
		if !g.HeldSince.IsZero() && (plan.Since.IsZero() || g.HeldSince.Before(plan.Since)) {
			plan.Since = g.HeldSince
		}
	}
	return plan, nil
}

// Dropped lists the keys whose deletion an admin decided against.
func (s *Store) Dropped(ctx context.Context) ([]HeldKey, error) { return s.heldKeys(ctx, HeldDropped) }

// heldKeys lists the keys whose Held says how, ordered.
func (s *Store) heldKeys(ctx context.Context, how string) ([]HeldKey, error) {
	var keys []HeldKey
	employees, err := query[EmployeeRecord](ctx, s.b, Query{Collection: Employees, Field: "held", Op: Equal, Value: how})
	if err != nil {
		return nil, fmt.Errorf("list held employees: %w", err)
	}
	for _, e := range employees {
		keys = append(keys, HeldKey{Key: EmployeeKey(e.ID), Calendars: e.heldCalendars(), Reason: e.Reason})
	}
	tasks, err := query[TaskRecord](ctx, s.b, Query{Collection: Tasks, Field: "held", Op: Equal, Value: how})
	if err != nil {
		return nil, fmt.Errorf("list held tasks: %w", err)
	}
	for _, t := range tasks {
		k := HeldKey{Key: TaskKey(t.ID)}
		for _, m := range t.Mappings {
			if !m.HeldSince.IsZero() && m.DroppedAt.IsZero() == (how == HeldWaiting) {
				k.Events++
				k.Reason = m.HeldFor
			}
		}
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b HeldKey) int {
		return cmp.Or(cmp.Compare(a.Collection, b.Collection), cmp.Compare(a.ID, b.ID))
	})
	return keys, nil
}

// Drop keeps what is held of a key: an admin saw the plan and decided that the
// calendar or the events stay. Reopen takes that back.
func (s *Store) Drop(ctx context.Context, key Key) error {
	return s.decideHeld(ctx, key, "drop the held deletions of", func(m *Mapping, now time.Time) {
		if m.DroppedAt.IsZero() {
			m.DroppedAt, m.AllowedAt = now, time.Time{}
		}
	}, HeldDropped)
}

// Reopen puts what was dropped back into the plan, for an admin to decide anew.
func (s *Store) Reopen(ctx context.Context, key Key) error {
	return s.decideHeld(ctx, key, "reopen the held deletions of", func(m *Mapping, _ time.Time) { m.DroppedAt = time.Time{} }, HeldWaiting)
}

func (s *Store) decideHeld(ctx context.Context, key Key, doing string, event func(m *Mapping, now time.Time), employee string) error {
	err := s.b.Transact(ctx, func(tx Tx) error {
		rec, err := readKey(tx, key)
		if err != nil {
			return err
		}
		switch r := rec.(type) {
		case *TaskRecord:
			for id, m := range r.Mappings {
				if !m.HeldSince.IsZero() {
					event(&m, tx.Now())
					r.Mappings[id] = m
				}
			}
			if r.holding(); r.Held == "" {
				return nil
			}
		case *EmployeeRecord:
			if r.Held == "" {
				return nil
			}
			r.Held, r.AllowedAt = employee, time.Time{}
		}
		return tx.Set(key.ref(), rec)
	})
	if err != nil {
		return fmt.Errorf("%s %s: %w", doing, key, err)
	}
	return nil
}

// Allow lets a held key go: an admin saw the plan and confirmed it. The key's own
// look reads everything again and deletes only what is still due.
func (s *Store) Allow(ctx context.Context, key Key) error {
	err := s.b.Transact(ctx, func(tx Tx) error {
		rec, err := readKey(tx, key)
		if err != nil {
			return err
		}
		now := tx.Now()
		switch r := rec.(type) {
		case *TaskRecord:
			for id, m := range r.Mappings {
				if !m.HeldSince.IsZero() && m.DroppedAt.IsZero() {
					m.AllowedAt = now
					r.Mappings[id] = m
				}
			}
		case *EmployeeRecord:
			if r.Held != HeldWaiting {
				return nil
			}
			r.AllowedAt = now
		}
		w := rec.work()
		w.Dirty++
		if w.PendingSince.IsZero() {
			w.PendingSince = now
		}
		if w.DueAt.IsZero() || now.Before(w.DueAt) {
			w.DueAt = now
		}
		return tx.Set(key.ref(), rec)
	})
	if err != nil {
		return fmt.Errorf("allow %s: %w", key, err)
	}
	return nil
}

// HoldEnded clears the incident once nothing is held any more; ended is since
// when there was one, zero if there was none.
func (s *Store) HoldEnded(ctx context.Context) (ended time.Time, err error) {
	err = s.b.Transact(ctx, func(tx Tx) error {
		ended = time.Time{}
		var records [2]GuardRecord
		for i, what := range []Guarded{GuardedEvents, GuardedCalendars} {
			if _, err := tx.Get(guardRef(what), &records[i]); err != nil {
				return err
			}
		}
		for i, what := range []Guarded{GuardedEvents, GuardedCalendars} {
			g := records[i]
			if g.HeldSince.IsZero() {
				continue
			}
			if ended.IsZero() || g.HeldSince.Before(ended) {
				ended = g.HeldSince
			}
			g.HeldSince = time.Time{}
			if err := tx.Set(guardRef(what), &g); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("end the hold: %w", err)
	}
	return ended, nil
}
