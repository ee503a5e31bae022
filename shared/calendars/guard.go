package calendars

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// permission is how long after the guard counted a calendar's deletion it may be made;
// later it is counted anew, or more than may go in a day could go in one (rule 4.8).
const permission = 10 * time.Minute

// permit asks the delete guard whether one more calendar may go: every deletion of a
// calendar counts (rule 4.3). What is held stays so until an admin has confirmed it or
// its source has recovered (rule 4.5).
func (p *employeePass) permit(ctx context.Context) (bool, error) {
	if p.planned() {
		return true, nil
	}
	if p.keptByAdmin() {
		return false, nil
	}
	if rec := p.rec(); rec.Held != "" {
		return pass.Allowed(time.Time{}, rec.AllowedAt, p.term.AcquiredAt()), nil
	}
	granted, err := pass.Permit(ctx, p.Store, p.Log, store.GuardedCalendars, 1, p.settings.DeleteGuardPercent)
	return granted > 0, err
}

// planned reports whether the employee is to have no calendar because of settings that an
// admin applied after a plan that named them (rule 4.14).
func (p *employeePass) planned() bool {
	switch calendarsync.Reason(p.reason) {
	case calendarsync.ReasonUnbound, calendarsync.ReasonBindingMissing:
		return p.settings.Applied.Unbinds(p.id, p.term.AcquiredAt())
	}
	return false
}

// permitRetiring asks the guard for a retiring calendar, unless it has just counted it,
// and records what it said.
func (p *employeePass) permitRetiring(ctx context.Context, c store.CalendarRecord) (permitted bool, err error) {
	switch {
	case p.keptByAdmin():
		return false, nil
	case c.Permitted && p.term.AcquiredAt().Sub(c.PermittedAt) <= permission:
		return true, nil
	}
	if c.Permitted && p.rec().Held == "" && !p.planned() {
		// Counted already, and not deleted since: it is moved to the present, not counted
		// twice.
		permitted, err = p.Store.Renew(ctx, store.GuardedCalendars, c.PermittedAt)
	}
	if err == nil && !permitted {
		permitted, err = p.permit(ctx)
	}
	if err != nil || !permitted && !c.Permitted {
		return false, err
	}
	return permitted, p.save(ctx, ofRetiring(c.ID, func(c *store.CalendarRecord) {
		c.Permitted, c.PermittedAt = permitted, p.term.AcquiredAt()
	}))
}

// hold records that the deletion waits for an admin, and ends the pass. present: the
// calendar is still the employee's and goes on meanwhile; otherwise its share is gone
// already.
func (p *employeePass) hold(ctx context.Context, present bool) error {
	state, reason, held := p.rec().State, p.reason, store.HeldWaiting
	if !present {
		state = store.StateHeld
	}
	if p.keptByAdmin() {
		held = store.HeldDropped
	}
	if p.rec().Held != "" && p.rec().State == state && p.rec().Reason == reason {
		return errLater
	}
	p.Log.WarnContext(ctx, "deletion held", "employee", p.id, "reason", reason, "shared", present)
	if present {
		if err := p.countPresent(ctx); err != nil {
			return err
		}
	}
	if err := p.save(ctx, func(r *store.EmployeeRecord) { r.State, r.Reason, r.Held = state, reason, held }); err != nil {
		return err
	}
	return errLater
}

// countPresent remembers how many events the present calendar holds.
func (p *employeePass) countPresent(ctx context.Context) error {
	tasks, err := p.Store.TasksOf(ctx, int64(p.id))
	if err != nil || p.rec().Calendar == nil {
		return err
	}
	n := 0
	for _, t := range tasks {
		if m, mapped := t.Mapping(int64(p.id)); mapped && m.State == store.MappingLive && m.Epoch == p.rec().Calendar.Epoch {
			n++
		}
	}
	return p.save(ctx, ofCalendar(func(c *store.CalendarRecord) { c.Events = n }))
}

// holdFormer keeps the list of what is held right for an employee who has a calendar:
// one of a former address may still wait for an admin.
func (p *employeePass) holdFormer(ctx context.Context) error {
	held := ""
	if slices.ContainsFunc(p.rec().Retiring, p.awaitsAdmin) {
		held = cmp.Or(p.rec().Held, store.HeldWaiting)
	}
	if p.rec().Held == held || held == "" && len(p.undeleted) > 0 {
		return nil // what an admin let go and Google refuses is let go still
	}
	return p.save(ctx, func(r *store.EmployeeRecord) {
		r.Held, r.AllowedAt = held, time.Time{}
		if held == "" && r.State == store.StateActive {
			r.Reason = "" // that for which the present calendar was to go
		}
	})
}

// awaitsAdmin reports whether a calendar that a pass left retiring is one that the
// delete guard holds: one that a purge emptied waits only for the calls that were on
// their way to it, one that is gone, or its rule, for another look, and one that Google
// refuses to delete for another try.
func (p *employeePass) awaitsAdmin(c store.CalendarRecord) bool {
	return !slices.Contains(p.undeleted, c.ID) && c.Cleared.IsZero() && c.GoneSince.IsZero() && c.UnshareGoneSince.IsZero() && c.ReplacedAt.IsZero()
}

// reinstate gives an employee who is to have a calendar after all the old one, whose
// deletion was held (rule 4.5), or which a stopped purge left (rule 4.11); they are
// invited to it again.
func (p *employeePass) reinstate(ctx context.Context) error {
	rec := p.rec()
	purged := rec.Reason == string(calendarsync.ReasonPurged) // and the purge stopped
	if rec.Calendar != nil || rec.Held == "" && !purged {
		return nil
	}
	return p.save(ctx, func(r *store.EmployeeRecord) {
		r.Held, r.AllowedAt, r.Reason, r.State = "", time.Time{}, "", store.StatePending
		if i := reinstatable(r.Retiring); i >= 0 {
			c := reinstated(r.Retiring[i], r.Address)
			r.Calendar = &c
			r.Retiring = slices.Delete(slices.Clone(r.Retiring), i, i+1)
		}
	})
}

// reinstatable finds the calendar that the employee had last, since those before it may
// be of former addresses; -1 for none. One whose deletion was granted or that a purge
// emptied does not come back, nor does an extra. One that Google said once is gone does,
// in doubt as it is: another beside it would be one too many (rule 3.9).
func reinstatable(retiring []store.CalendarRecord) int {
	for i, c := range slices.Backward(retiring) {
		if !c.Permitted && !c.Extra && c.Cleared.IsZero() {
			return i
		}
	}
	return -1
}

// reinstated is a retiring calendar as the employee's own again. A former address that
// Google refused to take off yet stays on record, so that it still loses its access
// (rule 5.2).
func reinstated(c store.CalendarRecord, present string) store.CalendarRecord {
	// What happened in it meanwhile is not known.
	c.Listed, c.LoweredRole, c.Events, c.UnshareGoneSince = false, "", 0, time.Time{}
	switch {
	case c.AddressDigest != "":
		// Adopted, and still shared with whom its mark says: recall finds out.
		c.Address, c.RuleID, c.RuleSeen = "", "", false
	case c.Address == "" || calendarsync.NormalAddress(c.Address) == calendarsync.NormalAddress(present):
		// Not shared any more, or to be shared as it was: its rules say what there is. The id of
		// one that may be there is kept: of an invitation that no list shows, nothing else
		// takes the access away again.
		c.Address, c.RuleSeen, c.ShareAgain = present, false, c.RuleID != ""
	}
	return c
}
