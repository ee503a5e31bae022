package oauth

import (
	"context"
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
		config.OAuthClient
		config.Sites
		config.Admins
		config.TokenKey
		config.Topics
		config.Google
	}
	env, err := config.Load[environment](ctx, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	cipher, err := cloud.Cipher(ctx, env.TokenKey)
	if err != nil {
		return nil, err
	}
	state, publisher, err := cloud.StoreAndPublisher(ctx, env.Store)
	if err != nil {
		return nil, err
	}
	return New(Config{
		ClientID: env.OAuthClient.ID, ClientSecret: env.OAuthClient.Secret.Text(), OAuthURL: env.OAuthURL, ConsoleURL: env.ConsoleURL,
		AdminEmails: env.Emails, IntegrationAccount: env.IntegrationAccount, EmployeeTopic: env.Employee,
		Issuer: env.Issuer, CalendarEndpoint: env.CalendarEndpoint,
	}, Deps{Store: state, Sealer: cipher, Publisher: publisher, Now: time.Now, Log: logging.From(ctx)})
}
