package grant_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/grant"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
)

const (
	baseURL  = "http://google.test"
	owner    = "central@firm.example"
	sub      = "1001"
	clientID = "client-1"
	secret   = "SECRET-of-the-client"
	repeat   = 30 * time.Second // a third of LEASE_SECONDS
)

var scopes = []string{"openid", "email", "calendar.app.created", "calendar.calendarlist.readonly"}

// accounts is the real store, with something that happens just before a refusal
// is recorded, and failures on demand.
type accounts struct {
	*store.Store
	beforeRefusal       func()
	readErr, refusedErr error
	worksErr            error
	alarmedErr          error
	incidentErr         error
}

func (a *accounts) RaiseIncident(ctx context.Context, sub string, r store.Refusal) error {
	if a.incidentErr != nil {
		return a.incidentErr
	}
	return a.Store.RaiseIncident(ctx, sub, r)
}

func (a *accounts) SuspectToken(ctx context.Context, sub string, r store.Refusal, repeat time.Duration) (bool, error) {
	if a.incidentErr != nil {
		return false, a.incidentErr
	}
	return a.Store.SuspectToken(ctx, sub, r, repeat)
}

func (a *accounts) GrantAlarmed(ctx context.Context, sub string, version int64) error {
	if a.alarmedErr != nil {
		return a.alarmedErr
	}
	return a.Store.GrantAlarmed(ctx, sub, version)
}

func (a *accounts) Account(ctx context.Context) (store.AccountRecord, error) {
	if a.readErr != nil {
		return store.AccountRecord{}, a.readErr
	}
	return a.Store.Account(ctx)
}

func (a *accounts) GrantRefused(ctx context.Context, sub string, version int64, reason string, repeat time.Duration) (bool, error) {
	if a.beforeRefusal != nil {
		a.beforeRefusal()
		a.beforeRefusal = nil
	}
	if a.refusedErr != nil {
		return false, a.refusedErr
	}
	return a.Store.GrantRefused(ctx, sub, version, reason, repeat)
}

func (a *accounts) GrantWorks(ctx context.Context, sub string, version int64) error {
	if a.worksErr != nil {
		return a.worksErr
	}
	return a.Store.GrantWorks(ctx, sub, version)
}

type world struct {
	*google.Server
	t        *testing.T
	accounts *accounts
	cipher   *seal.Local
	secrets  []string

	mu  sync.Mutex
	at  time.Time
	log bytes.Buffer
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

// Write collects log lines.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func (w *world) alarms() int { return strings.Count(w.logged(), "alarm=") }

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// newWorld has a connected account; whatever is logged in it is searched for
// secrets at the end.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	w.Server = google.New(google.Options{BaseURL: baseURL, Now: w.now, ClientID: clientID, ClientSecret: secret, Seed: 7,
		Accounts: []google.Account{{Sub: sub, Email: owner}}})
	b, err := bolt.Open(filepath.Join(t.TempDir(), "store"), w.now, bolt.NoSync())
	w.ok(err)
	w.accounts = &accounts{Store: store.New(b)}
	t.Cleanup(func() { w.ok(b.Close()) })
	key := make([]byte, seal.KeyBytes)
	_, err = rand.Read(key)
	w.ok(err)
	w.cipher, err = seal.NewLocal(key)
	w.ok(err)
	w.secrets = []string{secret}
	w.connect()
	t.Cleanup(func() { w.noSecret(w.logged()) })
	return w
}

func (w *world) noSecret(text string) {
	w.t.Helper()
	for _, s := range w.secrets {
		if strings.Contains(text, s) {
			w.t.Errorf("a secret is told: %s", text)
		}
	}
}

// connect stores a new grant, as functions/oauth does.
func (w *world) connect() store.AccountRecord {
	w.t.Helper()
	refresh := w.RefreshToken(owner, scopes...)
	w.secrets = append(w.secrets, refresh)
	sealed, err := w.cipher.Seal(w.t.Context(), []byte(refresh), seal.Additional(store.SealPath(sub), sub))
	w.ok(err)
	a, err := w.accounts.Connect(w.t.Context(), store.AccountRecord{Sub: sub, Email: owner, ClientID: clientID, Sealed: sealed}, true)
	w.ok(err)
	return a
}

