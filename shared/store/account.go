package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// AccountRecord is the central Google account: who it is and its sealed grant.
type AccountRecord struct {
	// Sub is Google's stable id of the account, and the record's id.
	Sub      string   `firestore:"sub" json:"sub"`
	Email    string   `firestore:"email" json:"email"`
	ClientID string   `firestore:"client_id" json:"client_id"`
	Scopes   []string `firestore:"scopes,omitempty" json:"scopes,omitempty"`
	// Sealed is the encrypted refresh token; SealPath(sub) and Sub are bound in
	// as additional data.
	Sealed []byte `firestore:"sealed,omitempty" json:"sealed,omitempty"`
	// Version grows with every connection, so that an error of an old token never
	// disconnects a new one (rule 7.5).
	Version     int64     `firestore:"version" json:"version"`
	Connected   bool      `firestore:"connected" json:"connected"`
	ConnectedAt time.Time `firestore:"connected_at" json:"connected_at"`
	// GrantExpiresAt is when the grant will die by itself; zero when it will not.
	GrantExpiresAt time.Time `firestore:"grant_expires_at,omitempty" json:"grant_expires_at,omitzero"`
	// SuspectSince is when this version was first refused with invalid_grant.
	SuspectSince   time.Time `firestore:"suspect_since,omitempty" json:"suspect_since,omitzero"`
	DisconnectedAt time.Time `firestore:"disconnected_at,omitempty" json:"disconnected_at,omitzero"`
	Disconnected   string    `firestore:"disconnected,omitempty" json:"disconnected,omitempty"`
	// Alarmed is the version whose lost grant was told as an alarm that is not ended
	// yet; 0: none.
	Alarmed int64 `firestore:"alarmed,omitempty" json:"alarmed,omitempty"`
	// ClientRefusedAt is when Google first refused our client id or secret; zero
	// while it takes them.
	ClientRefusedAt time.Time `firestore:"client_refused_at,omitempty" json:"client_refused_at,omitzero"`
	// PausedUntil holds writes back after `quotaExceeded` (rule 6.6).
	PausedUntil time.Time `firestore:"paused_until,omitempty" json:"paused_until,omitzero"`
	// PauseSeconds is the length of the latest such pause, from which the next one
	// doubles; 0 once Google took a write again.
	PauseSeconds int64 `firestore:"pause_seconds,omitempty" json:"pause_seconds,omitempty"`
	// CreationsPausedUntil and CreationsPauseSeconds are the same for what is held
	// back when only making and sharing calendars was refused.
	CreationsPausedUntil  time.Time `firestore:"creations_paused_until,omitempty" json:"creations_paused_until,omitzero"`
	CreationsPauseSeconds int64     `firestore:"creations_pause_seconds,omitempty" json:"creations_pause_seconds,omitempty"`
}

// InstallationRecord is the one document that names the tenant and its account.
type InstallationRecord struct {
	// Tenant is the UUID in every mark (rule 3.1); empty until the first
	// calendar list after a connection has shown whether marks exist already.
	Tenant  string `firestore:"tenant,omitempty" json:"tenant,omitempty"`
	Account string `firestore:"account,omitempty" json:"account,omitempty"`
	// Purge is the latest purge. It stands here because whoever looks at an employee
	// reads this record, always as it is now.
	Purge *PurgeRecord `firestore:"purge,omitempty" json:"purge,omitempty"`
}

var (
	// ErrNotConnected means that no account was ever connected.
	ErrNotConnected = errors.New("store: no account is connected")
	// ErrOtherAccount refuses to replace the account or client that owns calendars
	// (rule 3.7).
	ErrOtherAccount = errors.New("store: another account or client owns the calendars")
)

// SealPath names the record of the account sub; its Sealed is bound to this name.
func SealPath(sub string) string { return string(Accounts) + "/" + sub }

func installationRef() Ref      { return Ref{Installation, "current"} }
func accountRef(sub string) Ref { return Ref{Accounts, sub} }
func deadLetterRef(key Key) Ref {
	return Ref{DeadLetters, string(key.Collection) + "-" + docID(key.ID)}
}
func budgetRef(account string) Ref    { return Ref{Budgets, account} }
func creationsRef(account string) Ref { return Ref{Creations, account} }
func settingsRef() Ref                { return Ref{Settings, "current"} }
func pollRef(what string) Ref         { return Ref{Polls, what} }

// Installation reads the installation's record; missing is the zero value.
func (s *Store) Installation(ctx context.Context) (InstallationRecord, error) {
	var in InstallationRecord
	if _, err := s.b.Get(ctx, installationRef(), &in); err != nil {
		return in, fmt.Errorf("read installation: %w", err)
	}
	return in, nil
}

// Account reads the account that the installation uses, ErrNotConnected if none.
func (s *Store) Account(ctx context.Context) (AccountRecord, error) {
	in, err := s.Installation(ctx)
	if err != nil {
		return AccountRecord{}, err
	}
	if in.Account == "" {
		return AccountRecord{}, ErrNotConnected
	}
	var a AccountRecord
	found, err := s.b.Get(ctx, accountRef(in.Account), &a)
	if err != nil {
		return a, fmt.Errorf("read account: %w", err)
	}
	if !found {
		return a, ErrNotConnected
	}
	return a, nil
}

