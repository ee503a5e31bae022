package deployment

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/erp-calendar/erp-calendar/functions/console"
	"github.com/erp-calendar/erp-calendar/functions/deadletter"
	"github.com/erp-calendar/erp-calendar/functions/notify"
	"github.com/erp-calendar/erp-calendar/functions/oauth"
	"github.com/erp-calendar/erp-calendar/functions/poll"
	"github.com/erp-calendar/erp-calendar/functions/reconcile"
	"github.com/erp-calendar/erp-calendar/functions/syncemployee"
	"github.com/erp-calendar/erp-calendar/functions/synctask"
	"github.com/erp-calendar/erp-calendar/shared/checkup"
	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/serve"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/status"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/workers"
)

// The functions by their names.
const (
	Notify       = "Notify"
	OAuth        = "OAuth"
	Console      = "Console"
	SyncTask     = "SyncTask"
	SyncEmployee = "SyncEmployee"
	Reconcile    = "Reconcile"
	Poll         = "Poll"
	DeadLetter   = "DeadLetter"
)

// Config is everything that any function reads (functions/README.md, Configuration).
type Config struct {
	workers.Config
	config.Sites
	config.Admins
	config.SessionKey
	config.NotifySecrets
}

// Deps are what the functions of one instance share.
type Deps struct {
	Store     *store.Store
	Cipher    seal.Cipher
	Publisher queue.Publisher
	// Transport carries calls to the ERP and to Google.
	Transport http.RoundTripper
	NewID     func() string
	Now       func() time.Time
	Log       *slog.Logger
}

// Functions makes every function of one instance, by name, each with what serve
// gives it in the cloud: a trace, a deadline, an answer to a panic. The workers are
// those of both SyncTask and SyncEmployee.
func Functions(ctx context.Context, cfg Config, d Deps) (map[string]http.Handler, *workers.Workers, error) {
	keys, err := cfg.NotifySecrets.Keys()
	if err != nil {
		return nil, nil, err
	}
	w, err := workers.New(ctx, cfg.Config, workers.Deps{
		Store: d.Store, Opener: d.Cipher, Publisher: d.Publisher, Transport: d.Transport, NewID: d.NewID, Now: d.Now, Log: d.Log,
	})
	if err != nil {
		return nil, nil, err
	}
	task, employee := cfg.Topics.Task, cfg.Topics.Employee
	functions := map[string]http.Handler{}
	add := func(name string, connect func(log *slog.Logger) (http.Handler, error)) {
		log := d.Log.With(logging.Labels("function", name))
		functions[name] = serve.New(name, log, serve.DefaultTimeout, func(context.Context) (http.Handler, error) { return connect(log) })
	}
	add(SyncTask, func(log *slog.Logger) (http.Handler, error) {
		return synctask.New(synctask.Config{EmployeeTopic: employee},
			synctask.Deps{Events: w.Events, Publisher: d.Publisher, Hooks: w.Hooks, Log: log}), nil
	})
	add(SyncEmployee, func(log *slog.Logger) (http.Handler, error) {
		return syncemployee.New(syncemployee.Config{EmployeeTopic: employee},
			syncemployee.Deps{Calendars: w.Calendars, Publisher: d.Publisher, Hooks: w.Hooks, Now: d.Now, Log: log}), nil
	})
	add(DeadLetter, func(log *slog.Logger) (http.Handler, error) {
		return deadletter.New(deadletter.Config{TaskTopic: task, EmployeeTopic: employee}, deadletter.Deps{Store: d.Store, Log: log}), nil
	})
	add(Notify, func(log *slog.Logger) (http.Handler, error) {
		return notify.New(notify.Config{Keys: keys, TaskTopic: task, EmployeeTopic: employee},
			notify.Deps{Publisher: d.Publisher, Employees: d.Store, Status: status.Reader(d.Store, settings.NewSource(d.Store, cfg.DefaultSettings.JSON, "", d.Now), d.Now),
				Now: d.Now, Log: log}), nil
	})
	add(Reconcile, func(log *slog.Logger) (http.Handler, error) {
		return reconcile.New(reconcile.Config{EmployeeTopic: employee}, reconcile.Deps{Publisher: d.Publisher, Log: log}), nil
	})
	add(Poll, func(log *slog.Logger) (http.Handler, error) {
		return poll.New(poll.Config{TaskTopic: task, EmployeeTopic: employee},
			poll.Deps{ERP: w.ERP, Settings: w.Settings, Store: d.Store, Publisher: d.Publisher, Log: log}), nil
	})
	add(Console, func(log *slog.Logger) (http.Handler, error) {
		return console.New(console.Config{
			OAuthURL: cfg.OAuthURL, ConsoleURL: cfg.ConsoleURL, AdminEmails: cfg.Emails, IntegrationAccount: cfg.IntegrationAccount, ERPURL: cfg.ERP.URL,
			SessionKey: cfg.SessionKey.Key.Bytes(), TaskTopic: task, EmployeeTopic: employee,
		}, console.Deps{
			// Settings of its own, as an instance of its own has them.
			Store: d.Store, Settings: settings.NewSource(d.Store, cfg.DefaultSettings.JSON, cfg.ERP.URL, d.Now),
			ERP: w.ERP, Examined: func(bool) (checkup.ERP, error) { return w.ERP, nil }, Publisher: d.Publisher, Now: d.Now, Log: log,
		})
	})
	add(OAuth, func(log *slog.Logger) (http.Handler, error) {
		return oauth.New(oauth.Config{
			ClientID: cfg.OAuthClient.ID, ClientSecret: cfg.OAuthClient.Secret.Text(), OAuthURL: cfg.OAuthURL, ConsoleURL: cfg.ConsoleURL,
			AdminEmails: cfg.Emails, IntegrationAccount: cfg.IntegrationAccount, EmployeeTopic: employee,
			Issuer: cfg.Issuer, CalendarEndpoint: cfg.CalendarEndpoint,
		}, oauth.Deps{
			Store: d.Store, Sealer: d.Cipher, Publisher: d.Publisher, HTTP: &http.Client{Transport: d.Transport}, Now: d.Now, Log: log,
		})
	})
	return functions, w, nil
}
