package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
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
	"github.com/erp-calendar/erp-calendar/shared/queue"
	pubsubqueue "github.com/erp-calendar/erp-calendar/shared/queue/pubsub"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/serve"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/workers"
)

// The functions that a process can be told to run.
const (
	fnNotify       = "Notify"
	fnSyncTask     = "SyncTask"
	fnSyncEmployee = "SyncEmployee"
	fnReconcile    = "Reconcile"
	fnPoll         = "Poll"
	fnDeadLetter   = "DeadLetter"
	fnConsole      = "Console"
	fnOAuth        = "OAuth"
)

const deadLetters = "dead-letters"

// product is some of the functions in one process, put together of the parts that
// the cloud has (shared/workers), with a Pub/Sub between them. What is published
// for a function that is not among them is lost.
type product struct {
	handler   http.Handler
	pubsub    *pubsub.Server
	publisher *pubsubqueue.Publisher
	cfg       productConfig
}

type productConfig struct {
	workers.Config
	config.NotifySecrets
	config.Sites
	config.Admins
	config.SessionKey
}

// start puts the functions of a spec together.
func start(ctx context.Context, s spec, st *store.Store, log *slog.Logger) (*product, error) {
	cfg, err := config.Load[productConfig](ctx, func(name string) (string, bool) { v, ok := s.Env[name]; return v, ok })
	if err != nil {
		return nil, err
	}
	keys, err := cfg.NotifySecrets.Keys()
	if err != nil {
		return nil, err
	}
	key, ok := cfg.TokenKey.Local()
	if !ok {
		return nil, errors.New("the token key is no local one")
	}
	cipher, err := seal.NewLocal(key)
	if err != nil {
		return nil, err
	}
	if err := connect(ctx, s, st, cipher, cfg.OAuthClient.ID); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	p := &product{handler: mux, cfg: cfg}
	var tasks, employees, dead late
	o := pubsub.Options{Project: cfg.Project, Topics: []string{cfg.Task, cfg.Employee, deadLetters}, Logger: log}
	subscribe := func(name, topic, as string, h http.Handler, pushes int, ack time.Duration) {
		if slices.Contains(s.Functions, name) {
			o.Subscriptions = append(o.Subscriptions, pubsub.Subscription{
				Topic: topic, Name: as, Handler: h, AckDeadline: ack, MaxOutstanding: pushes,
				DeadLetterTopic: deadLetters, MaxDeliveryAttempts: 100,
			})
		}
	}
	subscribe(fnSyncTask, cfg.Task, "sync-task", &tasks, s.TaskPushes, 2*cfg.Lease)
	subscribe(fnSyncEmployee, cfg.Employee, "sync-employee", &employees, s.EmployeePushes, 600*time.Second)
	if p.pubsub, err = pubsub.Start(ctx, o); err != nil {
		return nil, err
	}
	options, err := p.pubsub.ClientOptions()
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	if p.publisher, err = pubsubqueue.New(ctx, p.pubsub.Project(), options...); err != nil {
		return nil, errors.Join(err, p.close())
	}
	parts, err := workers.New(ctx, cfg.Config, workers.Deps{
		Store: st, Opener: cipher, Publisher: p.publisher, Transport: transport(), NewID: uuid.NewString, Now: time.Now, Log: log,
	})
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	// serve gives what it gives in the cloud: a deadline, an answer to a panic.
	guard := func(h http.Handler) http.Handler {
		return serve.New("", log, serve.DefaultTimeout, func(context.Context) (http.Handler, error) { return h, nil })
	}
	tasks.Handler = guard(synctask.New(synctask.Config{EmployeeTopic: cfg.Employee}, synctask.Deps{
		Events: parts.Events, Publisher: p.publisher, Forget: parts.Settings.Forget, Log: log,
	}))
	employees.Handler = guard(syncemployee.New(syncemployee.Config{EmployeeTopic: cfg.Employee}, syncemployee.Deps{
		Calendars: parts.Calendars, Publisher: p.publisher, Forget: parts.Settings.Forget, Now: time.Now, Log: log,
	}))
	signIn, pages, err := p.browsed(st, cipher, parts, log)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	dead.Handler = guard(deadletter.New(deadletter.Config{TaskTopic: cfg.Task, EmployeeTopic: cfg.Employee}, deadletter.Deps{Store: st, Log: log}))
	for name, h := range map[string]http.Handler{
		fnSyncTask: tasks.Handler, fnSyncEmployee: employees.Handler, fnDeadLetter: dead.Handler,
		fnOAuth: guard(signIn), fnConsole: guard(pages),
		fnNotify: guard(notify.New(notify.Config{Keys: keys, TaskTopic: cfg.Task, EmployeeTopic: cfg.Employee},
			notify.Deps{Publisher: p.publisher, Employees: st, Now: time.Now, Log: log})),
		fnReconcile: guard(reconcile.New(reconcile.Config{EmployeeTopic: cfg.Employee}, reconcile.Deps{Publisher: p.publisher, Log: log})),
		fnPoll: guard(poll.New(poll.Config{TaskTopic: cfg.Task, EmployeeTopic: cfg.Employee}, poll.Deps{
			ERP: parts.ERP, Settings: parts.Settings, Store: st, Publisher: p.publisher, Log: log,
		})),
	} {
		if slices.Contains(s.Functions, name) {
			mux.Handle("/"+name+"/", http.StripPrefix("/"+name, h))
		}
	}
	return p, nil
}