// Connect records a new grant under the next version. While calendars are owned
// (known tells), another account or client is ErrOtherAccount.
func (s *Store) Connect(ctx context.Context, a AccountRecord, known bool) (AccountRecord, error) {
	err := s.b.Transact(ctx, func(tx Tx) error {
		var in InstallationRecord
		if _, err := tx.Get(installationRef(), &in); err != nil {
			return err
		}
		var before AccountRecord
		if _, err := tx.Get(accountRef(a.Sub), &before); err != nil {
			return err
		}
		if known && in.Account != "" && (in.Account != a.Sub || before.ClientID != a.ClientID) {
			return ErrOtherAccount
		}
		a.Version = before.Version + 1
		a.Connected, a.ConnectedAt = true, tx.Now()
		a.SuspectSince, a.DisconnectedAt, a.Disconnected = time.Time{}, time.Time{}, ""
		a.PausedUntil, a.CreationsPausedUntil = before.PausedUntil, before.CreationsPausedUntil
		a.Alarmed = before.Alarmed
		a.PauseSeconds, a.CreationsPauseSeconds = before.PauseSeconds, before.CreationsPauseSeconds
		if in.Account != a.Sub {
			in.Account = a.Sub
			if err := tx.Set(installationRef(), &in); err != nil {
				return err
			}
		}
		return tx.Set(accountRef(a.Sub), &a)
	})
	if err != nil {
		return AccountRecord{}, fmt.Errorf("record the connection: %w", err)
	}
	return a, nil
}

// SetTenant fixes the tenant if none is set yet and gives the one in force.
func (s *Store) SetTenant(ctx context.Context, tenant string) (string, error) {
	err := s.b.Transact(ctx, func(tx Tx) error {
		var in InstallationRecord
		if _, err := tx.Get(installationRef(), &in); err != nil {
			return err
		}
		if in.Tenant != "" {
			tenant = in.Tenant
			return nil
		}
		in.Tenant = tenant
		return tx.Set(installationRef(), &in)
	})
	if err != nil {
		return "", fmt.Errorf("fix the tenant: %w", err)
	}
	return tenant, nil
}

// GrantRefused records that Google refused the grant of a version for good. The
// first refusal only makes it suspect; one that comes at least repeat later
// disconnects (rule 7.5). A newer version is left alone. It reports
// whether this call disconnected it.
func (s *Store) GrantRefused(ctx context.Context, sub string, version int64, reason string, repeat time.Duration) (disconnected bool, err error) {
	err = s.b.Transact(ctx, func(tx Tx) error {
		disconnected = false
		var a AccountRecord
		found, err := tx.Get(accountRef(sub), &a)
		if err != nil || !found || a.Version != version || !a.Connected {
			return err
		}
		now := tx.Now()
		switch {
		case a.SuspectSince.IsZero():
			a.SuspectSince = now
		case now.Sub(a.SuspectSince) < repeat:
			return nil
		default:
			a.Connected, a.DisconnectedAt, a.Disconnected = false, now, reason
			disconnected = true
		}
		return tx.Set(accountRef(sub), &a)
	})
	if err != nil {
		return false, fmt.Errorf("record the refused grant: %w", err)
	}
	return disconnected, nil
}

// GrantAlarmed remembers that the alarm of a version's lost grant was told, or
// with version 0 that it was ended, so that Poll tells only what its maker did not
// live to tell.
func (s *Store) GrantAlarmed(ctx context.Context, sub string, version int64) error {
	err := s.changeAccount(ctx, sub, func(a *AccountRecord, _ time.Time) bool {
		changed := a.Alarmed != version
		a.Alarmed = version
		return changed
	})
	if err != nil {
		return fmt.Errorf("remember the alarm of the grant: %w", err)
	}
	return nil
}

// ClientRefused records that Google refuses our client id or secret. It is no
// fault of the grant, so nothing is disconnected (rule 7.5).
func (s *Store) ClientRefused(ctx context.Context, sub string) error {
	err := s.changeAccount(ctx, sub, func(a *AccountRecord, now time.Time) bool {
		if !a.ClientRefusedAt.IsZero() {
			return false
		}
		a.ClientRefusedAt = now
		return true
	})
	if err != nil {
		return fmt.Errorf("record the refused client: %w", err)
	}
	return nil
}

func (s *Store) changeAccount(ctx context.Context, sub string, change func(a *AccountRecord, now time.Time) (changed bool)) error {
	return s.b.Transact(ctx, func(tx Tx) error {
		var a AccountRecord
		found, err := tx.Get(accountRef(sub), &a)
		if err != nil || !found || !change(&a, tx.Now()) {
			return err
		}
		return tx.Set(accountRef(sub), &a)
	})
}

// GrantWorks clears a suspicion against a version, and against our client.
func (s *Store) GrantWorks(ctx context.Context, sub string, version int64) error {
	err := s.changeAccount(ctx, sub, func(a *AccountRecord, _ time.Time) bool {
		if a.Version != version || (a.SuspectSince.IsZero() && a.ClientRefusedAt.IsZero()) {
			return false
		}
		a.SuspectSince, a.ClientRefusedAt = time.Time{}, time.Time{}
		return true
	})
	if err != nil {
		return fmt.Errorf("clear the suspicion: %w", err)
	}
	return nil
}
