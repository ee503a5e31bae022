package calendars

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const reader = "reader"

// share gives the employee's address the role reader: the rules are listed first and
// only what is missing is inserted (rule 5.3), once Google wants it.
func (p *employeePass) share(ctx context.Context) error {
	settled := p.rec().Calendar.RuleID != "" && !p.rec().Calendar.ShareAgain && p.rec().Calendar.RuleMissingSince.IsZero()
	if settled && !p.created && p.rec().State == store.StateActive && !p.complete() {
		return nil
	}
	if err := p.extend(ctx); err != nil {
		return err
	}
	c := *p.rec().Calendar
	rules, err := p.Google.Rules(p.calls(ctx), c.ID)
	if failure.Is(err, failure.Gone) && p.knownToGoogle(c) {
		p.refill = true // the fill looks into it
		return nil
	}
	if err == nil {
		err = p.rulesShown(ctx)
	}
	if err != nil {
		return err
	}
	account, err := p.Account.Account(p.calls(ctx))
	if err != nil {
		return err
	}
	rule, listed := ruleFor(rules, c.RuleID, p.address)
	if err := p.noteBorn(ctx, rules); err != nil {
		return err
	}
	p.reportDriftCount(DriftShareForeign, foreignRules(rules, rule.ID, *p.rec().Calendar, account))
	if listed && rule.Role != reader && !isLowered(rule.Role) && !own(rule.ID, account) {
		if err := p.goOn(ctx, p.narrow(ctx, c.ID, rule)); err != nil {
			return err
		}
	}
	switch judgeShare(*p.rec(), rule, listed, p.term.AcquiredAt(), p.waits.Absence) {
	case ruleLowered:
		return p.showLowered(ctx, rule, listed)
	case ruleShown:
		return p.save(ctx, func(r *store.EmployeeRecord) {
			ofCalendar(func(c *store.CalendarRecord) {
				c.RuleID, c.RuleSeen, c.ShareAgain, c.LoweredRole = rule.ID, true, false, ""
				c.Unseen, c.InviteAsked, c.RuleMissingSince = time.Time{}, time.Time{}, time.Time{}
				c.ShareAsked, c.ShareTries = time.Time{}, 0
			})(r)
			r.State, r.Reason = store.StateActive, ""
		})
	case ruleHidden:
		return p.save(ctx, ofCalendar(func(c *store.CalendarRecord) { c.Unseen = p.term.AcquiredAt() }))
	case ruleMissing:
		return p.noteMissing(ctx)
	case ruleWanted:
		if !c.FormerSince.IsZero() {
			return p.partUnread(ctx)
		}
		if until := p.pause.Until(account); !until.IsZero() {
			return p.later(until)
		}
		return p.invite(ctx, c, account)
	}
	return nil
}

// partUnread retires a calendar that waits for its replacement, and that its former address
// cannot read: whom it was never shared with, or who was taken off by hand, is not invited
// any more, and nothing is worth waiting for (rule 5.8).
func (p *employeePass) partUnread(ctx context.Context) error {
	p.Log.InfoContext(ctx, "calendar of a former address is read by nobody", "employee", p.id, "calendar", p.rec().Calendar.ID)
	if err := p.retire(ctx); err != nil {
		return err
	}
	return p.later(p.term.AcquiredAt())
}

// shareVerdict is what is to be done about the employee's rule.
type shareVerdict int

const (
	// ruleSettled: nothing; it is as recorded, or an admin decides.
	ruleSettled shareVerdict = iota
	// ruleShown: it is there, which is to be recorded.
	ruleShown
	// ruleHidden: the employee was invited, and the list does not show it: that is to
	// be recorded, and an admin decides whether to invite again (rule 5.3).
	ruleHidden
	// ruleMissing: a list has shown it, and this one does not: it is looked for again
	// before anybody is mailed.
	ruleMissing
	// ruleWanted: the employee is to be invited.
	ruleWanted
	// ruleLowered: it gives less than reading, which is shown and not raised (rule 5.7).
	ruleLowered
)

