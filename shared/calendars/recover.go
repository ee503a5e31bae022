package calendars

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// errUndecided: an admin has to say whose the calendars are that were found (rule 3.13).
var errUndecided = errors.New("calendars: nobody has decided whose the calendars are that were found")

func undecided() error {
	return failure.Wrap(failure.Misconfigured, "learn the installation's tenant", errUndecided)
}

// Tenant gives the installation's tenant. The first time it reads the account's
// calendars: with none of the product's there, the installation begins with a tenant of
// its own; otherwise an admin is asked whose they are, and until they have decided there
// is none (rules 3.1 and 3.13).
func (s *Syncer) Tenant(ctx context.Context) (string, error) { return s.learnTenant(ctx, false) }

// learnTenant is Tenant; again: what an admin is asked about is brought up to date.
func (s *Syncer) learnTenant(ctx context.Context, again bool) (string, error) {
	in, err := s.Store.Installation(ctx)
	switch {
	case err != nil || in.Tenant != "":
		return in.Tenant, err
	case in.TakingOver != "":
		return s.takeOver(ctx, in.TakingOver)
	case in.Undecided() && !again:
		return "", undecided()
	}
	found, asked, err := s.askAboutFound(ctx, in)
	switch {
	case err != nil:
		return "", err
	case asked:
		return "", undecided()
	case found:
		// Another instance began meanwhile, and what is found is what it made.
		return s.learnTenant(ctx, false)
	}
	return s.setTenant(ctx, s.NewID())
}

func (s *Syncer) setTenant(ctx context.Context, tenant string) (string, error) {
	inForce, err := s.Store.SetTenant(ctx, tenant)
	if err == nil && inForce == "" {
		err = undecided() // another instance found something meanwhile
	}
	return inForce, err
}

// askAboutFound has an admin decide about what the account's list shows of the product's.
// found is false where it shows nothing, and nobody was asked before; asked is false where
// it is decided already.
func (s *Syncer) askAboutFound(ctx context.Context, in store.InstallationRecord) (found, asked bool, err error) {
	account, all, err := s.calendars(ctx)
	if err != nil {
		return false, false, err
	}
	list := slices.DeleteFunc(slices.Clone(all), func(c googlecalendar.Calendar) bool { return !c.Marked })
	var rec store.FoundRecord
	if len(list) == 0 {
		if rec, err = s.withoutMarks(ctx, in, account, all); err != nil {
			return false, false, err
		}
		if len(rec.Blank) == 0 && rec.Dead == 0 {
			if over, err := s.nothingToAsk(ctx, in, account); over || err != nil {
				return in.Undecided(), false, err
			}
		}
	}
	answering, err := s.answering(ctx, list)
	if err != nil {
		return false, false, err
	}
	rec.Account = account.Sub
	for _, c := range list {
		if !slices.ContainsFunc(answering, func(a googlecalendar.Calendar) bool { return a.ID == c.ID }) {
			rec.DeadRows = append(rec.DeadRows, c.ID)
		}
	}
	rec.Dead = len(rec.DeadRows)
	for _, c := range answering {
		rec.Calendars = append(rec.Calendars, store.FoundCalendar{
			ID: c.ID, Tenant: c.Mark.Tenant, Employee: int64(c.Mark.Employee), Name: c.Name, Written: s.written(c.Mark),
		})
	}
	if asked, err = s.Store.AskTakeover(ctx, rec); asked && err == nil {
		s.Log.WarnContext(ctx, "calendars are found that no database remembers: an admin has to decide",
			"calendars", len(rec.Calendars), "dead", rec.Dead, "blank", len(rec.Blank))
	}
	return true, asked, err
}

// withoutMarks finds in a list without any mark what may carry marks that Google does not give
// back: begun afresh beside it, everybody would have two calendars (rule 3.14). It is what this
// OAuth client made, and of whose description nothing comes back; of what another client made
// nothing can be read but the rules. What does not list those either is the row of a deleted
// calendar, or in a spell of refusals. What an admin is asked about already counts also where
// it does not answer.
func (s *Syncer) withoutMarks(ctx context.Context, in store.InstallationRecord, account store.AccountRecord, list []googlecalendar.Calendar) (rec store.FoundRecord, err error) {
	var before store.FoundRecord
	if in.Undecided() {
		if before, _, _, err = s.Store.Found(ctx); err != nil {
			return rec, err
		}
	}
	list = slices.DeleteFunc(slices.Clone(list), func(c googlecalendar.Calendar) bool {
		return c.Description != "" || calendarsync.NormalAddress(c.ID) == calendarsync.NormalAddress(account.Email)
	})
	answers := make([]answer, len(list))
	err = pass.Each(list, atOnce, func(i int, c googlecalendar.Calendar) (err error) {
		answers[i], err = s.answersWithoutMark(ctx, c.ID)
		return err
	})
	for i, c := range list {
		switch answered := slices.Contains(before.Blank, c.ID) || before.Names(c.ID); {
		case answers[i] == answersBlank, answers[i].denied() && answered:
			rec.Blank = append(rec.Blank, c.ID)
		case answers[i] == answersNothing, answers[i].denied() && slices.Contains(before.DeadRows, c.ID):
			rec.DeadRows = append(rec.DeadRows, c.ID)
		}
	}
	rec.Dead = len(rec.DeadRows)
	return rec, err
}

// answer is what a calendar without a mark says when it is asked for.
type answer int

const (
	answersOther answer = iota // something of its own
	answersBlank               // this OAuth client made it, and nothing of its description comes back
	answersRules               // nothing but its rules, as does one that another client made
	answersNothing
)

