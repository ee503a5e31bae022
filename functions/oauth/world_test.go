package oauth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/functions/oauth"
	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
	"github.com/erp-calendar/erp-calendar/shared/store/storetest"
)

const (
	issuer      = "https://google.test"
	oauthURL    = "https://oauth.test"
	consoleURL  = "https://console.test"
	admin       = "olena@example.com"
	integration = "calendars@example.com"
	stranger    = "mallory@example.net"
	secretText  = "client-secret-marker"
	scopes      = "https://www.googleapis.com/auth/"
)

// world is OAuth with the stand-in of Google, the embedded store and a clock.
type world struct {
	t      *testing.T
	google *google.Server
	store  *store.Store
	// touched sees what the store is asked.
	touched *storetest.Watch
	cipher  *seal.Local
	sent    *outbox
	logs    *bytes.Buffer
	cfg     oauth.Config
	deps    oauth.Deps
	site    http.Handler

	mu  sync.Mutex
	now time.Time
}

type outbox struct {
	mu       sync.Mutex
	messages map[string][]queue.Message
	err      error
}

func (o *outbox) Publish(_ context.Context, topic string, m ...queue.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	o.messages[topic] = append(o.messages[topic], m...)
	return nil
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func newWorld(t *testing.T, change ...func(*google.Options)) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), sent: &outbox{messages: map[string][]queue.Message{}}, logs: &bytes.Buffer{}}
	opt := google.Options{
		BaseURL: issuer, Now: w.clock, ClientID: "client-1", ClientSecret: secretText, RedirectURIs: []string{oauthURL + "/callback"},
		MoreClients: []google.Client{{ID: "client-2", Secret: secretText, RedirectURIs: []string{oauthURL + "/callback"}}},
		Accounts:    []google.Account{{Sub: "100", Email: admin}, {Sub: "200", Email: integration}, {Sub: "300", Email: stranger}},
		Seed:        1,
	}
	for _, c := range change {
		c(&opt)
	}
	w.google = google.New(opt)
	backend, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), w.clock, bolt.NoSync())
	if err != nil {
		t.Fatal(err)
	}
	w.touched = &storetest.Watch{Backend: backend}
	w.store = store.New(w.touched)
	t.Cleanup(func() { _ = w.store.Close() })
	w.cipher, err = seal.NewLocal(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	w.cfg = oauth.Config{ClientID: "client-1", ClientSecret: secretText, OAuthURL: oauthURL, ConsoleURL: consoleURL,
		AdminEmails: []string{" Olena@Example.com ", "other@example.com"}, IntegrationAccount: integration,
		EmployeeTopic: "employee-changes", Issuer: issuer, CalendarEndpoint: issuer + "/calendar/v3/"}
	w.deps = oauth.Deps{Store: w.store, Sealer: w.cipher, Publisher: w.sent,
		HTTP: &http.Client{Transport: w.google.Transport()}, Now: w.clock, Log: slog.New(slog.NewTextHandler(w.logs, nil))}
	w.start()
	return w
}

// start makes the function anew, as a deployment with another configuration does.
func (w *world) start() {
	w.t.Helper()
	site, err := oauth.New(w.cfg, w.deps)
	if err != nil {
		w.t.Fatal(err)
	}
	w.site = site
}

// browser follows nothing by itself and keeps cookies as browsers do.
type browser struct {
	w   *world
	jar http.CookieJar
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &browser{w, jar}
}

type page struct {
	status   int
	body     string
	location string
	header   http.Header
}

// open asks OAuth as the host does: the path without the function's name.
func (b *browser) open(address string) page { return b.send(http.MethodGet, address) }