// judgeShare compares the record with the rule that the list shows, if it does.
// A rule that a list has shown is missing only if two lists lack it, far enough apart.
func judgeShare(r store.EmployeeRecord, rule googlecalendar.Rule, listed bool, now time.Time, absence time.Duration) shareVerdict {
	c := r.Calendar
	switch {
	case listed && isLowered(rule.Role) && c.InviteAsked.IsZero(), !listed && r.ShareLowered() && c.RuleID != "" && !c.RuleSeen && c.InviteAsked.IsZero():
		return ruleLowered
	case listed && isLowered(rule.Role):
		return ruleWanted
	case listed && c.RuleID == rule.ID && c.RuleSeen && c.RuleMissingSince.IsZero() && r.State == store.StateActive:
		return ruleSettled
	case listed:
		return ruleShown
	case c.RuleID == "" || c.ShareAgain || !c.InviteAsked.IsZero():
		return ruleWanted
	case c.RuleSeen && (c.RuleMissingSince.IsZero() || now.Before(c.RuleMissingSince.Add(absence))):
		return ruleMissing
	case c.RuleSeen:
		return ruleWanted
	case c.Unseen.IsZero():
		return ruleHidden
	}
	return ruleSettled
}

// isLowered reports whether a role gives less than reading.
func isLowered(role string) bool { return role == "freeBusyReader" || role == "none" || role == "" }

// loweredShare is the failure of a share that Google lets give less than reading.
func loweredShare(calendar string) error {
	return &failure.Error{Kind: failure.Forbidden, Op: "share calendar " + calendar, Reason: string(calendarsync.ReasonShareLowered),
		Detail: "Google lets the employee see busy times only; allow more in the Admin console of the central account's Workspace: " +
			"Apps, Google Workspace, Calendar, Sharing settings, External sharing options, then send the invitation again"}
}

// lowered records that Google gave the employee less than reading.
func lowered(r *store.EmployeeRecord, role string) {
	ofCalendar(func(c *store.CalendarRecord) { c.LoweredRole = cmp.Or(role, "none") })(r)
	r.State, r.Reason = store.StateError, string(calendarsync.ReasonShareLowered)
}

// showLowered has the employee's state say that a policy keeps them from reading the
// calendar. Raised each night, the role would be lowered each night.
func (p *employeePass) showLowered(ctx context.Context, rule googlecalendar.Rule, listed bool) error {
	c := *p.rec().Calendar
	known := p.rec().State == store.StateError && c.LoweredRole != "" && (!listed || c.RuleID == rule.ID && c.RuleSeen && c.RuleMissingSince.IsZero())
	if !known {
		p.Log.WarnContext(ctx, "Google lowered the share", "employee", p.id, "calendar", c.ID, "role", rule.Role)
		if err := p.save(ctx, func(r *store.EmployeeRecord) {
			if listed {
				ofCalendar(func(c *store.CalendarRecord) {
					c.RuleID, c.RuleSeen, c.ShareAgain = rule.ID, true, false
					c.RuleMissingSince, c.LoweredRole = time.Time{}, rule.Role
				})(r)
			}
			lowered(r, r.Calendar.LoweredRole)
		}); err != nil {
			return err
		}
	}
	return loweredShare(c.ID)
}

// noteBorn remembers the rules for a domain or for everybody that a calendar has before
// it was ever shared: Google made it with them, and nobody else did.
func (p *employeePass) noteBorn(ctx context.Context, rules []googlecalendar.Rule) error {
	c := p.rec().Calendar
	// Only a calendar that the product made has the deadline of its creation.
	if c.RuleID != "" || c.Deadline.IsZero() || len(c.BornRules) > 0 {
		return nil
	}
	var born []string
	for _, r := range rules {
		if r.Type == "domain" || r.Type == "default" {
			born = append(born, r.ID)
		}
	}
	if len(born) == 0 {
		return nil
	}
	return p.save(ctx, ofCalendar(func(c *store.CalendarRecord) { c.BornRules = born }))
}

