package pass

import (
	"context"
	"log/slog"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Stop is why nothing may be written now. The zero value is that it may.
type Stop struct {
	// Err is the reason: the settings pause everything or nobody has confirmed them yet
	// (rules 4.6 and 4.7), the account's grant or client cannot be used (rule 7.5), or
	// Google wants no writes for a while (rule 6.6).
	Err error
	// BadSettings: the settings in force cannot be used, so nothing can be judged.
	BadSettings bool
	// Until is when it ends, where that is known.
	Until time.Time
}

// Settings gives the settings in force; kind misconfigured where they cannot be used.
type Settings interface {
	Settings(ctx context.Context) (calendarsync.Settings, error)
}

// Stopped finds out why nothing may be written now. pause is Google's pause of what
// is to be written, nil where that is asked for later. doing is what is stopped, for
// the error. An error means that it could not be found out.
func Stopped(ctx context.Context, doing string, settings Settings, account Account, pause *Pause) (Stop, error) {
	s, err := settings.Settings(ctx)
	switch {
	case failure.Is(err, failure.Misconfigured):
		return Stop{Err: err, BadSettings: true}, nil
	case err != nil:
		return Stop{}, err
	case !s.Enabled || !s.Confirmed:
		return Stop{Err: failure.New(failure.Misconfigured, doing, "paused by the settings")}, nil
	}
	a, err := account.Account(ctx)
	switch {
	case NeedsPerson(err):
		return Stop{Err: err}, nil
	case err != nil:
		return Stop{}, err
	case pause == nil:
		return Stop{}, nil
	}
	if until := pause.Until(a); !until.IsZero() {
		return Stop{Err: failure.New(failure.Exhausted, doing, "Google wants no writes until "+until.Format(time.RFC3339)), Until: until}, nil
	}
	return Stop{}, nil
}

// NeedsPerson reports whether a failure stops all writing until a person acts.
func NeedsPerson(err error) bool {
	return failure.Is(err, failure.Revoked) || failure.Is(err, failure.Misconfigured)
}

// Marker marks keys dirty.
type Marker interface {
	// MarkDirty counts a change of a key without a pass over it, due at a time.
	MarkDirty(ctx context.Context, key store.Key, due time.Time) error
	// Now is the database's clock.
	Now(ctx context.Context) (time.Time, error)
}

// Park keeps keys dirty without a pass over them; Poll brings them up once the stop
// is over.
func Park[ID ~int64](ctx context.Context, m Marker, log *slog.Logger, key func(int64) store.Key, ids []ID, stop Stop) error {
	due, err := m.Now(ctx)
	if err != nil {
		return err
	}
	due = Later(due, stop.Until)
	for _, id := range ids {
		if err := m.MarkDirty(ctx, key(int64(id)), due); err != nil {
			return err
		}
	}
	log.InfoContext(ctx, "keys parked", "keys", len(ids), "kind", failure.KindOf(stop.Err), "error", stop.Err.Error())
	return nil
}

// Guard is the delete guard.
type Guard interface {
	// Permit grants as many of the deletions as the rolling day has room for; began
	// is set where this holds the first of those held.
	Permit(ctx context.Context, what store.Guarded, want, percent int) (granted int, began time.Time, err error)
}

// Permit asks the delete guard for deletions that nobody may have meant, and raises
// the alarm where some are held for the first time (rules 4.3, 4.5).
func Permit(ctx context.Context, g Guard, log *slog.Logger, what store.Guarded, want, percent int) (granted int, err error) {
	granted, began, err := g.Permit(ctx, what, want, percent)
	if !began.IsZero() {
		logging.Alarm(ctx, log, logging.DeletionsHeld, "held-"+began.UTC().Format(time.RFC3339),
			"More "+string(what)+" would be deleted than is usual in a day: the rest is held until an admin has looked")
	}
	return granted, err
}

// confirmed is how long an admin's confirmation holds for a key.
const confirmed = 24 * time.Hour

// Allowed reports whether what is held since a time may go now, because an admin
// confirmed it at another.
func Allowed(heldSince, allowedAt, now time.Time) bool {
	return !allowedAt.IsZero() && !allowedAt.Before(heldSince) && now.Before(allowedAt.Add(confirmed))
}
