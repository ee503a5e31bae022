package poll

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/incidents"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	// expiryNotice is how long before a grant expires its alarm is raised (rule 7.5).
	expiryNotice = 48 * time.Hour
	// fullRunEvery is how often everybody must have been passed over: a night, and the
	// hour by which the clocks' change prolongs one.
	fullRunEvery = 25 * time.Hour
	// fullRunsSince is the entry of the open alarms that is no incident: since when
	// full runs can come to an end, so that neither a new installation nor the end
	// of a long pause looks like a missed run.
	fullRunsSince = "full-runs-since"
	// unreadableFor is how long something of the ERP may be unreadable, and unreadSince the
	// entry of the open alarms that says since when a part of the poll itself cannot be read.
	unreadableFor = time.Hour
	unreadSince   = "erp-unread-since"
	// unreachedFor is how long calendars may be out of reach, and unreachedSince the entry of the
	// open alarms that says since when they are.
	unreachedFor   = time.Hour
	unreachedSince = "out-of-reach-since"
	// mostUnreadable is how many unreadable keys of a kind an alarm names.
	mostUnreadable = 10
)

// alarmGrace is how long the instance that lost or made a connection has to raise or
// end the alarm itself.
const alarmGrace = 2 * time.Minute

// incident is something that an alarm is about, if it is the case at the moment.
type incident struct {
	kind             logging.AlarmKind
	id, begins, ends string
	is               bool // the case
	attrs            []any
}

// alarms raises one alarm for each incident that only records and clocks show, and
// ends it afterwards: Poll alone does, so that instances need not agree.
func (p *poll) alarms(ctx context.Context) error {
	if p.unknown != nil {
		return p.unknown
	}
	if err := p.lostGrant(ctx); err != nil {
		return err
	}
	raised, err := p.Store.Alarms(ctx)
	if err != nil {
		return err
	}
	open := map[string]string{}
	maps.Copy(open, raised)
	missed, err := p.fullRunMissed(ctx, open)
	if err != nil {
		return err
	}
	p.runMissed = missed.is
	unreadable, err := p.unreadable(ctx, open)
	if err != nil {
		return err
	}
	silent, err := p.noNotifications(ctx)
	if err != nil {
		return err
	}
	cards, err := p.cardsRefused(ctx)
	if err != nil {
		return err
	}
	unreached, err := p.outOfReach(ctx, open)
	if err != nil {
		return err
	}
	seen, err := p.incidents()
	if err != nil {
		return err
	}
	for _, c := range append(seen, missed, unreadable, silent, cards, unreached) {
		kind := string(c.kind)
		switch raised := open[kind]; {
		case c.is && raised == "":
			logging.Alarm(ctx, p.Log, c.kind, c.id, c.begins, c.attrs...)
			open[kind] = c.id
		case !c.is && raised != "":
			logging.AlarmEnded(ctx, p.Log, c.kind, raised, c.ends)
			delete(open, kind)
		}
	}
	if maps.Equal(open, raised) {
		return nil
	}
	return p.Store.SaveAlarms(ctx, open)
}

// incidents lists those that this poll can judge.
func (p *poll) incidents() ([]incident, error) {
	a, now := p.account, p.now
	paused := a.CreationsResume()
	out := []incident{
		{kind: logging.QuotaExhausted, id: "quota-" + paused.UTC().Format(time.RFC3339), is: now.Before(paused),
			begins: "Google refuses writes for a while: " + a.PausedFor(now), ends: "Google's pause is over",
			attrs: []any{"until", paused.UTC().Format(time.RFC3339)}},
		{kind: logging.GrantExpiring, id: "grant-" + strconv.FormatInt(a.Version, 10),
			is:     a.Connected && !a.GrantExpiresAt.IsZero() && a.GrantExpiresAt.Sub(now) < expiryNotice,
			begins: "The grant of the central account ends within 48 hours: connect it again",
			ends:   "The grant of the central account does not end soon any more"},
	}
	ofAccount, err := accountIncidents(a.Incident)
	if err != nil {
		return nil, err
	}
	out = append(out, ofAccount...)
	out = append(out, incident{kind: logging.TakeoverNeeded, id: "takeover-" + p.takeover.UTC().Format(time.RFC3339), is: !p.takeover.IsZero(),
		begins: "Calendars are found that no database remembers: nothing is written until an admin has decided about them",
		ends:   "It is decided whose the calendars are that were found"})
	out = append(out, markUnreadable(p.markLost))
	if apart, wrong, compared := p.apart(); compared {
		// The workers themselves refuse to write (rule 9.4).
		out = append(out, incident{kind: logging.ClockWrong, id: "clock-" + p.clock.Unix.UTC().Format(time.RFC3339), is: wrong,
			begins: "The ERP's clock is not that of time_zone: nothing is written until they agree",
			ends:   "The ERP's clock agrees with time_zone again", attrs: []any{"apart_minutes", int(apart.Minutes())}})
	}
	return out, nil
}

