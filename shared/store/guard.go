package store

import (
	"context"
	"fmt"
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

// forget drops the hours that lie a day back and gives how many deletions count.
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
// percent of what was owned when the window began (rule 4.3). What is declined is to
// be held; began is the database's time if this holds the first, else zero. What is
// owned is counted ahead of the transaction. Asked again it grants anew: what was
// granted before and not used still counts.
func (s *Store) Permit(ctx context.Context, what Guarded, want, percent int) (granted int, began time.Time, err error) {
	owned, err := s.ownedBefore(ctx, what)
	if err != nil {
		return 0, time.Time{}, err
	}
	err = s.transact(ctx, fmt.Sprintf("ask the delete guard of %s", what), func(tx Tx) error {
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
		g.count(granted, now)
		if granted < want && g.HeldSince.IsZero() {
			// One plan, one alarm, whatever is held in it (rule 4.5).
			if g.HeldSince = other.HeldSince; g.HeldSince.IsZero() {
				g.HeldSince, began = now, now
			}
		}
		return tx.Set(guardRef(what), &g)
	})
	if err != nil {
		return 0, time.Time{}, err
	}
	return granted, began, nil
}

// ownedBefore gives what was owned when the window began. Where one begins, it is
// counted, once and before anything is deleted.
func (s *Store) ownedBefore(ctx context.Context, what Guarded) (int64, error) {
	doing := fmt.Sprintf("read the delete guard of %s", what)
	g, _, err := get[GuardRecord](ctx, s, doing, guardRef(what))
	if err != nil {
		return 0, err
	}
	now, err := s.b.Now(ctx)
	if err != nil {
		return 0, wrapped(doing, err)
	}
	if g.forget(now) > 0 {
		return g.Owned, nil
	}
	return s.owned(ctx, what)
}

// count adds deletions to the present hour.
func (g *GuardRecord) count(deletions int, now time.Time) {
	if deletions == 0 {
		return
	}
	if g.Hours == nil {
		g.Hours = map[string]int64{}
	}
	g.Hours[now.UTC().Format(hourForm)] += int64(deletions)
}

// Renew counts a deletion that was granted at a time and has not happened yet as one
// of now, so that it counts in the day in which it does. renewed is false where it
// does not count any more: it has to be asked for again.
func (s *Store) Renew(ctx context.Context, what Guarded, granted time.Time) (renewed bool, err error) {
	err = change(ctx, s, fmt.Sprintf("renew what the delete guard of %s granted", what), guardRef(what), func(g *GuardRecord, _ bool, now time.Time) effect {
		g.forget(now)
		// The asker's time may be a little older than that of the count.
		for _, at := range []time.Time{granted, granted.Add(time.Hour)} {
			if hour := at.UTC().Format(hourForm); g.Hours[hour] > 0 {
				g.Hours[hour]--
				g.count(1, now)
				renewed = true
				return set
			}
		}
		renewed = false
		return nothing
	})
	return renewed && err == nil, err
}

// OwnedCalendars counts the calendars that the product has at Google as it remembers them:
// what a purge would delete, with the events in them. It reads every employee's record.
func (s *Store) OwnedCalendars(ctx context.Context) (int, error) {
	n, err := s.owned(ctx, GuardedCalendars)
	return int(n), err
}

// owned counts what there is of a kind.
func (s *Store) owned(ctx context.Context, what Guarded) (n int64, err error) {
	if what == GuardedCalendars {
		employees, err := s.Employees(ctx)
		for _, e := range employees {
			if e.Calendar != nil && e.Calendar.ID != "" {
				n++
			}
			n += int64(len(e.Retiring))
		}
		return n, err
	}
	tasks, err := s.AllTasks(ctx)
	for _, t := range tasks {
		for _, m := range t.Mappings {
			if m.State == MappingLive {
				n++
			}
		}
	}
	return n, err
}
