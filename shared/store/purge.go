package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrPurging means that a purge is under way.
var ErrPurging = errors.New("store: a purge is under way")

// PurgeRecord is the deletion of everything that an admin asked for after seeing
// its counts (rule 4.6). While it is open, every look at an employee takes
// down what they have, whatever the ERP says.
type PurgeRecord struct {
	ID        string    `firestore:"id" json:"id"`
	By        string    `firestore:"by" json:"by"` // the admin's address
	StartedAt time.Time `firestore:"started_at" json:"started_at"`
	EndedAt   time.Time `firestore:"ended_at,omitempty" json:"ended_at,omitzero"`
	// Stopped tells that an admin ended it before everything was gone.
	Stopped bool `firestore:"stopped,omitempty" json:"stopped,omitempty"`
	// Calendars and Events are the counts that the admin saw and confirmed.
	Calendars int `firestore:"calendars" json:"calendars"`
	Events    int `firestore:"events" json:"events"`
	// Kept counts the calendars that stay because of what others have in them.
	Kept int `firestore:"kept,omitempty" json:"kept,omitempty"`
}

// Open reports whether everything is still to go.
func (p *PurgeRecord) Open() bool { return p != nil && p.EndedAt.IsZero() }

// purgeLeast is how long a purge lasts at least: an instance may use settings of
// before it for half a minute, and must meet the purge when it wants to make a
// calendar.
const purgeLeast = time.Minute

// StartPurge opens a purge and switches syncing off in one step: settingsJSON are
// the settings in force but for `enabled`, on top of the version the admin saw.
// ErrStale means that settings were saved meanwhile, ErrPurging that another purge
// is under way.
func (s *Store) StartPurge(ctx context.Context, p PurgeRecord, settingsJSON string, seen int64) error {
	err := s.b.Transact(ctx, func(tx Tx) error {
		var in InstallationRecord
		if _, err := tx.Get(installationRef(), &in); err != nil {
			return err
		}
		var rec SettingsRecord
		if _, err := tx.Get(settingsRef(), &rec); err != nil {
			return err
		}
		switch {
		case in.Purge != nil && in.Purge.ID == p.ID:
			return nil // the answer to the commit was lost
		case in.Purge.Open():
			return ErrPurging
		case rec.Version != seen:
			return ErrStale
		}
		p.StartedAt = tx.Now()
		in.Purge = &p
		if err := tx.Set(settingsRef(), &SettingsRecord{JSON: settingsJSON, SavedAt: tx.Now(), SavedBy: p.By, Version: seen + 1}); err != nil {
			return err
		}
		return tx.Set(installationRef(), &in)
	})
	if err != nil {
		return fmt.Errorf("start the purge: %w", err)
	}
	return nil
}

// StopPurge ends an open purge before everything is gone; what is gone stays so.
func (s *Store) StopPurge(ctx context.Context) error {
	return s.changePurge(ctx, "stop", func(p *PurgeRecord, now time.Time) { p.EndedAt, p.Stopped = now, true })
}

// KeepFromPurge counts a calendar that stays because of what others have in it, and
// takes it off the employee's record, both or neither.
func (s *Store) KeepFromPurge(ctx context.Context, l *EmployeeLease, calendar string, activity ActivityRecord) error {
	var record EmployeeRecord
	err := s.b.Transact(ctx, func(tx Tx) error {
		var in InstallationRecord
		if _, err := tx.Get(installationRef(), &in); err != nil {
			return err
		}
		rec := EmployeeRecord{ID: l.Key.ID, State: StateNone}
		if _, err := tx.Get(l.Key.ref(), &rec); err != nil {
			return err
		}
		if !rec.holds(l.Lease, tx.Now()) {
			return ErrLeaseLost
		}
		if rec.stays(calendar) && in.Purge != nil {
			in.Purge.Kept++
			if err := tx.Set(installationRef(), &in); err != nil {
				return err
			}
		}
		record = rec
		if err := tx.Set(Ref{Activity, activity.ID}, activity); err != nil {
			return err
		}
		return tx.Set(l.Key.ref(), &rec)
	})
	if err != nil {
		return fmt.Errorf("leave a calendar of %s out of the purge: %w", l.Key, err)
	}
	l.Record = record
	return nil
}

// Relinquish takes a leaving calendar, in which somebody else has something, off the
// employee's record; not while a purge is open, which has to find it there: alone is
// false.
func (s *Store) Relinquish(ctx context.Context, l *EmployeeLease, calendar string) (alone bool, err error) {
	var record EmployeeRecord
	err = s.b.Transact(ctx, func(tx Tx) error {
		alone = false
		var in InstallationRecord
		if _, err := tx.Get(installationRef(), &in); err != nil {
			return err
		}
		rec := EmployeeRecord{ID: l.Key.ID, State: StateNone}
		if _, err := tx.Get(l.Key.ref(), &rec); err != nil {
			return err
		}
		if !rec.holds(l.Lease, tx.Now()) {
			return ErrLeaseLost
		}
		record = rec
		if in.Purge.Open() {
			return nil
		}
		rec.stays(calendar)
		alone, record = true, rec
		return tx.Set(l.Key.ref(), &rec)
	})
	if err != nil {
		return false, fmt.Errorf("leave a calendar of %s alone: %w", l.Key, err)
	}
	l.Record = record
	return alone, nil
}

// stays takes a leaving calendar off the record; false if it is not on it (any more).
func (e *EmployeeRecord) stays(calendar string) bool {
	for i, c := range e.Retiring {
		if c.ID == calendar {
			e.Retiring = append(e.Retiring[:i:i], e.Retiring[i+1:]...)
			return true
		}
	}
	return false
}

