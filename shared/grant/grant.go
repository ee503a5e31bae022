// Package grant turns the central account's sealed refresh token into access
// tokens for the Calendar gateway, and decides when the grant is dead
// (rule 7.5). It must never log a token or put one into an error, and
// never disconnect a version other than the one that was refused.
package grant

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/sync/semaphore"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Opener opens what was sealed; seal.Cipher is one.
type Opener interface {
	Open(ctx context.Context, sealed, additional []byte) ([]byte, error)
}

// Accounts is what the package needs of the store.
type Accounts interface {
	Account(ctx context.Context) (store.AccountRecord, error)
	GrantRefused(ctx context.Context, sub string, version int64, reason string, repeat time.Duration) (bool, error)
	GrantWorks(ctx context.Context, sub string, version int64) error
	GrantAlarmed(ctx context.Context, sub string, version int64) error
	RaiseIncident(ctx context.Context, sub string, r store.Refusal) error
	SuspectToken(ctx context.Context, sub string, r store.Refusal, repeat time.Duration) (opened bool, err error)
}

// Config is what a Source needs to know.
type Config struct {
	ClientID, ClientSecret string
	// TokenURL gives the token endpoint, found by OIDC discovery.
	TokenURL func(ctx context.Context) (string, error)
	// Repeat is the wait between the first refusal and the one that disconnects.
	Repeat time.Duration
}

// Source hands out access tokens. It is safe for concurrent use.
type Source struct {
	cfg      Config
	accounts Accounts
	opener   Opener
	client   *http.Client
	now      func() time.Time
	log      *slog.Logger

	// lock is held by the one who reads or refreshes; it guards the rest. A semaphore,
	// because who waits for another's call must not wait beyond a deadline of their own.
	lock    *semaphore.Weighted
	account store.AccountRecord
	readAt  time.Time
	token   *oauth2.Token
	version int64 // of token

	// ready is the token given last, for calls that have their slot already and must
	// not wait for anybody's reading of the account.
	ready atomic.Pointer[oauth2.Token]
}

// reread is how old the known account may get: a disconnection or a new
// connection is in force this much later at most.
const reread = 10 * time.Second

// New makes a Source; client makes the calls to the token endpoint.
func New(cfg Config, accounts Accounts, opener Opener, client *http.Client, now func() time.Time, log *slog.Logger) *Source {
	return &Source{cfg: cfg, accounts: accounts, opener: opener, client: client, now: now, log: log, lock: semaphore.NewWeighted(1)}
}

// Reread has the next caller read the account from the store.
func (s *Source) Reread() {
	if s.lock.Acquire(context.Background(), 1) != nil { // its holder's calls have deadlines
		return
	}
	defer s.lock.Release(1)
	s.readAt = time.Time{}
}

// Account gives the connected account; kind revoked where there is none.
func (s *Source) Account(ctx context.Context) (store.AccountRecord, error) {
	if err := s.lock.Acquire(ctx, 1); err != nil {
		return store.AccountRecord{}, failure.Wrap(failure.Transient, "wait for the account", err)
	}
	defer s.lock.Release(1)
	return s.accountLocked(ctx)
}

func (s *Source) accountLocked(ctx context.Context) (store.AccountRecord, error) {
	if now := s.now(); s.readAt.IsZero() || now.Sub(s.readAt) > reread {
		a, err := s.accounts.Account(ctx)
		if errors.Is(err, store.ErrNotConnected) {
			return a, failure.New(failure.Revoked, "read the account", "no Google account is connected")
		}
		if err != nil {
			return a, failure.Wrap(failure.Transient, "read the account", err)
		}
		s.account, s.readAt = a, now
	}
	if !s.account.Connected {
		// A new connection should not have to wait for the next rereading.
		s.readAt = time.Time{}
		return s.account, failure.New(failure.Revoked, "read the account", "the Google account is disconnected")
	}
	if s.account.ClientID != s.cfg.ClientID {
		return s.account, failure.New(failure.Misconfigured, "read the account", "OAUTH_CLIENT_ID is not the client that was connected")
	}
	return s.account, nil
}

