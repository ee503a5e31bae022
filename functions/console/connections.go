package console

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/incidents"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/status"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// connectionsView is how the installation is connected: to Google, to the ERP, and by the
// ERP's connector.
type connectionsView struct {
	Google, ERP connection
	Connector   []connectionFact
	// Expected is the account to be chosen at Google, RedirectURI what has to be registered.
	Expected, RedirectURI string
	// Tested is what a test of the ERP found just now; nil where none was asked for.
	Tested []connectionFact
	// Checkup is what the doctor found just now; nil where it was not asked.
	Checkup *checkupView
	Report  string
}

// connection is one other side, in a line and in facts.
type connection struct {
	Level, Title, Button string
	Facts                []connectionFact
	Detail               string // what the other side said, for whoever wants to know
}

// connectionFact is one thing known; Level is "bad" where it needs somebody.
type connectionFact struct{ Level, Name, Value string }

// connectionsStore is what the page reads beside the status.
type connectionsStore interface {
	// DaysSince lists what days came to, from a date in UTC on.
	DaysSince(ctx context.Context, day string) ([]store.DayRecord, error)
}

// showConnections serves the page of connections.
func (h *handler) showConnections(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.connections(w, r, s, looked)
}

// testERP asks the ERP now, and shows what it answered.
func (h *handler) testERP(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.connections(w, r, s, tested)
}

// asking is what the page of connections is asked to find out besides.
type asking int

const (
	looked   asking = iota // nothing: what is on record
	tested                 // whether the ERP answers
	examined               // all that the doctor looks at
)

func (h *handler) connections(w http.ResponseWriter, r *http.Request, s signin.Session, asked asking) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	var st status.Status
	var days []store.DayRecord
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { st, err = h.status(gctx); return err })
	g.Go(func() (err error) {
		days, err = h.Store.DaysSince(gctx, h.Now().UTC().Add(-24*time.Hour).Format(time.DateOnly))
		return err
	})
	if err := g.Wait(); err != nil {
		h.trouble(w, r, "read the connections", err)
		return
	}
	c := h.locale(r, st.Saved.Settings.TimeZone)
	v := connectionsView{
		Google: googleConnection(c, st, days), ERP: erpConnection(c, st), Connector: connectorFacts(c, st.Notifications),
		Expected: h.cfg.IntegrationAccount, RedirectURI: h.oauth.URL("/callback", nil), Report: report(st),
	}
	switch asked {
	case looked:
	case tested:
		v.Tested = h.testedERP(r.Context(), c, st.Saved.Settings)
	case examined:
		v.Checkup = h.checkup(r.Context(), c)
	}
	h.show(w, r, http.StatusOK, view{Page: "connections", Title: c.T("connections.title"), Session: &s, Body: v})
}

// googleConnection says how the central account is connected.
func googleConnection(c locale, s status.Status, days []store.DayRecord) connection {
	a := s.Account
	if !s.Ever {
		return connection{Level: "bad", Title: c.T("connections.state.none"), Button: c.T("connections.connect")}
	}
	v := connection{Level: "good", Title: c.T("connections.state.good"), Button: c.T("connections.again")}
	add := func(level, name, value string) {
		if value != "" {
			v.Facts = append(v.Facts, connectionFact{level, c.T("connections." + name), value})
		}
	}
	add("", "account", a.Email)
	if s.Connected {
		add("", "since", c.moment(a.ConnectedAt))
	} else {
		add("bad", "lost", c.moment(a.DisconnectedAt))
		v.Detail = a.Disconnected
	}
	if in := a.Incident; s.Connected && in != nil {
		add("bad", "refused-since", c.moment(in.Since))
		add("bad", "cure", cureOf(c, in))
		v.Detail = incidents.Text(in.Refusal)
	}
	add("", "client", a.ClientID)
	var scopes []string
	for _, scope := range a.Scopes {
		scopes = append(scopes, scope[strings.LastIndex(scope, "/")+1:])
	}
	add("", "scopes", strings.Join(scopes, ", "))
	switch {
	case !s.Connected: // it has ended
	case a.GrantExpiresAt.IsZero():
		add("", "ends", c.T("connections.ends-never"))
	default:
		add("bad", "ends", c.T("connections.ends-testing", "At", c.moment(a.GrantExpiresAt)))
	}
	add("", "calls", c.Figure(int(callsOfADay(days, c.now))))
	until := func(t time.Time) string {
		if c.now.Before(t) {
			return c.T("connections.until", "At", c.moment(t))
		}
		return c.T("connections.no")
	}
	add("", "writes-paused", until(a.PausedUntil))
	add("", "creations-paused", until(a.CreationsPausedUntil))
	add("", "waiting", c.count(len(s.Waiting)))
	v.Level, v.Title = googleState(c, s)
	return v
}