// FinishPurge ends the open purge once no employee has a calendar any more, though
// not within its first minute, nor while an account is known and not yet whose
// calendars in it are the product's; ended tells that it did so now.
func (s *Store) FinishPurge(ctx context.Context) (ended bool, err error) {
	in, err := s.Installation(ctx)
	if err != nil || !in.Purge.Open() {
		return false, err
	}
	now, err := s.Now(ctx)
	if err != nil || now.Before(in.Purge.StartedAt.Add(purgeLeast)) {
		return false, err
	}
	if in.Tenant == "" {
		if _, err := s.Account(ctx); !errors.Is(err, ErrNotConnected) {
			return false, err
		}
	}
	employees, err := s.Employees(ctx)
	if err != nil {
		return false, err
	}
	for _, e := range employees {
		// An intent counts: its calendar may have been made.
		if e.Calendar != nil || len(e.Retiring) > 0 {
			return false, nil
		}
	}
	err = s.changePurge(ctx, "end", func(p *PurgeRecord, now time.Time) {
		if p.ID == in.Purge.ID {
			p.EndedAt = now
		}
	})
	return err == nil, err
}

func (s *Store) changePurge(ctx context.Context, doing string, change func(p *PurgeRecord, now time.Time)) error {
	err := s.b.Transact(ctx, func(tx Tx) error {
		var in InstallationRecord
		if _, err := tx.Get(installationRef(), &in); err != nil {
			return err
		}
		if !in.Purge.Open() {
			return nil
		}
		change(in.Purge, tx.Now())
		return tx.Set(installationRef(), &in)
	})
	if err != nil {
		return fmt.Errorf("%s the purge: %w", doing, err)
	}
	return nil
}

// AddRetiring records a calendar found by its mark that the state did not know, to
// be taken down with the employee's others.
func (s *Store) AddRetiring(ctx context.Context, employee int64, cal CalendarRecord) error {
	key := EmployeeKey(employee)
	err := s.b.Transact(ctx, func(tx Tx) error {
		rec := EmployeeRecord{ID: employee, State: StateNone}
		if _, err := tx.Get(key.ref(), &rec); err != nil {
			return err
		}
		if rec.owns(cal.ID, cal.Epoch) {
			return nil
		}
		rec.Retiring = append(rec.Retiring, cal)
		return tx.Set(key.ref(), &rec)
	})
	if err != nil {
		return fmt.Errorf("record calendar %s of %s: %w", cal.ID, key, err)
	}
	return nil
}

// owns reports whether a calendar is on the record, or may be the one of an intent.
func (e *EmployeeRecord) owns(id, epoch string) bool {
	if c := e.Calendar; c != nil && (c.ID == id || (c.ID == "" && c.Epoch == epoch)) {
		return true
	}
	for _, c := range e.Retiring {
		if c.ID == id {
			return true
		}
	}
	return false
}

// AskRebuild asks that an employee's calendar be emptied and filled again; asked is
// false for one who has none.
func (s *Store) AskRebuild(ctx context.Context, employee int64) (asked bool, err error) {
	return s.askEmployee(ctx, employee, "ask to rebuild the calendar of", func(e *EmployeeRecord, now time.Time) bool {
		if e.State != StateActive || e.Calendar == nil || e.Calendar.ID == "" {
			return false
		}
		if e.RebuildAsked.IsZero() {
			e.RebuildAsked = now
		}
		return true
	})
}

// InviteEvery is how often an invitation is sent again at most (rule 5.3).
const InviteEvery = 24 * time.Hour

// AskInvitation asks that the invitation to an employee's calendar be sent again;
// asked is false where Google has shown the share, or the last one was sent within
// a day.
func (s *Store) AskInvitation(ctx context.Context, employee int64) (asked bool, err error) {
	return s.askEmployee(ctx, employee, "ask for another invitation of", func(e *EmployeeRecord, now time.Time) bool {
		if !e.MayInvite(now) {
			return false
		}
		c := *e.Calendar
		c.InviteAsked = now
		e.Calendar = &c
		return true
	})
}

// MayInvite reports whether an admin may have the invitation sent again at a time.
func (e *EmployeeRecord) MayInvite(now time.Time) bool {
	c := e.Calendar
	return e.State == StateActive && c != nil && c.RuleID != "" && !c.RuleSeen && !now.Before(c.SharedAt.Add(InviteEvery))
}

// askEmployee changes a record for an admin and marks it dirty, due at once: should
// the message that follows get lost, Poll brings it up.
func (s *Store) askEmployee(ctx context.Context, employee int64, doing string, change func(e *EmployeeRecord, now time.Time) bool) (asked bool, err error) {
	key := EmployeeKey(employee)
	err = s.b.Transact(ctx, func(tx Tx) error {
		rec := EmployeeRecord{ID: employee, State: StateNone}
		if _, err := tx.Get(key.ref(), &rec); err != nil {
			return err
		}
		now := tx.Now()
		if asked = change(&rec, now); !asked {
			return nil
		}
		rec.Dirty++
		if rec.PendingSince.IsZero() {
			rec.PendingSince = now
		}
		if rec.DueAt.IsZero() || now.Before(rec.DueAt) && !now.Before(rec.LeaseUntil) {
			rec.DueAt = now
		}
		return tx.Set(key.ref(), &rec)
	})
	if err != nil {
		return false, fmt.Errorf("%s %s: %w", doing, key, err)
	}
	return asked, nil
}
