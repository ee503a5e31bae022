package google

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/api/calendar/v3"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// contentPolicy allows nothing but this server's own files. form-action is left
// out on the consent page alone: browsers apply it to the redirect that follows,
// which goes to the application.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"

func pageHeaders(formAction bool) http.Header {
	policy := contentPolicy
	if formAction {
		policy += "; form-action 'self'"
	}
	return http.Header{
		"Content-Type":            {"text/html; charset=utf-8"},
		"Content-Security-Policy": {policy},
		"Referrer-Policy":         {"no-referrer"},
		"X-Content-Type-Options":  {"nosniff"},
		"Cache-Control":           {"no-store"},
	}
}

func renderHTML(status int, name string, data any, formAction bool) answer {
	var buf bytes.Buffer
	t, err := template.ParseFS(templateFiles, "templates/*.html")
	if err == nil {
		err = t.ExecuteTemplate(&buf, name, data)
	}
	if err != nil {
		return answer{status: http.StatusInternalServerError, header: http.Header{"Content-Type": {"text/plain"}}, body: []byte("The page could not be made.\n")}
	}
	return answer{status: status, header: pageHeaders(formAction), body: buf.Bytes()}
}

func (a answer) send(w http.ResponseWriter) {
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the reader has gone: nobody to tell
}

func (s *Server) errorPage(e *pageError) answer {
	a := renderHTML(e.status, "error.html", map[string]any{"Base": s.basePath, "Status": e.status, "Code": e.code, "Detail": e.detail}, true)
	a.reason = e.code
	return a
}

// scopeText says in plain words what a scope allows.
func scopeText(scope string) string {
	switch strings.TrimPrefix(scope, scopePrefix) {
	case "calendar.app.created":
		return "Make secondary calendars, and see, create, change, and delete events on them"
	case "calendar.acls":
		return "See and change the sharing permissions of calendars you own"
	case "calendar.calendarlist.readonly":
		return "See the list of calendars you are subscribed to"
	case "calendar":
		return "See, edit, share, and permanently delete all the calendars you can access"
	case "calendar.events":
		return "View and edit events on all your calendars"
	case "openid":
		return "Associate you with your personal info"
	case "userinfo.email":
		return "See your primary e-mail address"
	case "userinfo.profile":
		return "See your personal info"
	}
	return strings.TrimPrefix(scope, scopePrefix)
}

func (s *Server) consentPage(a *authRequest, hinted *account) answer {
	type scopeRow struct {
		Scope, Text string
		Optional    bool
	}
	type accountRow struct {
		Email, Name, Initial string
		Chosen               bool
	}
	data := struct {
		Base, Client, Host string
		Hidden             [][2]string
		Scopes             []scopeRow
		Accounts           []accountRow
	}{Base: s.basePath, Client: a.client.ID, Host: a.redirect.Host}
	for _, k := range sortedKeys(a.query) {
		for _, v := range a.query[k] {
			data.Hidden = append(data.Hidden, [2]string{k, v})
		}
	}
	for _, sc := range a.scopes {
		data.Scopes = append(data.Scopes, scopeRow{sc, scopeText(sc), optional(sc)})
	}
	for i, acc := range s.order {
		initial := strings.ToUpper(string([]rune(acc.Name + acc.Email)[:1]))
		data.Accounts = append(data.Accounts, accountRow{acc.Email, acc.Name, initial, acc == hinted || hinted == nil && i == 0})
	}
	return renderHTML(http.StatusOK, "consent.html", data, false)
}

// servePage answers the browser: the week, its static files, its event stream
// and the owner's actions.
func (s *Server) servePage(w http.ResponseWriter, r *http.Request, path string) {
	switch {
	case (path == "/" || path == "") && r.Method == http.MethodGet:
		renderHTML(http.StatusOK, "week.html", s.weekPage(r.URL.Query()), true).send(w)
	case path == "/owner" && r.Method == http.MethodPost:
		s.ownerForm(w, r)
	case path == "/events-stream" && r.Method == http.MethodGet:
		s.stream(w, r)
	case path == "/static/grid.css":
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "max-age=300")
		_, _ = w.Write(gridCSS()) // the reader has gone: nobody to tell
	case strings.HasPrefix(path, "/static/"):
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeFileFS(w, r, staticFiles, strings.TrimPrefix(path, "/"))
	default:
		s.errorPage(&pageError{http.StatusNotFound, "not_found", "The requested URL was not found on this server."}).send(w)
	}
}