// source is one instance of a function.
func (w *world) source(change ...func(*grant.Config)) *grant.Source {
	cfg := grant.Config{ClientID: clientID, ClientSecret: secret, Repeat: repeat,
		TokenURL: func(context.Context) (string, error) { return baseURL + "/token", nil }}
	for _, c := range change {
		c(&cfg)
	}
	return grant.New(cfg, w.accounts, w.cipher, &http.Client{Transport: w.Transport()}, w.now, slog.New(slog.NewTextHandler(w, nil)))
}

// token asks for one and checks the error, if any, for secrets.
func (w *world) token(s *grant.Source) (string, error) {
	w.t.Helper()
	token, a, err := s.Token(w.t.Context())
	if err != nil {
		for e := err; e != nil; e = errors.Unwrap(e) {
			w.noSecret(e.Error())
		}
		if token != "" {
			w.t.Errorf("a token beside the error %v", err)
		}
		return "", err
	}
	if a.Sub != sub {
		w.t.Errorf("the token is said to be of account %q", a.Sub)
	}
	w.secrets = append(w.secrets, token)
	return token, nil
}

func (w *world) mustToken(s *grant.Source) string {
	w.t.Helper()
	token, err := w.token(s)
	w.ok(err)
	return token
}

func (w *world) refusedAs(s *grant.Source, kind failure.Kind) {
	w.t.Helper()
	if _, err := w.token(s); !failure.Is(err, kind) {
		w.t.Errorf("error %v, want kind %s", err, kind)
	}
}

func (w *world) refreshes() int { return len(w.Requests(google.Filter{Method: "oauth2.token"})) }

func (w *world) account() store.AccountRecord {
	w.t.Helper()
	a, err := w.accounts.Store.Account(w.t.Context())
	w.ok(err)
	return a
}

func TestTokenIsKeptUntilAMinuteBeforeItsEnd(t *testing.T) {
	w := newWorld(t)
	s := w.source()
	first := w.mustToken(s)
	w.pass(3599*time.Second - 61*time.Second)
	if again := w.mustToken(s); again != first || w.refreshes() != 1 {
		t.Errorf("%d refreshes 61 s before the end, want the token kept", w.refreshes())
	}
	w.pass(time.Second)
	if next := w.mustToken(s); next == first || w.refreshes() != 2 {
		t.Errorf("%d refreshes a minute before the end, want a new token", w.refreshes())
	}
}

func TestManyCallersRefreshOnce(t *testing.T) {
	w := newWorld(t)
	s := w.source()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, _, err := s.Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if w.refreshes() != 1 {
		t.Errorf("%d refreshes for 50 callers, want 1", w.refreshes())
	}
}

// call makes a Calendar call with a body through the transport.
func (w *world) call(s *grant.Source) (*http.Response, error) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, baseURL+"/calendar/v3/calendars", strings.NewReader(`{"summary":"Olena"}`))
	w.ok(err)
	r.Header.Set("Content-Type", "application/json")
	w.mustToken(s)
	res, err := (&grant.Transport{Source: s, Base: w.Transport()}).RoundTrip(r)
	if r.Header.Get("Authorization") != "" {
		w.t.Error("the caller's own request got the token")
	}
	return res, err
}

// A second call by the transport itself would take no slot of the budget: found by
// a simulated history in which four writes reached one calendar within a second.
func TestAfter401TheNextCallHasAFreshToken(t *testing.T) {
	w := newWorld(t)
	s := w.source()
	w.mustToken(s)
	w.Inject(google.Fault{Method: "calendar.*", Status: http.StatusUnauthorized})
	for _, want := range []int{http.StatusUnauthorized, http.StatusOK} {
		res, err := w.call(s)
		w.ok(err)
		w.ok(res.Body.Close())
		if res.StatusCode != want {
			t.Errorf("status %d, want %d", res.StatusCode, want)
		}
	}
	if calls := w.Requests(google.Filter{Method: "calendar.*"}); len(calls) != 2 || w.refreshes() != 2 {
		t.Errorf("%d calls and %d refreshes, want 2 and 2", len(calls), w.refreshes())
	}
}

