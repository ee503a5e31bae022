package functions_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/calendar/v3"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
	"github.com/erp-calendar/erp-calendar/shared/store/storetest"
	"github.com/erp-calendar/erp-calendar/shared/webhook"
)

// anonymous is a browser, or anything else, that nobody knows.
type anonymous struct {
	*visitor
	stranger string // a Google account that is on no list
}

func (a anonymous) send(method, path string, header http.Header, body string) *http.Response {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.w.URL+path, strings.NewReader(body))
	must(a.t, err)
	for name, values := range header {
		r.Header[name] = values
	}
	res, err := a.client.Do(r)
	must(a.t, err)
	_, err = io.Copy(io.Discard, res.Body)
	must(a.t, err)
	must(a.t, res.Body.Close())
	return res
}

func (a anonymous) get(path string) *http.Response { return a.send(http.MethodGet, path, nil, "") }

// begun is a sign-in begun: Google's address, and the state in it.
func (a anonymous) begun() (address, state string) {
	a.t.Helper()
	address = a.get("/OAuth/signin?n=" + signin.Random()).Header.Get("Location")
	u, err := url.Parse(address)
	must(a.t, err)
	return address, u.Query().Get("state")
}

// forged are the headers of a notification that somebody else signed.
func forged(t *testing.T, body string) http.Header {
	t.Helper()
	key, err := webhook.ParseKey("whsec_" + strings.Repeat("AAAA", 8))
	must(t, err)
	h, err := webhook.Sign(key, "msg_1", time.Now(), []byte(body))
	must(t, err)
	h.Set("Content-Type", "application/json")
	return h
}

// strangers are the rows of functions/README.md, Strangers: each prepares, then gives the
// one request that is counted.
func strangers(t *testing.T) map[string]func(a anonymous) func() {
	simply := func(method, path string) func(a anonymous) func() {
		return func(a anonymous) func() { return func() { a.send(method, path, nil, "") } }
	}
	with := func(query string) func(a anonymous) func() {
		return func(a anonymous) func() {
			_, state := a.begun()
			return func() { a.get("/OAuth/callback?" + query + "&state=" + state) }
		}
	}
	const task = `{"type":"task.changed","data":{"ids":[1]}}`
	return map[string]func(a anonymous) func(){
		"Console: a page without a session":            simply(http.MethodGet, "/Console/settings"),
		"Console: an action without a session":         simply(http.MethodPost, "/Console/run"),
		"Console: GET /api/status without a session":   simply(http.MethodGet, "/Console/api/status"),
		"Console: GET /signin":                         simply(http.MethodGet, "/Console/signin"),
		"Console: GET /signin/finish without a ticket": simply(http.MethodGet, "/Console/signin/finish"),
		"Console: GET /signin/finish with one made up": simply(http.MethodGet, "/Console/signin/finish?ticket="+signin.Random()),
		"Console: GET /static/app.css":                 simply(http.MethodGet, "/Console/static/app.css"),
		"Console: GET /guide/en":                       simply(http.MethodGet, "/Console/guide/en"),
		"OAuth: GET /signin":                           simply(http.MethodGet, "/OAuth/signin?n="+signin.Random()),
		"OAuth: GET /connect without a ticket":         simply(http.MethodGet, "/OAuth/connect"),
		"OAuth: GET /connect with one made up":         simply(http.MethodGet, "/OAuth/connect?ticket="+signin.Random()),
		"OAuth: GET /callback without a sign-in begun": simply(http.MethodGet, "/OAuth/callback?code=x&state="+signin.Random()),
		"OAuth: GET /callback with an error":           with("error=server_error"),
		"OAuth: GET /callback with a code made up":     with("code=x"),
		"OAuth: GET /callback of an account on no list": func(a anonymous) func() {
			address, _ := a.begun()
			back, err := a.w.Google.Approve(address, a.stranger)
			must(a.t, err)
			return func() { a.get(strings.TrimPrefix(back, a.w.URL)) }
		},
		"OAuth: another path": simply(http.MethodGet, "/OAuth/x"),
		"Notify: POST / unsigned": func(a anonymous) func() {
			return func() { a.send(http.MethodPost, "/Notify/", http.Header{"Content-Type": {"application/json"}}, task) }
		},
		"Notify: POST / signed by somebody else": func(a anonymous) func() {
			header := forged(t, task)
			return func() { a.send(http.MethodPost, "/Notify/", header, task) }
		},
		"Notify: GET /employees/1 unsigned": simply(http.MethodGet, "/Notify/employees/1"),
		"Notify: another path":              simply(http.MethodGet, "/Notify/x"),
	}
}

