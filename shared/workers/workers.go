// Package workers puts together what SyncTask and SyncEmployee share: the ERP's
// client, the grant, the budgeted Calendar gateway, the rules in force and the two
// Syncers, so that deployed functions, the local run and tests work with the very
// same parts. It must never decide anything itself.
package workers

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/sync/semaphore"

	"github.com/erp-calendar/erp-calendar/shared/budget"
	"github.com/erp-calendar/erp-calendar/shared/calendars"
	"github.com/erp-calendar/erp-calendar/shared/cloud"
	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/grant"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/incidents"
	"github.com/erp-calendar/erp-calendar/shared/polled"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/rulebook"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// Config is the part of the environment that workers use (functions/README.md).
type Config struct {
	config.Store
	config.ERP
	config.OAuthClient
	config.TokenKey
	config.Topics
	config.Budget
	config.Waits
	config.Google
	config.Guide
	config.DefaultSettings
}

// Deps are the concrete things outside the process.
type Deps struct {
	Store     *store.Store
	Opener    grant.Opener
	Publisher queue.Publisher
	// Transport carries the calls to the ERP and to Google.
	Transport http.RoundTripper
	NewID     func() string
	Now       func() time.Time
	Log       *slog.Logger
}

// Workers are the parts put together.
type Workers struct {
	Settings  *settings.Source
	ERP       *userside.Client
	Grants    *grant.Source
	Gateway   *googlecalendar.Gateway
	Events    *events.Syncer
	Calendars *calendars.Syncer
	Hooks     Hooks
}

// New puts the parts together. Nothing is called yet.
func New(ctx context.Context, cfg Config, d Deps) (*Workers, error) {
	erp, err := cloud.ERP(cfg.ERP, d.Transport, d.Now)
	if err != nil {
		return nil, err
	}
	erp.RememberRoles(d.Store)
	client := &http.Client{Transport: d.Transport, Timeout: 30 * time.Second}
	grants := grant.New(grant.Config{
		ClientID:     cfg.OAuthClient.ID,
		ClientSecret: cfg.OAuthClient.Secret.Text(),
		TokenURL:     tokenURL(cfg.Issuer, client),
		Repeat:       cfg.Lease / 3,
	}, d.Store, d.Opener, client, d.Now, d.Log)
	gateway, err := googlecalendar.New(ctx,
		&http.Client{Transport: &grant.Transport{Source: grants, Base: d.Transport}},
		cfg.CalendarEndpoint,
		budget.New(d.Store, cfg.RequestsPerMinute, d.Now),
		func(ctx context.Context) (string, error) {
			_, a, err := grants.Token(ctx)
			return a.Sub, err
		})
	if err != nil {
		return nil, err
	}
	watch := incidents.New(d.Store, grants, d.Now, d.Log)
	source := settings.NewSource(d.Store, cfg.JSON, cfg.ERP.URL, d.Now)
	gateway.Watched(watch).Remembering(d.Store).Describing(about(source, cfg.GuideOn, d.Log))
	rules := rulebook.New(source, erp, d.Store, d.Now, d.Log)
	lists := polled.New(d.Store, d.Now, d.Log)
	taskSyncer := events.New(events.Waits{Lease: cfg.Lease, Absence: cfg.Absence}, events.Deps{
		Store: d.Store, ERP: erp, Google: gateway, Slots: gateway, Polled: lists, Rules: rules, Account: grants, Tenant: d.Store, Incidents: watch,
		NewID: d.NewID, Now: d.Now, Log: d.Log,
	})
	employeeSyncer := calendars.New(calendars.Waits{
		Lease: cfg.Lease, Intent: cfg.Intent, Absence: cfg.Absence, CalendarsPerHour: cfg.CalendarsPerHour, CalendarsPerDay: cfg.CalendarsPerDay, SharesPerDay: cfg.SharesPerDay,
	}, calendars.Deps{
		Store: d.Store, ERP: erp, Google: gateway, Rules: rules, Account: grants, Events: taskSyncer, Polled: lists, Incidents: watch,
		Queue: d.Publisher, Topic: cfg.Employee, ERPAddress: cfg.ERP.URL, NewID: d.NewID, Now: d.Now, Log: d.Log,
	})
	return &Workers{Settings: source, ERP: erp, Grants: grants, Gateway: gateway, Events: taskSyncer, Calendars: employeeSyncer,
		Hooks: Hooks{Forget: source.Forget, Came: Came(d.Store, d.Now, d.Log)}}, nil
}

// about gives the words above a calendar's mark, for whoever opens its settings: what it is,
// and where the guide is, in the language of the settings. What keeps them from being had
// keeps no calendar from being made.
func about(from *settings.Source, console string, log *slog.Logger) func(ctx context.Context) string {
	return func(ctx context.Context) string {
		texts, err := i18n.Load()
		if err != nil {
			log.ErrorContext(ctx, "the texts for a calendar cannot be read", "error", err)
			return ""
		}
		set, err := from.Settings(ctx)
		if err != nil {
			log.WarnContext(ctx, "the language for a calendar's words is not known", "error", err)
			set.Language = i18n.Default
		}
		t := texts.For(set.Language)
		return t.T("guide.calendar.about", "Guide", strings.TrimSuffix(console, "/")+"/guide/"+t.Language)
	}
}

// tokenURL discovers the token endpoint on first use and remembers it; a failed
// discovery is tried again at the next use.
func tokenURL(issuer string, client *http.Client) func(ctx context.Context) (string, error) {
	// A semaphore, because who waits for another's call must not wait beyond a
	// deadline of their own.
	lock := semaphore.NewWeighted(1)
	known := ""
	return func(ctx context.Context) (string, error) {
		if err := lock.Acquire(ctx, 1); err != nil {
			return "", failure.Wrap(failure.Transient, "wait for the discovery document", err)
		}
		defer lock.Release(1)
		if known != "" {
			return known, nil
		}
		ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, client), 15*time.Second)
		defer cancel()
		provider, err := oidc.NewProvider(ctx, issuer)
		if err != nil {
			return "", fmt.Errorf("read the discovery document: %w", err)
		}
		known = provider.Endpoint().TokenURL
		return known, nil
	}
}
