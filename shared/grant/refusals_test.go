package grant_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/grant"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

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
