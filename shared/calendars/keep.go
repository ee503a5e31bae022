package calendars

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// wanted is what the calendar of an employee who is to have one ought to be.
type wanted struct {
	employee calendarsync.Employee
	name     string
	address  string
	rules    *calendarsync.Rules
}

// step is one of several that are taken in order; stop ends them all without a failure,
// mostly because a later pass has been asked for.
type step func(ctx context.Context) (stop bool, err error)

// always is a step after which the next one is taken unless it failed.
func always(f func(ctx context.Context) error) step {
	return func(ctx context.Context) (bool, error) { return false, f(ctx) }
}

func inOrder(ctx context.Context, steps ...step) error {
	for _, s := range steps {
		if stop, err := s(ctx); err != nil || stop {
			return err
		}
	}
	return nil
}

// keep makes sure of the calendar of an employee who is to have one. The order is that
// of rule 5.2: a former address loses its access before anything else is done, and its
// calendar stays until the new one is filled.
func (p *employeePass) keep(ctx context.Context, e calendarsync.Employee) error {
	if err := p.findWanted(ctx, e); err != nil {
		return err
	}
	return inOrder(ctx,
		always(p.reinstate),
		always(func(ctx context.Context) error { return p.recall(ctx, p.want.address) }),
		always(p.partFromFormerAddress),
		always(p.unshareRetiring),
		p.recoverIntent,
		always(p.dequeueIfMade),
		p.createIfNone,
		always(p.adjust),
		p.shareIfDue,
		p.emptyForRebuild,
		p.fillIfDue,
		always(p.deleteRetiring),
		always(p.holdFormer),
		always(func(ctx context.Context) error { return p.writeCard(ctx, e, p.rec().Calendar.ID) }),
	)
}

func (p *employeePass) findWanted(ctx context.Context, e calendarsync.Employee) error {
	rules, err := p.Rules.Rules(ctx)
	if err != nil {
		return err
	}
	name, err := rules.Texts.CalendarName(calendarsync.TemplateEmployee{ID: p.id, Name: p.rec().Name})
	if err != nil {
		return failure.Wrap(failure.Invalid, fmt.Sprintf("name the calendar of employee %d", p.id), err)
	}
	p.want = wanted{name: name, address: strings.TrimSpace(e.Email.Or("")), rules: rules}
	return nil
}

// partFromFormerAddress retires a calendar that is shared with another address than the
// present one: it is replaced, and never shared once more (rule 5.2).
func (p *employeePass) partFromFormerAddress(ctx context.Context) error {
	c := p.rec().Calendar
	if c == nil || c.Address == "" || calendarsync.NormalAddress(c.Address) == calendarsync.NormalAddress(p.want.address) {
		return nil
	}
	if c.ID != "" {
		return p.retire(ctx, time.Time{})
	}
	// Made or not, it was never shared: the pending creation gets the new address.
	// Forgotten, its calendar would stay for ever.
	return p.save(ctx, ofCalendar(func(c *store.CalendarRecord) { c.Address = p.want.address }))
}

// dequeueIfMade gives up the place in the queue of one whose calendar was found or
// adopted while they waited.
func (p *employeePass) dequeueIfMade(ctx context.Context) error {
	if p.rec().Calendar == nil || p.rec().Creation == nil {
		return nil
	}
	return p.Store.DequeueCreation(ctx, &p.lease)
}

func (p *employeePass) createIfNone(ctx context.Context) (waiting bool, err error) {
	if p.rec().Calendar != nil {
		return false, nil
	}
	waiting, err = p.create(ctx)
	p.created = err == nil && !waiting
	return waiting, err
}

func (p *employeePass) shareIfDue(ctx context.Context) (waiting bool, err error) {
	if !p.created && p.rec().Calendar.RuleID != "" && p.rec().State == store.StateActive && !p.complete() {
		return false, nil
	}
	return p.share(ctx)
}

// fillIfDue fills a calendar that was not filled yet, or that has to be compared. Only
// one that holds all it ought to replaces what was there before (rule 5.2).
func (p *employeePass) fillIfDue(ctx context.Context) (stop bool, err error) {
	if c := p.rec().Calendar; p.created || p.emptied || c.Filled.IsZero() || !c.Listed || p.complete() {
		if err := p.fill(ctx); err != nil {
			return false, err
		}
	}
	c := p.rec().Calendar
	return c == nil || c.ID == "" || p.unfinished || p.Waiting, nil
}