// What waited for a token behind its slot was called late, together with all others
// that did: found by a simulated history in which the token was refused, and slow to
// come anew, while four writes to one calendar had their slots.
func TestACallThatHasItsSlotDoesNotWaitForAToken(t *testing.T) {
	for name, spoil := range map[string]func(w *world, s *grant.Source, token string){
		"refused": func(_ *world, s *grant.Source, token string) { s.Refused(token) },
		"of age":  func(w *world, _ *grant.Source, _ string) { w.pass(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.source()
			spoil(w, s, w.mustToken(s))
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, baseURL+"/calendar/v3/calendars", http.NoBody)
			w.ok(err)
			res, err := (&grant.Transport{Source: s, Base: w.Transport()}).RoundTrip(r)
			if res != nil {
				_ = res.Body.Close()
			}
			if !failure.Is(err, failure.Transient) || failure.IsAmbiguous(err) {
				t.Errorf("error %v, want a transient one of a call that was not made", err)
			}
			if n := len(w.Requests(google.Filter{Method: "calendar.*"})); n != 0 || w.refreshes() != 1 {
				t.Errorf("%d calls and %d refreshes, want 0 and 1", n, w.refreshes())
			}
			if res, err = w.call(s); err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
		})
	}
}

func TestOnlyTheRefusedTokenIsForgotten(t *testing.T) {
	w := newWorld(t)
	s := w.source()
	old := w.mustToken(s)
	s.Refused(old)
	fresh := w.mustToken(s)
	s.Refused(old) // by a slower caller with the same old token
	if got := w.mustToken(s); got != fresh || w.refreshes() != 2 {
		t.Errorf("%d refreshes, want the fresh token kept", w.refreshes())
	}
}

// closing reports whether it was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// The contract of http.RoundTripper: the body is closed, also on errors.
func TestTransportClosesTheBodyWithoutAToken(t *testing.T) {
	w := newWorld(t)
	s := w.source(func(c *grant.Config) { c.ClientID = "client-2" })
	body := &closing{Reader: strings.NewReader("{}")}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, baseURL+"/calendar/v3/calendars", body)
	w.ok(err)
	res, err := (&grant.Transport{Source: s, Base: w.Transport()}).RoundTrip(r)
	if res != nil {
		_ = res.Body.Close()
	}
	if !failure.Is(err, failure.Transient) || failure.IsAmbiguous(err) || !body.closed {
		t.Errorf("error %v, body closed: %t", err, body.closed)
	}
	if n := len(w.Requests(google.Filter{})); n != 0 {
		t.Errorf("%d calls without a token", n)
	}
}

// rule 7.5.
func TestRefusedGrantDisconnectsOnlyAfterARepeat(t *testing.T) {
	w := newWorld(t)
	one, two := w.source(), w.source() // two instances
	w.mustToken(one)
	w.ok(w.RevokeGrant(owner))
	w.pass(time.Hour)

	w.refusedAs(one, failure.Transient)
	if a := w.account(); !a.Connected || !a.SuspectSince.Equal(w.now()) {
		t.Fatalf("after the first refusal: connected %t, suspect since %s", a.Connected, a.SuspectSince)
	}
	w.pass(repeat - time.Second)
	w.refusedAs(two, failure.Transient)
	w.refusedAs(one, failure.Transient)
	if a := w.account(); !a.Connected || w.alarms() != 0 {
		t.Fatalf("too soon: connected %t, %d alarms", a.Connected, w.alarms())
	}
	w.pass(time.Second)
	w.refusedAs(two, failure.Revoked)
	if a := w.account(); a.Alarmed != 1 {
		t.Errorf("the alarm of version %d is noted, want 1", a.Alarmed)
	}
	if a := w.account(); a.Connected || a.Disconnected != "invalid_grant" || a.Version != 1 {
		t.Errorf("after the repeat: %+v, want it disconnected", a)
	}
	asked := w.refreshes()
	for range 3 {
		w.pass(11 * time.Second)
		w.refusedAs(one, failure.Revoked)
		w.refusedAs(two, failure.Revoked)
	}
	if w.refreshes() != asked {
		t.Errorf("%d questions about a grant known to be dead", w.refreshes()-asked)
	}
	// functions/oauth ends this very incident when the account is connected again.
	if log := w.logged(); w.alarms() != 1 || !strings.Contains(log, "alarm=grant-revoked incident=grant-1") || strings.Contains(log, "ended=") || !strings.Contains(log, "level=ERROR") {
		t.Errorf("logged\n%s\nwant one alarm grant-revoked of incident grant-1", log)
	}

	// A new connection works at once, and is an incident of its own.
	w.connect()
	w.mustToken(one)
	w.mustToken(two)
	w.ok(w.RevokeGrant(owner))
	w.pass(time.Hour)
	w.refusedAs(one, failure.Transient)
	w.pass(repeat)
	w.refusedAs(one, failure.Revoked)
	if log := w.logged(); w.alarms() != 2 || !strings.Contains(log, "incident=grant-2") {
		t.Errorf("logged\n%s\nwant a second alarm of incident grant-2", log)
	}
}

