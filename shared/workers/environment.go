package workers

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/erp-calendar/erp-calendar/shared/cloud"
	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// Deployed are the workers on Google's own services.
type Deployed struct {
	*Workers
	Config    Config
	Publisher queue.Publisher
	Log       *slog.Logger
}

// FromEnvironment puts the workers together on Google's own services. A fault of
// the configuration is a *config.Faults that names every variable.
func FromEnvironment(ctx context.Context) (Deployed, error) {
	cfg, err := config.Load[Config](ctx, os.LookupEnv)
	if err != nil {
		return Deployed{}, err
	}
	cipher, err := cloud.Cipher(ctx, cfg.TokenKey)
	if err != nil {
		return Deployed{}, err
	}
	state, publisher, err := cloud.StoreAndPublisher(ctx, cfg.Store)
	if err != nil {
		return Deployed{}, err
	}
	log := logging.From(ctx)
	w, err := New(ctx, cfg, Deps{
		Store: state, Opener: cipher, Publisher: publisher, Transport: transport(),
		NewID: uuid.NewString, Now: time.Now, Log: log,
	})
	if err != nil {
		return Deployed{}, errors.Join(err, state.Close(), publisher.Close())
	}
	return Deployed{Workers: w, Config: cfg, Publisher: publisher, Log: log}, nil
}

// transport keeps a connection to the ERP for each of the employees that an instance
// looks at together; the default keeps two and would make the others anew each time.
func transport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t = t.Clone()
	t.MaxIdleConnsPerHost = 32
	return t
}
