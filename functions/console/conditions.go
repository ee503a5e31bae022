package console

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// conditions are what holds for everybody alike: the settings, the central account, how the
// last poll went, and who waits for a new calendar.
type conditions struct {
	saved     settings.Saved
	account   store.AccountRecord
	connected bool
	poll      store.PollOutcome
	queue     map[int64]store.QueuedCreation
}

// conditions reads what holds for everybody.
func (h *handler) conditions(ctx context.Context) (conditions, error) {
	var k conditions
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { k.saved, err = h.Settings.Saved(ctx); return err })
	g.Go(func() (err error) { k.poll, _, err = h.Store.PollOutcome(ctx); return err })
	g.Go(func() (err error) {
		k.account, err = h.Store.Account(ctx)
		if errors.Is(err, store.ErrNotConnected) {
			return nil
		}
		if err != nil {
			return err
		}
		k.connected = k.account.Connected
		places, err := h.Store.CreationQueue(ctx, k.account.Sub, h.Now(), k.account.CreationsResume())
		k.queue = make(map[int64]store.QueuedCreation, len(places))
		for _, p := range places {
			k.queue[p.Employee] = p
		}
		return err
	})
	return k, g.Wait()
}

// place is an employee's place in the queue for new calendars; nil for who has none.
func (k conditions) place(e store.EmployeeRecord) *store.QueuedCreation {
	if q, waits := k.queue[e.ID]; waits && e.State == store.StatePending {
		return &q
	}
	return nil
}

// queueWords says how many wait for a new calendar and when the last gets theirs; "" where
// nobody waits.
func (k conditions) queueWords(c locale) string {
	var last time.Time
	for _, q := range k.queue {
		if q.At.After(last) {
			last = q.At
		}
	}
	if len(k.queue) == 0 {
		return ""
	}
	return c.N("people.queue", len(k.queue), "At", c.about(last))
}

// standstill says why nothing is written for anybody just now; nil where that is not so. Who
// asks for something is to know it: it is not done until then.
func (k conditions) standstill(c locale) *cause {
	var why cause
	switch {
	case !k.saved.Ready():
		why = failureCause(c.Texts, &store.Failure{Kind: failure.Misconfigured})
	case !k.connected:
		why = employeeCause(c.Texts, string(calendarsync.ReasonNotConnected))
	case !k.saved.Settings.Enabled:
		why = employeeCause(c.Texts, string(calendarsync.ReasonPaused))
	case !k.saved.Settings.Confirmed:
		why = employeeCause(c.Texts, string(calendarsync.ReasonUnconfirmed))
	case k.account.Incident.StopsAll():
		why = cause{What: c.T("standing.refused.what"), Do: c.T("standing.refused.do")}.on(c.Texts, connectionsPath)
	case !k.poll.ApartSince.IsZero():
		why = cause{What: c.T("standing.clock.what"), Do: c.T("standing.clock.do")}.on(c.Texts, settingsPath)
	case k.poll.Failing != nil && k.poll.Failing.Kind != failure.SourceInvalid:
		why = cause{What: c.T("standing.unreached.what"), Do: c.T("standing.unreached.do")}.on(c.Texts, connectionsPath)
	case c.now.Before(k.account.PausedUntil):
		why = failureCause(c.Texts, &store.Failure{Kind: failure.Exhausted, Reason: k.account.PausedFor(c.now)})
		why.Do += " " + c.T("standing.next", "At", c.about(k.account.PausedUntil))
	default:
		return nil
	}
	return &why
}

// heeded is how a page speaks while these conditions hold: where nothing is written for anybody,
// it does not say that something is about to be.
func (k conditions) heeded(c locale) locale {
	c.still = k.standstill(c) != nil
	return c
}
