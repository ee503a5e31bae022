package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/fake/deployment"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// start runs the functions of a spec in this process.
func start(ctx context.Context, s spec, st *store.Store, log *slog.Logger) (*deployment.Deployment, error) {
	d, err := deployment.Start(ctx, deployment.Options{
		Lookup: func(name string) (string, bool) { v, ok := s.Env[name]; return v, ok },
		Store:  st, Transport: transport(), Now: time.Now, Log: log,
		Functions: s.Functions, TaskPushes: s.TaskPushes, EmployeePushes: s.EmployeePushes,
	})
	if err != nil || s.RefreshToken == "" {
		return d, err
	}
	if err := connect(ctx, d, s.RefreshToken, st); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// transport keeps a connection for each call under way, as HTTP/2 to Google does.
func transport() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: 512, IdleConnTimeout: time.Minute}
}

// connect records the account's grant, as OAuth does after a consent.
func connect(ctx context.Context, d *deployment.Deployment, refreshToken string, st *store.Store) error {
	sealed, err := d.Cipher.Seal(ctx, []byte(refreshToken), seal.Additional(store.SealPath(accountSub), accountSub))
	if err != nil {
		return err
	}
	_, err = st.Connect(ctx, store.AccountRecord{
		Sub: accountSub, Email: accountEmail, ClientID: d.Config.OAuthClient.ID, Scopes: scopes(), Sealed: sealed,
	}, false)
	return err
}

// publish sends messages to the employee topic or the task topic.
func publish(ctx context.Context, d *deployment.Deployment, employees bool, messages []queue.Message) error {
	topic := d.Config.Task
	if employees {
		topic = d.Config.Employee
	}
	if err := d.Publisher.Publish(ctx, topic, messages...); err != nil {
		return fmt.Errorf("publish %d messages: %w", len(messages), err)
	}
	return nil
}
