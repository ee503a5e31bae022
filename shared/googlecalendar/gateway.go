// Package googlecalendar is the gateway to Google's Calendar API v3: calendars,
// ACL rules and events in the product's terms, every call paced by the budget,
// every error with its kind. It must never send an event write without
// sendUpdates=none, never set attendees, never patch an event (three quota
// units), and needs no scope beyond those of rule 10.7.
package googlecalendar

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/api/calendar/v3"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// Scopes are the least that does the whole job (rule 10.7).
func Scopes() []string {
	return []string{
		calendar.CalendarAppCreatedScope,
		calendar.CalendarAclsScope,
		calendar.CalendarCalendarlistReadonlyScope,
	}
}

// Pacer lets a call pass when the account's budget allows it. calendar is empty
// for reads.
type Pacer interface {
	Wait(ctx context.Context, account, calendar string) error
	// Refused hears that Google refused a write to a calendar for its limits.
	Refused(ctx context.Context, account, calendar string) error
}

// Watcher hears how calls end, to tell what hits one of them from what hits the whole
// account (rule 7.7).
type Watcher interface {
	// Admit reports why a method must not be called now; nil if it may.
	Admit(ctx context.Context, method string) error
	// Called hears how a call of a method about a key ended, and gives the error on.
	Called(ctx context.Context, method, key string, err error) error
	// ZoneTaken hears that Google took a write that names a zone.
	ZoneTaken(ctx context.Context)
}

// callTimeout bounds one attempt of one call.
const callTimeout = 20 * time.Second

// Gateway makes the calls of one account. It is safe for concurrent use.
type Gateway struct {
	api     *calendar.Service
	pacer   Pacer
	account func(ctx context.Context) (string, error)
	watcher Watcher // nil for none
	// about gives the words above the mark of a calendar that is made; nil for none.
	about func(ctx context.Context) string
	zones zoneNames
	// locations are zones by their names.
	locations sync.Map
}

// New makes a Gateway. client must authorize its calls; endpoint is Google's own
// or a stand-in's, ending in "/calendar/v3/"; account names the budget, once a call
// can be authorized without delay.
func New(ctx context.Context, client *http.Client, endpoint string, pacer Pacer, account func(ctx context.Context) (string, error)) (*Gateway, error) {
	api, err := calendar.NewService(ctx, option.WithHTTPClient(client), option.WithEndpoint(endpoint))
	if err != nil {
		return nil, failure.Wrap(failure.Misconfigured, "make the Calendar client", err)
	}
	return &Gateway{api: api, pacer: pacer, account: account}, nil
}

// Watched has a watcher hear how the gateway's calls end.
func (g *Gateway) Watched(by Watcher) *Gateway {
	g.watcher = by
	return g
}

// Describing puts words above the mark of calendars that are made, for whoever opens their
// settings; "" puts none.
func (g *Gateway) Describing(about func(ctx context.Context) string) *Gateway {
	g.about = about
	return g
}

// described is a mark with the words above it.
func (g *Gateway) described(ctx context.Context, mark calendarsync.CalendarMark) string {
	if g.about == nil {
		return mark.Text()
	}
	return strings.TrimSpace(g.about(ctx) + "\n\n" + mark.Text())
}

// op is one call: the method of Google's API, the key that it is about ("<calendar>",
// "<calendar>/<event>"), and both in words for errors.
type op struct{ method, key, text string }

// retry says which failures a call may repeat in place.
type retry int

const (
	// always: the call may be made twice without harm.
	always retry = iota
	// definite: only when Google answered that it did nothing.
	definite
)

// call makes one call, unless an incident of the account keeps it back, and tells the
// watcher how it ended.
func (g *Gateway) call(ctx context.Context, o op, writesTo string, r retry, do func(ctx context.Context) error) error {
	return g.watched(ctx, o, func() error { return g.attempt(ctx, o.text, writesTo, r, do) })
}

func (g *Gateway) watched(ctx context.Context, o op, attempt func() error) error {
	if g.watcher == nil {
		return attempt()
	}
	if err := g.watcher.Admit(ctx, o.method); err != nil {
		return classify(o.text, err)
	}
	return g.watcher.Called(ctx, o.method, o.key, attempt())
}

// reserver is a Pacer that can reserve a call's slot before the call is made.
type reserver interface {
	// Reserve gives what waits for the slot; nil where nothing is reserved.
	Reserve(ctx context.Context, account, calendar string) (wait func(ctx context.Context) error)
}

