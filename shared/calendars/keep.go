package calendars

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// keep makes sure of the calendar of an employee who is to have one. The order is that
// of rule 5.2: a former address loses its access before anything else is done, and its
// calendar stays until the new one is filled.
func (p *employeePass) keep(ctx context.Context) error {
	return inOrder(ctx,
		p.findWanted,
		p.reinstate,
		p.recall,
		p.partFromFormerAddress,
		p.reconsiderReplaced,
		p.unshareRetiring,
		p.recoverIntent,
		p.dequeueIfMade,
		p.create,
		p.adjust,
		p.share,
		p.emptyForRebuild,
		p.fillIfDue,
		p.deleteRetiring,
		p.holdFormer,
		p.writeCard,
	)
}

func (p *employeePass) findWanted(ctx context.Context) error {
	texts, err := p.findRules(ctx)
	if err != nil {
		return err
	}
	name, err := texts.CalendarName(calendarsync.TemplateEmployee{ID: p.id, Name: p.rec().Name})
	if err != nil {
		return failure.Wrap(failure.Invalid, fmt.Sprintf("name the calendar of employee %d", p.id), err)
	}
	p.name, p.address = name, strings.TrimSpace(p.employee.Email.Or(""))
	return nil
}

// findRules finds what the calendar is to hold, and gives the texts of the settings. Where the
// ERP's catalogue cannot be read, only the fill is to wait for it (rule 4.15).
func (p *employeePass) findRules(ctx context.Context) (*calendarsync.Texts, error) {
	p.rules, p.unruled = p.Rules.Rules(ctx)
	switch {
	case p.unruled == nil:
		return p.rules.Texts, nil
	case !errors.Is(p.unruled, calendarsync.ErrCatalogueUnread):
		return nil, p.unruled
	}
	texts, err := calendarsync.NewTexts(p.settings)
	return texts, failure.Wrap(failure.Misconfigured, "read settings", err)
}

// partFromFormerAddress retires a calendar that is shared with another address than the
// present one: it is replaced, and never shared once more (rule 5.2).
func (p *employeePass) partFromFormerAddress(ctx context.Context) error {
	c := p.rec().Calendar
	if c == nil || c.Address == "" {
		return nil
	}
	if calendarsync.NormalAddress(c.Address) == calendarsync.NormalAddress(p.address) {
		if c.FormerSince.IsZero() {
			return nil
		}
		return p.save(ctx, ofCalendar(func(c *store.CalendarRecord) { c.FormerSince = time.Time{} }))
	}
	if c.ID != "" {
		if waits, err := p.awaitReplacement(ctx, *c); err != nil || waits {
			return err
		}
		return p.retire(ctx)
	}
	// Made or not, it was never shared: the pending creation gets the new address.
	// Forgotten, its calendar would stay for ever.
	return p.save(ctx, ofCalendar(func(c *store.CalendarRecord) { c.Address = p.address }))
}

// formerAtMost is how long a former address may read while its calendar waits to be
// replaced.
const formerAtMost = 24 * time.Hour

// awaitReplacement reports whether the calendar of a former address stays until the new one
// gets its turn: where many addresses change at once, most would see nothing for hours
// (rule 5.8). Until then it is kept as it is, for the address that it is shared with.
func (p *employeePass) awaitReplacement(ctx context.Context, c store.CalendarRecord) (bool, error) {
	now := p.term.AcquiredAt()
	since := c.FormerSince
	if since.IsZero() {
		since = now
	}
	until := since.Add(formerAtMost)
	if !now.Before(until) || p.older || !c.GoneSince.IsZero() {
		return false, nil
	}
	account, err := p.Account.Account(ctx)
	if err != nil {
		return false, err
	}
	position, alone, err := p.Store.ReserveReplacement(ctx, &p.lease, account.Sub, p.waits.CalendarsPerHour, p.caps(account), p.pause.Until(account))
	if err != nil || alone || position.Granted {
		return false, err
	}
	if c.FormerSince.IsZero() {
		p.Log.InfoContext(ctx, "calendar of a former address waits for its replacement", "employee", p.id, "before", position.Before, "about", position.At)
		if err := p.save(ctx, ofCalendar(func(c *store.CalendarRecord) { c.FormerSince = since })); err != nil {
			return false, err
		}
	}
	for _, sooner := range []time.Time{position.At, now.Add(queueAgain)} {
		if sooner.Before(until) {
			until = sooner
		}
	}
	p.Again(until)
	p.address = c.Address
	return true, nil
}

// dequeueIfMade gives up the place in the queue of one whose calendar was found or
// adopted while they waited.
func (p *employeePass) dequeueIfMade(ctx context.Context) error {
	c := p.rec().Calendar
	if c == nil || p.rec().Creation == nil || !c.FormerSince.IsZero() {
		return nil
	}
	return p.Store.DequeueCreation(ctx, &p.lease)
}

// fillIfDue fills a calendar that was not filled yet, or that has to be compared. Only
// one that holds all it ought to replaces what was there before (rule 5.2).
func (p *employeePass) fillIfDue(ctx context.Context) error {
	if c := p.rec().Calendar; p.created || p.emptied || c.Filled.IsZero() || !c.Listed || !c.GoneSince.IsZero() || p.complete() {
		if err := p.fill(ctx); err != nil {
			return err
		}
	}
	if p.unfinished || p.Waiting {
		return errLater
	}
	return nil
}
