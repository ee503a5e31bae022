// Package deployment runs the product in one process: the functions at /<Name>/, a
// Pub/Sub with push between them, on any store. The local run, the benchmark and the
// tests that judge the product from the stand-ins' state stand on it; the simulation
// makes its functions here. It must never do a function's work itself: what happens
// here happens in the cloud too.
package deployment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/fake/pubsub"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	pubsubqueue "github.com/erp-calendar/erp-calendar/shared/queue/pubsub"
	"github.com/erp-calendar/erp-calendar/shared/seal"
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
	// Functions are the names of those to run; none for all. What is published for
	// another is lost.
	Functions []string
	// TaskPushes and EmployeePushes are how many messages are pushed at once; zero
	// gives what the instances and concurrency of rule 7.3 allow.
	TaskPushes, EmployeePushes int
	// MinBackoff and MaxBackoff are the subscriptions'; zero gives Google's figures.
	MinBackoff, MaxBackoff time.Duration
	// Bubble opens no port, so that all of this can live in a testing/synctest bubble.
	Bubble bool
}

// Deployment is a running one.
type Deployment struct {
	// Handler serves every function at /<Name>/.
	Handler http.Handler
	// Functions are those that run, by their names.
	Functions map[string]http.Handler
	Config    Config
	// Cipher seals the refresh token.
	Cipher seal.Cipher
	PubSub *pubsub.Dispatcher
	// API is Pub/Sub's own, nil in a bubble.
	API     *pubsub.Server
	Workers *workers.Workers
	// Publisher is what the functions publish with.
	Publisher publisher
}

type publisher interface {
	queue.Publisher
	Close() error
}

const (
	deadLetters = "dead-letters"
	// The instances and concurrency of rule 7.3.
	taskPushes, employeePushes = 10 * 8, 2 * 4
)

// Start puts everything together. The error names every variable at fault.
func Start(ctx context.Context, o Options) (*Deployment, error) {
	cfg, err := config.Load[Config](ctx, o.Lookup)
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
	d := &Deployment{Config: cfg, Cipher: cipher}
	// The subscriptions need the functions, the functions the publisher, the publisher
	// the server: the subscriptions get their functions last.
	pushed := map[string]*late{SyncTask: {}, SyncEmployee: {}, DeadLetter: {}}
	if err := d.connect(ctx, o, pubsub.Options{
		Project: cfg.Project, Now: o.Now, Logger: o.Log,
		Topics: []string{cfg.Task, cfg.Employee, deadLetters}, Subscriptions: o.subscriptions(cfg, pushed),
	}); err != nil {
		return nil, fmt.Errorf("start the in-process Pub/Sub: %w", err)
	}
	if err := d.serve(ctx, o, pushed); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// connect makes Pub/Sub and its publisher, which are Google's API and client where
// there are ports.
func (d *Deployment) connect(ctx context.Context, o Options, options pubsub.Options) (err error) {
	if o.Bubble {
		options.IDPrefix = uuid.NewString()[:8] + "-"
		if d.PubSub, err = pubsub.NewDispatcher(ctx, options); err != nil {
			return err
		}
		d.Publisher = direct{d.PubSub}
		return nil
	}
	if d.API, err = pubsub.Start(ctx, options); err != nil {
		return err
	}
	d.PubSub = d.API.Dispatcher
	clientOptions, err := d.API.ClientOptions()
	if err != nil {
		return errors.Join(err, d.API.Close())
	}
	if d.Publisher, err = pubsubqueue.New(ctx, d.API.Project(), clientOptions...); err != nil {
		return errors.Join(err, d.API.Close())
	}
	return nil
}

// direct publishes without a client and a port.
type direct struct{ *pubsub.Dispatcher }

// Publish hands over what Google's client would carry.
func (p direct) Publish(ctx context.Context, topic string, messages ...queue.Message) error {
	for _, m := range messages {
		data, attributes, err := m.Encode(topic)
		if err != nil {
			return err
		}
		if _, err := p.Dispatcher.Publish(topic, pubsub.Message{Data: data, Attributes: attributes}); err != nil {
			return &failure.Error{Kind: failure.Transient, Op: "publish to " + topic, Err: err, Ambiguous: true}
		}
	}
	return ctx.Err()
}

// serve makes the functions.
func (d *Deployment) serve(ctx context.Context, o Options, pushed map[string]*late) error {
	functions, parts, err := Functions(ctx, d.Config, Deps{
		Store: o.Store, Cipher: d.Cipher, Publisher: d.Publisher, Transport: o.Transport, NewID: uuid.NewString, Now: o.Now, Log: o.Log,
	})
	if err != nil {
		return err
	}
	d.Workers, d.Functions = parts, map[string]http.Handler{}
	mux := http.NewServeMux()
	for name, h := range functions {
		if late := pushed[name]; late != nil {
			late.Handler = h
		}
		if o.runs(name) {
			d.Functions[name] = h
			mux.Handle("/"+name+"/", http.StripPrefix("/"+name, h))
			mux.Handle("/"+name, http.RedirectHandler("/"+name+"/", http.StatusPermanentRedirect))
		}
	}
	d.Handler = mux
	return nil
}

func (o Options) runs(name string) bool {
	return len(o.Functions) == 0 || slices.Contains(o.Functions, name)
}

// subscriptions are those of the functions that run.
func (o Options) subscriptions(cfg Config, pushed map[string]*late) []pubsub.Subscription {
	var out []pubsub.Subscription
	add := func(function string, s pubsub.Subscription) {
		if o.runs(function) {
			s.Handler, s.MinBackoff, s.MaxBackoff = pushed[function], o.MinBackoff, o.MaxBackoff
			out = append(out, s)
		}
	}
	add(SyncTask, pubsub.Subscription{Topic: cfg.Task, Name: "sync-task", AckDeadline: 2 * cfg.Lease,
		MaxOutstanding: cmp.Or(o.TaskPushes, taskPushes), DeadLetterTopic: deadLetters, MaxDeliveryAttempts: 100})
	add(SyncEmployee, pubsub.Subscription{Topic: cfg.Employee, Name: "sync-employee", AckDeadline: 600 * time.Second,
		MaxOutstanding: cmp.Or(o.EmployeePushes, employeePushes), DeadLetterTopic: deadLetters, MaxDeliveryAttempts: 100})
	add(DeadLetter, pubsub.Subscription{Topic: deadLetters, Name: "dead-letter"})
	return out
}

// Close ends pushing. The store stays its owner's.
func (d *Deployment) Close() error {
	err := d.Publisher.Close()
	if d.API != nil {
		err = errors.Join(err, d.API.Close())
	}
	return errors.Join(err, d.PubSub.Close())
}

// late is a handler that is known only after those it is given to.
type late struct{ http.Handler }
