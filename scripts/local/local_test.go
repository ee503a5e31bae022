package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

// started runs the app behind a listener of the test's own.
func started(t *testing.T, env map[string]string, options ...func(*appOptions)) *app {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := appOptions{
		BaseURL: "http://" + publicAddr(listener.Addr()), State: filepath.Join(t.TempDir(), "state.db"), Latency: 10 * time.Millisecond,
		Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }, Log: slog.New(slog.DiscardHandler),
	}
	for _, set := range options {
		set(&o)
	}
	a, err := newApp(t.Context(), o)
	if err != nil {
		_ = listener.Close()
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: a.handler, ReadHeaderTimeout: 10 * time.Second}}
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		a.close()
	})
	return a
}

// TestANewcomerWatchesTasksInTheBrowser walks the README's first path: sign in,
// connect, add a task on the board, see it in the week by itself.
func TestANewcomerWatchesTasksInTheBrowser(t *testing.T) {
	ctx := testenv.Browser(t)
	a := started(t, nil)
	base := a.opts.BaseURL
	do := func(what string, actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, actions...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	shot := func(name string) {
		t.Helper()
		testenv.Screenshot(ctx, t, name, testenv.Phone)
		testenv.Screenshot(ctx, t, name, testenv.Desktop)
	}
	consent := func(account string) {
		t.Helper()
		do("consent of "+account, chromedp.WaitVisible(chromedp.CSS(".accounts")))
		shot("consent-" + account[:5])
		do("consent of "+account, chromedp.Click(chromedp.CSS(`label:has(input[value="`+account+`"])`)), chromedp.Click(chromedp.CSS(`button[value=allow]`)))
	}

	do("index", chromedp.Navigate(base+"/"), chromedp.WaitVisible(chromedp.CSS("main li a")))
	shot("local-index")
	do("console", chromedp.Navigate(base+"/Console/"))
	consent(standInAdmin)
	do("signed in", chromedp.WaitVisible(chromedp.CSS(`.problems a[href$="/connections"]`)))
	do("connections", chromedp.Click(chromedp.CSS(`.problems a[href$="/connections"]`)), chromedp.WaitVisible(chromedp.CSS("#google a.button")))
	do("connect", chromedp.Click(chromedp.CSS("#google a.button")))
	consent(standInAccount)
	do("connected", chromedp.WaitVisible(chromedp.CSS(".notice.good")))

	// The week page is open before the task exists, and is never reloaded.
	who := int64(0)
	for id := range judgeOf(a, time.Now().Add(-24*time.Hour)).Wanted() {
		who = max(who, id)
	}
	do("week", chromedp.Navigate(base+"/google/"), chromedp.WaitVisible(chromedp.CSS(".chips .chip")))
	zone, err := time.LoadLocation(standInZone)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().In(zone)
	soon := time.Date(now.Year(), now.Month(), now.Day(), 23, 0, 0, 0, zone)
	a.erp.AddTask(fakeerp.Task{TypeID: a.erp.Types()[0].ID, StateID: firstState(a.erp), Todo: soon,
		Address: fakeerp.Address{Text: "Newcomer St, 77"}, Executors: []int64{who}})
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](`document.querySelector("#live").textContent.includes("Newcomer St, 77")`)); err != nil {
		t.Fatalf("the task does not appear by itself: %v", err)
	}
	shot("local-week")

	do("board", chromedp.Navigate(base+"/erp/"), chromedp.WaitVisible(chromedp.CSS(".days")))
	shot("local-board")
	do("new task on the board", chromedp.Click(chromedp.CSS("details.add summary")), chromedp.WaitVisible(chromedp.CSS(`details.add input[name=address]`)),
		chromedp.SetValue(chromedp.CSS(`details.add input[name=address]`), "Board St, 5"),
		chromedp.SetValue(chromedp.CSS(`details.add select[name=executor]`), itoa(who)),
		chromedp.Click(chromedp.CSS(`details.add button.main`)))
	told := &teller{app: a, out: io.Discard, judge: judgeOf(a, time.Now().Add(-24*time.Hour))}
	for on := false; !on; { // the form's answer may not be there yet
		for _, task := range a.erp.Tasks() {
			on = on || task.Address.Text == "Board St, 5"
		}
		if err := told.until(ctx, 30*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	do("the board again", chromedp.WaitVisible(chromedp.CSS("details.add:not([open])")))
	do("employees", chromedp.Navigate(base+"/erp/employees"), chromedp.WaitVisible(chromedp.CSS("main")))
	shot("local-employees")
	do("console", chromedp.Navigate(base+"/Console/"), chromedp.WaitVisible(chromedp.CSS("#tiles")))
	shot("local-console")
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// TestAMissingOrMalformedVariableIsNamed starts with one real side of which not
// everything is said, or wrongly.
func TestAMissingOrMalformedVariableIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		env   map[string]string
		names []string
	}{
		"an ERP without its key": {map[string]string{"ERP_URL": "https://erp.example"}, []string{"ERP_API_KEY"}},
		"an ERP by plain http":   {map[string]string{"ERP_URL": "http://erp.example", "ERP_API_KEY": "k"}, []string{"ERP_URL"}},
		"a client without account": {map[string]string{"OAUTH_CLIENT_ID": "x.apps.googleusercontent.com"},
			[]string{"OAUTH_CLIENT_SECRET", "INTEGRATION_ACCOUNT", "ADMIN_EMAILS"}},
		"a malformed number":  {map[string]string{"CALENDARS_PER_HOUR": "many"}, []string{"CALENDARS_PER_HOUR"}},
		"malformed settings":  {map[string]string{"DEFAULT_SETTINGS": `{"time_zone":"Mars/Base"}`}, []string{"DEFAULT_SETTINGS", "time_zone"}},
		"several at the same": {map[string]string{"LEASE_SECONDS": "0", "TOKEN_KEY": "local:short"}, []string{"LEASE_SECONDS", "TOKEN_KEY"}},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := newApp(t.Context(), appOptions{
				BaseURL: "http://localhost:1", State: filepath.Join(t.TempDir(), "state.db"),
				Lookup: func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }, Log: slog.New(slog.DiscardHandler),
			})
			if err == nil {
				a.close()
				t.Fatal("started all the same")
			}
			for _, variable := range c.names {
				if !strings.Contains(err.Error(), variable) {
					t.Errorf("%s is not named in: %v", variable, err)
				}
			}
		})
	}
}

