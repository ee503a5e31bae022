package grant_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/grant"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
)

const (
	baseURL  = "http://google.test"
	owner    = "central@firm.example"
	sub      = "1001"
	clientID = "client-1"
	secret   = "SECRET-of-the-client"
	repeat   = 30 * time.Second // a third of LEASE_SECONDS
)

var scopes = []string{"openid", "email", "calendar.app.created", "calendar.calendarlist.readonly"}

// accounts is the real store, with something that happens just before a refusal
// is recorded, and failures on demand.
type accounts struct {
	*store.Store
	beforeRefusal       func()
	readErr, refusedErr error
	worksErr            error
	alarmedErr          error
	incidentErr         error
}

func (a *accounts) RaiseIncident(ctx context.Context, sub string, r store.Refusal) error {
	if a.incidentErr != nil {
		return a.incidentErr
	}
	return a.Store.RaiseIncident(ctx, sub, r)
}

func (a *accounts) SuspectToken(ctx context.Context, sub string, r store.Refusal, repeat time.Duration) (bool, error) {
	if a.incidentErr != nil {
		return false, a.incidentErr
	}
	return a.Store.SuspectToken(ctx, sub, r, repeat)
}

func (a *accounts) GrantAlarmed(ctx context.Context, sub string, version int64) error {
	if a.alarmedErr != nil {
		return a.alarmedErr
	}
	return a.Store.GrantAlarmed(ctx, sub, version)
}

func (a *accounts) Account(ctx context.Context) (store.AccountRecord, error) {
	if a.readErr != nil {
		return store.AccountRecord{}, a.readErr
	}
	return a.Store.Account(ctx)
}

func (a *accounts) GrantRefused(ctx context.Context, sub string, version int64, reason string, repeat time.Duration) (bool, error) {
	if a.beforeRefusal != nil {
		a.beforeRefusal()
		a.beforeRefusal = nil
	}
	if a.refusedErr != nil {
		return false, a.refusedErr
	}
	return a.Store.GrantRefused(ctx, sub, version, reason, repeat)
}

func (a *accounts) GrantWorks(ctx context.Context, sub string, version int64) error {
	if a.worksErr != nil {
		return a.worksErr
	}
	return a.Store.GrantWorks(ctx, sub, version)
}

type world struct {
	*google.Server
	t        *testing.T
	accounts *accounts
	cipher   *seal.Local
	secrets  []string

	mu  sync.Mutex
	at  time.Time
	log bytes.Buffer
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

// Write collects log lines.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func (w *world) alarms() int { return strings.Count(w.logged(), "alarm=") }

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// newWorld has a connected account; whatever is logged in it is searched for
// secrets at the end.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	w.Server = google.New(google.Options{BaseURL: baseURL, Now: w.now, ClientID: clientID, ClientSecret: secret, Seed: 7,
		Accounts: []google.Account{{Sub: sub, Email: owner}}})
	b, err := bolt.Open(filepath.Join(t.TempDir(), "store"), w.now, bolt.NoSync())
	w.ok(err)
	w.accounts = &accounts{Store: store.New(b)}
	t.Cleanup(func() { w.ok(b.Close()) })
	key := make([]byte, seal.KeyBytes)
	_, err = rand.Read(key)
	w.ok(err)
	w.cipher, err = seal.NewLocal(key)
	w.ok(err)
	w.secrets = []string{secret}
	w.connect()
	t.Cleanup(func() { w.noSecret(w.logged()) })
	return w
}

func (w *world) noSecret(text string) {
	w.t.Helper()
	for _, s := range w.secrets {
		if strings.Contains(text, s) {
			w.t.Errorf("a secret is told: %s", text)
		}
	}
}

// connect stores a new grant, as functions/oauth does.
func (w *world) connect() store.AccountRecord {
	w.t.Helper()
	refresh := w.RefreshToken(owner, scopes...)
	w.secrets = append(w.secrets, refresh)
	sealed, err := w.cipher.Seal(w.t.Context(), []byte(refresh), seal.Additional(store.SealPath(sub), sub))
	w.ok(err)
	a, err := w.accounts.Connect(w.t.Context(), store.AccountRecord{Sub: sub, Email: owner, ClientID: clientID, Sealed: sealed}, true)
	w.ok(err)
	return a
}

// source is one instance of a function.
func (w *world) source(change ...func(*grant.Config)) *grant.Source {
	cfg := grant.Config{ClientID: clientID, ClientSecret: secret, Repeat: repeat,
		TokenURL: func(context.Context) (string, error) { return baseURL + "/token", nil }}
	for _, c := range change {
		c(&cfg)
	}
	return grant.New(cfg, w.accounts, w.cipher, &http.Client{Transport: w.Transport()}, w.now, slog.New(slog.NewTextHandler(w, nil)))
}

// token asks for one and checks the error, if any, for secrets.
func (w *world) token(s *grant.Source) (string, error) {
	w.t.Helper()
	token, a, err := s.Token(w.t.Context())
	if err != nil {
		for e := err; e != nil; e = errors.Unwrap(e) {
			w.noSecret(e.Error())
		}
		if token != "" {
			w.t.Errorf("a token beside the error %v", err)
		}
		return "", err
	}
	if a.Sub != sub {
		w.t.Errorf("the token is said to be of account %q", a.Sub)
	}
	w.secrets = append(w.secrets, token)
	return token, nil
}

func (w *world) mustToken(s *grant.Source) string {
	w.t.Helper()
	token, err := w.token(s)
	w.ok(err)
	return token
}

func (w *world) refusedAs(s *grant.Source, kind failure.Kind) {
	w.t.Helper()
	if _, err := w.token(s); !failure.Is(err, kind) {
		w.t.Errorf("error %v, want kind %s", err, kind)
	}
}

func (w *world) refreshes() int { return len(w.Requests(google.Filter{Method: "oauth2.token"})) }

func (w *world) account() store.AccountRecord {
	w.t.Helper()
	a, err := w.accounts.Store.Account(w.t.Context())
	w.ok(err)
	return a
}