// browsed are the two functions that people see.
func (p *product) browsed(st *store.Store, cipher *seal.Local, parts *workers.Workers, log *slog.Logger) (signIn, pages http.Handler, err error) {
	cfg := p.cfg
	signIn, err = oauth.New(oauth.Config{
		ClientID: cfg.OAuthClient.ID, ClientSecret: cfg.OAuthClient.Secret.Text(), OAuthURL: cfg.OAuthURL, ConsoleURL: cfg.ConsoleURL,
		AdminEmails: cfg.Emails, IntegrationAccount: cfg.IntegrationAccount, EmployeeTopic: cfg.Employee, Issuer: cfg.Issuer,
	}, oauth.Deps{
		Store: st, Sealer: cipher, Publisher: p.publisher, HTTP: &http.Client{Transport: transport(), Timeout: 30 * time.Second}, Now: time.Now, Log: log,
	})
	if err != nil {
		return nil, nil, err
	}
	pages, err = console.New(console.Config{
		OAuthURL: cfg.OAuthURL, ConsoleURL: cfg.ConsoleURL, AdminEmails: cfg.Emails, IntegrationAccount: cfg.IntegrationAccount,
		SessionKey: cfg.Key.Bytes(), TaskTopic: cfg.Task, EmployeeTopic: cfg.Employee,
	}, console.Deps{
		Store: st, Settings: settings.NewSource(st, cfg.JSON, cfg.ERP.URL, time.Now), Catalogue: parts.ERP, Publisher: p.publisher, Now: time.Now, Log: log,
	})
	return signIn, pages, err
}

// transport keeps a connection for each call under way, as HTTP/2 to Google does.
func transport() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: 512, IdleConnTimeout: time.Minute}
}

// connect records the account's grant, as OAuth does after a consent.
func connect(ctx context.Context, s spec, st *store.Store, cipher *seal.Local, client string) error {
	if s.RefreshToken == "" {
		return nil
	}
	sealed, err := cipher.Seal(ctx, []byte(s.RefreshToken), seal.Additional(store.SealPath(accountSub), accountSub))
	if err != nil {
		return err
	}
	_, err = st.Connect(ctx, store.AccountRecord{
		Sub: accountSub, Email: accountEmail, ClientID: client, Scopes: scopes(), Sealed: sealed,
	}, false)
	return err
}

// publish sends messages to the employee topic or the task topic.
func (p *product) publish(ctx context.Context, employees bool, messages []queue.Message) error {
	topic := p.cfg.Task
	if employees {
		topic = p.cfg.Employee
	}
	if err := p.publisher.Publish(ctx, topic, messages...); err != nil {
		return fmt.Errorf("publish %d messages: %w", len(messages), err)
	}
	return nil
}

func (p *product) close() error {
	var err error
	if p.publisher != nil {
		err = p.publisher.Close()
	}
	return errors.Join(err, p.pubsub.Close())
}

// late is a handler that is known only after those it is given to.
type late struct{ http.Handler }