// noteMissing records that a list lacks a rule that another one has shown, and asks for
// the second look.
func (p *employeePass) noteMissing(ctx context.Context) error {
	if p.older {
		return errOlder
	}
	since := p.rec().Calendar.RuleMissingSince
	if since.IsZero() {
		since = p.term.At(p.Now())
		p.drift.Add(DriftShareMissing, 1)
		if err := p.save(ctx, ofCalendar(func(c *store.CalendarRecord) { c.RuleMissingSince = since })); err != nil {
			return err
		}
	}
	p.Again(since.Add(p.waits.Absence))
	return nil
}

// narrow takes from the employee's rule what it gives beyond reading.
func (p *employeePass) narrow(ctx context.Context, calendar string, rule googlecalendar.Rule) error {
	err := p.write(ctx, write{
		action: "rule.narrow", calendar: calendar,
		call: func(calls context.Context) error { return p.Google.ForceReader(calls, calendar, rule) },
	})
	if err == nil {
		p.drift.Add(DriftShareWidened, 1)
		p.repaired++
	}
	return err
}

// invite inserts the employee's rule, of which Google sends a mail, once a share is left
// of the day's (rule 6.5).
func (p *employeePass) invite(ctx context.Context, c store.CalendarRecord, account store.AccountRecord) error {
	if p.older {
		return errOlder
	}
	if at, granted, err := p.Store.ReserveShare(ctx, &p.lease, account.Sub, p.caps(account)); err != nil {
		return err
	} else if !granted {
		p.Log.InfoContext(ctx, "share waits in the queue", "employee", p.id, "calendar", c.ID, "about", at)
		return p.laterInQueue(at)
	}
	var made googlecalendar.Rule
	var at time.Time
	var refusal error
	err := p.write(ctx, write{
		action: "rule.insert", calendar: c.ID,
		announced: ofCalendar(func(c *store.CalendarRecord) {
			if c.RuleID == "" {
				c.RuleID, c.ShareAgain = likelyRule(p.address), true
			}
			if !c.InviteAsked.IsZero() {
				// Asked for once, sent once a day at most, even if its sender dies.
				c.InviteAsked, c.SharedAt = time.Time{}, p.term.AcquiredAt()
			}
		}),
		call: func(calls context.Context) error {
			if c.RuleID != "" && !c.ShareAgain && c.InviteAsked.IsZero() {
				p.repaired++
			}
			made, refusal = p.Google.Share(calls, c.ID, p.address)
			at = p.Now().UTC()
			return refusal
		},
		done: func(r *store.EmployeeRecord) {
			ofCalendar(func(c *store.CalendarRecord) {
				c.RuleID, c.SharedAt, c.RuleSeen, c.ShareAgain, c.LoweredRole = made.ID, at, false, false, ""
				c.Unseen, c.InviteAsked, c.RuleMissingSince = time.Time{}, time.Time{}, time.Time{}
				c.ShareAsked, c.ShareTries = time.Time{}, 0
			})(r)
			r.State, r.Reason = store.StateActive, ""
			if isLowered(made.Role) {
				lowered(r, made.Role)
			}
		},
	})
	p.countRefused(ctx, refusal, store.SharingCalendars, account)
	if err != nil {
		return err
	}
	p.pause.Accepted(ctx)
	if isLowered(made.Role) {
		p.Log.WarnContext(ctx, "Google lowered the share", "employee", p.id, "calendar", c.ID, "role", made.Role)
		return loweredShare(c.ID)
	}
	p.Log.InfoContext(ctx, "calendar shared", "employee", p.id, "calendar", c.ID)
	return nil
}

