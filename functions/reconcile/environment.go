package reconcile

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
		config.Store // the project
		config.Topics
	}
	env, err := config.Load[environment](ctx, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	publisher, err := cloud.Publisher(ctx, env.Project)
	if err != nil {
		return nil, err
	}
	return New(Config{EmployeeTopic: env.Employee}, Deps{Publisher: publisher, Log: logging.From(ctx)}), nil
}