func (b *browser) send(method, address string) page {
	t := b.w.t
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), method, address, nil)
	for _, c := range b.jar.Cookies(u) {
		r.AddCookie(c)
	}
	rec := httptest.NewRecorder()
	b.w.site.ServeHTTP(rec, r)
	res := rec.Result()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	b.jar.SetCookies(u, res.Cookies())
	for _, c := range res.Cookies() {
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Domain != "" || c.Path != "/" || !strings.HasPrefix(c.Name, "__Host-") {
			t.Errorf("cookie %s is not Secure, HttpOnly, Lax and host-only by its name", c.Name)
		}
	}
	checkHeaders(t, address, res.Header)
	return page{res.StatusCode, string(body), res.Header.Get("Location"), res.Header}
}

func checkHeaders(t *testing.T, address string, h http.Header) {
	t.Helper()
	csp := h.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("%s: Content-Security-Policy %q lacks %s", address, csp, want)
		}
	}
	if strings.Contains(csp, "unsafe") {
		t.Errorf("%s: Content-Security-Policy %q is lax", address, csp)
	}
	for name, want := range map[string]string{"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", address, name, got, want)
		}
	}
}

// hello is a console's N in these tests.
const hello = "console-pre-session-value"

// begin starts a sign-in and gives the address at Google.
func (b *browser) begin() string {
	b.w.t.Helper()
	p := b.open(oauthURL + "/signin?n=" + signin.Hash(hello))
	if p.status != http.StatusSeeOther || !strings.HasPrefix(p.location, issuer) {
		b.w.t.Fatalf("sign-in does not lead to Google: %d %s", p.status, p.body)
	}
	return p.location
}

// ticket makes a console's ticket and gives its value.
func (w *world) ticket(purpose signin.Purpose, email string) string {
	w.t.Helper()
	value := signin.Random()
	err := w.store.PutTicket(w.t.Context(), store.TicketRecord{ID: signin.Hash(value), Sub: "100", Email: email,
		Purpose: string(purpose), Console: signin.Hash("session")}, time.Minute)
	if err != nil {
		w.t.Fatal(err)
	}
	return value
}

// beginConnect starts a connection and gives the address at Google.
func (b *browser) beginConnect() string {
	b.w.t.Helper()
	p := b.open(oauthURL + "/connect?ticket=" + b.w.ticket(signin.Connect, admin))
	if p.status != http.StatusSeeOther || !strings.HasPrefix(p.location, issuer) {
		b.w.t.Fatalf("connect does not lead to Google: %d %s", p.status, p.body)
	}
	return p.location
}

// consent plays the person at Google's page.
func (w *world) consent(address, account string, granted ...string) string {
	w.t.Helper()
	back, err := w.google.Approve(address, account, granted...)
	if err != nil {
		w.t.Fatal(err)
	}
	return back
}

// connect connects an account and gives where the browser ends.
func (w *world) connect(account string, granted ...string) page {
	w.t.Helper()
	b := w.browser()
	return b.open(w.consent(b.beginConnect(), account, granted...))
}

// refreshToken opens the stored grant.
func (w *world) refreshToken() string {
	w.t.Helper()
	a, err := w.store.Account(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := w.cipher.Open(w.t.Context(), a.Sealed, seal.Additional(store.SealPath(a.Sub), a.Sub))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// alive reports whether Google still takes a refresh token.
func (w *world) alive(refresh string) bool {
	w.t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {w.cfg.ClientID}, "client_secret": {secretText}}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := w.deps.HTTP.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	return res.StatusCode == http.StatusOK
}

func (w *world) connected() bool {
	w.t.Helper()
	a, err := w.store.Account(w.t.Context())
	if errors.Is(err, store.ErrNotConnected) {
		return false
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return a.Connected
}

// give adds an employee with a calendar.
func (w *world) give(id int64) {
	w.t.Helper()
	_, err := w.store.AdoptCalendar(w.t.Context(), id, store.CalendarRecord{ID: fmt.Sprintf("cal-%d", id), Epoch: "e", From: w.clock()})
	if err != nil {
		w.t.Fatal(err)
	}
}

func param(address, name string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Query().Get(name)
}