// accountIncidents are the alarms about what keeps the whole account out (rule 7.7).
// They are told from its record, so that nobody's death between the two loses one.
func accountIncidents(in *store.IncidentRecord) ([]incident, error) {
	client := incident{kind: logging.ClientRefused,
		begins: "Google refuses OAUTH_CLIENT_ID or OAUTH_CLIENT_SECRET: nothing is written until they are right",
		ends:   "Google takes the OAuth client again"}
	account := incident{kind: logging.AccountRefused,
		begins: "Google refuses the whole account: what it refuses waits until that is mended",
		ends:   "Google takes the account again"}
	if in != nil {
		texts, err := i18n.Load()
		if err != nil {
			return nil, err
		}
		c, name := &account, "account-"
		if in.At == store.AtToken && (in.Reason == "invalid_client" || in.Reason == "unauthorized_client") {
			c, name = &client, "client-"
		}
		c.is, c.id = true, name+in.Since.UTC().Format(time.RFC3339)
		c.attrs = []any{"at", in.At, "status", in.Status, "reason", in.Reason, "cure", incidents.Cure(texts.For(i18n.Default), in.Refusal)}
	}
	return []incident{client, account}, nil
}

// markUnreadable is the alarm about a mark that Google does not give back (rule 3.14).
func markUnreadable(u *store.UnreadableMark) incident {
	lost := incident{kind: logging.MarkUnreadable, is: u != nil,
		begins: "Google does not give back what calendars and events are known by: nothing is created until it does",
		ends:   "Google gives marks back again"}
	if u != nil {
		lost.id = "mark-" + u.Since.UTC().Format(time.RFC3339)
		lost.attrs = []any{"employee", u.Employee, "calendar", u.Calendar, "event", u.Event}
	}
	return lost
}

// fullRunMissed judges whether the nightly full run stays away or never comes to its
// end. A metric's silence could not tell: Monitoring watches 23.5 hours at most, and
// only what was there once.
func (p *poll) fullRunMissed(ctx context.Context, open map[string]string) (incident, error) {
	missed := incident{kind: logging.FullRunMissed, id: "full-run-" + p.now.UTC().Format(time.RFC3339),
		begins: "No full run has passed over everybody for 25 hours", ends: "A full run has passed over everybody, or none can any more"}
	if p.sum.Paused || !p.mayWrite() || p.account.Incident.StopsAll() {
		delete(open, fullRunsSince)
		return missed, nil
	}
	since, err := time.Parse(time.RFC3339, open[fullRunsSince])
	if err != nil {
		open[fullRunsSince] = p.now.UTC().Format(time.RFC3339)
		return missed, nil //nolint:nilerr // there is no entry, or no readable one: the time begins now
	}
	if p.now.Sub(since) <= fullRunEvery {
		return missed, nil
	}
	complete, err := p.Store.CompleteRunSince(ctx, p.now.Add(-fullRunEvery))
	missed.is = !complete
	return missed, err
}

// lostGrant raises or ends the alarm of a lost connection where the instance that
// should have done so died before.
func (p *poll) lostGrant(ctx context.Context) error {
	a := p.account
	lost := !a.Connected && !a.DisconnectedAt.IsZero() && a.Alarmed != a.Version && p.now.After(a.DisconnectedAt.Add(alarmGrace))
	back := a.Connected && a.Alarmed != 0 && p.now.After(a.ConnectedAt.Add(alarmGrace))
	alarmed := int64(0)
	switch {
	case lost:
		logging.Alarm(ctx, p.Log, logging.GrantRevoked, "grant-"+strconv.FormatInt(a.Version, 10),
			"Google refuses the grant of the central account: connect it again in the console")
		alarmed = a.Version
	case back:
		logging.AlarmEnded(ctx, p.Log, logging.GrantRevoked, "grant-"+strconv.FormatInt(a.Alarmed, 10), "The central account is connected again")
	default:
		return nil
	}
	return p.Store.GrantAlarmed(ctx, a.Sub, alarmed)
}