// TestTheStoryFailsWhenACalendarIsNotRight breaks the path from the ERP to the
// calendars, so that the story's verdict is known to be able to fail.
func TestTheStoryFailsWhenACalendarIsNotRight(t *testing.T) {
	a := started(t, nil)
	told := &teller{app: a, out: io.Discard, names: map[int64]string{}, judge: judgeOf(a, time.Time{})}
	if err := told.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	calendars, err := told.judge.Calendars()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range calendars {
		if events := a.google.Events(c.ID); len(events) > 0 {
			if err := a.google.DeleteEvent(c.ID, events[0].Id); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := told.conclude(ctx); err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("the story's verdict: %v", err)
	}
}

// With -php a change on the board reaches the calendar through the connector's PHP:
// nothing else tells of it, because no poll runs here.
func TestTheBoardReachesTheCalendarThroughThePHPConnector(t *testing.T) {
	testenv.PHP(t)
	t.Chdir("../..")
	a := started(t, nil, func(o *appOptions) { o.PHP = true })
	story := &teller{app: a, out: io.Discard, judge: judgeOf(a, time.Time{})}
	if err := story.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation(standInZone)
	if err != nil {
		t.Fatal(err)
	}
	who := a.erp.Employees()[0].ID
	start := time.Now().In(zone).AddDate(0, 0, 2).Truncate(time.Hour)
	task := a.erp.AddTask(fakeerp.Task{TypeID: 1, StateID: 1, Todo: start, Executors: []int64{who}})
	if err := story.until(t.Context(), 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := a.erp.MoveTask(task, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := story.until(t.Context(), 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if spooled, err := filepath.Glob(filepath.Join(a.php.folder, "spool", "*")); err != nil || len(spooled) == 0 {
		t.Errorf("the connector has kept nothing in its spool's folder: %v, %v", spooled, err)
	}
}