// Token gives a valid access token and the account it is for. Kinds: revoked
// (the grant is dead or there is none), misconfigured, transient.
func (s *Source) Token(ctx context.Context) (string, store.AccountRecord, error) {
	if err := s.lock.Acquire(ctx, 1); err != nil {
		return "", store.AccountRecord{}, failure.Wrap(failure.Transient, "wait for the account", err)
	}
	defer s.lock.Release(1)
	a, err := s.accountLocked(ctx)
	if err != nil {
		return "", a, err
	}
	// While the token endpoint refuses everybody, whoever is let through to see whether it
	// still does has to ask it (rule 7.7).
	refused := a.Incident != nil && a.Incident.At == store.AtToken
	if s.token != nil && !refused && s.version == a.Version && s.now().Add(time.Minute).Before(s.token.Expiry) {
		s.ready.Store(s.token)
		return s.token.AccessToken, a, nil
	}
	token, err := s.refresh(ctx, a)
	if err != nil {
		return "", a, err
	}
	s.token, s.version = token, a.Version
	s.ready.Store(token)
	if !a.SuspectSince.IsZero() || a.InDoubt(store.AtToken) {
		if err := s.accounts.GrantWorks(ctx, a.Sub, a.Version); err != nil {
			s.log.WarnContext(ctx, "could not record that the grant works", "error", err)
		}
		s.readAt = time.Time{}
	}
	return token.AccessToken, a, nil
}

// given is the token that the caller got before its slot; ok is false if it has
// expired since, or was refused.
func (s *Source) given() (token string, ok bool) {
	ready := s.ready.Load()
	if ready == nil || !s.now().Add(10*time.Second).Before(ready.Expiry) {
		return "", false
	}
	return ready.AccessToken, true
}

// Refused forgets an access token that Google did not accept, so that the next
// one is fresh.
func (s *Source) Refused(token string) {
	if ready := s.ready.Load(); ready != nil && ready.AccessToken == token {
		s.ready.CompareAndSwap(ready, nil)
	}
	if s.lock.Acquire(context.Background(), 1) != nil { // its holder's calls have deadlines
		return
	}
	defer s.lock.Release(1)
	if s.token != nil && s.token.AccessToken == token {
		s.token = nil
	}
	s.readAt = time.Time{}
}

func (s *Source) refresh(ctx context.Context, a store.AccountRecord) (*oauth2.Token, error) {
	const op = "refresh the access token"
	refresh, err := s.opener.Open(ctx, a.Sealed, seal.Additional(store.SealPath(a.Sub), a.Sub))
	if err != nil {
		// KMS says itself which faults pass; what is not sealed for this place needs a
		// person.
		kind := failure.Misconfigured
		if known, ok := errors.AsType[*failure.Error](err); ok {
			kind = known.Kind
		}
		return nil, failure.Wrap(kind, "open the sealed refresh token", err)
	}
	url, err := s.cfg.TokenURL(ctx)
	if err != nil {
		return nil, failure.Wrap(failure.Transient, "discover the token endpoint", err)
	}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, s.client), 15*time.Second)
	defer cancel()
	cfg := oauth2.Config{ClientID: s.cfg.ClientID, ClientSecret: s.cfg.ClientSecret, Endpoint: oauth2.Endpoint{TokenURL: url, AuthStyle: oauth2.AuthStyleInParams}}
	token, err := cfg.TokenSource(ctx, &oauth2.Token{RefreshToken: string(refresh)}).Token()
	if err == nil {
		// oauth2 judges expiry by the machine's clock; ours is passed in.
		if token.ExpiresIn > 0 {
			token.Expiry = s.now().Add(time.Duration(token.ExpiresIn) * time.Second)
		}
		return token, nil
	}
	re, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		// The cause may name a URL: only its kind is passed on.
		return nil, failure.New(failure.Transient, op, "the token endpoint did not answer")
	}
	status := 0
	if re.Response != nil {
		status = re.Response.StatusCode
	}
	refusal := store.Refusal{At: store.AtToken, Status: status, Reason: re.ErrorCode}
	switch fateOf(status, re.ErrorCode) {
	case grantDead:
		return nil, s.refused(ctx, a)
	case accountOut:
		return nil, s.shutOut(ctx, a, refusal)
	case unknown:
		return nil, s.suspected(ctx, a, refusal)
	}
	return nil, &failure.Error{Kind: failure.Transient, Op: op, Status: status, Reason: re.ErrorCode}
}

// fate is what an error of the token endpoint means.
type fate int