// reserved is a slot on its way for one write to a calendar.
type reserved struct {
	calendar string
	used     atomic.Bool
	// wait comes once the account is known; nil for no slot.
	wait chan func(ctx context.Context) error
}

type reservedKey struct{}

// Reserve begins to reserve the slot of the first write to a calendar that is made with
// the context that it gives, while that write is announced. As for every call the token
// is fetched first.
func (g *Gateway) Reserve(ctx context.Context, calendarID string) context.Context {
	p, ok := g.pacer.(reserver)
	if !ok {
		return ctx
	}
	r := &reserved{calendar: calendarID, wait: make(chan func(ctx context.Context) error, 1)}
	go func() {
		account, err := g.account(ctx)
		if err != nil {
			r.wait <- nil // the call itself tells of it
			return
		}
		r.wait <- p.Reserve(ctx, account, calendarID)
	}()
	return context.WithValue(ctx, reservedKey{}, r)
}

// pace waits for a call's slot: the one reserved for it, or one of now.
func (g *Gateway) pace(ctx context.Context, account, writesTo string) error {
	r, ok := ctx.Value(reservedKey{}).(*reserved)
	if !ok || writesTo == "" || r.calendar != writesTo || r.used.Swap(true) {
		return g.pacer.Wait(ctx, account, writesTo)
	}
	if wait := <-r.wait; wait != nil {
		return wait(ctx)
	}
	return g.pacer.Wait(ctx, account, writesTo)
}

// attempt paces, makes and classifies one call, retrying with jittered back-off
// while the context's deadline allows. Every attempt takes a slot.
func (g *Gateway) attempt(ctx context.Context, op, writesTo string, r retry, do func(ctx context.Context) error) error {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval, wait.RandomizationFactor = 400*time.Millisecond, 32*time.Second, 0
	// Once an attempt may have taken effect, no later refusal makes that undone.
	ambiguous := false
	final := func(err error) error {
		if ambiguous {
			err = failure.Ambiguously(err)
		}
		return err
	}
	for attempt := 1; ; attempt++ {
		// The token first: whoever waited for one behind the slot would call late, together
		// with all the others that did.
		account, err := g.account(ctx)
		if err == nil {
			if err := g.pace(ctx, account, writesTo); err != nil {
				return final(classify(op, err))
			}
			one, cancel := context.WithTimeout(ctx, callTimeout)
			err = do(one)
			cancel()
		}
		err = classify(op, err)
		if writesTo != "" && failure.Is(err, failure.RateLimited) {
			// What cannot be noted now is heard again at the next refusal.
			_ = g.pacer.Refused(ctx, account, writesTo)
		}
		ambiguous = ambiguous || failure.IsAmbiguous(err)
		if attempt == maxAttempts || !r.allows(err) || !rest(ctx, pauseAfter(err, wait.NextBackOff())) {
			return final(err)
		}
	}
}

// maxAttempts is how often one call is made.
const maxAttempts = 4

// allows reports whether a call that ended so may be made again at once.
func (r retry) allows(err error) bool {
	switch failure.KindOf(err) {
	case failure.RateLimited:
		return true
	case failure.Transient:
		return r == always || !failure.IsAmbiguous(err)
	default:
		return false
	}
}

// pauseAfter is how long to rest after a failure: what Google asked for, if that is longer.
func pauseAfter(err error, backOff time.Duration) time.Duration {
	pause := jittered(backOff)
	if f, ok := errors.AsType[*failure.Error](err); ok {
		pause = max(pause, f.RetryAfter)
	}
	return pause
}

// rest waits, and reports whether there is time for another attempt after it.
func rest(ctx context.Context, pause time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < pause+time.Second {
		return false
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// jittered spreads a pause over half to one and a half of it, by the clock's
// nanoseconds, which callers do not share: what runs on a made-up clock can be
// repeated exactly.
func jittered(pause time.Duration) time.Duration {
	spread := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(pause))).Float64() //nolint:gosec // it spreads pauses and keeps nothing secret
	return time.Duration(float64(pause) * (0.5 + spread))
}

// Calendar is a calendar of the account.
type Calendar struct {
	ID          string
	Name        string
	Description string
	TimeZone    string
	ETag        string
	// Owner is the address of the account that owns the data; only Calendars tells it.
	Owner string
	// Mark is the product's own line in the description; Marked tells if it is there.
	Mark   calendarsync.CalendarMark
	Marked bool
}

