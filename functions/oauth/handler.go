// Package oauth is the function OAuth: the only place that talks to Google's
// sign-in (functions/README.md, Sign-in hand-over). It signs admins in for the console
// and takes the central account's consent. It must never make a session, never
// store a refresh token at a sign-in, and never put a code, state, ticket or
// token into a page, a log or an error.
package oauth

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// How long each step of the hand-over may take (functions/README.md).
const (
	signInLasts = 10 * time.Minute
	ticketLasts = 60 * time.Second
	// callDeadline bounds each call to Google, storeDeadline each to the store.
	callDeadline  = 10 * time.Second
	storeDeadline = 8 * time.Second
)

// Config is what the function has to know (functions/README.md, Configuration).
type Config struct {
	ClientID, ClientSecret string
	OAuthURL, ConsoleURL   string
	AdminEmails            []string
	IntegrationAccount     string
	EmployeeTopic          string
	// Issuer is GOOGLE_ISSUER, read by OIDC discovery at the first use;
	// CalendarEndpoint is CALENDAR_ENDPOINT.
	Issuer, CalendarEndpoint string
}

// Store is what the function needs of store.Store.
type Store interface {
	Installation(ctx context.Context) (store.InstallationRecord, error)
	FinishSignIn(ctx context.Context, id string, ttl time.Duration) (first bool, err error)
	PinAdmin(ctx context.Context, id, sub string) (pinned string, err error)
	PutTicket(ctx context.Context, rec store.TicketRecord, ttl time.Duration) error
	TakeTicket(ctx context.Context, id string) (store.TicketRecord, bool, error)
	Account(ctx context.Context) (store.AccountRecord, error)
	Connect(ctx context.Context, a store.AccountRecord, known bool) (store.AccountRecord, error)
	GrantAlarmed(ctx context.Context, sub string, version int64) error
	Employees(ctx context.Context) ([]store.EmployeeRecord, error)
}

// Sealer encrypts the refresh token; seal.Cipher is one.
type Sealer interface {
	Seal(ctx context.Context, plaintext, additional []byte) ([]byte, error)
}

// Deps are what the function works with.
type Deps struct {
	Store     Store
	Sealer    Sealer
	Publisher queue.Publisher
	// HTTP makes the calls to Google; nil is a client of its own.
	HTTP *http.Client
	Now  func() time.Time
	Log  *slog.Logger
}

type handler struct {
	Deps
	cfg            Config
	oauth, console signin.Site
	admins         signin.AllowList
	provider       atomic.Pointer[provider]
	// cookies seals what OAuth keeps in a browser.
	cookies *seal.Local
}

// New makes the function's handler. Its errors tell of malformed public URLs.
func New(cfg Config, deps Deps) (http.Handler, error) {
	oauthSite, err := signin.NewSite(cfg.OAuthURL)
	if err != nil {
		return nil, fmt.Errorf("OAUTH_URL: %w", err)
	}
	consoleSite, err := signin.NewSite(cfg.ConsoleURL)
	if err != nil {
		return nil, fmt.Errorf("CONSOLE_URL: %w", err)
	}
	if deps.HTTP == nil {
		deps.HTTP = &http.Client{}
	}
	client := *deps.HTTP
	if client.Timeout == 0 {
		// go-oidc reads Google's signing keys without our context's deadline.
		client.Timeout = callDeadline
	}
	deps.HTTP = &client
	cookies, err := newCookieSeal(cfg.ClientSecret)
	if err != nil {
		return nil, err
	}
	h := &handler{Deps: deps, cfg: cfg, oauth: oauthSite, console: consoleSite, admins: signin.NewAllowList(cfg.AdminEmails), cookies: cookies}
	return h, nil
}

// ServeHTTP routes by hand: a HEAD request, such as a link preview's, must not
// use up a ticket or a state, as a GET pattern of ServeMux would let it.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var serve func(http.ResponseWriter, *http.Request) error
	// A host that strips "/OAuth/" leaves nothing of the address but its end.
	switch "/" + strings.TrimPrefix(r.URL.Path, "/") {
	case "/signin":
		serve = h.signIn
	case "/connect":
		serve = h.connect
	case "/callback":
		serve = h.callback
	default:
		h.fail(w, r, notFound(h.console.URL("/", nil)))
		return
	}
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		h.fail(w, r, &refusal{status: http.StatusMethodNotAllowed, log: "method", title: "This page is opened by a link only",
			cause: "The browser sent something else than a plain request for the page.",
			cures: []string{"Open the console and start again from there."}, link: h.console.URL("/", nil), linkText: "Open the console"})
		return
	}
	if err := serve(w, r); err != nil {
		h.fail(w, r, err)
	}
}

