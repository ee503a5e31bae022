package calendars

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// permission is how long after the guard counted a calendar's deletion it may be made;
// later it is counted anew, or more than may go in a day could go in one.
const permission = 10 * time.Minute

// allowance is how long an admin's confirmation holds for an employee.
const allowance = 24 * time.Hour

// permit asks the delete guard whether one more calendar may go: every deletion
// of a calendar counts (rule 4.3). What is held stays so until an admin
// has confirmed it or its source has recovered (rule 4.5).
func (l *employeePass) permit(ctx context.Context) (bool, error) {
	rec := l.rec()
	if rec.Held != "" {
		return !rec.AllowedAt.IsZero() && l.taken().Before(rec.AllowedAt.Add(allowance)), nil
	}
	granted, began, err := l.k.Store.Permit(ctx, store.GuardedCalendars, 1, l.settings.DeleteGuardPercent)
	if err != nil {
		return false, err
	}
	if !began.IsZero() {
		logging.Alarm(ctx, l.k.Log, logging.DeletionsHeld, "held-"+began.UTC().Format(time.RFC3339),
			"More calendars would be deleted than is usual in a day: the rest is held until an admin has looked")
	}
	return granted > 0, nil
}

// permitAgain is permit for a calendar whose deletion may have been counted already,
// and was refused by Google since.
func (l *employeePass) permitAgain(ctx context.Context, c store.CalendarRecord) (bool, error) {
	if c.Permitted && l.rec().Held == "" {
		if renewed, err := l.k.Store.Renew(ctx, store.GuardedCalendars, c.PermittedAt); err != nil || renewed {
			return renewed, err
		}
	}
	return l.permit(ctx)
}

// hold records that the deletion waits for an admin. present tells that the
// calendar is still the employee's and goes on meanwhile; otherwise its share is
// gone already.
func (l *employeePass) hold(ctx context.Context, reason calendarsync.Reason, present bool) error {
	state := l.rec().State
	if !present {
		state = store.StateHeld
	}
	if l.rec().Held != "" && l.rec().State == state && l.rec().Reason == string(reason) {
		return nil
	}
	l.k.Log.WarnContext(ctx, "deletion held", "employee", l.id, "reason", reason, "shared", present)
	return l.save(ctx, func(r *store.EmployeeRecord) { r.State, r.Reason, r.Held = state, string(reason), store.HeldWaiting })
}

// takeBack gives an employee who is to have a calendar after all the old one,
// whose deletion was held, or which a stopped purge left; they are invited to it again (rule 4.5).
func (l *employeePass) takeBack(ctx context.Context) error {
	rec := l.rec()
	purged := rec.Reason == string(calendarsync.ReasonPurged) // and the purge stopped
	if rec.Calendar != nil || (rec.Held == "" && !purged) {
		return nil
	}
	return l.save(ctx, func(r *store.EmployeeRecord) {
		r.Held, r.AllowedAt, r.Reason, r.State = "", time.Time{}, "", store.StatePending
		// The one they had last: before it may stand some of former addresses.
		i := len(r.Retiring) - 1
		for i >= 0 && (r.Retiring[i].Permitted || r.Retiring[i].Extra || !r.Retiring[i].Cleared.IsZero()) {
			i--
		}
		if i < 0 {
			return
		}
		c := r.Retiring[i]
		// What happened in it meanwhile is not known.
		c.Listed = false
		switch {
		case c.AddressDigest != "":
			// Adopted, and still shared with whom its mark tells: recall finds out.
			c.Address, c.RuleID, c.RuleSeen = "", "", false
		case c.Address == "" || calendarsync.NormalAddress(c.Address) == calendarsync.NormalAddress(r.Address):
			// Not shared any more, or to be shared as it was: what is there, its rules tell.
			c.Address, c.RuleID, c.RuleSeen = r.Address, "", false
		}
		// A former address that Google refused to take off yet stays on record, so that
		// it still loses its access (rule 5.2).
		r.Calendar = &c
		r.Retiring = slices.Delete(slices.Clone(r.Retiring), i, i+1)
	})
}

// holdFormer keeps the list of what is held right for an employee who has a
// calendar: one of a former address may still wait for an admin.
func (l *employeePass) holdFormer(ctx context.Context) error {
	held := ""
	if slices.ContainsFunc(l.rec().Retiring, awaitsAdmin) {
		held = cmp.Or(l.rec().Held, store.HeldWaiting)
	}
	if l.rec().Held == held {
		return nil
	}
	return l.save(ctx, func(r *store.EmployeeRecord) { r.Held, r.AllowedAt = held, time.Time{} })
}
