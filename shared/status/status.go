// Package status says how an installation is and what is wrong with it: for the console's
// overview and for monitoring. It reads a bounded number of records, however many employees
// and tasks there are. It must never ask Google or the ERP, and never say that all is right
// of what was not looked at.
package status

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Store is what the status is read from; store.Store is one.
type Store interface {
	// Account reads the central account; store.ErrNotConnected where none ever was.
	Account(ctx context.Context) (store.AccountRecord, error)
	// Installation reads the installation's record with its purge; zero where there is none.
	Installation(ctx context.Context) (store.InstallationRecord, error)
	// Tally counts keys by how they are.
	Tally(ctx context.Context) (store.Tally, error)
	// PollOutcome reads how the last poll went; found is false before the first.
	PollOutcome(ctx context.Context) (rec store.PollOutcome, found bool, err error)
	// Found reads whose calendars an admin has to decide about; found is false for nothing.
	Found(ctx context.Context) (rec store.FoundRecord, asked time.Time, found bool, err error)
	// Notifications reads how the ERP's connector did in the day before a time, by two causes.
	Notifications(ctx context.Context, now time.Time, notified, polled string) (store.Notifications, error)
	// LastRun reads the latest full run of a cause; found is false before the first.
	LastRun(ctx context.Context, cause string) (run store.RunRecord, found bool, err error)
	// Runs lists full runs of any cause, the latest first.
	Runs(ctx context.Context, limit int) ([]store.RunRecord, error)
	// CreationQueue lists who waits for a new calendar, in order; none is made before notBefore.
	CreationQueue(ctx context.Context, account string, now, notBefore time.Time) ([]store.QueuedCreation, error)
}

// Settings gives the settings as they are saved; settings.Source does.
type Settings interface {
	Saved(ctx context.Context) (settings.Saved, error)
}

// mostRuns is how many full runs are read.
const mostRuns = 5

// Status is how an installation is.
type Status struct {
	Now     time.Time
	Account store.AccountRecord
	// Ever: an account was connected at some time; Connected: it is now.
	Ever, Connected bool
	// Expected is the account that the configuration names.
	Expected     string
	Saved        settings.Saved
	Installation store.InstallationRecord
	Tally        store.Tally
	// Found is what an admin has to decide about (rule 3.13); empty for nothing.
	Found store.FoundRecord
	// Poll is how the last poll went, unless none ever ran.
	Poll   store.PollOutcome
	Polled bool
	// Notifications is how the ERP's connector does.
	Notifications store.Notifications
	// Waiting are those who wait for Google's limit on new calendars, in order.
	Waiting []store.QueuedCreation
	// Reconcile is the last nightly full run, nil before the first; Runs are the latest of any
	// cause, the latest first.
	Reconcile *store.RunRecord
	Runs      []store.RunRecord
}

// Read reads everything side by side. expected is the account that the configuration names; ""
// where that is not known.
func Read(ctx context.Context, from Store, set Settings, expected string, now time.Time) (Status, error) {
	s := Status{Now: now, Expected: expected}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		s.Account, err = from.Account(ctx)
		if errors.Is(err, store.ErrNotConnected) {
			return nil
		}
		s.Ever, s.Connected = err == nil, err == nil && s.Account.Connected
		if err != nil {
			return err
		}
		s.Waiting, err = from.CreationQueue(ctx, s.Account.Sub, now, s.Account.CreationsResume())
		return err
	})
	g.Go(func() (err error) { s.Saved, err = set.Saved(ctx); return err })
	g.Go(func() (err error) {
		s.Installation, err = from.Installation(ctx)
		if err == nil && s.Installation.Undecided() {
			s.Found, _, _, err = from.Found(ctx)
		}
		return err
	})
	g.Go(func() (err error) { s.Tally, err = from.Tally(ctx); return err })
	g.Go(func() (err error) { s.Poll, s.Polled, err = from.PollOutcome(ctx); return err })
	g.Go(func() (err error) {
		s.Notifications, err = from.Notifications(ctx, now, string(queue.CauseNotify), string(queue.CausePoll))
		return err
	})
	g.Go(func() error {
		run, found, err := from.LastRun(ctx, string(queue.CauseReconcile))
		if found {
			s.Reconcile = &run
		}
		return err
	})
	g.Go(func() (err error) { s.Runs, err = from.Runs(ctx, mostRuns); return err })
	return s, g.Wait()
}

// Calendars is how many employees have a calendar, or one on its way in or out.
func (s Status) Calendars() int {
	n := 0
	for state, count := range s.Tally.Employees {
		if state != store.StateNone {
			n += count
		}
	}
	return n
}