// OwnedBy reports whether a calendar of the list Calendars is the account's of an address:
// anybody may share one of theirs with it and write any mark into that (rule 10.12).
func (c Calendar) OwnedBy(address string) bool {
	return c.Owner == "" || calendarsync.NormalAddress(c.Owner) == calendarsync.NormalAddress(address)
}

func fromCalendar(id, name, description, zone, etag string) Calendar {
	c := Calendar{ID: id, Name: name, Description: description, TimeZone: zone, ETag: etag}
	c.Mark, c.Marked = calendarsync.ReadCalendarMark(description)
	return c
}

// CreateCalendar makes a calendar that carries its mark from the first moment
// (rule 3.5). It is never repeated in place: an ambiguous failure is
// looked for by the mark first (rule 3.6).
func (g *Gateway) CreateCalendar(ctx context.Context, name, zone string, mark calendarsync.CalendarMark) (Calendar, error) {
	var made *calendar.Calendar
	description := g.described(ctx, mark)
	err := g.callZoned(ctx, op{"calendars.insert", "employee " + strconv.FormatInt(int64(mark.Employee), 10), "create the calendar"}, "", definite, zone, func(ctx context.Context, zone string) (err error) {
		made, err = g.api.Calendars.Insert(&calendar.Calendar{Summary: name, Description: description, TimeZone: zone}).Context(ctx).Do()
		return err
	})
	if err != nil {
		return Calendar{}, err
	}
	return fromCalendar(made.Id, made.Summary, made.Description, made.TimeZone, made.Etag), nil
}

// Calendar reads one calendar.
func (g *Gateway) Calendar(ctx context.Context, id string) (Calendar, error) {
	var c *calendar.Calendar
	err := g.call(ctx, op{"calendars.get", id, "read calendar " + id}, "", always, func(ctx context.Context) (err error) {
		c, err = g.api.Calendars.Get(id).Context(ctx).Do()
		return err
	})
	if err != nil {
		return Calendar{}, err
	}
	return fromCalendar(c.Id, c.Summary, c.Description, c.TimeZone, c.Etag), nil
}

// UpdateCalendar writes name and zone of a calendar read before, keeping what
// the account's owner wrote in its description and renewing the mark.
func (g *Gateway) UpdateCalendar(ctx context.Context, c Calendar, name, zone string, mark calendarsync.CalendarMark) error {
	description := c.Description
	// Compared as written: the mark knows no fractions of a second.
	if !c.Marked || c.Mark.Text() != mark.Text() {
		description = strings.TrimSpace(calendarsync.WithoutMarks(description) + "\n" + mark.Text())
	}
	if calendarsync.WithoutMarks(description) == "" {
		description = g.described(ctx, mark) // made before calendars had words
	}
	return g.callZoned(ctx, op{"calendars.update", c.ID, "update calendar " + c.ID}, c.ID, always, zone, func(ctx context.Context, zone string) error {
		_, err := g.api.Calendars.Update(c.ID, &calendar.Calendar{Summary: name, Description: description, TimeZone: zone}).Context(ctx).Do()
		return err
	})
}

// Disown takes the product's mark off a calendar read before: from then on it is
// somebody else's.
func (g *Gateway) Disown(ctx context.Context, c Calendar) error {
	return g.callZoned(ctx, op{"calendars.update", c.ID, "take the mark off calendar " + c.ID}, c.ID, always, c.TimeZone, func(ctx context.Context, zone string) error {
		_, err := g.api.Calendars.Update(c.ID, &calendar.Calendar{Summary: c.Name, Description: calendarsync.WithoutMarks(c.Description), TimeZone: zone}).Context(ctx).Do()
		return err
	})
}

// DeleteCalendar deletes a calendar. One that is not there is an error: that may pass,
// and what is taken for deleted is forgotten (rule 3.9).
func (g *Gateway) DeleteCalendar(ctx context.Context, id string) error {
	return g.call(ctx, op{"calendars.delete", id, "delete calendar " + id}, id, always, func(ctx context.Context) error {
		return g.api.Calendars.Delete(id).Context(ctx).Do()
	})
}