// googleState says in a line how the central account is connected, the worst first.
func googleState(c locale, s status.Status) (level, title string) {
	a := s.Account
	remaining := a.GrantExpiresAt.Sub(c.now)
	switch {
	case !s.Connected:
		return "bad", c.T("connections.state.lost")
	case a.Incident.StopsAll():
		return "bad", c.T("connections.state.refused")
	case !a.GrantExpiresAt.IsZero() && remaining <= 0:
		return "bad", c.T("connections.state.ended")
	case a.Incident != nil:
		return "bad", c.T("connections.state.service-refused")
	case !a.SuspectSince.IsZero():
		return "warn", c.T("connections.state.suspect")
	case s.Installation.Unreadable != nil:
		return "bad", c.T("connections.state.unmarked")
	case s.Poll.Unreached > 0:
		return "bad", c.N("connections.state.out-of-reach", s.Poll.Unreached)
	case !signin.SameAddress(a.Email, s.Expected):
		return "warn", c.T("connections.state.another")
	case !a.GrantExpiresAt.IsZero():
		return "warn", c.T("connections.state.ending", "Time", c.age(remaining))
	}
	return "good", c.T("connections.state.good")
}

// callsOfADay counts the calls to Google of the last 24 hours.
func callsOfADay(days []store.DayRecord, now time.Time) (calls int64) {
	for _, h := range hoursOf(days, now.Add(-24*time.Hour), now) {
		calls += h.Calls
	}
	return calls
}

// erpConnection says how the ERP did when Poll read it last.
func erpConnection(c locale, s status.Status) connection {
	o := s.Poll
	v := connection{Level: "good", Title: c.T("connections.erp-state.good")}
	switch {
	case o.Failing != nil:
		v.Level, v.Title = "bad", c.T("connections.erp-state.bad")
	case o.Paused:
		v.Level, v.Title = "wait", c.T("connections.erp-state.paused")
	case o.ReadAt.IsZero():
		v.Level, v.Title = "wait", c.T("connections.erp-state.unknown")
	case stale(c, o.ReadAt):
		v.Level, v.Title = "wait", c.T("connections.erp-state.stale")
	case !o.ApartSince.IsZero():
		v.Level, v.Title = "bad", c.T("connections.erp-state.apart")
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return c.T("overview.never")
		}
		return c.moment(t)
	}
	v.Facts = append(v.Facts, connectionFact{"", c.T("connections.read"), at(o.ReadAt)})
	if o.Failing != nil {
		v.Facts = append(v.Facts, connectionFact{"bad", c.T("connections.failing"), at(o.FailingSince)}, connectionFact{"bad", c.T("connections.cure"), erpCure(c.Texts, o.Failing)})
		v.Detail = o.Failing.Message
	}
	if !o.ClockAt.IsZero() {
		v.Facts = append(v.Facts, clockFact(c, c.T("connections.clock"), time.Duration(o.Apart)*time.Second, o.ClockAt))
	}
	v.Facts = append(v.Facts, connectionFact{"", c.T("connections.poll"), at(o.RanAt)})
	return v
}

func clockFact(c locale, name string, apart time.Duration, at time.Time) connectionFact {
	if apart > calendarsync.MaxApart {
		return connectionFact{"bad", name, c.T("connections.clock-apart", "Time", c.age(apart), "Zone", c.zone.String(), "At", c.moment(at))}
	}
	return connectionFact{"", name, c.T("connections.clock-agrees", "Zone", c.zone.String(), "At", c.moment(at))}
}

// muchPolled is the share of changes, in percent, from which the connector is to be looked at,
// and manyPolled how many there have to be: of a handful, one that the poll was first to see
// says nothing.
const muchPolled, manyPolled = 25, 10

func connectorFacts(c locale, n store.Notifications) []connectionFact {
	last := c.T("overview.never")
	if !n.LastAt.IsZero() {
		last = c.moment(n.LastAt)
	}
	facts := []connectionFact{{"", c.T("connections.notified"), last}}
	if n.Connector != "" {
		facts = append(facts, connectionFact{"", c.T("connections.version"), n.Connector})
	}
	facts = append(facts, connectionFact{"", c.T("connections.changes"), c.count(n.Notified + n.Polled)})
	polled := connectionFact{"", c.T("connections.polled"), c.T("connections.percent", "N", n.PolledPercent())}
	if n.Notified+n.Polled == 0 {
		polled.Value = "–" // a share of nothing is none
	}
	if n.PolledPercent() >= muchPolled && n.Polled >= manyPolled {
		polled = connectionFact{"bad", c.T("connections.polled"), c.T("connections.polled-much", "N", n.PolledPercent())}
	}
	return append(facts, polled)
}

