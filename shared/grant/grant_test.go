package grant_test

import (
	"context"
	"io"
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

func TestTokenIsKeptUntilAMinuteBeforeItsEnd(t *testing.T) {
	w := newWorld(t)
	s := w.source()
	first := w.mustToken(s)
	w.pass(3599*time.Second - 61*time.Second)
	if again := w.mustToken(s); again != first || w.refreshes() != 1 {
		t.Errorf("%d refreshes 61 s before the end, want the token kept", w.refreshes())
	}
	w.pass(time.Second)
	if next := w.mustToken(s); next == first || w.refreshes() != 2 {
		t.Errorf("%d refreshes a minute before the end, want a new token", w.refreshes())
	}
}

func TestManyCallersRefreshOnce(t *testing.T) {
	w := newWorld(t)
	s := w.source()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, _, err := s.Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if w.refreshes() != 1 {
		t.Errorf("%d refreshes for 50 callers, want 1", w.refreshes())
	}
}

// call makes a Calendar call with a body through the transport.
func (w *world) call(s *grant.Source) (*http.Response, error) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, baseURL+"/calendar/v3/calendars", strings.NewReader(`{"summary":"Olena"}`))
	w.ok(err)
	r.Header.Set("Content-Type", "application/json")
	w.mustToken(s)
	res, err := (&grant.Transport{Source: s, Base: w.Transport()}).RoundTrip(r)
	if r.Header.Get("Authorization") != "" {
		w.t.Error("the caller's own request got the token")
	}
	return res, err
}

// A second call by the transport itself would take no slot of the budget: found by
// a simulated history in which four writes reached one calendar within a second.
func TestAfter401TheNextCallHasAFreshToken(t *testing.T) {
	w := newWorld(t)
	s := w.source()
	w.mustToken(s)
	w.Inject(google.Fault{Method: "calendar.*", Status: http.StatusUnauthorized})
	for _, want := range []int{http.StatusUnauthorized, http.StatusOK} {
		res, err := w.call(s)
		w.ok(err)
		w.ok(res.Body.Close())
		if res.StatusCode != want {
			t.Errorf("status %d, want %d", res.StatusCode, want)
		}
	}
	if calls := w.Requests(google.Filter{Method: "calendar.*"}); len(calls) != 2 || w.refreshes() != 2 {
		t.Errorf("%d calls and %d refreshes, want 2 and 2", len(calls), w.refreshes())
	}
}

// What waited for a token behind its slot was called late, together with all others
// that did: found by a simulated history in which the token was refused, and slow to
// come anew, while four writes to one calendar had their slots.
func TestACallThatHasItsSlotDoesNotWaitForAToken(t *testing.T) {
	for name, spoil := range map[string]func(w *world, s *grant.Source, token string){
		"refused": func(_ *world, s *grant.Source, token string) { s.Refused(token) },
		"of age":  func(w *world, _ *grant.Source, _ string) { w.pass(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.source()
			spoil(w, s, w.mustToken(s))
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, baseURL+"/calendar/v3/calendars", http.NoBody)
			w.ok(err)
			res, err := (&grant.Transport{Source: s, Base: w.Transport()}).RoundTrip(r)
			if res != nil {
				_ = res.Body.Close()
			}
			if !failure.Is(err, failure.Transient) || failure.IsAmbiguous(err) {
				t.Errorf("error %v, want a transient one of a call that was not made", err)
			}
			if n := len(w.Requests(google.Filter{Method: "calendar.*"})); n != 0 || w.refreshes() != 1 {
				t.Errorf("%d calls and %d refreshes, want 0 and 1", n, w.refreshes())
			}
			if res, err = w.call(s); err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
		})
	}
}

func TestOnlyTheRefusedTokenIsForgotten(t *testing.T) {
	w := newWorld(t)
	s := w.source()
	old := w.mustToken(s)
	s.Refused(old)
	fresh := w.mustToken(s)
	s.Refused(old) // by a slower caller with the same old token
	if got := w.mustToken(s); got != fresh || w.refreshes() != 2 {
		t.Errorf("%d refreshes, want the fresh token kept", w.refreshes())
	}
}