// stream tells the page by Server-Sent Events that something changed. It ends
// with the request's context.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	out := http.NewResponseController(w)
	// A server without deadlines cannot lift them: no matter.
	_ = out.SetWriteDeadline(time.Time{})
	w.WriteHeader(http.StatusOK)
	send := func(text string) bool {
		_, err := fmt.Fprint(w, text)
		return err == nil && out.Flush() == nil
	}
	changed := s.watch()
	if !send("retry: 3000\n: hello\n\n") {
		return
	}
	beat := time.NewTicker(20 * time.Second)
	defer beat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			if !send(": still here\n\n") {
				return
			}
		case <-changed:
			// Many changes at once are one message.
			if !sleep(r.Context(), 300*time.Millisecond) {
				return
			}
			changed = s.watch()
			if !send("event: changed\ndata: 1\n\n") {
				return
			}
		}
	}
}

// ownerForm is a person playing the account's owner.
func (s *Server) ownerForm(w http.ResponseWriter, r *http.Request) {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		s.errorPage(&pageError{http.StatusForbidden, "cross_origin", "This form belongs to the calendar page."}).send(w)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		s.errorPage(&pageError{http.StatusBadRequest, "bad_form", "The form is malformed."}).send(w)
		return
	}
	back, err := url.ParseQuery(r.PostForm.Get("back"))
	if err != nil {
		back = url.Values{}
	}
	if err := s.ownerAction(r.PostForm, back); err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, ErrNotThere) {
			status = http.StatusNotFound
		}
		s.errorPage(&pageError{status, "not_done", err.Error()}).send(w)
		return
	}
	http.Redirect(w, r, s.basePath+"/?"+back.Encode(), http.StatusSeeOther) //nolint:gosec // this page itself; only its query, encoded, is the caller's
}

// ownerAction does what the form asks; it drops from back what is gone.
func (s *Server) ownerAction(f, back url.Values) error {
	cal, ev := f.Get("calendar"), f.Get("event")
	switch f.Get("action") {
	case "delete-event":
		back.Del("event")
		back.Del("calendar")
		return s.DeleteEvent(cal, ev)
	case "copy-event":
		_, err := s.CopyEvent(cal, ev, cal)
		return err
	case "edit-event":
		err := s.EditEvent(cal, ev, func(e *calendar.Event) {
			e.Summary, e.Location = f.Get("summary"), f.Get("location")
		})
		if err != nil || f.Get("start") == f.Get("was") {
			return err
		}
		start, err := s.parseLocal(cal, f.Get("start"))
		if err != nil {
			return err
		}
		return s.MoveEvent(cal, ev, start)
	case "remove-share":
		return s.RemoveShare(cal, f.Get("address"))
	case "set-share":
		return s.SetShare(cal, strings.TrimSpace(f.Get("address")), f.Get("role"))
	case "accept-share":
		return s.AcceptShare(cal, f.Get("address"))
	case "delete-calendar":
		back.Del("calendar")
		back.Del("event")
		back["cal"] = slices.DeleteFunc(back["cal"], func(id string) bool { return id == cal })
		return s.DeleteCalendar(cal)
	}
	return fmt.Errorf("there is no action %q", f.Get("action"))
}

// parseLocal reads a datetime-local or date field in the calendar's zone.
func (s *Server) parseLocal(calendarID, v string) (time.Time, error) {
	s.mu.Lock()
	cal, err := s.liveCalendar(calendarID)
	s.mu.Unlock()
	if err != nil {
		return time.Time{}, err
	}
	for _, layout := range []string{"2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, v, cal.zone()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time", v)
}
