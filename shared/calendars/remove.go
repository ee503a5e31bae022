package calendars

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// remove takes down the calendar of an employee who is to have none: the share
// first, then the calendar (rule 5.2).
func (l *employeePass) remove(ctx context.Context, reason calendarsync.Reason, e *calendarsync.Employee, absent bool) error {
	if c := l.rec().Calendar; c != nil && c.ID == "" {
		// A creation of unknown outcome has to be known before it can be undone.
		if waiting, err := l.recoverIntent(ctx); err != nil || waiting {
			return err
		}
	}
	if l.rec().Creation != nil && (!absent || e == nil) {
		// Nobody waits behind one who wants no calendar any more. Of whom that is only
		// doubted, the place stays, and by and by counts no more.
		if err := l.k.Store.DequeueCreation(ctx, &l.lease); err != nil {
			return err
		}
	}
	if l.rec().Calendar != nil && absent {
		// Nobody said that the employee is to lose it: not even the share goes before
		// the delete guard lets it.
		if permitted, err := l.permit(ctx); err != nil || !permitted {
			if err != nil {
				return err
			}
			if there, err := l.stillThere(ctx, l.rec().Calendar.ID); err != nil || there {
				if err != nil {
					return err
				}
				return l.hold(ctx, reason, true)
			}
		}
		if err := l.save(ctx, func(r *store.EmployeeRecord) {
			if r.Calendar == nil {
				return // as in leave
			}
			c := *r.Calendar
			c.Permitted, c.PermittedAt = true, l.taken()
			r.Calendar = &c
		}); err != nil {
			return err
		}
	}
	if l.rec().Calendar != nil {
		if err := l.leave(ctx, time.Time{}); err != nil {
			return err
		}
	}
	if len(l.rec().Retiring) > 0 && l.rec().Held == "" && l.rec().State != store.StateDeleting {
		if err := l.save(ctx, func(r *store.EmployeeRecord) { r.State, r.Reason = store.StateDeleting, string(reason) }); err != nil {
			return err
		}
	}
	if err := l.unshareLeaving(ctx); err != nil {
		return err
	}
	if err := l.takeDownLeaving(ctx); err != nil {
		return err
	}
	switch left := l.rec().Retiring; {
	case slices.ContainsFunc(left, awaitsAdmin):
		return l.hold(ctx, reason, false)
	case len(left) > 0:
		return nil // waiting
	}
	if e == nil {
		l.forgotten = true
	} else if err := l.writeCard(ctx, *e, ""); err != nil {
		return err
	}
	if l.rec().State == store.StateNone && l.rec().Reason == string(reason) {
		return nil
	}
	return l.save(ctx, func(r *store.EmployeeRecord) {
		r.State, r.Reason, r.KeptFrom = store.StateNone, string(reason), time.Time{}
		r.Held, r.AllowedAt = "", time.Time{}
	})
}

// awaitsAdmin reports whether a calendar that leaves, and is there after a look, is
// one that the delete guard holds: one that a purge emptied waits only for the calls
// that were on their way to it.
func awaitsAdmin(c store.CalendarRecord) bool { return c.Cleared.IsZero() }

// stillThere reports whether a calendar exists at Google: one that its owner deleted
// cannot be held, and its tasks would wait for it for ever. "Not found" is believed
// when it is said twice.
func (l *employeePass) stillThere(ctx context.Context, calendar string) (bool, error) {
	calls, cancel := l.calls(ctx)
	defer cancel()
	for range 2 {
		if _, err := l.k.Google.Calendar(calls, calendar); !failure.Is(err, failure.Gone) {
			return err == nil, err
		}
	}
	return false, nil
}

// rulesOf lists a calendar's rules: none, of a calendar that its owner deleted. A
// single "not found" would have a former address forgotten that can still read it.
func (l *employeePass) rulesOf(ctx, calls context.Context, calendar string) ([]googlecalendar.Rule, error) {
	rules, err := l.k.Google.Rules(calls, calendar)
	if !failure.Is(err, failure.Gone) {
		return rules, err
	}
	there, err := l.stillThere(ctx, calendar)
	if there {
		return nil, failure.New(failure.Transient, fmt.Sprintf("list the ACL rules of calendar %s", calendar), "Google says that they are gone, and shows the calendar")
	}
	return nil, err
}

