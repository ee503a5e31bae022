package store

import (
	"context"
	"time"
)

// SignInRecord says that a sign-in or connection was finished, so that it is not
// finished twice (functions/README.md, Sign-in hand-over). Its id is the hash of the
// state parameter.
type SignInRecord struct {
	ID        string    `firestore:"id" json:"id"`
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

// AdminRecord remembers whose an address is that Google itself does not vouch for
// (rule 10.10). Its id is the address's hash.
type AdminRecord struct {
	ID  string `firestore:"id" json:"id"`
	Sub string `firestore:"sub" json:"sub"`
}

// SessionRecord is a session of the console that was ended before its time, under the
// hash of its id; or, under AllSessions, how often an admin ended all of them.
type SessionRecord struct {
	ID         string    `firestore:"id" json:"id"`
	Generation int64     `firestore:"generation,omitempty" json:"generation,omitempty"`
	ExpiresAt  time.Time `firestore:"expires_at,omitempty" json:"expires_at,omitzero"`
}

// AllSessions is the id under which SessionRecord counts.
const AllSessions = "all"

// FinishSignIn marks a sign-in as finished; first is false if it was before. The mark
// is good for ttl. Whoever loses the answer has lost the sign-in.
func (s *Store) FinishSignIn(ctx context.Context, id string, ttl time.Duration) (first bool, err error) {
	err = change(ctx, s, "finish a sign-in", Ref{SignIns, id}, func(rec *SignInRecord, found bool, now time.Time) effect {
		// TTL deletes only within about a day, so expiry is judged here.
		if first = !found || !now.Before(rec.ExpiresAt); !first {
			return nothing
		}
		*rec = SignInRecord{ID: id, ExpiresAt: now.Add(ttl)}
		return set
	})
	return first && err == nil, err
}

// PutTicket keeps a ticket until it is taken or expires after ttl.
func (s *Store) PutTicket(ctx context.Context, rec TicketRecord, ttl time.Duration) error {
	// The ticket's own document is read for the database's clock: any shared one would be
	// locked by it.
	return change(ctx, s, "keep a ticket", Ref{Tickets, rec.ID}, func(into *TicketRecord, _ bool, now time.Time) effect {
		*into = rec
		into.ExpiresAt = now.Add(ttl)
		return set
	})
}

// TakeTicket consumes a ticket; found is false if there is none (any more). Whoever
// takes it and loses the answer has lost the ticket.
func (s *Store) TakeTicket(ctx context.Context, id string) (rec TicketRecord, found bool, err error) {
	err = change(ctx, s, "take a ticket", Ref{Tickets, id}, func(stored *TicketRecord, stands bool, now time.Time) effect {
		rec, found = *stored, stands && now.Before(stored.ExpiresAt)
		if !stands {
			return nothing
		}
		return remove
	})
	return rec, found && err == nil, err
}

// PinAdmin ties an address, given by its hash, to the Google account that came with it
// first, and gives that account's sub.
func (s *Store) PinAdmin(ctx context.Context, id, sub string) (pinned string, err error) {
	err = change(ctx, s, "pin an admin's account", Ref{Admins, id}, func(rec *AdminRecord, found bool, _ time.Time) effect {
		if pinned = rec.Sub; found {
			return nothing
		}
		*rec, pinned = AdminRecord{ID: id, Sub: sub}, sub
		return set
	})
	return pinned, err
}

// EndSession ends one session, given by its id's hash; it would have ended by itself
// within ttl.
func (s *Store) EndSession(ctx context.Context, id string, ttl time.Duration) error {
	return change(ctx, s, "end a session", Ref{Sessions, id}, func(rec *SessionRecord, _ bool, now time.Time) effect {
		*rec = SessionRecord{ID: id, ExpiresAt: now.Add(ttl)}
		return set
	})
}

// EndAllSessions ends every session there is. Made again it ends those begun meanwhile, too.
func (s *Store) EndAllSessions(ctx context.Context) error {
	return change(ctx, s, "end all sessions", Ref{Sessions, AllSessions}, func(rec *SessionRecord, _ bool, _ time.Time) effect {
		rec.ID, rec.Generation = AllSessions, rec.Generation+1
		return set
	})
}

// SessionGeneration is how often all sessions were ended: a new session carries it.
func (s *Store) SessionGeneration(ctx context.Context) (int64, error) {
	rec, _, err := get[SessionRecord](ctx, s, "read how often all sessions were ended", Ref{Sessions, AllSessions})
	return rec.Generation, err
}

// SessionEnded reports whether a session, given by its id's hash and its generation, was
// ended before its time.
func (s *Store) SessionEnded(ctx context.Context, id string, generation int64) (bool, error) {
	now, err := s.SessionGeneration(ctx)
	if err != nil || generation != now {
		return err == nil, err
	}
	_, ended, err := get[SessionRecord](ctx, s, "look whether a session was ended", Ref{Sessions, id})
	return ended, err
}
