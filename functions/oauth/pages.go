package oauth

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"html/template"
	"log/slog"
	"net/http"

	"github.com/erp-calendar/erp-calendar/shared/signin"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

var page = template.Must(template.New("page").Parse(pageHTML))

// refusal is why a step was not done, in words for the person at the browser.
type refusal struct {
	status int
	// log is the cause for the log, a fixed word or two; reason is Google's code
	// where we know it; err is already stripped of anything secret.
	log, reason string
	err         error

	title, cause string
	list         []string // what is missing
	note         string   // what became of it
	cures        []string

	link, linkText string
}

func (r *refusal) Error() string { return "oauth: " + r.log }

func (r *refusal) Unwrap() error { return r.err }

func notFound(console string) *refusal {
	return &refusal{status: http.StatusNotFound, log: "no such page", title: "There is no such page",
		cause: "This site only serves the sign-in with Google.", cures: []string{"Open the console."}, link: console, linkText: "Open the console"}
}

// fail shows why something was refused.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	why, ok := err.(*refusal) //nolint:errorlint // made here, never wrapped
	if !ok {
		why = &refusal{status: http.StatusInternalServerError, log: "unexpected", err: err, title: "Something went wrong here",
			cause: "This is a fault of erp-calendar, not yours.", cures: []string{"Start again from the console; the log says more."},
			link: h.console.URL("/", nil), linkText: "Open the console"}
	}
	level := slog.LevelInfo
	if why.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	attrs := []any{"page", r.URL.Path, "status", why.status, "cause", why.log}
	if why.reason != "" {
		attrs = append(attrs, "reason", why.reason)
	}
	if why.err != nil {
		attrs = append(attrs, "error", why.err)
	}
	if why.status == http.StatusNotFound {
		attrs[1] = "unknown" // whatever somebody typed stays out of the log
	}
	h.Log.Log(r.Context(), level, "refused", attrs...)

	nonce := rand.Text()
	var body bytes.Buffer
	err = page.Execute(&body, map[string]any{
		"Nonce": nonce, "Style": template.CSS(pageCSS), //nolint:gosec // our own file
		"Title": why.title, "Cause": why.cause, "List": why.list, "Note": why.note, "Cures": why.cures,
		"Link": why.link, "LinkText": why.linkText,
	})
	if err != nil {
		h.Log.ErrorContext(r.Context(), "page could not be made", "error", err)
		http.Error(w, why.title, http.StatusInternalServerError)
		return
	}
	signin.SetHeaders(w.Header(), "default-src 'none'; style-src 'nonce-"+nonce+"'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'", "no-referrer")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(why.status)
	// A browser that has gone needs no page.
	_, _ = w.Write(body.Bytes())
}
