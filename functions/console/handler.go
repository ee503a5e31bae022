// Package console is the function Console: the pages on which an admin sees whether every
// calendar is right and why one is not, connects the central account, changes settings
// after a plan of what that would do, decides what is held or found, and sees what was
// done; and the employees' guide, which anybody may read (functions/README.md). It must
// never call Google or write to the ERP, never see a token, never touch a calendar but by
// asking the workers, and never show or do anything of the installation's without a
// session whose address is on the allow-list at that very moment.
package console

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/checkup"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/rulebook"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// Deadlines of what a request waits for.
const (
	storeDeadline   = 10 * time.Second
	publishDeadline = 10 * time.Second
	erpDeadline     = 6 * time.Second
	maxForm         = 256 << 10
	maxWanted       = 1 << 10 // the address of a page, in a cookie
)

// policy is the Content-Security-Policy of every page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// Config is what the function has to know (functions/README.md, Configuration).
type Config struct {
	OAuthURL, ConsoleURL string
	AdminEmails          []string
	// AlertEmails are the addresses that alerts go to, for the overview to show.
	AlertEmails []string
	// RequestsPerMinute is Google's limit for the account (rule 6.1), to compare with.
	RequestsPerMinute int
	// CalendarsPerHour and CalendarsPerDay are how many new calendars, each with an invitation,
	// there are at most (rule 6.5).
	CalendarsPerHour, CalendarsPerDay int
	IntegrationAccount                string
	// ERPURL is the ERP's address, and ERPKeyInQuery whether its key is sent in the URL.
	ERPURL                   string
	ERPKeyInQuery            bool
	SessionKey               []byte
	TaskTopic, EmployeeTopic string
}

// Settings is what the function needs of settings.Source.
type Settings interface {
	Settings(ctx context.Context) (calendarsync.Settings, error)
	Saved(ctx context.Context) (settings.Saved, error)
	Apply(ctx context.Context, next calendarsync.Settings, by string, version int64, plan *store.SettingsPlan) error
}

// ERP reads what an admin picks from and what a save would do; userside.Client does.
type ERP interface {
	// Catalogue reads the states and types of tasks, States and Types each alone.
	Catalogue(ctx context.Context) (calendarsync.Catalogue, error)
	States(ctx context.Context) (calendarsync.Catalogue, error)
	Types(ctx context.Context) (types map[calendarsync.TypeID]calendarsync.TaskType, odd []error, err error)
	// EmployeeCards reads all employees, of known those too who spoil the list, and the
	// captions of their cards' fields.
	EmployeeCards(ctx context.Context, known userside.Known) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, map[calendarsync.FieldID]string, error)
	// Clock reads the ERP's time.
	Clock(ctx context.Context) (userside.Clock, error)
	// Divisions reads the divisions' names.
	Divisions(ctx context.Context) (map[calendarsync.DivisionID]string, error)
	// ListTasks lists the ids of tasks, and TasksWith reads some with what templates show.
	ListTasks(ctx context.Context, f userside.TaskFilter) ([]calendarsync.TaskID, error)
	TasksWith(ctx context.Context, ids []calendarsync.TaskID, extras calendarsync.Extras) (map[calendarsync.TaskID]calendarsync.TaskReading, error)
}

// Deps are what the function works with.
type Deps struct {
	Store    Store
	Settings Settings
	ERP      ERP
	// Examined gives the ERP's client for the doctor; inForm has it send the key in the form,
	// whatever is configured.
	Examined  func(inForm bool) (checkup.ERP, error)
	Publisher queue.Publisher
	Now       func() time.Time
	Log       *slog.Logger
}

type handler struct {
	Deps
	cfg            Config
	oauth, console signin.Site
	admins         signin.AllowList
	sessions       *signin.Sessions
	translations   *i18n.Catalogue
	routes         http.Handler
	assets         assets
	guides         map[string]guidePage // by language
	rules          *rulebook.Source
}

