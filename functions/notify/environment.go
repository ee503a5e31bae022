package notify

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/cloud"
	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/logging"
)

// FromEnvironment makes the handler with the real dependencies.
func FromEnvironment(ctx context.Context) (http.Handler, error) {
	type environment struct {
		config.Store
		config.NotifySecrets
		config.Topics
	}
	env, err := config.Load[environment](ctx, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	keys, err := env.Keys()
	if err != nil {
		return nil, err
	}
	state, err := cloud.Store(ctx, env.Store)
	if err != nil {
		return nil, err
	}
	publisher, err := cloud.Publisher(ctx, env.Project)
	if err != nil {
		return nil, errors.Join(err, state.Close())
	}
	return New(Config{Keys: keys, TaskTopic: env.Task, EmployeeTopic: env.Topics.Employee},
		Deps{Publisher: publisher, Employees: state, Now: time.Now, Log: logging.From(ctx)}), nil
}
