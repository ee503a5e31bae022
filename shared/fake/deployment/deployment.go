// Package deployment runs the whole product in one process: every function at
// /<Name>/, a Pub/Sub with push between them, on any store. The local run and the
// tests that judge the product from the stand-ins' state stand on it. It must
// never do a function's work itself: what happens here happens in the cloud too.
package deployment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/erp-calendar/erp-calendar/functions/console"
	"github.com/erp-calendar/erp-calendar/functions/deadletter"
	"github.com/erp-calendar/erp-calendar/functions/notify"
	"github.com/erp-calendar/erp-calendar/functions/oauth"
	"github.com/erp-calendar/erp-calendar/functions/poll"
	"github.com/erp-calendar/erp-calendar/functions/reconcile"
	"github.com/erp-calendar/erp-calendar/functions/syncemployee"
	"github.com/erp-calendar/erp-calendar/functions/synctask"
	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/fake/pubsub"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	pubsubqueue "github.com/erp-calendar/erp-calendar/shared/queue/pubsub"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/serve"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/workers"
)

// Options describe a deployment.
type Options struct {
	// Lookup is the functions' environment (functions/README.md, Configuration).
	Lookup func(string) (string, bool)
	Store  *store.Store
	// Transport carries calls to the ERP and to Google.
	Transport http.RoundTripper
	Now       func() time.Time
	Log       *slog.Logger
	// MinBackoff and MaxBackoff are the subscriptions'; zero gives Google's figures.
	MinBackoff, MaxBackoff time.Duration
}

// environment is everything that any function reads.
type environment struct {
	workers.Config
	config.Sites
	config.Admins
	config.SessionKey
	config.NotifySecrets
}

// Deployment is a running one.
type Deployment struct {
	// Handler serves every function at /<Name>/.
	Handler http.Handler
	PubSub  *pubsub.Server
	Workers *workers.Workers
	// Publisher is what the functions publish with.
	Publisher *pubsubqueue.Publisher
}

const (
	deadLetters = "dead-letters"
	// The instances and concurrency of rule 7.3.
	taskPushes, employeePushes = 10 * 8, 2 * 4
)