// testedERP asks the ERP for its clock and its catalogue.
func (h *handler) testedERP(ctx context.Context, c locale, in calendarsync.Settings) []connectionFact {
	ctx, cancel := context.WithTimeout(ctx, erpDeadline)
	defer cancel()
	began := h.Now()
	clock, err := h.ERP.Clock(ctx)
	if err != nil {
		return erpFaultFacts(c, c.T("connections.fault"), err)
	}
	took := c.T("connections.test.took", "Time", int(h.Now().Sub(began).Milliseconds()))
	out := []connectionFact{{"", c.T("connections.test.key"), took}}
	if apart, known := apartFrom(in.TimeZone, clock); known {
		out = append(out, clockFact(c, c.T("connections.test.clock"), apart, c.now))
	}
	catalogue, err := h.ERP.Catalogue(ctx)
	if err != nil {
		return append(out, erpFaultFacts(c, c.T("connections.test.catalogue"), err)...)
	}
	return append(out, connectionFact{"", c.T("connections.test.catalogue"), c.T("connections.test.found", "States", len(catalogue.States), "Types", len(catalogue.Types))})
}

// erpFaultFacts says of what the ERP did not give what to do, and what it answered.
func erpFaultFacts(c locale, name string, err error) []connectionFact {
	f := store.FailureOf(err, nil, c.now)
	return []connectionFact{{"bad", name, erpCure(c.Texts, f)}, {"", c.T("overview.detail"), f.Message}}
}

// apartFrom is how far the ERP's clock is from a zone; known is false where that is none.
func apartFrom(zone string, clock userside.Clock) (apart time.Duration, known bool) {
	at, known := location(zone)
	if !known {
		return 0, false
	}
	return calendarsync.Apart(at, clock.Unix, clock.Offset), true
}

// report is what is known, as text for whoever helps: in English, without names and
// addresses.
func report(s status.Status) string {
	var b strings.Builder
	line := func(name string, values ...any) {
		fmt.Fprintf(&b, "%s: %s\n", name, strings.TrimSuffix(fmt.Sprintln(values...), "\n"))
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return t.UTC().Format(time.RFC3339)
	}
	line("report", at(s.Now))
	line("state", s.Answer().State)
	for _, p := range s.Problems() {
		if p.Kind == status.OtherAccount {
			p.Detail = "" // an address
		}
		line("problem", p.Kind, p.Level, "since", at(p.Since), "count", p.Count, p.Detail)
	}
	line("google", "connected", s.Connected, "since", at(s.Account.ConnectedAt), "grant ends", at(s.Account.GrantExpiresAt), "scopes", len(s.Account.Scopes))
	line("paused", "writes until", at(s.Account.PausedUntil), "calendars until", at(s.Account.CreationsPausedUntil), "waiting", len(s.Waiting))
	line("erp", "read", at(s.Poll.ReadAt), "clock checked", at(s.Poll.ClockAt), "seconds apart", s.Poll.Apart)
	line("poll", at(s.Poll.RanAt), "paused", s.Poll.Paused)
	line("connector", s.Notifications.Connector, "last", at(s.Notifications.LastAt), "percent polled", s.Notifications.PolledPercent())
	in := s.Saved.Settings
	line("settings", "version", s.Saved.Version, "enabled", in.Enabled, "confirmed", in.Confirmed, "zone", in.TimeZone, "roles", in.ShownRoles, "binding", in.BindingField, "language", in.Language)
	for _, state := range []store.EmployeeState{store.StateActive, store.StatePending, store.StateHeld, store.StateDeleting, store.StateError, store.StateNone} {
		line("employees", state, s.Tally.Employees[state])
	}
	line("tasks", "pending", s.Tally.PendingTasks, "failed", s.Tally.FailedTasks, "held", s.Tally.HeldTasks, "gave up", s.Tally.DeadLetters)
	for _, r := range s.Runs {
		line("run", r.Cause, at(r.Started), at(r.Ended), "done", r.Done, "of", r.Total, "failed", r.Failed, "writes", r.Repaired)
	}
	return b.String()
}