// The instance that loses the race for the disconnection must not alarm again.
func TestRaceOfRefusalsAlarmsOnce(t *testing.T) {
	w := newWorld(t)
	w.ok(w.RevokeGrant(owner))
	w.refusedAs(w.source(), failure.Transient)
	w.pass(repeat)
	var wg sync.WaitGroup
	for range 8 {
		s := w.source()
		wg.Go(func() {
			if _, _, err := s.Token(t.Context()); err == nil {
				t.Error("a token of a dead grant")
			}
		})
	}
	wg.Wait()
	if a := w.account(); a.Connected || w.alarms() != 1 {
		t.Errorf("connected %t, %d alarms; want one", a.Connected, w.alarms())
	}
}

func TestNewConnectionMeanwhileWins(t *testing.T) {
	w := newWorld(t)
	s := w.source()
	w.ok(w.RevokeGrant(owner))
	w.refusedAs(s, failure.Transient)
	w.pass(repeat)
	// Connected again between Google's refusal and its recording.
	w.accounts.beforeRefusal = func() { w.connect() }
	w.refusedAs(s, failure.Transient)
	if a := w.account(); !a.Connected || a.Version != 2 || !a.SuspectSince.IsZero() || w.alarms() != 0 {
		t.Errorf("%+v and %d alarms, want version 2 untouched", a, w.alarms())
	}
	w.mustToken(s)
}

func TestTokenOfAnEarlierVersionIsNotUsed(t *testing.T) {
	w := newWorld(t)
	s := w.source()
	old := w.mustToken(s)
	w.connect()
	w.pass(10*time.Second + time.Millisecond) // the account is read anew
	if got := w.mustToken(s); got == old {
		t.Error("the token of version 1 is used on with version 2")
	}
}

func TestWorkingGrantClearsTheSuspicion(t *testing.T) {
	w := newWorld(t)
	s := w.source()
	w.Inject(google.Fault{Method: "oauth2.token", Status: http.StatusBadRequest, Reason: "invalid_grant"})
	w.refusedAs(s, failure.Transient)
	if w.account().SuspectSince.IsZero() {
		t.Fatal("no suspicion after a refusal")
	}
	w.mustToken(s)
	if a := w.account(); !a.SuspectSince.IsZero() || !a.Connected {
		t.Errorf("%+v, want the suspicion cleared", a)
	}
	// So a refusal much later is again only the first.
	w.pass(2 * time.Hour)
	w.Inject(google.Fault{Method: "oauth2.token", Status: http.StatusBadRequest, Reason: "invalid_grant"})
	w.refusedAs(s, failure.Transient)
	if a := w.account(); !a.Connected || w.alarms() != 0 {
		t.Errorf("connected %t, %d alarms after two refusals with a success between", a.Connected, w.alarms())
	}
}

func TestSuspicionThatCannotBeClearedStopsNobody(t *testing.T) {
	w := newWorld(t)
	s := w.source()
	w.Inject(google.Fault{Method: "oauth2.token", Status: http.StatusBadRequest, Reason: "invalid_grant"})
	w.refusedAs(s, failure.Transient)
	w.accounts.worksErr = errors.New("store: away")
	w.mustToken(s)
	if !strings.Contains(w.logged(), "level=WARN") {
		t.Error("nothing is logged about it")
	}
}

func TestFaultsOfTheConfiguration(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*grant.Config)
		// asked: Google is asked at all.
		asked bool
	}{
		"wrong secret": {func(c *grant.Config) { c.ClientSecret = "SECRET-that-is-wrong" }, true},
		// The calendars belong to the client that made them (shared/googlecalendar/README.md, Scopes).
		"another client": {func(c *grant.Config) { c.ClientID = "client-2" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.secrets = append(w.secrets, "SECRET-that-is-wrong")
			s := w.source(row.change)
			for range 3 {
				w.refusedAs(s, failure.Misconfigured)
				w.pass(time.Hour)
			}
			if a := w.account(); !a.Connected || !a.SuspectSince.IsZero() || w.alarms() != 0 {
				t.Errorf("%+v and %d alarms, want a connection untouched", a, w.alarms())
			}
			if asked := w.refreshes() > 0; asked != row.asked {
				t.Errorf("Google was asked: %t", asked)
			}
		})
	}
}

