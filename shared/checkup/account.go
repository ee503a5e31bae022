package checkup

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/incidents"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	// AudiencePage is where a consent screen is published, or its test users are named.
	AudiencePage = "https://console.cloud.google.com/auth/audience"
	// soon is how long before a grant's end its alarm is raised (rule 7.5).
	soon = 48 * time.Hour
)

// AccountChecks are those of what is on record of the central account.
func (s *Subject) AccountChecks() []Check {
	return []Check{
		s.check("account.connected", "account", s.checkConnected),
		s.check("account.scopes", "account", s.checkScopes).needs("account.connected"),
		s.check("account.expiry", "account", s.checkExpiry).needs("account.connected"),
	}
}

// ConnectCure is how to connect, with what commonly goes wrong on the way.
func (s *Subject) ConnectCure() string {
	return s.Texts.T("doctor.account.connect.cure", "Audience", AudiencePage,
		"Console", cmp.Or(s.Console(), s.Texts.T("doctor.account.connect.console")), "URI", cmp.Or(s.RedirectURI(), s.Texts.T("doctor.account.connect.uri")))
}

func (s *Subject) checkConnected(ctx context.Context) Verdict {
	a, err := s.Accounts().Account(ctx)
	unconnected := func(key string, values ...any) Verdict {
		v := s.bad(key, values...)
		v.Cure = s.ConnectCure()
		return v
	}
	ago := func(at time.Time) string { return s.Texts.Age(s.Now().Sub(at)) }
	switch {
	case errors.Is(err, store.ErrNotConnected):
		return unconnected("account.connected.never")
	case err != nil:
		return s.failed("account.connected.unread", err)
	case !a.Connected:
		return unconnected("account.connected.lost", "Ago", ago(a.DisconnectedAt))
	case s.Client() != "" && a.ClientID != s.Client():
		return s.bad("account.connected.client")
	case s.Expected() != "" && !signin.SameAddress(a.Email, s.Expected()):
		return s.bad("account.connected.another")
	}
	s.Record = a
	switch {
	case !a.SuspectSince.IsZero():
		return s.warn("account.connected.suspect", "Age", ago(a.ConnectedAt))
	case a.Incident != nil:
		v := s.warn("account.connected.refused", "Age", ago(a.ConnectedAt), "Since", ago(a.Incident.Since))
		v.Cure, v.Details = incidents.Cure(s.Texts, a.Incident.Refusal), []string{incidents.Text(a.Incident.Refusal)}
		return v
	}
	return s.good("account.connected.good", "Age", ago(a.ConnectedAt))
}

func (s *Subject) checkScopes(context.Context) Verdict {
	var missing []string
	for _, scope := range googlecalendar.Scopes() {
		if !slices.Contains(s.Record.Scopes, scope) {
			missing = append(missing, scope)
		}
	}
	if len(missing) > 0 {
		v := s.bad("account.scopes.missing", "N", len(missing))
		v.Details = missing
		return v
	}
	return s.good("account.scopes.good", "N", len(googlecalendar.Scopes()))
}

func (s *Subject) checkExpiry(context.Context) Verdict {
	end := s.Record.GrantExpiresAt
	left := end.Sub(s.Now())
	if end.IsZero() {
		v := s.good("account.expiry.none")
		v.Cure = ""
		return v
	}
	var v Verdict
	switch {
	case left <= 0:
		v = s.bad("account.expiry.ended", "Ago", s.Texts.Age(-left))
	case left < soon:
		v = s.warn("account.expiry.soon", "Left", s.Texts.Age(left))
	default:
		v = s.warn("account.expiry.later", "Left", s.Texts.Age(left))
	}
	v.Cure = s.Texts.T("doctor.account.expiry.cure", "Audience", AudiencePage)
	return v
}
