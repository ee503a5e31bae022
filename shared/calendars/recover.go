package calendars

import (
	"cmp"
	"context"
	"slices"

	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Tenant gives the installation's tenant. The first time it reads the account's
// calendars once: marks found there name the tenant of a database that was lost, and
// their calendars are adopted before any other is made (rules 3.1 and 3.6).
func (s *Syncer) Tenant(ctx context.Context) (string, error) {
	in, err := s.Store.Installation(ctx)
	if err != nil || in.Tenant != "" {
		return in.Tenant, err
	}
	account, list, err := s.calendars(ctx)
	if err != nil {
		return "", err
	}
	tenant := cmp.Or(mostMarked(list), s.NewID())
	if _, err := s.takeIn(ctx, ofTenant(list, tenant), account); err != nil {
		return "", err
	}
	return s.Store.SetTenant(ctx, tenant)
}

// calendars lists the calendars that are the account's own (rule 10.12).
func (s *Syncer) calendars(ctx context.Context) (account store.AccountRecord, list []googlecalendar.Calendar, err error) {
	if account, err = s.Account.Account(ctx); err == nil {
		list, err = s.Google.Calendars(ctx)
	}
	return account, slices.DeleteFunc(list, func(c googlecalendar.Calendar) bool { return !c.OwnedBy(account.Email) }), err
}

// mostMarked is the tenant that most of the marked calendars name; "" for none.
func mostMarked(list []googlecalendar.Calendar) string {
	count := map[string]int{}
	for _, c := range list {
		if c.Marked {
			count[c.Mark.Tenant]++
		}
	}
	tenant, most := "", 0
	for t, n := range count {
		if n > most || n == most && t < tenant {
			tenant, most = t, n
		}
	}
	return tenant
}

// ofTenant keeps the calendars that carry the tenant's mark, in the order in which they
// are preferred: the latest life first, then by id, so that every reader of the list
// chooses alike (rule 3.6).
func ofTenant(list []googlecalendar.Calendar, tenant string) []googlecalendar.Calendar {
	list = slices.DeleteFunc(slices.Clone(list), func(c googlecalendar.Calendar) bool {
		return !c.Marked || c.Mark.Tenant != tenant
	})
	slices.SortFunc(list, func(a, b googlecalendar.Calendar) int {
		return cmp.Or(b.Mark.From.Compare(a.Mark.From), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// takeIn gives calendars that nobody remembers to their employees: the first of an
// employee who has none is adopted, every further one is to be deleted. It lists whose
// they are.
func (s *Syncer) takeIn(ctx context.Context, list []googlecalendar.Calendar, account store.AccountRecord) ([]int64, error) {
	var whose []int64
	for _, c := range list {
		rec := remembered(c, account)
		employee := int64(c.Mark.Employee)
		adopted, err := s.Store.AdoptCalendar(ctx, employee, rec)
		noted := false
		if err == nil && !adopted {
			noted, err = s.Store.NoteExtra(ctx, employee, rec)
		}
		if err != nil {
			return nil, err
		}
		whose = append(whose, employee)
		s.Log.InfoContext(ctx, "calendar found by its mark", "employee", employee, "calendar", c.ID, "adopted", adopted, "extra", noted)
	}
	return whose, nil
}

// remembered is what the mark of a calendar that no record names says of it.
func remembered(c googlecalendar.Calendar, account store.AccountRecord) store.CalendarRecord {
	return store.CalendarRecord{
		ID: c.ID, Epoch: c.Mark.Epoch, From: c.Mark.From, Name: c.Name, Zone: c.TimeZone, Account: account.Sub,
		AddressDigest: c.Mark.For,
	}
}

// findExtras takes in the account's marked calendars that none of the records names,
// and lists whose they are. The records must be older than the list: what was deleted
// meanwhile must not count as unknown.
func (s *Syncer) findExtras(ctx context.Context, known []store.EmployeeRecord) ([]int64, error) {
	tenant, err := s.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	account, list, err := s.calendars(ctx)
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
	return s.takeIn(ctx, slices.DeleteFunc(ofTenant(list, tenant), func(c googlecalendar.Calendar) bool { return named[c.ID] }), account)
}

// adoptForPurge puts marked calendars that no record names on their employees' records,
// so that the purge finds them.
func (s *Syncer) adoptForPurge(ctx context.Context, tenant string) error {
	account, list, err := s.calendars(ctx)
	if err != nil {
		return err
	}
	for _, c := range ofTenant(list, tenant) {
		if err := s.Store.AddRetiring(ctx, int64(c.Mark.Employee), remembered(c, account)); err != nil {
			return err
		}
	}
	return nil
}