// closing reports whether it was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// The contract of http.RoundTripper: the body is closed, also on errors.
func TestTransportClosesTheBodyWithoutAToken(t *testing.T) {
	w := newWorld(t)
	s := w.source(func(c *grant.Config) { c.ClientID = "client-2" })
	body := &closing{Reader: strings.NewReader("{}")}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, baseURL+"/calendar/v3/calendars", body)
	w.ok(err)
	res, err := (&grant.Transport{Source: s, Base: w.Transport()}).RoundTrip(r)
	if res != nil {
		_ = res.Body.Close()
	}
	if !failure.Is(err, failure.Transient) || failure.IsAmbiguous(err) || !body.closed {
		t.Errorf("error %v, body closed: %t", err, body.closed)
	}
	if n := len(w.Requests(google.Filter{})); n != 0 {
		t.Errorf("%d calls without a token", n)
	}
}

func TestTokenOfAnEarlierVersionIsNotUsed(t *testing.T) {
	w := newWorld(t)
	s := w.source()
	old := w.mustToken(s)
	w.connect()
	w.pass(10*time.Second + time.Millisecond) // the account is read anew
	if got := w.mustToken(s); got == old {
		t.Error("the token of version 1 is used on with version 2")
	}
}

// opener fails as KMS does.
type opener struct{ err error }

func (o opener) Open(context.Context, []byte, []byte) ([]byte, error) { return nil, o.err }

// A KMS that was away for a moment counted as a fault of the configuration, which
// nobody tries again.
func TestSealThatCannotBeOpened(t *testing.T) {
	for name, row := range map[string]struct {
		err  error
		kind failure.Kind
	}{
		"KMS is away":          {&failure.Error{Kind: failure.Transient, Op: "decrypt with the KMS key", Reason: "Unavailable"}, failure.Transient},
		"KMS has enough":       {&failure.Error{Kind: failure.RateLimited, Op: "decrypt with the KMS key"}, failure.RateLimited},
		"KMS refuses":          {&failure.Error{Kind: failure.Misconfigured, Op: "decrypt with the KMS key"}, failure.Misconfigured},
		"sealed for elsewhere": {seal.ErrOpen, failure.Misconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := grant.New(grant.Config{ClientID: clientID, ClientSecret: secret, Repeat: repeat}, w.accounts, opener{row.err}, &http.Client{}, w.now, slog.New(slog.NewTextHandler(w, nil)))
			w.refusedAs(s, row.kind)
			if a := w.account(); !a.Connected || w.refreshes() != 0 {
				t.Errorf("connected %t, %d questions", a.Connected, w.refreshes())
			}
		})
	}
}

func TestAccountIsReadAnewEveryTenSeconds(t *testing.T) {
	w := newWorld(t)
	s := w.source()
	if a, err := s.Account(t.Context()); err != nil || a.Email != owner || a.Version != 1 {
		t.Fatalf("account %+v, %v", a, err)
	}
	w.connect()
	w.pass(10 * time.Second)
	if a, err := s.Account(t.Context()); err != nil || a.Version != 1 {
		t.Errorf("version %d, %v; want the copy", a.Version, err)
	}
	w.pass(time.Millisecond)
	if a, err := s.Account(t.Context()); err != nil || a.Version != 2 {
		t.Errorf("version %d, %v; want it read anew", a.Version, err)
	}
}

func TestNeverConnectedIsRevokedUntilConnected(t *testing.T) {
	w := newWorld(t)
	b, err := bolt.Open(filepath.Join(t.TempDir(), "empty"), w.now, bolt.NoSync())
	w.ok(err)
	t.Cleanup(func() { w.ok(b.Close()) })
	w.accounts.Store = store.New(b)
	s := w.source()
	if _, err := s.Account(t.Context()); !failure.Is(err, failure.Revoked) {
		t.Errorf("error %v, want kind revoked", err)
	}
	w.refusedAs(s, failure.Revoked)
	if w.refreshes() != 0 || w.alarms() != 0 {
		t.Errorf("%d questions and %d alarms without an account", w.refreshes(), w.alarms())
	}
	w.connect()
	w.mustToken(s)
}
