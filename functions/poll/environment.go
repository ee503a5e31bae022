package poll

import (
	"context"
	"net/http"
	"os"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/cloud"
	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/settings"
)

// FromEnvironment makes the handler with the real dependencies.
func FromEnvironment(ctx context.Context) (http.Handler, error) {
	type environment struct {
		config.Store
		config.ERP
		config.Topics
		config.DefaultSettings
	}
	env, err := config.Load[environment](ctx, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	erp, err := cloud.ERP(env.ERP, nil, time.Now)
	if err != nil {
		return nil, err
	}
	state, publisher, err := cloud.StoreAndPublisher(ctx, env.Store)
	if err != nil {
		return nil, err
	}
	erp.RememberRoles(state)
	return New(Config{TaskTopic: env.Task, EmployeeTopic: env.Topics.Employee}, Deps{
		ERP: erp, Settings: settings.NewSource(state, env.DefaultSettings.JSON, env.URL, time.Now),
		Store: state, Publisher: publisher, Log: logging.From(ctx),
	}), nil
}
