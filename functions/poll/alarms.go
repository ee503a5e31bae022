package poll

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	// RecordAlarms is the name of the poll record that keeps open incidents.
	RecordAlarms = "alarms"
	// expiryNotice is how long ahead a grant that will die is told (protocol.md §7.5).
	expiryNotice = 48 * time.Hour
)

// alarms raises one alarm for each incident that only the account's record shows,
// and another when it ends: Poll alone, so that instances need not agree.
func (p *pass) alarms(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	a, err := p.Store.Account(ctx)
	if err != nil && !errors.Is(err, store.ErrNotConnected) {
		return fmt.Errorf("poll: %w", err)
	}
	now, err := p.Store.Now(ctx)
	if err != nil {
		return fmt.Errorf("poll: read the store's clock: %w", err)
	}
	rec, _, err := p.Store.Poll(ctx, RecordAlarms)
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	open := maps.Clone(rec.Alarms)
	if open == nil {
		open = map[string]string{}
	}
	paused := a.PausedUntil
	if a.CreationsPausedUntil.After(paused) {
		paused = a.CreationsPausedUntil
	}
	for _, c := range []struct {
		kind, incident, begins, ends string
		is                           bool
	}{
		{"quota-exhausted", "quota-" + paused.UTC().Format(time.RFC3339), "Google refuses writes for a while: quotaExceeded",
			"Google's pause is over", now.Before(paused)},
		{"grant-expiring", "grant-" + strconv.FormatInt(a.Version, 10), "The grant of the central account ends within 48 hours: connect it again",
			"The grant of the central account does not end soon any more",
			a.Connected && !a.GrantExpiresAt.IsZero() && a.GrantExpiresAt.Sub(now) < expiryNotice},
	} {
		switch raised := open[c.kind]; {
		case c.is && raised == "":
			logging.Alarm(ctx, p.Log, c.kind, c.incident, c.begins)
			open[c.kind] = c.incident
		case !c.is && raised != "":
			logging.AlarmEnded(ctx, p.Log, c.kind, raised, c.ends)
			delete(open, c.kind)
		}
	}
	if maps.Equal(open, rec.Alarms) || (len(open) == 0 && len(rec.Alarms) == 0) {
		return nil
	}
	rec.Alarms = open
	if err := p.Store.SavePoll(ctx, RecordAlarms, rec); err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	return nil
}
