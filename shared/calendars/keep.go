package calendars

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// createTimeout bounds the call that makes a calendar; its intent's deadline.
const createTimeout = 25 * time.Second

// keep makes sure of the calendar of an employee who is to have one: made,
// shared, named, filled, and calendars of former addresses taken down.
func (l *employeePass) keep(ctx context.Context, e calendarsync.Employee) error {
	address := strings.TrimSpace(e.Email.Or(""))
	rules, err := l.k.Rules.Rules(ctx)
	if err != nil {
		return err
	}
	name, err := rules.Texts.CalendarName(calendarsync.TemplateEmployee{ID: l.id, Name: l.rec().Name})
	if err != nil {
		return failure.Wrap(failure.Invalid, fmt.Sprintf("name the calendar of employee %d", l.id), err)
	}
	if err := l.takeBack(ctx); err != nil {
		return err
	}
	if err := l.recall(ctx, address); err != nil {
		return err
	}
	if c := l.rec().Calendar; c != nil && c.Address != "" && calendarsync.NormalAddress(c.Address) != calendarsync.NormalAddress(address) {
		if c.ID == "" {
			// Made or not, it was never shared: the pending creation gets the new
			// address (rule 5.2). Forgotten, its calendar would stay for ever.
			if err := l.save(ctx, func(r *store.EmployeeRecord) {
				c := *r.Calendar
				c.Address = address
				r.Calendar = &c
			}); err != nil {
				return err
			}
		} else if err := l.leave(ctx, time.Time{}); err != nil {
			return err
		}
	}
	// An old address loses its access before anything else (rule 5.2).
	if err := l.unshareLeaving(ctx); err != nil {
		return err
	}
	if c := l.rec().Calendar; c != nil && c.ID == "" {
		if waiting, err := l.recoverIntent(ctx); err != nil || waiting {
			return err
		}
	}
	created := false
	if c := l.rec().Calendar; c != nil && l.rec().Creation != nil {
		// Found or adopted while it waited for its turn.
		if err := l.k.Store.DequeueCreation(ctx, &l.lease); err != nil {
			return err
		}
	}
	if l.rec().Calendar == nil {
		if waiting, err := l.create(ctx, name, address); err != nil || waiting {
			return err
		}
		created = true
	}
	if err := l.adjust(ctx, name); err != nil {
		return err
	}
	c := l.rec().Calendar
	if created || c.RuleID == "" || l.rec().State != store.StateActive || l.audits() {
		if waiting, err := l.share(ctx, address); err != nil || waiting {
			return err
		}
	}
	emptied := !l.rec().RebuildAsked.IsZero()
	if done, err := l.wipe(ctx); err != nil || !done {
		return err
	}
	if c := l.rec().Calendar; created || emptied || c.Filled.IsZero() || !c.Listed || l.audits() {
		if err := l.fill(ctx, rules, name, address); err != nil {
			return err
		}
	}
	if c := l.rec().Calendar; c == nil || c.ID == "" || l.unfinished || l.waiting {
		// Only what is filled replaces what was there (rule 5.2).
		return nil
	}
	if err := l.takeDownLeaving(ctx); err != nil {
		return err
	}
	if err := l.holdFormer(ctx); err != nil {
		return err
	}
	return l.writeCard(ctx, e, l.rec().Calendar.ID)
}

// recall finds out whom an adopted calendar was shared with, from its rules: the
// employee's address may have changed since, and a calendar of a former address
// is replaced, not shared once more (rule 5.2).
func (l *employeePass) recall(ctx context.Context, address string) error {
	c := l.rec().Calendar
	if c == nil || c.ID == "" || c.Address != "" {
		return nil
	}
	if err := l.extend(ctx); err != nil {
		return err
	}
	calls, cancel := l.calls(ctx)
	defer cancel()
	rules, err := l.rulesOf(ctx, calls, c.ID)
	if err != nil {
		return err
	}
	account, err := l.k.Account.Account(calls)
	if err != nil {
		return err
	}
	_, theirs := ruleFor(rules, "", address)
	switch former, there := l.sharedBefore(rules, *c, address, account); {
	case there:
		address = strings.TrimSpace(former.Address)
	case c.AddressDigest != "" && c.AddressDigest != calendarsync.AddressDigest(l.tenant, address) && !theirs:
		// For a former address, whose invitation the list may not show: only with the
		// calendar is it sure to go.
		return l.leave(ctx, time.Time{})
	}
	if address == "" {
		return nil
	}
	return l.save(ctx, func(r *store.EmployeeRecord) {
		c := *r.Calendar
		c.Address, c.AddressDigest = address, ""
		r.Calendar = &c
	})
}