// signIn starts an admin's sign-in for the console that holds N.
func (h *handler) signIn(w http.ResponseWriter, r *http.Request) error {
	n := r.URL.Query().Get("n")
	if !signin.WellFormed(n) {
		return &refusal{status: http.StatusBadRequest, log: "no hand-over", title: "Please start at the console",
			cause: "This address only works when the console leads to it.",
			cures: []string{"Open the console; it brings you here by itself."}, link: h.console.URL("/signin", nil), linkText: "Sign in"}
	}
	// select_account: whoever was refused can choose another account next time.
	return h.start(w, r, signin.SignIn, n, []string{"openid", "email"},
		oauth2.SetAuthURLParam("prompt", "select_account"))
}

// connect starts the central account's consent for the admin whom the console
// gave a ticket.
func (h *handler) connect(w http.ResponseWriter, r *http.Request) error {
	again := func(log, cause string) error {
		return &refusal{status: http.StatusBadRequest, log: log, title: "This link to connect is used up", cause: cause,
			cures: []string{"Open the console and press Connect again."}, link: h.console.URL("/", nil), linkText: "Open the console"}
	}
	value := r.URL.Query().Get("ticket")
	if !signin.WellFormed(value) {
		return again("ticket malformed", "It carries no ticket from the console.")
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	ticket, found, err := h.Store.TakeTicket(ctx, signin.Hash(value))
	if err != nil {
		return h.storeTrouble(err)
	}
	if !found {
		return again("ticket unknown", "It works once and for one minute only; it was used before or is too old.")
	}
	if ticket.Purpose != string(signin.Connect) {
		return again("ticket of another purpose", "It was made for something else.")
	}
	if !h.admins.Allows(ticket.Email) {
		return h.notListed()
	}
	return h.start(w, r, signin.Connect, ticket.Console, append([]string{"openid", "email"}, googlecalendar.Scopes()...),
		oauth2.AccessTypeOffline,
		// A refresh token comes for certain only with a new consent.
		oauth2.SetAuthURLParam("prompt", "consent select_account"),
		oauth2.SetAuthURLParam("login_hint", h.cfg.IntegrationAccount))
}

// start keeps in the browser what the callback will need and sends it to Google.
func (h *handler) start(w http.ResponseWriter, r *http.Request, purpose signin.Purpose, console string, scopes []string, opts ...oauth2.AuthCodeOption) error {
	google, err := h.discover(r.Context())
	if err != nil {
		return err
	}
	state, nonce, verifier := signin.Random(), signin.Random(), oauth2.GenerateVerifier()
	if err := h.keep(r.Context(), w, signin.Hash(state), begun{Purpose: purpose, Console: console, Verifier: verifier, Nonce: nonce}); err != nil {
		return err
	}
	opts = append(opts, oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("nonce", nonce))
	h.redirect(w, h.client(google, scopes).AuthCodeURL(state, opts...))
	return nil
}

// cookieName gives each sign-in under way a cookie of its own, so that two tabs
// do not disturb each other. It is made of H(state), which is no secret.
func cookieName(id string) string { return "erp_calendar_oauth_" + id[:12] }

func (h *handler) client(google *provider, scopes []string) *oauth2.Config {
	endpoint := google.Endpoint()
	// Said outright, because the library would otherwise find out by trying, which
	// uses up the code.
	endpoint.AuthStyle = oauth2.AuthStyleInParams
	return &oauth2.Config{ClientID: h.cfg.ClientID, ClientSecret: h.cfg.ClientSecret, Endpoint: endpoint,
		RedirectURL: h.redirectURI(), Scopes: scopes}
}

func (h *handler) redirectURI() string { return h.oauth.URL("/callback", nil) }

// redirect answers 303 without the page that http.Redirect would write the
// address, and with it state or ticket, into.
func (h *handler) redirect(w http.ResponseWriter, to string) {
	signin.SetHeaders(w.Header(), "default-src 'none'; frame-ancestors 'none'; base-uri 'none'", "no-referrer")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// toConsole sends the browser back to the console.
func (h *handler) toConsole(w http.ResponseWriter, path string, query url.Values) {
	h.redirect(w, h.console.URL(path, query))
}

func (h *handler) storeTrouble(err error) error {
	return &refusal{status: http.StatusServiceUnavailable, log: "store", err: err, title: "Our database did not answer",
		cause: "What this step needs could not be read or written just now. Nothing was changed.",
		cures: []string{"Wait a minute and start again from the console."}, link: h.console.URL("/", nil), linkText: "Open the console"}
}

func (h *handler) notListed() error {
	return &refusal{status: http.StatusForbidden, log: "not on the allow-list", title: "This account may not sign in",
		cause: "Its e-mail address is not on the list of admins of this installation.",
		cures: []string{
			"Sign in with another Google account, if yours is on the list.",
			"Or ask whoever runs erp-calendar to add the address to ADMIN_EMAILS.",
		}, link: h.console.URL("/signin", nil), linkText: "Sign in with another account"}
}