// What a stranger's request costs is what the contract says, and no more (rule 10.9).
func TestWhatStrangersCost(t *testing.T) {
	t.Parallel()
	backend, err := bolt.Open(filepath.Join(t.TempDir(), "state.db"), time.Now, bolt.NoSync())
	must(t, err)
	t.Cleanup(func() { _ = backend.Close() })
	touched := &storetest.Watch{Backend: backend}
	w := world.New(t, world.Options{Backend: touched, Quiet: true})
	const stranger = "mallory@elsewhere.example"
	w.Google.AddAccount(fakegoogle.Account{Sub: "666", Email: stranger})
	w.Idle()
	fresh := func() anonymous { return anonymous{newVisitor(t, w), stranger} }
	// The discovery document and Google's keys are read once by an instance.
	warm := fresh()
	address, _ := warm.begun()
	back, err := w.Google.Approve(address, stranger)
	must(t, err)
	warm.get(strings.TrimPrefix(back, w.URL))

	got := map[string][]string{}
	for name, prepare := range strangers(t) {
		send := prepare(fresh())
		w.Idle()
		touched.Take()
		w.Google.ResetRequests()
		logged := w.Log.String()
		before := published(t, w)
		send()
		got[name] = []string{
			costInStore(t, name, touched.Take()), times(published(t, w)-before, "message"),
			times(len(w.Google.Requests(fakegoogle.Filter{})), "call"), costInLog(strings.TrimPrefix(w.Log.String(), logged)),
		}
	}
	text, err := os.ReadFile("README.md")
	must(t, err)
	if diff := cmp.Diff(strangersTable(t, string(text)), got); diff != "" {
		t.Errorf("the table is not what was seen (-table +seen):\n%s", diff)
	}
}

// published counts the messages that every subscription was given, done or not.
func published(t *testing.T, w *world.World) int {
	t.Helper()
	n := 0
	for _, name := range []string{"sync-task", "sync-employee", "dead-letter"} {
		c, err := w.Deployment.PubSub.Counts(name)
		must(t, err)
		n += c.Acked + c.DeadLettered + c.Outstanding()
	}
	return n
}

func times(n int, what string) string {
	switch n {
	case 0:
		return "–"
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// costInStore also judges: no shared document, and nothing written.
func costInStore(t *testing.T, name string, touched []storetest.Touch) string {
	t.Helper()
	for _, one := range touched {
		if one.Write || one.Ref.Collection != store.Tickets || one.Ref.ID == "" {
			t.Errorf("%s touched %+v", name, one)
		}
	}
	return times(len(touched), "read")
}

func costInLog(lines string) string {
	for _, level := range []string{"ERROR", "WARNING", "INFO"} {
		if strings.Contains(lines, `"severity":"`+level+`"`) {
			return times(strings.Count(lines, "\n"), "line") + ", " + level
		}
	}
	return times(strings.Count(lines, "\n"), "line")
}

// strangersTable reads the table of the contract's section Strangers.
func strangersTable(t *testing.T, text string) map[string][]string {
	t.Helper()
	_, rest, found := strings.Cut(text, "\n## Strangers\n")
	if !found {
		t.Fatal("functions/README.md has no section Strangers")
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	rows := map[string][]string{}
	for line := range strings.Lines(body) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 5 || strings.HasPrefix(cells[0], "---") {
			continue
		}
		for i := range cells {
			cells[i] = strings.ReplaceAll(strings.TrimSpace(cells[i]), "`", "")
		}
		if cells[0] != "Request" {
			rows[cells[0]] = cells[1:]
		}
	}
	return rows
}

// A stranger who knows a mark, as every reader of a calendar does, writes it into calendars
// of their own and makes the account an owner of them (rule 10.12).
func TestAStrangersCalendarIsNeverTakenIn(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		const stranger = "mallory@elsewhere.example"
		w.Google.AddAccount(fakegoogle.Account{Sub: "666", Email: stranger})
		ids := withCalendars(t, w, "Olena", "Petro")
		starts := tasksOf(w, ids[0], 8, 9)
		w.Idle()
		night(t, w)
		before := []string{w.Calendar(ids[0]), w.Calendar(ids[1])}
		mark := calendarNamed(t, w, before[0]).Description
		forged := []string{mark}
		for i := range 5 {
			forged = append(forged, fmt.Sprintf("erp-calendar/1 tenant=of-a-stranger employee=%d epoch=e%d from=2026-01-01T10:00:00Z", ids[i%2], i))
		}
		var theirs []string
		for _, description := range forged {
			id, err := w.Google.CreateCalendar(stranger, "Gift", world.Zone)
			must(t, err)
			must(t, w.Google.EditCalendar(id, func(c *calendar.Calendar) { c.Description = description }))
			must(t, w.Google.SetShare(id, world.Account, "owner"))
			must(t, w.Google.AcceptShare(id, world.Account))
			theirs = append(theirs, id)
		}
		untouched := func(w *world.World) {
			t.Helper()
			for i, id := range ids {
				rec, _, err := w.Store.Employee(t.Context(), id)
				must(t, err)
				if rec.Calendar == nil || rec.Calendar.ID != before[i] || len(rec.Retiring) > 0 {
					t.Errorf("employee %d has the calendar %+v and retiring %+v, not %s", id, rec.Calendar, rec.Retiring, before[i])
				}
			}
			for _, call := range w.Google.Requests(fakegoogle.Filter{}) {
				for _, id := range theirs {
					if call.CalendarID == id {
						t.Errorf("%s of a stranger's calendar", call.Method)
					}
				}
			}
			if got := len(w.Google.Events(before[0])); got != len(starts) {
				t.Errorf("%d events, want %d", got, len(starts))
			}
		}
		w.Google.ResetRequests()
		wantDrift(t, night(t, w), nil, nil)
		untouched(w)

		again := w.Again(world.Options{})
		again.TakeOver()
		night(t, again)
		untouched(again)
		in, err := again.Store.Installation(t.Context())
		must(t, err)
		if !strings.Contains(mark, "tenant="+in.Tenant+" ") {
			t.Errorf("after a lost database the tenant is %s", in.Tenant)
		}
	})
}
