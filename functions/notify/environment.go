package notify

import (
	"context"
	"net/http"
	"os"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/cloud"
	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/status"
)

// FromEnvironment makes the handler with the real dependencies.
func FromEnvironment(ctx context.Context) (http.Handler, error) {
	type environment struct {
		config.Store
		config.NotifySecrets
		config.Topics
		config.DefaultSettings
	}
	env, err := config.Load[environment](ctx, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	keys, err := env.Keys()
	if err != nil {
		return nil, err
	}
	state, publisher, err := cloud.StoreAndPublisher(ctx, env.Store)
	if err != nil {
		return nil, err
	}
	return New(Config{Keys: keys, TaskTopic: env.Task, EmployeeTopic: env.Topics.Employee},
		Deps{Publisher: publisher, Employees: state, Status: status.Reader(state, settings.NewSource(state, env.DefaultSettings.JSON, "", time.Now), time.Now),
			Now: time.Now, Log: logging.From(ctx)}), nil
}
