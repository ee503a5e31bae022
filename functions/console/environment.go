package console

import (
	"context"
	"net/http"
	"os"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/checkup"
	"github.com/erp-calendar/erp-calendar/shared/cloud"
	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// FromEnvironment makes the handler with the real dependencies.
func FromEnvironment(ctx context.Context) (http.Handler, error) {
	type environment struct {
		config.Store
		config.ERP
		config.Sites
		config.Admins
		config.Alerts
		config.Budget
		config.SessionKey
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
	erp.RememberRoles(unchangedRoles{state})
	return New(Config{
		OAuthURL: env.OAuthURL, ConsoleURL: env.ConsoleURL, AdminEmails: env.Emails, AlertEmails: env.Mailed, RequestsPerMinute: env.RequestsPerMinute,
		CalendarsPerHour: env.CalendarsPerHour, CalendarsPerDay: min(env.CalendarsPerDay, env.SharesPerDay), IntegrationAccount: env.IntegrationAccount, ERPURL: env.ERP.URL, ERPKeyInQuery: env.ERP.KeyInQuery,
		SessionKey: env.SessionKey.Key.Bytes(), TaskTopic: env.Task, EmployeeTopic: env.Topics.Employee,
	}, Deps{
		Store: state, Settings: settings.NewSource(state, env.DefaultSettings.JSON, env.ERP.URL, time.Now),
		ERP: erp, Examined: func(inForm bool) (checkup.ERP, error) {
			cfg := env.ERP
			cfg.KeyInQuery = cfg.KeyInQuery && !inForm
			examined, err := cloud.ERP(cfg, nil, time.Now)
			if err != nil {
				return nil, err
			}
			examined.RememberRoles(unchangedRoles{state})
			return examined, nil
		}, Publisher: publisher, Now: time.Now, Log: logging.From(ctx),
	})
}

// unchangedRoles lets the console understand the ERP's roles: looking at a page must change
// nothing, and Poll learns how they are spelled within minutes.
type unchangedRoles struct{ *store.Store }

func (unchangedRoles) SaveKnownRoles(context.Context, store.KnownRoles) error { return nil }