// Start puts everything together. The error names every variable at fault.
func Start(ctx context.Context, o Options) (*Deployment, error) {
	cfg, err := config.Load[environment](ctx, o.Lookup)
	if err != nil {
		return nil, err
	}
	webhookKeys, err := cfg.NotifySecrets.Keys()
	if err != nil {
		return nil, err
	}
	key, ok := cfg.TokenKey.Local()
	if !ok {
		return nil, errors.New("TOKEN_KEY: outside the cloud it is local: and 32 bytes in base64")
	}
	cipher, err := seal.NewLocal(key)
	if err != nil {
		return nil, fmt.Errorf("TOKEN_KEY: %w", err)
	}

	// The subscriptions need the handlers, the handlers need the publisher, the
	// publisher needs the server: the handlers are filled in last.
	var taskWorker, employeeWorker, deadWorker late
	ps, err := pubsub.Start(ctx, pubsub.Options{
		Project: cfg.Project,
		Now:     o.Now,
		Logger:  o.Log,
		Subscriptions: []pubsub.Subscription{
			o.subscription(cfg.Task, "sync-task", &taskWorker, taskPushes, 2*cfg.Lease),
			o.subscription(cfg.Topics.Employee, "sync-employee", &employeeWorker, employeePushes, 600*time.Second),
			{Topic: deadLetters, Name: "dead-letter", Handler: &deadWorker, MinBackoff: o.MinBackoff, MaxBackoff: o.MaxBackoff},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("start the in-process Pub/Sub: %w", err)
	}
	clientOptions, err := ps.ClientOptions()
	if err != nil {
		return nil, errors.Join(err, ps.Close())
	}
	publisher, err := pubsubqueue.New(ctx, ps.Project(), clientOptions...)
	if err != nil {
		return nil, errors.Join(err, ps.Close())
	}
	d := &Deployment{PubSub: ps, Publisher: publisher}
	parts, err := workers.New(ctx, cfg.Config, workers.Deps{
		Store: o.Store, Opener: cipher, Publisher: publisher, Transport: o.Transport, NewID: uuid.NewString, Now: o.Now, Log: o.Log,
	})
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.Workers = parts
	log := func(name string) *slog.Logger { return o.Log.With(logging.Labels("function", name)) }
	taskWorker.Handler = o.guard(log("SyncTask"), synctask.New(synctask.Config{EmployeeTopic: cfg.Topics.Employee}, synctask.Deps{
		Events: parts.Events, Publisher: publisher, Forget: parts.Settings.Forget, Log: log("SyncTask"),
	}))
	employeeWorker.Handler = o.guard(log("SyncEmployee"), syncemployee.New(syncemployee.Config{EmployeeTopic: cfg.Topics.Employee}, syncemployee.Deps{
		Calendars: parts.Calendars, Publisher: publisher, Forget: parts.Settings.Forget, Now: o.Now, Log: log("SyncEmployee"),
	}))
	deadWorker.Handler = o.guard(log("DeadLetter"), deadletter.New(deadletter.Config{TaskTopic: cfg.Task, EmployeeTopic: cfg.Topics.Employee}, deadletter.Deps{Store: o.Store, Log: log("DeadLetter")}))

	client := &http.Client{Transport: o.Transport, Timeout: 30 * time.Second}
	oauthHandler, err := oauth.New(oauth.Config{
		ClientID: cfg.OAuthClient.ID, ClientSecret: cfg.OAuthClient.Secret.Text(), OAuthURL: cfg.OAuthURL, ConsoleURL: cfg.ConsoleURL,
		AdminEmails: cfg.Emails, IntegrationAccount: cfg.IntegrationAccount, EmployeeTopic: cfg.Topics.Employee, Issuer: cfg.Issuer,
		CalendarEndpoint: cfg.CalendarEndpoint,
	}, oauth.Deps{Store: o.Store, Sealer: cipher, Publisher: publisher, HTTP: client, Now: o.Now, Log: log("OAuth")})
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	// The console keeps settings of its own, as an instance of its own would.
	source := settings.NewSource(o.Store, cfg.JSON, cfg.ERP.URL, o.Now)
	consoleHandler, err := console.New(console.Config{
		OAuthURL: cfg.OAuthURL, ConsoleURL: cfg.ConsoleURL, AdminEmails: cfg.Emails, IntegrationAccount: cfg.IntegrationAccount,
		SessionKey: cfg.Key.Bytes(), TaskTopic: cfg.Task, EmployeeTopic: cfg.Topics.Employee,
	}, console.Deps{
		Store: o.Store, Settings: source, Catalogue: parts.ERP, Publisher: publisher, Now: o.Now, Log: log("Console"),
	})
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	mux := http.NewServeMux()
	for name, h := range map[string]http.Handler{
		"Notify": notify.New(notify.Config{Keys: webhookKeys, TaskTopic: cfg.Task, EmployeeTopic: cfg.Topics.Employee},
			notify.Deps{Publisher: publisher, Employees: o.Store, Now: o.Now, Log: log("Notify")}),
		"OAuth":        oauthHandler,
		"Console":      consoleHandler,
		"SyncTask":     taskWorker.Handler,
		"SyncEmployee": employeeWorker.Handler,
		"DeadLetter":   deadWorker.Handler,
		"Reconcile":    reconcile.New(reconcile.Config{EmployeeTopic: cfg.Topics.Employee}, reconcile.Deps{Publisher: publisher, Log: log("Reconcile")}),
		"Poll": poll.New(poll.Config{TaskTopic: cfg.Task, EmployeeTopic: cfg.Topics.Employee}, poll.Deps{
			ERP: parts.ERP, Settings: parts.Settings, Store: o.Store, Publisher: publisher, Log: log("Poll"),
		}),
	} {
		mux.Handle("/"+name+"/", http.StripPrefix("/"+name, o.guard(log(name), h)))
		mux.Handle("/"+name, http.RedirectHandler("/"+name+"/", http.StatusPermanentRedirect))
	}
	d.Handler = mux
	return d, nil
}

func (o Options) subscription(topic, name string, h http.Handler, pushes int, ack time.Duration) pubsub.Subscription {
	return pubsub.Subscription{
		Topic: topic, Name: name, Handler: h, MinBackoff: o.MinBackoff, MaxBackoff: o.MaxBackoff, AckDeadline: ack,
		MaxOutstanding: pushes, DeadLetterTopic: deadLetters, MaxDeliveryAttempts: 100,
	}
}

// guard gives a handler what serve gives it in the cloud: a trace, a deadline,
// an answer to a panic.
func (o Options) guard(log *slog.Logger, h http.Handler) http.Handler {
	return serve.New("", log, serve.DefaultTimeout, func(context.Context) (http.Handler, error) { return h, nil })
}

// Close ends pushing. The store stays its owner's.
func (d *Deployment) Close() error {
	var err error
	if d.Publisher != nil {
		err = d.Publisher.Close()
	}
	return errors.Join(err, d.PubSub.Close())
}

// late is a handler that is known only after those it is given to.
type late struct{ http.Handler }