// likelyRule is the id that Google most likely gives to the rule of an address
// (shared/googlecalendar/README.md, G8).
func likelyRule(address string) string { return "user:" + calendarsync.NormalAddress(address) }

// unshareRetiring takes the employee's access to every calendar that is retiring. Where
// Google refuses that, the access goes with the calendar; a rule that only seems to have
// changed is asked for again first (rule 5.2).
func (p *employeePass) unshareRetiring(ctx context.Context) error {
	for _, c := range slices.Clone(p.rec().Retiring) {
		if !shared(c) || wasReplaced(c) {
			continue
		}
		if err := p.extend(ctx); err != nil {
			return err
		}
		err := p.unshare(ctx, c)
		if !failure.Is(err, failure.Conflict) {
			err = p.goOn(ctx, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// shared reports whether the employee may still read a retiring calendar.
func shared(c store.CalendarRecord) bool {
	return c.Address != "" || c.RuleID != "" || c.AddressDigest != ""
}

func (p *employeePass) unshare(ctx context.Context, c store.CalendarRecord) error {
	id, err := p.ruleToDelete(ctx, c)
	w := write{action: "rule.delete", calendar: c.ID, done: ofRetiring(c.ID, func(c *store.CalendarRecord) {
		c.RuleID, c.ShareAgain, c.Address, c.AddressDigest, c.UnshareGoneSince = "", false, "", "", time.Time{}
	})}
	if id != "" {
		w.call = func(calls context.Context) error { return p.Google.Unshare(calls, c.ID, id) }
	}
	if err == nil {
		err = p.write(ctx, w)
	}
	if !failure.Is(err, failure.Gone) {
		return err
	}
	// Forgotten on one word, a former address would keep its access (rule 3.9). Nothing
	// else waits for it: the calendar itself goes all the same.
	since := c.UnshareGoneSince
	if since.IsZero() {
		since = p.term.At(p.Now())
		if err := p.save(ctx, ofRetiring(c.ID, func(c *store.CalendarRecord) { c.UnshareGoneSince = since })); err != nil {
			return err
		}
	}
	if p.term.AcquiredAt().Before(since.Add(p.waits.Absence)) {
		return nil
	}
	if lacked, err := p.listLacksRule(ctx, c, id); err != nil || !lacked {
		return err
	}
	w.call = nil
	return p.write(ctx, w)
}

// listLacksRule reports whether the rules of a retiring calendar can be listed and lack
// the employee's. While Google denies the whole calendar it says nothing about who reads
// it: the calendar may turn up, and stay because of what others have in it (rule 3.9).
func (p *employeePass) listLacksRule(ctx context.Context, c store.CalendarRecord, id string) (bool, error) {
	rules, err := p.Google.Rules(p.calls(ctx), c.ID)
	if failure.Is(err, failure.Gone) {
		p.Again(p.term.AcquiredAt().Add(goneAgain))
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if _, listed := ruleFor(rules, id, c.Address); listed {
		// The next pass finds it by the address, under whatever id.
		if err := p.save(ctx, ofRetiring(c.ID, func(c *store.CalendarRecord) { c.RuleID, c.UnshareGoneSince = "", time.Time{} })); err != nil {
			return false, err
		}
		return false, failure.New(failure.Transient, "unshare calendar "+c.ID, "Google said that the rule is gone, and lists it")
	}
	return true, nil
}

// unshareAgain asks for another pass where a share of a calendar that is still there is
// not certain to be gone.
func (p *employeePass) unshareAgain() {
	for _, c := range p.rec().Retiring {
		if second := c.UnshareGoneSince.Add(p.waits.Absence); !c.UnshareGoneSince.IsZero() && p.term.AcquiredAt().Before(second) {
			p.Again(second)
		}
	}
}

// ruleToDelete finds the rule by which the employee reads a retiring calendar; "" for
// none. The central account's own is never deleted.
func (p *employeePass) ruleToDelete(ctx context.Context, c store.CalendarRecord) (string, error) {
	account, err := p.Account.Account(p.calls(ctx))
	if err != nil {
		return "", err
	}
	id := c.RuleID
	if id == "" || c.ShareAgain {
		// The answer to the share was lost: the rule is found by the address, and where no list
		// shows it by the id that it most likely has.
		rules, err := p.Google.Rules(p.calls(ctx), c.ID)
		if err != nil {
			return "", err
		}
		rule, _ := ruleFor(rules, c.RuleID, c.Address)
		if c.AddressDigest != "" {
			// Adopted, and no pass made since: shared with whom its mark says.
			if former, found := formerRule(rules, c, c.Address, p.tenant, account); found {
				rule = former
			}
		}
		id = cmp.Or(rule.ID, id)
		if id == "" && c.AddressDigest != "" && !c.Extra { // a further one was shared with nobody
			id = p.hiddenRule(ctx, c)
		}
	}
	if own(id, account) {
		return "", nil
	}
	return id, nil
}

// hiddenRule is the likely id of the share of an adopted calendar into which no pass has looked,
// and that no list shows: that of the address of which its mark tells, if it is the employee's.
// An ERP that cannot be read keeps nobody from a purge.
func (p *employeePass) hiddenRule(ctx context.Context, c store.CalendarRecord) string {
	addresses := []string{c.Address, p.rec().Address}
	readings, err := p.ERP.Employees(p.calls(ctx), []calendarsync.EmployeeID{p.id})
	if err != nil {
		p.Log.WarnContext(ctx, "whose share no list shows is not known", "employee", p.id, "calendar", c.ID, "kind", failure.KindOf(err))
	} else if e := readings[p.id].Employee; e != nil {
		addresses = append(addresses, e.Email.Or(""))
	}
	i := slices.IndexFunc(addresses, func(a string) bool {
		return a != "" && calendarsync.AddressDigest(p.tenant, a) == c.AddressDigest
	})
	if i < 0 {
		return ""
	}
	return likelyRule(addresses[i])
}

// recall finds out whom an adopted calendar was shared with, from its rules: the
// employee's address may have changed since, and a calendar of a former address is
// replaced, not shared once more (rule 5.2). A purge goes by the address on record.
func (p *employeePass) recall(ctx context.Context) error {
	c := p.rec().Calendar
	if c == nil || c.ID == "" || c.Address != "" {
		return nil
	}
	if err := p.extend(ctx); err != nil {
		return err
	}
	rules, err := p.Google.Rules(p.calls(ctx), c.ID)
	if failure.Is(err, failure.Gone) {
		// A former address that can still read it would be forgotten.
		if sure, err := p.goneForSure(ctx, *c, ofCalendar); err != nil || sure {
			return err
		}
		return errLater
	}
	if err != nil {
		return err
	}
	account, err := p.Account.Account(p.calls(ctx))
	if err != nil {
		return err
	}
	address, hidden := sharedWith(rules, *c, cmp.Or(p.address, p.rec().Address), p.tenant, account)
	if hidden {
		return p.retire(ctx)
	}
	if address == "" {
		return nil
	}
	return p.save(ctx, ofCalendar(readBy(p.tenant, address)))
}

// readBy records whom an adopted calendar is shared with. Where its mark tells so, the share's id
// is what Google most likely gave it: no list may show the rule, and with neither the digest nor
// an id nothing would take the access away again (rule 5.3).
func readBy(tenant, address string) func(*store.CalendarRecord) {
	return func(c *store.CalendarRecord) {
		if c.AddressDigest == calendarsync.AddressDigest(tenant, address) {
			c.RuleID, c.ShareAgain = likelyRule(address), true
		}
		c.Address, c.AddressDigest = address, ""
	}
}

// rememberReader has the adopted calendars into which no pass has looked remember an address that
// is about to be forgotten, where it is that of which their marks tell.
func rememberReader(r *store.EmployeeRecord, tenant, address string) {
	told := func(c store.CalendarRecord) bool {
		return address != "" && c.AddressDigest != "" && !c.Extra && c.AddressDigest == calendarsync.AddressDigest(tenant, address)
	}
	if r.Calendar != nil && told(*r.Calendar) {
		ofCalendar(readBy(tenant, address))(r)
	}
	for _, c := range r.Retiring {
		if told(c) {
			ofRetiring(c.ID, readBy(tenant, address))(r)
		}
	}
}

// sharedWith gives the address that an adopted calendar is shared with, present being
// the employee's of now. hidden: it is a former one, whose invitation the list does not
// show; only with the calendar is its access sure to go.
func sharedWith(rules []googlecalendar.Rule, c store.CalendarRecord, present, tenant string, account store.AccountRecord) (address string, hidden bool) {
	if former, there := formerRule(rules, c, present, tenant, account); there {
		return strings.TrimSpace(former.Address), false
	}
	_, listed := ruleFor(rules, "", present)
	return present, c.AddressDigest != "" && c.AddressDigest != calendarsync.AddressDigest(tenant, present) && !listed
}

// formerRule finds the rule of the address that an adopted calendar was shared with,
// which may be another than the employee's of now. Its mark says whose; of a calendar
// whose mark does not, a reader other than the present address counts as a former one.
func formerRule(rules []googlecalendar.Rule, c store.CalendarRecord, present, tenant string, account store.AccountRecord) (googlecalendar.Rule, bool) {
	if c.AddressDigest == "" {
		if _, there := ruleFor(rules, c.RuleID, present); there {
			return googlecalendar.Rule{}, false
		}
	}
	return find(rules, func(r googlecalendar.Rule) bool {
		if !isPersons(r) || own(r.ID, account) {
			return false
		}
		if c.AddressDigest != "" {
			return calendarsync.AddressDigest(tenant, r.Address) == c.AddressDigest
		}
		return r.Role == reader
	})
}

// foreignRules counts the rules that neither the product nor Google made; they are
// reported and left alone (rule 5.3).
func foreignRules(rules []googlecalendar.Rule, ours string, c store.CalendarRecord, account store.AccountRecord) (n int64) {
	for _, r := range rules {
		// Google lists the calendar itself among its owners.
		if !strings.EqualFold(r.ID, ours) && !own(r.ID, account) && !strings.EqualFold(r.Address, c.ID) && !slices.Contains(c.BornRules, r.ID) {
			n++
		}
	}
	return n
}

// own reports whether a rule is the central account's own, which nobody may change.
func own(ruleID string, a store.AccountRecord) bool {
	kind, address, _ := strings.Cut(ruleID, ":")
	return strings.EqualFold(kind, "user") && calendarsync.NormalAddress(address) == calendarsync.NormalAddress(a.Email)
}

// isPersons reports whether a rule may be that of one address: Google gives back what
// was shared with a user as shared with a group where the address is one.
func isPersons(r googlecalendar.Rule) bool { return r.Type == "user" || r.Type == "group" }

// ruleFor finds the employee's rule by its id or else by the address, whatever type
// Google gave it and however it spells it (rule 5.3).
func ruleFor(rules []googlecalendar.Rule, id, address string) (googlecalendar.Rule, bool) {
	byID, listed := find(rules, func(r googlecalendar.Rule) bool { return id != "" && strings.EqualFold(r.ID, id) })
	if listed {
		return byID, true
	}
	return find(rules, func(r googlecalendar.Rule) bool {
		return isPersons(r) && calendarsync.NormalAddress(r.Address) == calendarsync.NormalAddress(address)
	})
}

func find(rules []googlecalendar.Rule, is func(googlecalendar.Rule) bool) (rule googlecalendar.Rule, found bool) {
	i := slices.IndexFunc(rules, is)
	if i < 0 {
		return rule, false
	}
	return rules[i], true
}
