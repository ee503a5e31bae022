package poll

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/rulebook"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// poll is one call of the function.
type poll struct {
	*handler
	settings calendarsync.Settings
	sum      *Summary
	// account and now are what the store said at the beginning, unless unknown says
	// why it did not; account is zero where none was ever connected.
	account store.AccountRecord
	// markLost is a mark that Google does not give back; nil for none.
	markLost *store.UnreadableMark
	// takeover is since when an admin has to decide whose the calendars are that were
	// found; zero for nothing to decide (rule 3.13).
	takeover time.Time
	now      time.Time
	unknown  error
	// clock is the ERP's, nil where it could not be read.
	clock *userside.Clock
	// faults are what of the ERP's catalogues cannot be read, by the last reading of anybody.
	faults []store.CatalogueFault
	// unread says what of the ERP this poll could not read.
	unread []string
	// fault is the first thing that kept this poll from reading the ERP, sameAddress who
	// shares an address, runMissed whether the full run stays away, and unreached how many
	// calendars are out of reach, if that was counted.
	fault       error
	sameAddress *[]store.SharedAddress
	runMissed   bool
	unreached   *int
	// unreadableNow is what of the ERP has been unreadable for an hour; nil where that was not
	// looked for.
	unreadableNow *[]string
	// sent are the tasks published in this poll: one message each is enough.
	sent map[int64]bool
}

func (h *handler) poll(ctx context.Context) (Summary, error) {
	var sum Summary
	in, err := h.Settings.Settings(ctx)
	p := &poll{handler: h, settings: in, sum: &sum, sent: map[int64]bool{}}
	switch {
	case failure.Is(err, failure.Misconfigured):
		// Until an admin completes the settings nothing can be judged.
		h.Log.WarnContext(ctx, "the settings are incomplete: nothing is polled", "error", err)
		sum.Paused = true
	case err != nil:
		return sum, err
	case !in.Enabled:
		sum.Paused = true
	}
	p.learn(ctx)
	if sum.Paused {
		// A grant expires whether anybody uses it or not.
		return sum, errors.Join(within(ctx, p.purge), p.recheck(ctx), within(ctx, p.alarms), within(ctx, p.record))
	}
	// The parts are independent: an ERP that is down must not keep due keys waiting.
	return sum, errors.Join(within(ctx, p.due), within(ctx, p.putOff), p.noted(p.tasks(ctx)), p.noted(p.employees(ctx)),
		p.recheck(ctx), within(ctx, p.endHold), within(ctx, p.fold), within(ctx, p.alarms), within(ctx, p.record))
}

// saysOfERP reports whether a failure is the ERP's: it could not be read, or refuses the key.
func saysOfERP(err error) bool {
	return failure.Is(err, failure.Source) || failure.Is(err, failure.SourceInvalid) || failure.Is(err, failure.Misconfigured)
}

// noted notes a failure of the ERP and gives it back.
func (p *poll) noted(err error) error {
	if saysOfERP(err) {
		p.fault = cmp.Or(p.fault, err)
		p.unread = append(p.unread, store.FailureOf(err, nil, p.now).Message)
	}
	return err
}

// recheck reads the catalogues once more where something of them could not be read: it may be
// mended since a worker last had to do with them.
func (p *poll) recheck(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	faults, err := p.Store.CatalogueFaults(ctx)
	if err == nil && len(faults) > 0 && !p.sum.Paused {
		again := rulebook.New(p.Settings, p.ERP, p.Store, func() time.Time { return p.now }, p.Log)
		if _, err := again.Rules(ctx); err != nil {
			p.Log.InfoContext(ctx, "there are no rules", "error", err)
		}
		faults, err = p.Store.CatalogueFaults(ctx)
	}
	p.faults = faults
	return err
}

// within gives a part that calls no ERP its time.
func within(ctx context.Context, part func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, partDeadline)
	defer cancel()
	return part(ctx)
}

// learn reads once what several parts need of the store.
func (p *poll) learn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	in, err := p.Store.Installation(ctx)
	if err == nil {
		p.account, err = p.Store.AccountOf(ctx, in)
	}
	if err != nil && !errors.Is(err, store.ErrNotConnected) {
		p.unknown = err
		return
	}
	p.takeover, p.markLost = in.TakeoverAsked, cmp.Or(in.Unreadable, in.UnreadableEvent)
	p.now, p.unknown = p.Store.Now(ctx)
}

// mayWrite reports whether a pass could write anything: without a confirmation, an
// account or a decision about what was found, due keys would only be read from the ERP
// and parked again at every poll (rules 3.13, 4.7 and 7.5).
func (p *poll) mayWrite() bool {
	return p.account.Connected && p.settings.Confirmed && p.takeover.IsZero()
}

// everybody starts a full run.
func (p *poll) everybody(ctx context.Context, cause queue.Cause) error {
	p.sum.Everybody = true
	return p.send(ctx, p.cfg.EmployeeTopic, queue.Message{All: true, Cause: cause, Lane: queue.LaneBulk})
}

func (p *poll) publish(ctx context.Context, topic string, cause queue.Cause, lane queue.Lane, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	return p.send(ctx, topic, queue.Split(queue.Message{IDs: ids, Cause: cause, Lane: lane})...)
}

func (p *poll) send(ctx context.Context, topic string, messages ...queue.Message) error {
	ctx, cancel := context.WithTimeout(ctx, publishDeadline)
	defer cancel()
	if err := p.Publisher.Publish(ctx, topic, messages...); err != nil {
		return fmt.Errorf("publish %d messages to %s: %w", len(messages), topic, err)
	}
	return nil
}

func remembered[T any](ctx context.Context, read func(context.Context) (T, bool, error)) (T, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	return read(ctx)
}

func remember[T any](ctx context.Context, save func(context.Context, T) error, rec T) error {
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	return save(ctx, rec)
}