// New makes the function's handler. The only errors are malformed public URLs and
// a session key of a wrong length.
func New(cfg Config, deps Deps) (http.Handler, error) {
	oauthSite, err := signin.NewSite(cfg.OAuthURL)
	if err != nil {
		return nil, fmt.Errorf("OAUTH_URL: %w", err)
	}
	consoleSite, err := signin.NewSite(cfg.ConsoleURL)
	if err != nil {
		return nil, fmt.Errorf("CONSOLE_URL: %w", err)
	}
	sessions, err := signin.NewSessions(cfg.SessionKey, deps.Now)
	if err != nil {
		return nil, fmt.Errorf("SESSION_KEY: %w", err)
	}
	translations, err := i18n.Load()
	if err != nil {
		return nil, err
	}
	shown, err := pagesOf(consoleSite.Path(""))
	if err != nil {
		return nil, err
	}
	h := &handler{Deps: deps, cfg: cfg, oauth: oauthSite, console: consoleSite,
		admins: signin.NewAllowList(cfg.AdminEmails), sessions: sessions, translations: translations, assets: shown.assets, guides: shown.guides}

	h.rules = rulebook.New(deps.Settings, deps.ERP, readOnly{deps.Store}, deps.Now, deps.Log)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /signin", h.signIn)
	mux.HandleFunc("GET /signin/finish", h.finish)
	mux.HandleFunc("GET /static/{file}", h.static)
	mux.HandleFunc("GET /guide", h.anyGuide)
	mux.HandleFunc("GET /guide/{language}", h.guide)
	mux.HandleFunc("GET /{$}", h.page(h.overview))
	mux.HandleFunc("GET /connect", h.page(h.connect))
	mux.HandleFunc("GET /figures", h.page(h.showFigures))
	mux.HandleFunc("GET /connections", h.page(h.showConnections))
	mux.HandleFunc("POST /connections/test", h.action(h.testERP))
	mux.HandleFunc("POST /connections/doctor", h.action(h.runCheckup))
	mux.HandleFunc("GET /settings", h.page(h.showSettings))
	mux.HandleFunc("GET /api/status", h.apiStatus)
	mux.HandleFunc("POST /language", h.chooseLanguage)
	mux.HandleFunc("POST /signout", h.action(h.signOut))
	mux.HandleFunc("POST /signout/all", h.action(h.signOutAll))
	mux.HandleFunc("POST /settings", h.action(planned(h.saveSettings)))
	mux.HandleFunc("POST /settings/apply", h.action(planned(h.applySettings)))
	mux.HandleFunc("POST /settings/edit", h.action(planned(h.editSettings)))
	mux.HandleFunc("GET /settings/plan", h.page(planned(h.showCounted)))
	mux.HandleFunc("GET /setup", h.page(planned(h.showSetup)))
	mux.HandleFunc("POST /setup", h.action(planned(h.startSetup)))
	mux.HandleFunc("GET /settings/history", h.page(h.showHistory))
	mux.HandleFunc("POST /settings/restore", h.action(planned(h.restoreSettings)))
	mux.HandleFunc("POST /run", h.action(h.run))
	mux.HandleFunc("GET /activity", h.page(h.showActivity))
	mux.HandleFunc("GET /activity.csv", h.page(h.exportActivity))
	mux.HandleFunc("GET /failures", h.page(h.showFailures))
	mux.HandleFunc("POST /failures/retry", h.action(h.retryFailures))
	mux.HandleFunc("POST /failures/dismiss", h.action(h.dismissFailures))
	mux.HandleFunc("GET /held", h.page(h.showHeld))
	mux.HandleFunc("POST /held/review", h.action(h.reviewHeld))
	mux.HandleFunc("POST /held/confirm", h.action(h.confirmHeld))
	mux.HandleFunc("POST /held/again", h.action(h.recheckHeld))
	mux.HandleFunc("POST /held/drop", h.action(h.dropHeld))
	mux.HandleFunc("POST /held/reopen", h.action(h.reopenHeld))
	mux.HandleFunc("GET /takeover", h.page(h.showTakeover))
	mux.HandleFunc("POST /takeover", h.action(h.takeover))
	mux.HandleFunc("GET /purge", h.page(h.showPurge))
	mux.HandleFunc("POST /purge", h.action(h.purge))
	mux.HandleFunc("POST /purge/stop", h.action(h.stopPurge))
	mux.HandleFunc("GET /employees", h.page(h.showPeople))
	mux.HandleFunc("POST /employees/sync", h.action(h.syncPeople))
	mux.HandleFunc("POST /employees/invite", h.action(h.invitePeople))
	mux.HandleFunc("GET /employees/{id}", h.page(h.showPerson))
	mux.HandleFunc("GET /tasks", h.page(h.findTask))
	mux.HandleFunc("GET /tasks/{id}", h.page(h.showTask))
	mux.HandleFunc("GET /employees/{id}/rebuild", h.page(h.showRebuild))
	mux.HandleFunc("POST /employees/{id}/rebuild", h.action(h.rebuild))
	mux.HandleFunc("GET /employees/{id}/replace", h.page(h.showReplace))
	mux.HandleFunc("POST /employees/{id}/replace", h.action(h.replace))
	mux.HandleFunc("POST /employees/{id}/invite", h.action(h.invite))
	mux.HandleFunc("POST /employees/{id}/sync", h.action(h.syncEmployee))
	mux.HandleFunc("POST /tasks/{id}/sync", h.action(h.syncTask))
	mux.HandleFunc("/", h.page(h.notFound))

	// Sec-Fetch-Site and Origin say whether a POST comes from our own pages; the
	// CSRF token holds where a browser sends neither.
	guard := http.NewCrossOriginProtection()
	if err := guard.AddTrustedOrigin(consoleSite.Origin()); err != nil {
		return nil, fmt.Errorf("CONSOLE_URL: %w", err)
	}
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.say(w, r, http.StatusForbidden, "other-site", "/")
	}))
	// Jitter hides from the length of an answer what a secret in it has in common with what
	// somebody else could put there.
	compressed, err := gzhttp.NewWrapper(gzhttp.MinSize(1024), gzhttp.RandomJitter(32, 0, false))
	if err != nil {
		return nil, fmt.Errorf("compress answers: %w", err)
	}
	h.routes = compressed(guard.Handler(mux))
	return h, nil
}

