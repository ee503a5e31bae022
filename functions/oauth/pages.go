package oauth

import (
	"bytes"
	"cmp"
	"crypto/rand"
	_ "embed"
	"html/template"
	"log/slog"
	"net/http"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
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

	// text names what the page says: oauth.<text>.title, .cause and .cures, a line each cure;
	// values fill it in.
	text   string
	values []any
	list   []string // what is missing: keys of oauth.scope
	note   string   // what became of it: a key of oauth.note; "" says nothing
	to     string   // the console's page that the link leads to; "" is its first one
}

func (r *refusal) Error() string { return "oauth: " + r.log }

func (r *refusal) Unwrap() error { return r.err }

func notFound() *refusal {
	return &refusal{status: http.StatusNotFound, log: "no such page", text: "no-page"}
}

// fail shows why something was refused.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	why, ok := err.(*refusal) //nolint:errorlint // made here, never wrapped
	if !ok {
		why = &refusal{status: http.StatusInternalServerError, log: "unexpected", err: err, text: "unexpected"}
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

	nonce, t := rand.Text(), h.translations.For(i18n.Match(r.Header.Get("Accept-Language")))
	var body bytes.Buffer
	err = page.Execute(&body, why.shown(t, h.console.URL(cmp.Or(why.to, "/"), nil), nonce))
	if err != nil {
		h.Log.ErrorContext(r.Context(), "page could not be made", "error", err)
		http.Error(w, "This page could not be made; the log says more.", http.StatusInternalServerError)
		return
	}
	signin.SetHeaders(w.Header(), "default-src 'none'; style-src 'nonce-"+nonce+"'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'", "no-referrer")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(why.status)
	// A browser that has gone needs no page.
	_, _ = w.Write(body.Bytes())
}

// shown is a refusal as the page shows it.
func (r *refusal) shown(t i18n.Texts, link, nonce string) map[string]any {
	say := func(part string) string { return t.T("oauth."+r.text+part, r.values...) }
	missing := make([]string, len(r.list))
	for i, scope := range r.list {
		missing[i] = t.T("oauth.scope.any") + " (" + scope + ")"
		if key := "oauth.scope." + strings.ReplaceAll(scope, ".", "-"); t.Has(key) {
			missing[i] = t.T("oauth.scope."+strings.ReplaceAll(scope, ".", "-")) + " (" + scope + ")"
		}
	}
	note := ""
	if r.note != "" {
		note = t.T("oauth.note." + r.note)
	}
	linkText := t.T("oauth.open-console")
	if r.to == "/signin" {
		linkText = t.T("oauth.sign-in")
	}
	return map[string]any{
		"Nonce": nonce, "Style": template.CSS(pageCSS), //nolint:gosec // our own file
		"Lang": t.Language, "Title": say(".title"), "Cause": say(".cause"), "List": missing, "Note": note,
		"ToDo": t.T("oauth.what-to-do"), "Cures": strings.Split(strings.TrimSpace(say(".cures")), "\n"), "Link": link, "LinkText": linkText,
	}
}
