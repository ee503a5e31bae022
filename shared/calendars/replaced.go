package calendars

import (
	"context"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// wasReplaced reports whether a retiring calendar was replaced because it was gone.
func wasReplaced(c store.CalendarRecord) bool { return !c.ReplacedAt.IsZero() }

// reconsiderReplaced looks for calendars that were replaced because they were gone.
// Of one that turned up after all and the new one, that stays which the employee can
// read: whose share a list of its rules has shown. Otherwise it is the new one; and the
// old one where there is no new one yet. One that is refused keeps nothing else waiting.
func (p *employeePass) reconsiderReplaced(ctx context.Context) error {
	for _, c := range slices.Clone(p.rec().Retiring) {
		if !wasReplaced(c) || p.rec().Calendar != nil && p.rec().Calendar.ID == "" {
			continue
		}
		if err := p.extend(ctx); err != nil {
			return err
		}
		found, err := p.Google.Calendar(p.calls(ctx), c.ID)
		switch {
		case failure.Is(err, failure.Gone):
			continue
		case err == nil:
			err = p.settleReplaced(ctx, c, p.marked(found, c))
		case pass.ConcernsOneThing(err) && p.presentShared():
			err = p.settleReplaced(ctx, c, false) // it exists, out of reach
		default:
			err = p.goOn(ctx, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settleReplaced decides about a replaced calendar that is there after all.
func (p *employeePass) settleReplaced(ctx context.Context, c store.CalendarRecord, marked bool) error {
	back := marked && oldStays(c, p.rec().Calendar, p.address)
	if p.older {
		return errOlder
	}
	p.Log.WarnContext(ctx, "a calendar that was replaced is there after all", "employee", p.id, "calendar", c.ID, "stays", back)
	return p.save(ctx, func(r *store.EmployeeRecord) {
		forget := func(c *store.CalendarRecord) { c.ReplacedAt, c.GoneSince = time.Time{}, time.Time{} }
		if !back {
			ofRetiring(c.ID, forget)(r)
			return
		}
		withoutRetiring(c.ID)(r)
		if r.Calendar != nil {
			r.Retiring = append(slices.Clone(r.Retiring), *r.Calendar)
		}
		old := c
		forget(&old)
		// What happened in it meanwhile is not known.
		old.Listed, old.Permitted, old.PermittedAt = false, false, time.Time{}
		r.Calendar, r.State, r.KeptFrom = &old, store.StatePending, time.Time{}
		if old.RuleID != "" && !old.ShareAgain {
			r.State = store.StateActive // it was shared, whether or not a list shows that
		}
	})
}

// replacedOutOfReach has a replaced calendar lose its share that Google denies while it lists its
// rules: it exists, its employee reads it beside the new one, and nobody writes it any more
// (rule 3.10). That waits for the second look and for the new one's share, but not until it is
// forgotten.
func (p *employeePass) replacedOutOfReach(ctx context.Context, c store.CalendarRecord, found inspection, fate fate) (bool, error) {
	if !wasReplaced(c) || !shared(c) || found.exists || c.GoneSince.IsZero() || p.term.AcquiredAt().Before(c.GoneSince.Add(p.waits.Absence)) {
		return false, nil
	}
	if fate != notThere && !p.presentShared() {
		return false, nil
	}
	if exists, err := p.listsRules(ctx, c); err != nil || !exists {
		return false, err
	}
	p.Log.WarnContext(ctx, "a calendar that was replaced exists, out of reach", "employee", p.id, "calendar", c.ID)
	p.Again(p.term.AcquiredAt()) // the next pass takes the share off
	return true, p.save(ctx, ofRetiring(c.ID, func(c *store.CalendarRecord) { c.ReplacedAt = time.Time{} }))
}

// presentShared reports whether the employee has a calendar that they can read.
func (p *employeePass) presentShared() bool {
	c := p.rec().Calendar
	return c != nil && c.RuleID != "" && !c.ShareAgain
}

// oldStays reports whether a replaced calendar stays that is there after all, and not
// the one in its place, which is nil where there is none yet.
func oldStays(old store.CalendarRecord, present *store.CalendarRecord, address string) bool {
	if calendarsync.NormalAddress(old.Address) != calendarsync.NormalAddress(address) || !old.Cleared.IsZero() {
		return false
	}
	return present == nil || old.RuleSeen && !present.RuleSeen
}