// sharedBefore finds the rule of the address that an adopted calendar was shared with,
// which may be another than the card's. Its mark tells whose; of a calendar whose mark
// does not, a reader other than the card's address is taken for a former one.
func (l *employeePass) sharedBefore(rules []googlecalendar.Rule, c store.CalendarRecord, address string, account store.AccountRecord) (googlecalendar.Rule, bool) {
	if c.AddressDigest == "" {
		if _, there := ruleFor(rules, c.RuleID, address); there {
			return googlecalendar.Rule{}, false
		}
	}
	i := slices.IndexFunc(rules, func(r googlecalendar.Rule) bool {
		if r.Type != "user" || own(r.ID, account) {
			return false
		}
		if c.AddressDigest != "" {
			return calendarsync.AddressDigest(l.tenant, r.Address) == c.AddressDigest
		}
		return r.Role == "reader"
	})
	if i < 0 {
		return googlecalendar.Rule{}, false
	}
	return rules[i], true
}

// writeCard writes the calendar's id into the ERP's card where that is
// configured, once per change (rule 5.5).
func (l *employeePass) writeCard(ctx context.Context, e calendarsync.Employee, id string) error {
	field := l.settings.CalendarIDField
	card := fmt.Sprintf("%d=%s", field, id)
	if field == 0 || l.rec().Card == card || (id == "" && l.rec().Card == "") {
		return nil
	}
	if err := l.fresh(); err != nil {
		return err
	}
	calls, cancel := l.calls(ctx)
	defer cancel()
	if there, _ := e.Fields.Get(); there[field] != id {
		if err := l.k.ERP.SetEmployeeField(calls, l.id, field, id); err != nil {
			return err
		}
	}
	return l.save(ctx, func(r *store.EmployeeRecord) { r.Card = card })
}

// create makes a new calendar. waiting tells that it has to wait for its turn in
// the queue for calendars (rule 6.5), for the end of Google's pause, or
// for its outcome.
func (l *employeePass) create(ctx context.Context, name, address string) (waiting bool, err error) {
	account, err := l.k.Account.Account(ctx)
	if err != nil {
		return false, err
	}
	// The lease may have run for a while; a creation gets a full stretch.
	if err := l.extend(ctx); err != nil {
		return false, err
	}
	from := l.rec().KeptFrom
	if from.IsZero() {
		// RFC 3339 in the mark has no fractions.
		from = l.taken().Add(-time.Duration(l.settings.BackfillHours) * time.Hour).UTC().Truncate(time.Second)
	}
	intent := store.CalendarRecord{
		Epoch: l.k.NewID(), From: from, Name: name, Zone: l.settings.TimeZone, Address: address, Account: account.Sub,
		Deadline: l.taken().Add(createTimeout),
	}
	activity := l.activity("calendar.create", "")
	turn, err := l.k.Store.ReserveCreation(ctx, &l.lease, store.NewCreation{
		Intent: intent, PerHour: l.k.waits.CalendarsPerHour, NotBefore: l.k.mayNot(account), Activity: activity,
	})
	if err != nil {
		return false, err
	}
	if !turn.Granted {
		if turn.At.IsZero() {
			turn.At = l.taken() // one was adopted meanwhile: look again
		}
		l.wait(turn.At)
		l.k.Log.InfoContext(ctx, "calendar waits for its turn", "employee", l.id, "before", turn.Before, "about", turn.At)
		return true, nil
	}
	calls, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	made, err := l.k.Google.CreateCalendar(calls, name, l.settings.TimeZone, calendarsync.CalendarMark{
		Tenant: l.tenant, Employee: l.id, Epoch: intent.Epoch, From: intent.From,
		For: calendarsync.AddressDigest(l.tenant, address),
	})
	activity.Calendar = made.ID
	switch {
	case err != nil && failure.IsAmbiguous(err):
		// It may have been made: the list tells, but not yet (rule 3.6).
		l.wait(intent.Deadline.Add(l.k.waits.Intent))
		return true, l.save(ctx, unchanged, result(activity, err))
	case err != nil:
		if saveErr := l.save(ctx, func(r *store.EmployeeRecord) { r.Calendar = nil }, result(activity, err)); saveErr != nil {
			return false, saveErr
		}
		return false, err
	}
	l.k.taken(ctx, account)
	l.k.Log.InfoContext(ctx, "calendar created", "employee", l.id, "calendar", made.ID, "cause", l.order.Cause)
	return false, l.save(ctx, func(r *store.EmployeeRecord) {
		c := *r.Calendar
		// A calendar just made is empty: "no mapping" means "no event" from its birth.
		c.ID, c.Listed = made.ID, true
		// Nothing is left to be emptied of one that an admin asked to rebuild.
		r.Calendar, r.KeptFrom, r.Creation, r.RebuildAsked = &c, time.Time{}, nil, time.Time{}
	}, result(activity, nil))
}

