package store

import (
	"context"
	"time"
)

// SignInRecord is a sign-in or connection under way at OAuth (functions/README.md,
// Sign-in hand-over). It is found by the hash of the state parameter.
type SignInRecord struct {
	ID      string `firestore:"id" json:"id"`
	Purpose string `firestore:"purpose" json:"purpose"`
	// Browser is the hash of OAuth's own cookie, Console that of the console's N.
	Browser   string    `firestore:"browser" json:"browser"`
	Console   string    `firestore:"console" json:"console"`
	Verifier  string    `firestore:"verifier" json:"verifier"`
	Nonce     string    `firestore:"nonce" json:"nonce"`
	ExpiresAt time.Time `firestore:"expires_at" json:"expires_at"`
}

// TicketRecord hands a result from one site to the other, once.
type TicketRecord struct {
	ID        string    `firestore:"id" json:"id"` // H(ticket)
	Sub       string    `firestore:"sub" json:"sub"`
	Email     string    `firestore:"email" json:"email"`
	Purpose   string    `firestore:"purpose" json:"purpose"`
	Console   string    `firestore:"console" json:"console"` // H(N)
	ExpiresAt time.Time `firestore:"expires_at" json:"expires_at"`
}

// PutSignIn keeps a sign-in until it is taken or expires after ttl.
func (s *Store) PutSignIn(ctx context.Context, rec SignInRecord, ttl time.Duration) error {
	return s.putExpiring(ctx, Ref{SignIns, rec.ID}, func(until time.Time) any { rec.ExpiresAt = until; return &rec }, ttl)
}

// TakeSignIn consumes a sign-in; found is false if there is none (any more). Whoever
// takes it and loses the answer has lost the sign-in.
func (s *Store) TakeSignIn(ctx context.Context, id string) (rec SignInRecord, found bool, err error) {
	return takeExpiring(ctx, s, Ref{SignIns, id}, func(rec SignInRecord) time.Time { return rec.ExpiresAt })
}

// PutTicket keeps a ticket until it is taken or expires after ttl.
func (s *Store) PutTicket(ctx context.Context, rec TicketRecord, ttl time.Duration) error {
	return s.putExpiring(ctx, Ref{Tickets, rec.ID}, func(until time.Time) any { rec.ExpiresAt = until; return &rec }, ttl)
}

// TakeTicket is TakeSignIn for a ticket.
func (s *Store) TakeTicket(ctx context.Context, id string) (rec TicketRecord, found bool, err error) {
	return takeExpiring(ctx, s, Ref{Tickets, id}, func(rec TicketRecord) time.Time { return rec.ExpiresAt })
}

func (s *Store) putExpiring(ctx context.Context, ref Ref, doc func(until time.Time) any, ttl time.Duration) error {
	return s.transact(ctx, "keep "+string(ref.Collection), func(tx Tx) error {
		// The read gives the database's clock.
		if _, err := tx.Get(installationRef(), &InstallationRecord{}); err != nil {
			return err
		}
		return tx.Set(ref, doc(tx.Now().Add(ttl)))
	})
}

func takeExpiring[T any](ctx context.Context, s *Store, ref Ref, expires func(T) time.Time) (taken T, valid bool, err error) {
	err = change(ctx, s, "take "+string(ref.Collection), ref, func(rec *T, found bool, now time.Time) effect {
		taken, valid = *rec, false
		if !found {
			return nothing
		}
		// TTL deletes only within about a day, so expiry is judged here.
		valid = now.Before(expires(*rec))
		return remove
	})
	return taken, valid && err == nil, err
}