// Each code of the token endpoint that keeps the account out is on the account's record,
// for Poll to tell, until a token is given again (rule 7.7); one that nobody knows is
// believed when it is repeated.
func TestEachOAuthCodeIsAnIncidentUntilATokenIsGiven(t *testing.T) {
	for code, known := range map[string]bool{
		"invalid_client": true, "unauthorized_client": true, "deleted_client": true, "disabled_client": true,
		"admin_policy_enforced": true, "org_internal": true, "access_denied": true,
		"invalid_scope": false, "made_up_tomorrow": false,
	} {
		t.Run(code, func(t *testing.T) {
			w := newWorld(t)
			one, two := w.source(), w.source()
			spell := w.Begin(google.TokenRefusal(code))
			since := w.now()
			if !known {
				w.refusedAs(one, failure.Transient)
				w.pass(repeat - time.Second)
				w.refusedAs(two, failure.Transient)
				if a := w.account(); a.Incident != nil {
					t.Errorf("an incident %+v before the code was repeated", a.Incident)
				}
				w.pass(time.Second)
			}
			for range 3 {
				w.refusedAs(one, failure.Misconfigured)
				w.refusedAs(two, failure.Misconfigured)
				a := w.account()
				if a.Incident == nil || a.Incident.At != store.AtToken || a.Incident.Reason != code || !a.Incident.Since.Equal(since) {
					t.Errorf("the incident is %+v, want %s since %v", a.Incident, code, since)
				}
				if !a.Connected || !a.SuspectSince.IsZero() || w.alarms() != 0 {
					t.Errorf("connected %t, suspect since %v, %d alarms; want nothing disconnected, and the alarm left to Poll", a.Connected, a.SuspectSince, w.alarms())
				}
				w.pass(11 * time.Second)
			}
			spell.Remove()
			w.mustToken(two)
			if a := w.account(); a.Incident != nil || len(a.Suspected) != 0 {
				t.Errorf("left: %+v, %+v", a.Incident, a.Suspected)
			}
		})
	}
}

// An instance whose token still holds would never learn that an incident is over.
func TestDuringAnIncidentTheTokenEndpointIsAskedAnew(t *testing.T) {
	w := newWorld(t)
	s := w.source()
	w.mustToken(s)
	w.ok(w.accounts.RaiseIncident(t.Context(), sub, store.Refusal{At: store.AtToken, Status: http.StatusUnauthorized, Reason: "deleted_client"}))
	w.pass(11 * time.Second)
	w.mustToken(s)
	if a := w.account(); a.Incident != nil || w.refreshes() != 2 {
		t.Errorf("incident %+v after %d refreshes", a.Incident, w.refreshes())
	}
}

// The store may be away when the endpoint refuses: the next refusal is recorded.
func TestARefusalThatCannotBeRecordedIsRecordedTheNextTime(t *testing.T) {
	for _, code := range []string{"deleted_client", "made_up_tomorrow"} {
		t.Run(code, func(t *testing.T) {
			w := newWorld(t)
			s := w.source()
			w.Begin(google.TokenRefusal(code))
			w.accounts.incidentErr = errors.New("store: away")
			if _, err := w.token(s); err == nil {
				t.Error("a token of a refused client")
			}
			w.accounts.incidentErr = nil
			if _, err := w.token(s); err == nil {
				t.Error("a token of a refused client")
			}
			w.pass(repeat)
			w.refusedAs(s, failure.Misconfigured)
			if a := w.account(); a.Incident == nil || a.Incident.Reason != code {
				t.Errorf("incident %+v", a.Incident)
			}
		})
	}
}

// That the alarm cannot be noted makes Poll tell it again: better twice than never.
func TestAnAlarmThatCannotBeNotedIsToldAllTheSame(t *testing.T) {
	w := newWorld(t)
	s := w.source()
	w.accounts.alarmedErr = errors.New("store: away")
	w.ok(w.RevokeGrant(owner))
	w.refusedAs(s, failure.Transient)
	w.pass(repeat)
	w.refusedAs(s, failure.Revoked)
	if a := w.account(); w.alarms() != 1 || a.Alarmed != 0 {
		t.Errorf("%d alarms, noted %d", w.alarms(), a.Alarmed)
	}
}

