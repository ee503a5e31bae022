// Package cloud makes the real clients (Firestore, Pub/Sub, KMS, the ERP) from the
// configuration. It is the only place where a function meets them, so that its
// handler runs as well on the embedded ones. It must never hold a rule of the
// product. The clients connect on first use and live as long as the process.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue/pubsub"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/seal/kms"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// Store opens the project's Firestore database; FIRESTORE_EMULATOR_HOST is honoured.
func Store(ctx context.Context, cfg config.Store) (*store.Store, error) {
	backend, err := firestore.New(ctx, cfg.Project, cfg.Database)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return store.New(backend), nil
}

// StoreAndPublisher opens both, or neither.
func StoreAndPublisher(ctx context.Context, cfg config.Store) (*store.Store, *pubsub.Publisher, error) {
	state, err := Store(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	publisher, err := Publisher(ctx, cfg.Project)
	if err != nil {
		return nil, nil, errors.Join(err, state.Close())
	}
	return state, publisher, nil
}

// Publisher publishes to the project's topics; PUBSUB_EMULATOR_HOST is honoured.
func Publisher(ctx context.Context, project string) (*pubsub.Publisher, error) {
	return pubsub.New(ctx, project)
}

// Cipher seals with the KMS key, or outside the cloud with the local one.
func Cipher(ctx context.Context, cfg config.TokenKey) (seal.Cipher, error) {
	if key, ok := cfg.Local(); ok {
		return seal.NewLocal(key)
	}
	if name, ok := cfg.KMS(); ok {
		return kms.New(ctx, name)
	}
	return nil, failure.New(failure.Misconfigured, "make the cipher", "TOKEN_KEY is neither a KMS key nor a local one")
}

// ERP makes the ERP's client. A transport of nil is the default one.
func ERP(cfg config.ERP, transport http.RoundTripper, now func() time.Time) (*userside.Client, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("ERP_URL: %w", err)
	}
	return userside.New(userside.Config{URL: base, Key: cfg.APIKey.Text(), KeyInQuery: cfg.KeyInQuery, AllowHTTP: cfg.AllowHTTP}, transport, now)
}