// recoverIntent looks for a calendar whose creation was announced and never
// confirmed (rule 3.6). It must not be looked for too early: the call may
// still be on its way.
func (l *employeePass) recoverIntent(ctx context.Context) (waiting bool, err error) {
	c := *l.rec().Calendar
	if due := c.Deadline.Add(l.k.waits.Intent + time.Duration(c.Searches)*l.k.waits.Intent/5); l.taken().Before(due) {
		l.wait(due)
		return true, nil
	}
	if err := l.extend(ctx); err != nil {
		return false, err
	}
	calls, cancel := l.calls(ctx)
	defer cancel()
	list, err := l.k.Google.Calendars(calls)
	if err != nil {
		return false, err
	}
	// Of two with one epoch the smaller id wins (rule 3.6).
	list = slices.DeleteFunc(ofTenant(list, l.tenant), func(have googlecalendar.Calendar) bool {
		return have.Mark.Employee != l.id || have.Mark.Epoch != c.Epoch
	})
	switch {
	case len(list) > 0:
		found := list[0].ID
		l.k.Log.InfoContext(ctx, "calendar found by its mark", "employee", l.id, "calendar", found, "of", len(list))
		return false, l.save(ctx, func(r *store.EmployeeRecord) {
			c := *r.Calendar
			c.ID, c.Listed = found, false
			r.Calendar, r.KeptFrom, r.Creation, r.RebuildAsked = &c, time.Time{}, nil, time.Time{}
			r.Retiring = append(slices.Clone(r.Retiring), extrasOf(list, found, c)...)
		})
	case c.Searches == 0:
		l.wait(l.taken().Add(l.k.waits.Intent / 5))
		return true, l.save(ctx, func(r *store.EmployeeRecord) {
			c := *r.Calendar
			c.Searches = 1
			// However late the first search came, the second keeps its distance.
			if late := l.taken().Add(-l.k.waits.Intent); late.After(c.Deadline) {
				c.Deadline = late
			}
			r.Calendar = &c
		})
	default:
		// Twice not there: the call never took effect.
		return false, l.save(ctx, func(r *store.EmployeeRecord) { r.Calendar = nil })
	}
}

// adjust renames the calendar and renews its zone when the settings or the
// employee's name changed.
func (l *employeePass) adjust(ctx context.Context, name string) error {
	c := *l.rec().Calendar
	if c.Name == name && (c.Zone == "" || c.Zone == l.settings.TimeZone) {
		return nil
	}
	calls, cancel := l.calls(ctx)
	defer cancel()
	have, err := l.k.Google.Calendar(calls, c.ID)
	if failure.Is(err, failure.Gone) {
		// Deleted by hand: the fill makes a new one.
		return nil
	}
	if err != nil {
		return err
	}
	return l.rewrite(ctx, calls, have, name)
}

