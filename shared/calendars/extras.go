package calendars

import (
	"cmp"
	"context"
	"slices"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// ofTenant leaves the calendars that carry the tenant's mark, in the order in which
// they are preferred: the latest life first, then by id, so that every reader of
// the list chooses alike (rule 3.6).
func ofTenant(list []googlecalendar.Calendar, tenant string) []googlecalendar.Calendar {
	list = slices.DeleteFunc(slices.Clone(list), func(c googlecalendar.Calendar) bool {
		return !c.Marked || c.Mark.Tenant != tenant
	})
	slices.SortFunc(list, func(a, b googlecalendar.Calendar) int {
		return cmp.Or(b.Mark.From.Compare(a.Mark.From), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// recognise gives calendars that nobody remembers to their employees: the first of
// an employee who has none is adopted, every further one is to be taken down. It
// tells whose they are.
func (k *Syncer) recognise(ctx context.Context, list []googlecalendar.Calendar, account store.AccountRecord) ([]int64, error) {
	var whose []int64
	for _, c := range list {
		rec := remembered(c, account)
		employee := int64(c.Mark.Employee)
		adopted, err := k.Store.AdoptCalendar(ctx, employee, rec)
		if err != nil {
			return nil, err
		}
		noted := false
		if !adopted {
			if noted, err = k.Store.NoteExtra(ctx, employee, rec); err != nil {
				return nil, err
			}
		}
		whose = append(whose, employee)
		k.Log.InfoContext(ctx, "calendar found by its mark", "employee", employee, "calendar", c.ID, "adopted", adopted, "extra", noted)
	}
	return whose, nil
}

// remembered is what the mark of a calendar that no record names tells of it.
func remembered(c googlecalendar.Calendar, account store.AccountRecord) store.CalendarRecord {
	return store.CalendarRecord{
		ID: c.ID, Epoch: c.Mark.Epoch, From: c.Mark.From, Name: c.Name, Zone: c.TimeZone, Account: account.Sub,
		AddressDigest: c.Mark.For,
	}
}

// findExtras looks among the account's calendars for marked ones that none of the
// records names, and tells whose they are. The records must be older than the list:
// what was taken down meanwhile must not be taken for unknown.
func (k *Syncer) findExtras(ctx context.Context, known []store.EmployeeRecord) ([]int64, error) {
	tenant, err := k.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	account, err := k.Account.Account(ctx)
	if err != nil {
		return nil, err
	}
	list, err := k.Google.Calendars(ctx)
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for _, e := range known {
		if e.Calendar != nil {
			named[e.Calendar.ID] = true
		}
		for _, c := range e.Retiring {
			named[c.ID] = true
		}
	}
	return k.recognise(ctx, slices.DeleteFunc(ofTenant(list, tenant), func(c googlecalendar.Calendar) bool { return named[c.ID] }), account)
}

// extrasOf are the calendars beside found that carry the mark of one creation.
func extrasOf(list []googlecalendar.Calendar, found string, c store.CalendarRecord) []store.CalendarRecord {
	var out []store.CalendarRecord
	for _, have := range list {
		if have.ID != found {
			extra := c
			extra.ID, extra.Extra = have.ID, true
			out = append(out, extra)
		}
	}
	return out
}

// ours reports whether every event in a calendar is the employee's own.
func ours(all []googlecalendar.Event, tenant string, employee calendarsync.EmployeeID) bool {
	return !slices.ContainsFunc(all, func(e googlecalendar.Event) bool {
		return !e.Owned || e.Mark.Tenant != tenant || e.Mark.Employee != employee
	})
}

// forgetLeaving drops a calendar from those that are taken down.
func (l *employeePass) forgetLeaving(ctx context.Context, id string, activity ...store.ActivityRecord) error {
	return l.save(ctx, func(r *store.EmployeeRecord) {
		r.Retiring = slices.DeleteFunc(slices.Clone(r.Retiring), func(c store.CalendarRecord) bool { return c.ID == id })
	}, activity...)
}