const (
	passing    fate = iota // the same question may be answered soon
	grantDead              // the grant was refused (rule 7.5)
	accountOut             // nothing is given to anybody until a person acts (rule 7.7)
	unknown                // one of the two before, or passing
)

// fateOf decides by the error's code, and by the status where that says more.
func fateOf(status int, code string) fate {
	switch code {
	case "invalid_grant":
		return grantDead
	case "invalid_client", "unauthorized_client", "deleted_client", "disabled_client",
		"admin_policy_enforced", "org_internal", "access_denied":
		return accountOut
	case "temporarily_unavailable", "server_error", "slow_down", "rate_limit_exceeded":
		return passing
	}
	if status < http.StatusBadRequest || status >= http.StatusInternalServerError || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout {
		return passing
	}
	return unknown
}

// shutOut opens an incident. Poll tells it, once: instances need not agree on who does.
func (s *Source) shutOut(ctx context.Context, a store.AccountRecord, r store.Refusal) error {
	if a.Incident == nil || a.Incident.Refusal != r {
		s.readAt = time.Time{}
		if err := s.accounts.RaiseIncident(ctx, a.Sub, r); err != nil {
			// The next refusal records it.
			s.log.WarnContext(ctx, "could not record an incident of the account", "at", r.At, "status", r.Status, "reason", r.Reason, "error", err)
		}
	}
	return outOfReach(r)
}

// suspected believes a code that nobody knows when it is repeated.
func (s *Source) suspected(ctx context.Context, a store.AccountRecord, r store.Refusal) error {
	s.readAt = time.Time{}
	opened, err := s.accounts.SuspectToken(ctx, a.Sub, r, s.cfg.Repeat)
	if err != nil {
		return failure.Wrap(failure.Transient, "record the refusal of the token endpoint", err)
	}
	if opened {
		return outOfReach(r)
	}
	return &failure.Error{Kind: failure.Transient, Op: "refresh the access token", Status: r.Status, Reason: r.Reason, Detail: "refused once; asked again before it is believed"}
}

func outOfReach(r store.Refusal) error {
	return &failure.Error{Kind: failure.Misconfigured, AccountWide: true, Op: "refresh the access token", Status: r.Status, Reason: r.Reason, Detail: "Google gives this client or account no access: the console says what to do"}
}

func (s *Source) refused(ctx context.Context, a store.AccountRecord) error {
	s.readAt = time.Time{}
	dead, err := s.accounts.GrantRefused(ctx, a.Sub, a.Version, "invalid_grant", s.cfg.Repeat)
	if err != nil {
		return failure.Wrap(failure.Transient, "record the refused grant", err)
	}
	if dead {
		logging.Alarm(ctx, s.log, logging.GrantRevoked, "grant-"+strconv.FormatInt(a.Version, 10),
			"Google refuses the grant of the central account: connect it again in the console")
		// Should this instance have died before the alarm, Poll raises it.
		if err := s.accounts.GrantAlarmed(ctx, a.Sub, a.Version); err != nil {
			s.log.WarnContext(ctx, "could not note that the lost grant was told", "error", err)
		}
		return &failure.Error{Kind: failure.Revoked, Op: "refresh the access token", Reason: "invalid_grant", Detail: "Google refuses the grant: connect the account again"}
	}
	return &failure.Error{Kind: failure.Transient, Op: "refresh the access token", Reason: "invalid_grant", Detail: "refused once; asked again before it is believed"}
}

// Transport adds the access token to calls, which Source.Token has to have given
// before. It never makes a call twice and never waits for a token: the one who paces
// the calls repeats what was not made or refused, or the call would be made beside
// its slot of the budget, together with all that waited (rule 6.1).
type Transport struct {
	Source *Source
	Base   http.RoundTripper
}

// RoundTrip makes one call with a token. After a 401 it forgets the token. Where there
// is none at hand the error is transient, and the call was not made.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		// A RoundTripper closes the body in any case, also where no call is made.
		defer func() { _ = r.Body.Close() }()
	}
	token, ok := t.Source.given()
	if !ok {
		return nil, failure.New(failure.Transient, "use the access token", "it is not valid any more")
	}
	call := r.Clone(r.Context())
	call.Header.Set("Authorization", "Bearer "+token)
	res, err := t.Base.RoundTrip(call)
	if err == nil && res.StatusCode == http.StatusUnauthorized {
		t.Source.Refused(token)
	}
	return res, err
}