// rewrite writes name, zone and mark of a calendar read before.
func (l *employeePass) rewrite(ctx, calls context.Context, have googlecalendar.Calendar, name string) error {
	activity := l.activity("calendar.update", have.ID)
	if err := l.announced(ctx, activity, unchanged); err != nil {
		return err
	}
	err := l.k.Google.UpdateCalendar(calls, have, name, l.settings.TimeZone, l.mark(*l.rec().Calendar))
	if saveErr := l.save(ctx, func(r *store.EmployeeRecord) {
		if err == nil {
			c := *r.Calendar
			c.Name, c.Zone = name, l.settings.TimeZone
			r.Calendar = &c
		}
	}, result(activity, err)); saveErr != nil {
		return saveErr
	}
	return err
}

// restore gives a calendar back what somebody changed of its name, zone or mark.
// head is what the list of its events said of it; should that be older than the
// calendar itself, the calendar decides.
func (l *employeePass) restore(ctx context.Context, head googlecalendar.Calendar, name string) error {
	// For whom it is may never have been written; that is nobody's doing.
	whom := l.mark(*l.rec().Calendar).For
	if len(l.changed(head, name)) == 0 && head.Mark.For == whom {
		return nil
	}
	calls, cancel := l.calls(ctx)
	defer cancel()
	have, err := l.k.Google.Calendar(calls, head.ID)
	if err != nil {
		return err
	}
	kinds := l.changed(have, name)
	if len(kinds) == 0 && have.Mark.For == whom {
		return nil
	}
	if err := l.rewrite(ctx, calls, have, name); err != nil {
		return err
	}
	for _, kind := range kinds {
		l.notice(kind)
	}
	if len(kinds) > 0 {
		l.repaired++
	}
	return nil
}

// changed lists the kinds of drift of a calendar.
func (l *employeePass) changed(have googlecalendar.Calendar, name string) []string {
	var kinds []string
	c := *l.rec().Calendar
	// Google gives a name back without the space around it.
	if strings.TrimSpace(have.Name) != strings.TrimSpace(name) {
		kinds = append(kinds, DriftCalendarRenamed)
	}
	if c.Zone != "" && have.TimeZone != l.settings.TimeZone {
		kinds = append(kinds, DriftCalendarZone)
	}
	if !have.Marked || have.Mark.Line() != l.mark(c).Line() {
		kinds = append(kinds, DriftCalendarUnmarked)
	}
	return kinds
}

func (l *employeePass) mark(c store.CalendarRecord) calendarsync.CalendarMark {
	mark := calendarsync.CalendarMark{Tenant: l.tenant, Employee: l.id, Epoch: c.Epoch, From: c.From, For: c.AddressDigest}
	if c.Address != "" {
		mark.For = calendarsync.AddressDigest(l.tenant, c.Address)
	}
	return mark
}

