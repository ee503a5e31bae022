package store

import (
	"cmp"
	"context"
	"errors"
	"time"
)

// PurgeRecord is the deletion of everything that an admin asked for after seeing
// its counts (rule 4.6). While it is open, every pass over an employee removes
// what they have, whatever the ERP says.
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
// is under way. A purge that is open already under p.ID stays as it is.
func (s *Store) StartPurge(ctx context.Context, p PurgeRecord, settingsJSON string, seen int64) error {
	return s.transact(ctx, "start the purge", func(tx Tx) error {
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
		if err := putSettings(tx, SettingsRecord{JSON: settingsJSON, SavedAt: tx.Now(), SavedBy: p.By, Version: seen + 1, Acted: cmp.Or(rec.Acted, rec.JSON)}); err != nil {
			return err
		}
		return tx.Set(installationRef(), &in)
	})
}

// StopPurge ends an open purge before everything is gone; what is gone stays so.
func (s *Store) StopPurge(ctx context.Context) error {
	return s.changePurge(ctx, "stop", func(p *PurgeRecord, now time.Time) { p.EndedAt, p.Stopped = now, true })
}

// KeepFromPurge counts a calendar that stays because of what others have in it, and
// takes it off the employee's record, both or neither.
func (s *Store) KeepFromPurge(ctx context.Context, l *EmployeeLease, calendar string, activity ActivityRecord) error {
	return s.withEmployee(ctx, "keep a calendar from the purge of", l, func(tx Tx, held *EmployeeLease) (effect, error) {
		var in InstallationRecord
		if _, err := tx.Get(installationRef(), &in); err != nil {
			return nothing, err
		}
		if held.Record.removeRetiring(calendar) && in.Purge != nil {
			in.Purge.Kept++
			if err := tx.Set(installationRef(), &in); err != nil {
				return nothing, err
			}
		}
		return set, recordActivity(tx, activity)
	})
}

// Relinquish takes a retiring calendar, in which somebody else has something, off the
// employee's record; not while a purge is open, which has to find it there:
// relinquished is false.
func (s *Store) Relinquish(ctx context.Context, l *EmployeeLease, calendar string) (relinquished bool, err error) {
	err = s.withEmployee(ctx, "relinquish a calendar of", l, func(tx Tx, held *EmployeeLease) (effect, error) {
		relinquished = false
		var in InstallationRecord
		if _, err := tx.Get(installationRef(), &in); err != nil || in.Purge.Open() {
			return nothing, err
		}
		held.Record.removeRetiring(calendar)
		relinquished = true
		return set, nil
	})
	return relinquished && err == nil, err
}

// FinishPurge ends the open purge once no employee has a calendar any more, though
// not within its first minute, nor while an account is known and not yet whose
// calendars in it are the product's; ended tells that it did so now. It reads several
// times before its transaction: while a purge is open, calendars only go.
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

func (s *Store) changePurge(ctx context.Context, doing string, f func(p *PurgeRecord, now time.Time)) error {
	return change(ctx, s, doing+" the purge", installationRef(), func(in *InstallationRecord, _ bool, now time.Time) effect {
		if !in.Purge.Open() {
			return nothing
		}
		f(in.Purge, now)
		return set
	})
}
