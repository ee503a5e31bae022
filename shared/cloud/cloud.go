// Package cloud makes the real clients (Firestore, Pub/Sub, KMS) from the
// configuration. It is the only place where a function meets them, so that its
// handler runs as well on the embedded ones. It must never hold a rule of the
// product. The clients connect on first use and live as long as the process.
package cloud

import (
	"context"
	"fmt"

	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue/pubsub"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/seal/kms"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore"
)

// Store opens the project's Firestore database; FIRESTORE_EMULATOR_HOST is honoured.
func Store(ctx context.Context, cfg config.Store) (*store.Store, error) {
	backend, err := firestore.New(ctx, cfg.Project, cfg.Database)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return store.New(backend), nil
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