// share gives the employee's address the role reader: the rules are listed
// first and only what is missing is inserted (rule 5.3). waiting tells
// that Google wants no sharing now.
func (l *employeePass) share(ctx context.Context, address string) (waiting bool, err error) {
	if err := l.extend(ctx); err != nil {
		return false, err
	}
	calls, cancel := l.calls(ctx)
	defer cancel()
	c := *l.rec().Calendar
	rules, err := l.k.Google.Rules(calls, c.ID)
	if err != nil {
		// A fresh calendar can be unknown for a while; one that should be known by
		// now is gone, and the fill makes another.
		known := l.rec().State == store.StateActive || l.taken().After(c.Deadline.Add(l.k.waits.Intent))
		if failure.Is(err, failure.Gone) && known {
			return false, nil
		}
		return false, err
	}
	account, err := l.k.Account.Account(calls)
	if err != nil {
		return false, err
	}
	rule, there := ruleFor(rules, c.RuleID, address)
	l.noticeForeign(rules, rule.ID, c.ID, account)
	if there {
		if rule.Role != "reader" && !own(rule.ID, account) {
			activity := l.activity("rule.narrow", c.ID)
			if err := l.announced(ctx, activity, unchanged); err != nil {
				return false, err
			}
			err := l.k.Google.ForceReader(calls, c.ID, rule)
			if saveErr := l.save(ctx, unchanged, result(activity, err)); saveErr != nil {
				return false, saveErr
			}
			if err != nil {
				return false, err
			}
			l.notice(DriftShareWidened)
			l.repaired++
		}
		if c.RuleID == rule.ID && c.RuleSeen && l.rec().State == store.StateActive {
			return false, nil
		}
		return false, l.save(ctx, func(r *store.EmployeeRecord) {
			c := *r.Calendar
			c.RuleID, c.RuleSeen, c.Unseen, c.InviteAsked = rule.ID, true, time.Time{}, time.Time{}
			r.Calendar, r.State, r.Reason = &c, store.StateActive, ""
		})
	}
	if c.RuleID != "" && !c.RuleSeen && c.InviteAsked.IsZero() {
		// Invited, and not visible: an admin decides whether to invite again.
		if !c.Unseen.IsZero() {
			return false, nil
		}
		return false, l.save(ctx, func(r *store.EmployeeRecord) {
			c := *r.Calendar
			c.Unseen = l.taken()
			r.Calendar = &c
		})
	}
	if until := l.k.mayNot(account); !until.IsZero() {
		l.wait(until)
		return true, nil
	}
	activity := l.activity("rule.insert", c.ID)
	if err := l.announced(ctx, activity, func(r *store.EmployeeRecord) {
		if c := *r.Calendar; !c.InviteAsked.IsZero() {
			// Asked for once, sent once a day at most, even if its sender dies.
			c.InviteAsked, c.SharedAt = time.Time{}, l.taken()
			r.Calendar = &c
		}
	}); err != nil {
		return false, err
	}
	if c.RuleID != "" && c.InviteAsked.IsZero() {
		l.notice(DriftShareMissing)
		l.repaired++
	}
	made, err := l.k.Google.Share(calls, c.ID, address)
	at := l.k.Deps.Now().UTC()
	saveErr := l.save(ctx, func(r *store.EmployeeRecord) {
		if err != nil {
			return
		}
		c := *r.Calendar
		c.RuleID, c.SharedAt, c.RuleSeen, c.Unseen, c.InviteAsked = made.ID, at, false, time.Time{}, time.Time{}
		r.Calendar, r.State, r.Reason = &c, store.StateActive, ""
	}, result(activity, err))
	if saveErr != nil {
		return false, saveErr
	}
	if err == nil {
		l.k.taken(ctx, account)
		l.k.Log.InfoContext(ctx, "calendar shared", "employee", l.id, "calendar", c.ID)
	}
	return false, err
}

// noticeForeign reports the rules that are not the product's; they are left alone
// (rule 5.3).
func (l *employeePass) noticeForeign(rules []googlecalendar.Rule, ours, calendar string, account store.AccountRecord) {
	var foreign int64
	for _, r := range rules {
		// Google lists the calendar itself among its owners.
		if !strings.EqualFold(r.ID, ours) && !own(r.ID, account) && !strings.EqualFold(r.Address, calendar) {
			foreign++
		}
	}
	l.found(DriftShareForeign, foreign)
}

// own reports whether a rule is the central account's own, which nobody may change.
func own(ruleID string, a store.AccountRecord) bool {
	return strings.EqualFold(ruleID, "user:"+strings.TrimSpace(a.Email))
}

// ruleFor finds the employee's rule by its id or else by the address, both
// without case (rule 5.3).
func ruleFor(rules []googlecalendar.Rule, id, address string) (googlecalendar.Rule, bool) {
	for _, r := range rules {
		if id != "" && strings.EqualFold(r.ID, id) {
			return r, true
		}
	}
	for _, r := range rules {
		if r.Type == "user" && calendarsync.NormalAddress(r.Address) == calendarsync.NormalAddress(address) {
			return r, true
		}
	}
	return googlecalendar.Rule{}, false
}