// unreadable judges whether something of the ERP has been unreadable for an hour: a task or
// an employee, an entry of a catalogue or all of one, or what the poll itself reads.
func (p *poll) unreadable(ctx context.Context, open map[string]string) (incident, error) {
	in := incident{kind: logging.ERPUnreadable, id: "erp-unreadable-" + p.now.UTC().Format(time.RFC3339),
		begins: "Something of the ERP has been unreadable for an hour", ends: "All of the ERP can be read again"}
	until := p.now.Add(-unreadableFor)
	keys, err := p.Store.UnreadableSince(ctx, until, mostUnreadable)
	if err != nil {
		return in, err
	}
	var what []string
	for _, k := range keys {
		what = append(what, k.Key.String()+": "+k.Why)
	}
	for _, f := range p.faults {
		if !f.Since.After(until) {
			what = append(what, f.What)
		}
	}
	for _, here := range p.unreadHere(open, until) {
		if !slices.Contains(what, here) {
			what = append(what, here)
		}
	}
	in.is, in.attrs = len(what) > 0, []any{"what", what}
	first := what[:min(len(what), mostUnreadable)]
	p.unreadableNow = &first
	return in, nil
}

// unreadHere says what this poll could not read, if none before could for an hour.
func (p *poll) unreadHere(open map[string]string, until time.Time) []string {
	if len(p.unread) == 0 {
		delete(open, unreadSince)
		return nil
	}
	since, err := time.Parse(time.RFC3339, open[unreadSince])
	if err != nil {
		open[unreadSince] = p.now.UTC().Format(time.RFC3339)
		return nil
	}
	if since.After(until) {
		return nil
	}
	return p.unread
}

// cardsRefused judges whether for an hour the ERP has taken nobody's calendar id (rule 5.9).
func (p *poll) cardsRefused(ctx context.Context) (incident, error) {
	in := incident{kind: logging.CardsRefused, begins: "For an hour the ERP has taken nobody's calendar id: calendars go on without",
		ends: "The ERP takes calendars' ids again, or none is to be written"}
	if p.settings.CalendarIDField == 0 {
		return in, nil
	}
	cards, everybody, err := p.Store.RefusedCards(ctx)
	in.id = "cards-refused-" + cards.Since.UTC().Format(time.RFC3339)
	in.is, in.attrs = everybody && !cards.Since.After(p.now.Add(-unreadableFor)), []any{"why", cards.Why}
	return in, err
}

// outOfReach judges whether for an hour Google has kept calendars from the client though they
// exist, and not that of one employee only (rule 3.9). By then each was looked for again.
func (p *poll) outOfReach(ctx context.Context, open map[string]string) (incident, error) {
	in := incident{kind: logging.CalendarsOutOfReach,
		begins: "Google keeps calendars from this connection, though they exist: nothing is written into them until an admin has new ones made",
		ends:   "Calendars are within reach again, or replaced"}
	n, many, err := p.Store.Unreached(ctx, string(calendarsync.ReasonCalendarUnreachable))
	if err != nil {
		return in, err
	}
	if !many {
		n = 0
	}
	if p.unreached = &n; n == 0 {
		delete(open, unreachedSince)
		return in, nil
	}
	since, err := time.Parse(time.RFC3339, open[unreachedSince])
	if err != nil {
		since = p.now.UTC().Truncate(time.Second)
		open[unreachedSince] = since.Format(time.RFC3339)
	}
	in.id = "out-of-reach-" + since.UTC().Format(time.RFC3339)
	in.is, in.attrs = !since.After(p.now.Add(-unreachedFor)), []any{"calendars", n, "since", since.UTC().Format(time.RFC3339)}
	return in, nil
}

// noNotifications judges whether the connector is silent although the ERP changes
// (rule 8.10).
func (p *poll) noNotifications(ctx context.Context) (incident, error) {
	n, err := p.Store.Notifications(ctx, p.now, string(queue.CauseNotify), string(queue.CausePoll))
	return incident{kind: logging.NoNotifications, id: "no-notifications-" + p.now.UTC().Format(time.RFC3339),
		begins: "The poll finds changes and no notification came for a day: the ERP's connector does not work",
		ends:   "Notifications come, or nothing changes", is: n.Silent(p.now),
		attrs: []any{"polled", n.Polled}}, err
}