func (a answer) denied() bool { return a == answersRules || a == answersNothing }

// answersWithoutMark asks twice and in several ways: a single refusal may be any request's,
// and a second tenant is for good.
func (s *Syncer) answersWithoutMark(ctx context.Context, id string) (answer, error) {
	denied := func(err error) bool { return failure.Is(err, failure.Gone) || failure.Is(err, failure.Forbidden) }
	for range 2 {
		switch have, err := s.Google.Calendar(ctx, id); {
		case denied(err):
		case err == nil && (have.Description == "" || have.Marked):
			return answersBlank, nil
		default:
			return answersOther, err
		}
	}
	if _, _, err := s.Google.Events(ctx, id); !denied(err) {
		return answersBlank, err
	}
	if _, err := s.Google.Rules(ctx, id); !denied(err) {
		return answersRules, err
	}
	return answersNothing, nil
}

// nothingToAsk reports whether a list without anything of the product's leaves nothing to be
// decided: nobody was asked before, or only about rows of calendars that did not answer,
// which are gone by now, or of another account. Then the installation begins with a tenant
// of its own. Calendars that were shown are missed in two lists before that.
func (s *Syncer) nothingToAsk(ctx context.Context, in store.InstallationRecord, account store.AccountRecord) (bool, error) {
	if !in.Undecided() {
		return true, nil
	}
	before, _, found, err := s.Store.Found(ctx)
	if err != nil || !found || len(before.Calendars) > 0 && before.Account == account.Sub {
		return false, err
	}
	s.Log.InfoContext(ctx, "what an admin was asked about is gone: the installation begins afresh", "dead", before.Dead)
	if err := s.Store.StartAfresh(ctx, before.Hash, s.NewID()); err != nil && !errors.Is(err, store.ErrStale) {
		return false, err
	}
	return true, nil
}

// written says whose ERP a mark names.
func (s *Syncer) written(mark calendarsync.CalendarMark) store.Written {
	switch mark.ERP {
	case "":
		return store.WrittenUnknown
	case calendarsync.ERPDigest(mark.Tenant, s.ERPAddress):
		return store.WrittenHere
	default:
		return store.WrittenElsewhere
	}
}

// takeOver takes a tenant's calendars in, as an admin decided, and makes it the
// installation's own.
func (s *Syncer) takeOver(ctx context.Context, tenant string) (string, error) {
	account, list, err := s.calendars(ctx)
	if err != nil {
		return "", err
	}
	shown, err := s.Store.TakingOver(ctx)
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(list, func(c googlecalendar.Calendar) bool {
		return c.Description == "" && shown.Names(c.ID)
	}) {
		return "", failure.New(failure.Transient, "take calendars over", "Google does not give their marks back any more")
	}
	if list, err = s.preferAnswering(ctx, ofTenant(list, tenant), shown); err != nil {
		return "", err
	}
	if _, err := s.takeIn(ctx, list, account); err != nil {
		return "", err
	}
	return s.setTenant(ctx, tenant)
}

// preferAnswering leaves out of an employee's several calendars those that do not answer,
// though the list names them: their rows may stay (G2). An only one is left to rule 3.9.
// Where none of several answers, the one does that answered when the admin was asked, or
// the first.
func (s *Syncer) preferAnswering(ctx context.Context, list []googlecalendar.Calendar, shown store.FoundRecord) ([]googlecalendar.Calendar, error) {
	of := map[calendarsync.EmployeeID][]googlecalendar.Calendar{}
	for _, c := range list {
		of[c.Mark.Employee] = append(of[c.Mark.Employee], c)
	}
	stays := map[string]bool{}
	for _, theirs := range of {
		if len(theirs) > 1 {
			answering, err := s.answering(ctx, theirs)
			if err != nil {
				return nil, err
			}
			if len(answering) == 0 {
				answered := func(c googlecalendar.Calendar) bool {
					return shown.Names(c.ID)
				}
				answering = theirs[max(0, slices.IndexFunc(theirs, answered)):][:1]
			}
			theirs = answering
		}
		for _, c := range theirs {
			stays[c.ID] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(list), func(c googlecalendar.Calendar) bool { return !stays[c.ID] }), nil
}

// answering keeps the calendars that answer, in their order.
func (s *Syncer) answering(ctx context.Context, list []googlecalendar.Calendar) ([]googlecalendar.Calendar, error) {
	gone := make([]bool, len(list))
	err := pass.Each(list, atOnce, func(i int, c googlecalendar.Calendar) error {
		_, err := s.Google.Calendar(ctx, c.ID)
		if gone[i] = failure.Is(err, failure.Gone); gone[i] {
			return nil
		}
		return err
	})
	var out []googlecalendar.Calendar
	for i, c := range list {
		if !gone[i] {
			out = append(out, c)
		}
	}
	return out, err
}

// calendars lists the calendars that are the account's own (rule 10.12).
func (s *Syncer) calendars(ctx context.Context) (account store.AccountRecord, list []googlecalendar.Calendar, err error) {
	if account, err = s.Account.Account(ctx); err == nil {
		list, err = s.Google.Calendars(ctx)
	}
	return account, slices.DeleteFunc(list, func(c googlecalendar.Calendar) bool { return !c.OwnedBy(account.Email) }), err
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
	unknown := slices.DeleteFunc(ofTenant(list, tenant), func(c googlecalendar.Calendar) bool { return named[c.ID] })
	// The row of a deleted calendar may stay for long (G2).
	if unknown, err = s.answering(ctx, unknown); err != nil {
		return nil, err
	}
	return s.takeIn(ctx, unknown, account)
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
