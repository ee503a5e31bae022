package deadletter

import (
	"context"
	"net/http"
	"os"

	"github.com/erp-calendar/erp-calendar/shared/cloud"
	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/logging"
)

// FromEnvironment makes the handler with the real dependencies.
func FromEnvironment(ctx context.Context) (http.Handler, error) {
	type environment struct {
		config.Store
		config.Topics
	}
	env, err := config.Load[environment](ctx, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	state, err := cloud.Store(ctx, env.Store)
	if err != nil {
		return nil, err
	}
	return New(Config{TaskTopic: env.Task, EmployeeTopic: env.Topics.Employee}, Deps{Store: state, Log: logging.From(ctx)}), nil
}