// ServeHTTP sets the headers of every answer, whatever becomes of it.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// same-origin, so that older browsers still send Origin with our forms; the one
	// address that holds a ticket sets no-referrer.
	signin.SetHeaders(w.Header(), policy, "same-origin")
	if !strings.HasPrefix(r.URL.Path, "/") {
		// A host that strips "/Console" leaves nothing of the address without slash.
		u := *r.URL
		u.Path = "/" + u.Path
		q := *r
		q.URL = &u
		r = &q
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	h.routes.ServeHTTP(w, r)
}

// withSession is a page or action for an admin who is signed in.
type withSession func(w http.ResponseWriter, r *http.Request, s signin.Session)

// session gives the session of a request; found is false where there is none or it was
// ended. allowed is false where the address is not, or no longer, on the list.
func (h *handler) session(r *http.Request) (s signin.Session, found, allowed bool, err error) {
	cookie, err := r.Cookie(h.console.CookieName(sessionCookie))
	if err != nil {
		return signin.Session{}, false, false, nil
	}
	s, err = h.sessions.Read(cookie.Value)
	if err != nil {
		return signin.Session{}, false, false, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	ended, err := h.Store.SessionEnded(ctx, signin.Hash(s.ID), s.Generation)
	if err != nil || ended {
		return signin.Session{}, false, false, err
	}
	return s, true, h.admins.Allows(s.Email), nil
}

// page serves a page to admins and sends everybody else to sign in.
func (h *handler) page(next withSession) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, _, allowed, err := h.session(r)
		switch {
		case err != nil:
			h.trouble(w, r, "look whether the session was ended", err)
		case !allowed:
			if wanted := r.URL.RequestURI(); r.Method == http.MethodGet && len(wanted) < maxWanted {
				http.SetCookie(w, h.console.Cookie(wantedCookie, url.QueryEscape(wanted), handoverLasts))
			}
			h.redirect(w, h.console.URL("/signin", nil))
		default:
			next(w, h.withLanguage(r), s)
		}
	}
}

// action serves a form that an admin sent, if it carries the session's token.
func (h *handler) action(next withSession) http.HandlerFunc {
	return h.page(func(w http.ResponseWriter, r *http.Request, s signin.Session) {
		if err := r.ParseForm(); err != nil {
			h.say(w, r, http.StatusBadRequest, "form-unreadable", "/")
			return
		}
		if !h.sessions.ValidCSRF(s, r.PostForm.Get("csrf")) {
			h.say(w, r, http.StatusForbidden, "page-out-of-date", "/")
			return
		}
		h.recorded(next)(w, r, s)
	})
}

// redirect answers 303 with the address in the header only.
func (h *handler) redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

func (h *handler) notFound(w http.ResponseWriter, r *http.Request, _ signin.Session) {
	h.say(w, r, http.StatusNotFound, "no-page", "/")
}

// trouble shows that the database did not answer.
func (h *handler) trouble(w http.ResponseWriter, r *http.Request, what string, err error) {
	h.Log.ErrorContext(r.Context(), "the database did not answer", "doing", what, "error", err)
	again := here(r)
	if r.Method == http.MethodPost {
		again = back(r, "/").String()
	}
	h.say(w, r, http.StatusServiceUnavailable, "no-database", again)
}