func TestPassingFaultsAreTransient(t *testing.T) {
	away := errors.New("store: away")
	for name, spoil := range map[string]func(*world, *grant.Config){
		"500": func(w *world, _ *grant.Config) { w.Inject(google.Fault{Method: "oauth2.token", Status: 500}) },
		"503 with a word": func(w *world, _ *grant.Config) {
			w.Inject(google.Fault{Method: "oauth2.token", Status: 503, Reason: "temporarily_unavailable"})
		},
		"rate": func(w *world, _ *grant.Config) {
			w.Inject(google.Fault{Method: "oauth2.token", Status: 429, Reason: "rate_limit_exceeded"})
		},
		"lost":        func(w *world, _ *grant.Config) { w.Inject(google.Fault{Method: "oauth2.token", Drop: true}) },
		"answer lost": func(w *world, _ *grant.Config) { w.Inject(google.Fault{Method: "oauth2.token", LoseResponse: true}) },
		"answer cut":  func(w *world, _ *grant.Config) { w.Inject(google.Fault{Method: "oauth2.token", TruncateBody: true}) },
		"no discovery": func(_ *world, c *grant.Config) {
			found, asked := c.TokenURL, false
			c.TokenURL = func(ctx context.Context) (string, error) {
				if !asked {
					asked = true
					return "", away
				}
				return found(ctx)
			}
		},
		"store away": func(w *world, _ *grant.Config) { w.accounts.readErr = away },
		"refusal not recorded": func(w *world, _ *grant.Config) {
			w.accounts.refusedErr = away
			w.Inject(google.Fault{Method: "oauth2.token", Status: 400, Reason: "invalid_grant"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.source(func(c *grant.Config) { spoil(w, c) })
			w.refusedAs(s, failure.Transient)
			if a := w.account(); !a.Connected || !a.SuspectSince.IsZero() {
				t.Errorf("%+v, want a connection untouched", a)
			}
			w.accounts.readErr, w.accounts.refusedErr = nil, nil
			w.mustToken(s)
		})
	}
}

// opener fails as KMS does.
type opener struct{ err error }

func (o opener) Open(context.Context, []byte, []byte) ([]byte, error) { return nil, o.err }

// A KMS that was away for a moment counted as a fault of the configuration, which
// nobody tries again.
func TestSealThatCannotBeOpened(t *testing.T) {
	for name, row := range map[string]struct {
		err  error
		kind failure.Kind
	}{
		"KMS is away":          {&failure.Error{Kind: failure.Transient, Op: "decrypt with the KMS key", Reason: "Unavailable"}, failure.Transient},
		"KMS has enough":       {&failure.Error{Kind: failure.RateLimited, Op: "decrypt with the KMS key"}, failure.RateLimited},
		"KMS refuses":          {&failure.Error{Kind: failure.Misconfigured, Op: "decrypt with the KMS key"}, failure.Misconfigured},
		"sealed for elsewhere": {seal.ErrOpen, failure.Misconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := grant.New(grant.Config{ClientID: clientID, ClientSecret: secret, Repeat: repeat}, w.accounts, opener{row.err}, &http.Client{}, w.now, slog.New(slog.NewTextHandler(w, nil)))
			w.refusedAs(s, row.kind)
			if a := w.account(); !a.Connected || w.refreshes() != 0 {
				t.Errorf("connected %t, %d questions", a.Connected, w.refreshes())
			}
		})
	}
}

func TestAccountIsReadAnewEveryTenSeconds(t *testing.T) {
	w := newWorld(t)
	s := w.source()
	if a, err := s.Account(t.Context()); err != nil || a.Email != owner || a.Version != 1 {
		t.Fatalf("account %+v, %v", a, err)
	}
	w.connect()
	w.pass(10 * time.Second)
	if a, err := s.Account(t.Context()); err != nil || a.Version != 1 {
		t.Errorf("version %d, %v; want the copy", a.Version, err)
	}
	w.pass(time.Millisecond)
	if a, err := s.Account(t.Context()); err != nil || a.Version != 2 {
		t.Errorf("version %d, %v; want it read anew", a.Version, err)
	}
}

func TestNeverConnectedIsRevokedUntilConnected(t *testing.T) {
	w := newWorld(t)
	b, err := bolt.Open(filepath.Join(t.TempDir(), "empty"), w.now, bolt.NoSync())
	w.ok(err)
	t.Cleanup(func() { w.ok(b.Close()) })
	w.accounts.Store = store.New(b)
	s := w.source()
	if _, err := s.Account(t.Context()); !failure.Is(err, failure.Revoked) {
		t.Errorf("error %v, want kind revoked", err)
	}
	w.refusedAs(s, failure.Revoked)
	if w.refreshes() != 0 || w.alarms() != 0 {
		t.Errorf("%d questions and %d alarms without an account", w.refreshes(), w.alarms())
	}
	w.connect()
	w.mustToken(s)
}