// leave moves the present calendar to those that are being taken down; from now
// on no event is written to it (rule 1.6). from is that of the calendar
// to come, zero for one of its own (rule 3.5).
func (l *employeePass) leave(ctx context.Context, from time.Time) error {
	if err := l.fresh(); err != nil {
		return err
	}
	return l.save(ctx, func(r *store.EmployeeRecord) {
		if r.Calendar == nil {
			return
		}
		if r.Calendar.ID != "" {
			c := *r.Calendar
			if c.Address == "" {
				// Adopted after the database was lost, and not looked at since: shared, if at
				// all, with the address on the card.
				c.Address = r.Address
			}
			r.Retiring = append(slices.Clone(r.Retiring), c)
		}
		r.Calendar, r.State, r.KeptFrom = nil, store.StatePending, from
	})
}

// unshareLeaving removes the employee's share of every calendar that leaves.
func (l *employeePass) unshareLeaving(ctx context.Context) error {
	for _, c := range slices.Clone(l.rec().Retiring) {
		if c.Address == "" && c.RuleID == "" && c.AddressDigest == "" {
			continue
		}
		if err := l.extend(ctx); err != nil {
			return err
		}
		if err := l.unshare(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (l *employeePass) unshare(ctx context.Context, c store.CalendarRecord) error {
	calls, cancel := l.calls(ctx)
	defer cancel()
	account, err := l.k.Account.Account(calls)
	if err != nil {
		return err
	}
	id := c.RuleID
	if id == "" {
		// The answer to the share was lost: the rule is found by the address.
		rules, err := l.rulesOf(ctx, calls, c.ID)
		if err != nil {
			return err
		}
		rule, there := ruleFor(rules, "", c.Address)
		if c.AddressDigest != "" {
			// Adopted, and never looked at: shared with whom its mark tells.
			if before, found := l.sharedBefore(rules, c, c.Address, account); found {
				rule, there = before, true
			}
		}
		if there {
			id = rule.ID
		}
	}
	if own(id, account) {
		id = ""
	}
	activity := l.activity("rule.delete", c.ID)
	if id != "" {
		if err := l.announced(ctx, activity, unchanged); err != nil {
			return err
		}
		if err := l.k.Google.Unshare(calls, c.ID, id); err != nil {
			if saveErr := l.save(ctx, unchanged, result(activity, err)); saveErr != nil {
				return saveErr
			}
			return err
		}
	}
	return l.save(ctx, func(r *store.EmployeeRecord) {
		leaving := slices.Clone(r.Retiring)
		for i := range leaving {
			if leaving[i].ID == c.ID {
				leaving[i].RuleID, leaving[i].Address, leaving[i].AddressDigest = "", "", ""
			}
		}
		r.Retiring = leaving
	}, result(activity, nil))
}

// forgetEvents drops what tasks remember of events in calendars of the employee that
// are no longer theirs: their epoch is dead, so nobody can announce a write to one.
func (l *employeePass) forgetEvents(ctx context.Context) error {
	alive := ""
	if c := l.rec().Calendar; c != nil {
		alive = c.Epoch
	}
	recs, err := l.k.Store.TasksOf(ctx, int64(l.id))
	if err != nil {
		return err
	}
	var stale []int64
	for _, rec := range recs {
		if m, ok := rec.Mapping(int64(l.id)); ok && m.Epoch != alive {
			stale = append(stale, rec.ID)
		}
	}
	for batch := range slices.Chunk(stale, batchSize) {
		if err := l.extend(ctx); err != nil {
			return err
		}
		for _, task := range batch {
			if err := l.k.Store.ForgetMapping(ctx, task, int64(l.id), alive); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeDownLeaving forgets the events of the calendars that leave and deletes
// them, each only after its mark was read in this very pass (rule 3.6).
func (l *employeePass) takeDownLeaving(ctx context.Context) error {
	if len(l.rec().Retiring) == 0 {
		return nil
	}
	// First, because nobody would look for them once the calendars are forgotten.
	if err := l.forgetEvents(ctx); err != nil {
		return err
	}
	for _, c := range slices.Clone(l.rec().Retiring) {
		if err := l.extend(ctx); err != nil {
			return err
		}
		if err := l.takeDown(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// marked reports whether a calendar carries the very mark that it was made with.
func (l *employeePass) marked(have googlecalendar.Calendar, c store.CalendarRecord) bool {
	return have.Marked && have.Mark.Tenant == l.tenant && have.Mark.Employee == l.id && have.Mark.Epoch == c.Epoch
}

func (l *employeePass) takeDown(ctx context.Context, c store.CalendarRecord) error {
	if !c.Cleared.IsZero() {
		// A purge that was stopped found in it what others put there, and emptied it of
		// everything else already: it goes no further than the purge would have gone.
		return l.purgeCalendar(ctx, c)
	}
	calls, cancel := l.calls(ctx)
	defer cancel()
	have, err := l.k.Google.Calendar(calls, c.ID)
	switch {
	case failure.Is(err, failure.Gone):
		there, err := l.stillThere(ctx, c.ID)
		if err != nil {
			return err
		}
		if there {
			// Forgotten, it would be taken for one that nobody remembers.
			return failure.New(failure.Transient, "read calendar "+c.ID, "Google said that it is gone, and shows it")
		}
	case err != nil:
		return err
	case !l.marked(have, c) && c.Extra:
		// Somebody took the mark away: it is theirs now.
		return l.forgetLeaving(ctx, c.ID)
	case !l.marked(have, c):
		return failure.New(failure.Forbidden, fmt.Sprintf("delete calendar %s of employee %d", c.ID, l.id),
			"its description does not carry this product's mark any more; delete it by hand if it is not needed")
	case c.Extra:
		_, all, err := l.k.Google.Events(calls, c.ID)
		if err != nil {
			return err
		}
		l.notice(DriftCalendarExtra)
		if !ours(all, l.tenant, l.id) {
			alone, err := l.k.Store.Relinquish(ctx, &l.lease, c.ID)
			if err != nil || !alone {
				if err == nil {
					l.again(l.taken()) // a purge has begun
				}
				return err
			}
			// The next full run reports it again (rule 3.6).
			l.k.Log.WarnContext(ctx, "a further calendar holds events of somebody else and is left alone", "employee", l.id, "calendar", c.ID)
			return nil
		}
	}
	if err == nil && (!c.Permitted || l.taken().Sub(c.PermittedAt) > permission) {
		permitted, err := l.permitAgain(ctx, c)
		if err != nil || !permitted && !c.Permitted {
			return err
		}
		if err := l.save(ctx, func(r *store.EmployeeRecord) {
			leaving := slices.Clone(r.Retiring)
			for i := range leaving {
				if leaving[i].ID == c.ID {
					leaving[i].Permitted, leaving[i].PermittedAt = permitted, l.taken()
				}
			}
			r.Retiring = leaving
		}); err != nil || !permitted {
			return err
		}
	}
	return l.deleteLeaving(ctx, calls, c, err == nil)
}

// deleteLeaving deletes a calendar whose mark was just read, or forgets one that is
// not there.
func (l *employeePass) deleteLeaving(ctx, calls context.Context, c store.CalendarRecord, there bool) error {
	activity := l.activity("calendar.delete", c.ID)
	if there {
		if err := l.announced(ctx, activity, unchanged); err != nil {
			return err
		}
		if err := l.k.Google.DeleteCalendar(calls, c.ID); err != nil {
			if saveErr := l.save(ctx, unchanged, result(activity, err)); saveErr != nil {
				return saveErr
			}
			return err
		}
		l.k.Log.InfoContext(ctx, "calendar deleted", "employee", l.id, "calendar", c.ID, "cause", l.order.Cause)
	}
	return l.forgetLeaving(ctx, c.ID, result(activity, nil))
}