// Calendars lists every calendar that the account owns, hidden ones too, all
// pages (rule 3.6).
func (g *Gateway) Calendars(ctx context.Context) ([]Calendar, error) {
	var out []Calendar
	for page := ""; ; {
		var list *calendar.CalendarList
		err := g.call(ctx, op{"calendarList.list", "", "list the account's calendars"}, "", always, func(ctx context.Context) (err error) {
			list, err = g.api.CalendarList.List().MinAccessRole("owner").ShowHidden(true).MaxResults(250).PageToken(page).Context(ctx).Do()
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, e := range list.Items {
			if !e.Deleted {
				c := fromCalendar(e.Id, e.Summary, e.Description, e.TimeZone, e.Etag)
				c.Owner = e.DataOwner
				out = append(out, c)
			}
		}
		if page = list.NextPageToken; page == "" {
			return out, nil
		}
	}
}

// Rule is one ACL rule of a calendar.
type Rule struct {
	ID      string
	Role    string // "reader", "owner", …
	Type    string // "user", "default", …
	Address string
}

// Rules lists a calendar's ACL rules, all pages.
func (g *Gateway) Rules(ctx context.Context, calendarID string) ([]Rule, error) {
	var out []Rule
	for page := ""; ; {
		var list *calendar.Acl
		err := g.call(ctx, op{"acl.list", calendarID, "list ACL rules of calendar " + calendarID}, "", always, func(ctx context.Context) (err error) {
			list, err = g.api.Acl.List(calendarID).MaxResults(250).PageToken(page).Context(ctx).Do()
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, r := range list.Items {
			if r.Role != "none" {
				out = append(out, ruleOf(r))
			}
		}
		if page = list.NextPageToken; page == "" {
			return out, nil
		}
	}
}

func ruleOf(r *calendar.AclRule) Rule {
	rule := Rule{ID: r.Id, Role: r.Role}
	if r.Scope != nil {
		rule.Type, rule.Address = r.Scope.Type, r.Scope.Value
	}
	return rule
}

// Share gives an address the role reader; Google mails the invitation. It is not
// repeated in place when the answer was lost, so that nobody is mailed twice:
// the rules are listed before the next try (rule 5.3).
func (g *Gateway) Share(ctx context.Context, calendarID, address string) (Rule, error) {
	var made *calendar.AclRule
	err := g.call(ctx, op{"acl.insert", calendarID, "share calendar " + calendarID}, calendarID, definite, func(ctx context.Context) (err error) {
		made, err = g.api.Acl.Insert(calendarID, &calendar.AclRule{Role: "reader", Scope: &calendar.AclRuleScope{Type: "user", Value: address}}).
			SendNotifications(true).Context(ctx).Do()
		if api, ok := errors.AsType[*googleapi.Error](err); ok && reason(api) == "requiredAccessLevel" {
			// A calendar made a moment ago may not know its owner yet (shared/googlecalendar/README.md).
			return &failure.Error{Kind: failure.Transient, Op: "share calendar " + calendarID, Status: api.Code, Reason: "requiredAccessLevel"}
		}
		return err
	})
	if err != nil {
		return Rule{}, err
	}
	return ruleOf(made), nil
}

// ForceReader sets a rule back to reader without mailing anybody.
func (g *Gateway) ForceReader(ctx context.Context, calendarID string, rule Rule) error {
	return g.call(ctx, op{"acl.update", calendarID, "narrow an ACL rule of calendar " + calendarID}, calendarID, always, func(ctx context.Context) error {
		_, err := g.api.Acl.Update(calendarID, rule.ID, &calendar.AclRule{Role: "reader", Scope: &calendar.AclRuleScope{Type: rule.Type, Value: rule.Address}}).
			SendNotifications(false).Context(ctx).Do()
		return err
	})
}

// Unshare removes a rule. One that is not there is an error, as for DeleteCalendar.
func (g *Gateway) Unshare(ctx context.Context, calendarID, ruleID string) error {
	return g.call(ctx, op{"acl.delete", calendarID, "remove an ACL rule of calendar " + calendarID}, calendarID, always, func(ctx context.Context) error {
		return g.api.Acl.Delete(calendarID, ruleID).Context(ctx).Do()
	})
}

func ifMatch(h http.Header, etag string) {
	if etag != "" {
		h.Set("If-Match", etag)
	}
}

// fields wanted of an event in every answer: what is owned, and what identifies.
const eventFields = googleapi.Field("id,etag,status,sequence,summary,location,description,colorId,start,end,visibility,transparency,recurrence,recurringEventId,attendees(email),extendedProperties(private)")
