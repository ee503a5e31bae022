package google

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/api/calendar/v3"
	"google.golang.org/api/googleapi"
)

func TestRateLimitInASlidingMinute(t *testing.T) {
	for _, status := range []int{403, 429} {
		w := newWorld(t, func(o *Options) { o.RequestsPerMinute = 10; o.RateLimitStatus = status })
		svc := w.api(owner)
		cal := w.newCal(svc)                                                             // 1
		_, err := svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do() // 2
		w.ok(err)
		w.clock.advance(30 * time.Second)
		for range 2 {
			_, err = svc.Events.Patch(cal, "task0001", &calendar.Event{Summary: "x"}).SendUpdates("none").Do() // 5, 8
			w.ok(err)
		}
		_, err = svc.Events.Patch(cal, "task0001", &calendar.Event{Summary: "x"}).SendUpdates("none").Do() // 11
		w.want(err, jsonText(status)+" rateLimitExceeded")
		_, err = w.api(reader, "calendar").CalendarList.List().Do() // another account has its own
		w.ok(err)
		w.clock.advance(30 * time.Second) // the first two fall out: 6 left
		_, err = svc.Events.Patch(cal, "task0001", &calendar.Event{Summary: "x"}).SendUpdates("none").Do()
		w.ok(err)
	}
}

func TestQuotaExceededLocks(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.CalendarsPerPeriod, o.EventsPerPeriod, o.SharesPerPeriod = 2, 2, 1 })
	svc := w.api(owner)
	cal := w.newCal(svc)
	_, err := svc.Acl.Insert(cal, user(reader, "reader")).Do()
	w.ok(err)
	w.newCal(svc)
	_, err = svc.Calendars.Insert(&calendar.Calendar{Summary: "x"}).Do()
	w.want(err, "403 quotaExceeded")
	_, err = svc.Acl.Insert(cal, user("b@firm.example", "reader")).Do()
	w.want(err, "403 quotaExceeded")
	for _, id := range []string{"task0001", "task0002"} {
		_, err = svc.Events.Insert(cal, sample(id, 0)).SendUpdates("none").Do()
		w.ok(err) // events are not locked by too many calendars
	}
	_, err = svc.Events.Insert(cal, sample("task0003", 0)).SendUpdates("none").Do()
	w.want(err, "403 quotaExceeded")
	w.want(svc.Events.Delete(cal, "task0001").SendUpdates("none").Do(), "403 quotaExceeded")
	_, err = svc.Events.List(cal).Do()
	w.ok(err) // reading goes on
	w.clock.advance(4*time.Hour + time.Second)
	w.ok(svc.Events.Delete(cal, "task0001").SendUpdates("none").Do())
	w.clock.advance(24 * time.Hour)
	w.newCal(svc)
}

func TestInjectedStatus(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	f := w.Inject(Fault{Method: "calendar.events.*", CalendarID: cal, Nth: 2, Count: 2, Status: 429, Reason: "rateLimitExceeded", RetryAfter: 1500 * time.Millisecond})
	var got []string
	for range 4 {
		_, err := svc.Events.List(cal).Do()
		got = append(got, reason(err))
		var g *googleapi.Error
		if errors.As(err, &g) && g.Header.Get("Retry-After") != "2" {
			t.Errorf("Retry-After is %q", g.Header.Get("Retry-After"))
		}
	}
	if want := []string{"", "429 rateLimitExceeded", "429 rateLimitExceeded", ""}; !slices.Equal(got, want) || f.Hits() != 2 {
		t.Fatalf("answers %q, hits %d", got, f.Hits())
	}
}

func TestInjectedForever(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	f := w.Inject(Fault{Writes: true, Count: -1, Status: 503})
	for range 3 {
		_, err := svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
		w.want(err, "503 backendError")
	}
	_, err := svc.Events.List(cal).Do()
	w.ok(err)
	f.Remove()
	_, err = svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
	w.ok(err)
}

// TestBrokenConnections runs over a real server, where breaking off must look to
// the client as it does with Google.
func TestBrokenConnections(t *testing.T) {
	rows := []struct {
		name      string
		fault     Fault
		committed bool
	}{
		{"dropped before the effect", Fault{Drop: true}, false},
		{"response lost after the effect", Fault{LoseResponse: true}, true},
		{"body truncated", Fault{TruncateBody: true}, true},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			w := newWorld(t)
			srv := httptest.NewServer(http.StripPrefix("/google", w.Server))
			defer srv.Close()
			cal := w.newCal(w.api(owner))
			r.fault.Method = "calendar.events.insert"
			w.Inject(r.fault)
			body := jsonText(sample("task0001", 0))
			for name, post := range map[string]func() (*http.Response, error){
				"network": func() (*http.Response, error) {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/google/calendar/v3/calendars/"+cal+"/events?sendUpdates=none", strings.NewReader(body))
					if err != nil {
						return nil, err
					}
					req.Header.Set("Content-Type", "application/json")
					req.Header.Set("Authorization", "Bearer "+w.Token(owner, productScopes...))
					return srv.Client().Do(req)
				},
			} {
				resp, err := post()
				var all []byte
				if err == nil {
					all, err = io.ReadAll(resp.Body)
					resp.Body.Close()
				}
				if err == nil {
					t.Errorf("%s: the whole answer arrived: %s", name, all)
				}
			}
			if got := len(w.Events(cal)) == 1; got != r.committed {
				t.Errorf("the event exists: %v, want %v", got, r.committed)
			}
			last := w.Requests(Filter{Method: "calendar.events.insert"})[0]
			if last.Committed != r.committed || last.Fault == "" {
				t.Errorf("logged %+v", last)
			}
			// The same without a network.
			w.Inject(r.fault)
			_, err := w.api(owner).Events.Insert(cal, sample("task0002", 0)).SendUpdates("none").Do()
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("in process: error %v", err)
			}
			if got := len(w.Events(cal)); (got == 2) != r.committed {
				t.Errorf("%d events afterwards", got)
			}
		})
	}
}

func TestShortPageIsLegal(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	for i, id := range []string{"aaaaa0", "aaaaa1", "aaaaa2"} {
		_, err := svc.Events.Insert(cal, sample(id, i)).SendUpdates("none").Do()
		w.ok(err)
	}
	w.Inject(Fault{Method: "calendar.events.list", ShortPage: -1})
	w.Inject(Fault{Method: "calendar.events.list", ShortPage: 1, Nth: 1})
	var got []string
	pages := 0
	w.ok(svc.Events.List(cal).Pages(t.Context(), func(p *calendar.Events) error {
		pages++
		got = append(got, ids(p.Items)...)
		return nil
	}))
	if pages != 3 || len(got) != 3 {
		t.Fatalf("%d pages, %v", pages, got)
	}
}

func TestFaultsOnTheTokenEndpoint(t *testing.T) {
	w := newWorld(t)
	w.Inject(Fault{Method: "oauth2.token", Status: 500, Reason: "internal_failure"})
	refresh := w.RefreshToken(owner, productScopes...)
	status, _ := w.form("/token", "grant_type", "refresh_token", "refresh_token", refresh, "client_id", clientID, "client_secret", secret)
	if status != 500 {
		t.Fatalf("status %d", status)
	}
	status, _ = w.form("/token", "grant_type", "refresh_token", "refresh_token", refresh, "client_id", clientID, "client_secret", secret)
	if status != 200 {
		t.Fatalf("status %d after the fault", status)
	}
}

// TestInABubble: latency, hanging and delays pass on a synctest clock, with no
// goroutine left behind.
func TestInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.Now = time.Now; o.Latency = 2 * time.Second })
		svc := w.api(owner)
		start := time.Now()
		cal := w.newCal(svc)
		if d := time.Since(start); d != 2*time.Second {
			t.Fatalf("a request took %s", d)
		}
		w.Inject(Fault{Method: "calendar.events.list", Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start = time.Now()
		_, err := svc.Events.List(cal).Context(ctx).Do()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Fatalf("hanging ended with %v after %s", err, time.Since(start))
		}
		// Gone before the effect, and gone after it.
		for _, row := range []struct {
			id   string
			wait time.Duration
			want int
		}{{"early00", 500 * time.Millisecond, 0}, {"late000", 1500 * time.Millisecond, 1}} {
			ctx, cancel := context.WithTimeout(t.Context(), row.wait)
			_, err = svc.Events.Insert(cal, sample(row.id, 0)).SendUpdates("none").Context(ctx).Do()
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || len(w.Events(cal)) != row.want {
				t.Fatalf("%s: %v, %d events", row.id, err, len(w.Events(cal)))
			}
		}
		w.Inject(Fault{Method: "calendar.events.get", DelayAfter: time.Minute})
		start = time.Now()
		_, err = svc.Events.Get(cal, "late000").Do()
		w.ok(err)
		if d := time.Since(start); d != time.Minute+2*time.Second {
			t.Fatalf("delayed %s", d)
		}
	})
}

func TestBothErrorShapes(t *testing.T) {
	for _, newer := range []bool{false, true} {
		w := newWorld(t, func(o *Options) { o.StatusErrors = newer })
		_, body, _ := w.raw(w.Client(owner, productScopes...), "GET", "/calendar/v3/calendars/none", "")
		e, _ := body["error"].(map[string]any)
		if _, has := e["status"]; has != newer || e["code"] != 404.0 || e["errors"] == nil {
			t.Errorf("newer=%v: %s", newer, jsonText(body))
		}
	}
}

func TestDiscoveryTableDecidesParametersAndFields(t *testing.T) {
	w := newWorld(t)
	d := readDiscovery(t)
	cal := w.newCal(w.api(owner, "calendar"))
	client := w.Client(owner, "calendar")
	want := map[string]bool{}
	for _, id := range served {
		want[id] = true
	}
	all := map[string]bool{}
	found := 0
	for _, r := range d.Resources {
		for _, m := range r.Methods {
			for name := range m.Parameters {
				all[name] = true
			}
		}
	}
	for _, r := range d.Resources {
		for _, m := range r.Methods {
			if !want[m.ID] {
				continue
			}
			found++
			path := "/calendar/v3/" + strings.NewReplacer("{calendarId}", cal, "{eventId}", "never00", "{ruleId}", "user:nobody@x.example").Replace(m.Path)
			body := ""
			if m.Request.Ref != "" {
				body = "{}"
			}
			if got, _ := w.table.route(m.HTTPMethod, strings.TrimPrefix(path, "/calendar/v3/")); got == nil || got.ID != m.ID {
				t.Errorf("%s is not served at %s %s", m.ID, m.HTTPMethod, path)
				continue
			}
			names := []string{"alt", "fields", "key", "oauth_token", "prettyPrint", "quotaUser", "userIp", "callback", "bogus"}
			for n := range all {
				names = append(names, n)
			}
			for _, name := range names {
				p := m.Parameters[name]
				documented := d.Parameters[name] != nil || p != nil && p.Location == "query"
				value := "x"
				switch q := p; {
				case name == "alt":
					value = "json"
				case name == "fields":
					value = "*"
				case name == "prettyPrint":
					value = "true"
				case q == nil:
				case q.Type == "boolean":
					value = "true"
				case q.Type == "integer":
					value = "1"
				case len(q.Enum) > 0:
					value = q.Enum[0]
				}
				if name == "destination" || m.ID == "calendar.events.move" {
					continue // its required parameter is tested with the method
				}
				// Deleting the calendar would end the test: the table is asked instead.
				got := w.table.checkQuery(w.table.Methods[m.ID], map[string][]string{name: {value}})
				if refused := got != nil; refused == documented {
					t.Errorf("%s: parameter %q documented %v, refused %v (%v)", m.ID, name, documented, refused, got)
				}
			}
			if m.ID == "calendar.calendars.delete" || m.ID == "calendar.calendars.clear" {
				continue
			}
			status, answer, _ := w.raw(client, m.HTTPMethod, path+"?bogus=1", body)
			if status != 400 || !strings.Contains(errMessage(answer), `"bogus"`) {
				t.Errorf("%s?bogus=1: %d %s", m.ID, status, errMessage(answer))
			}
			if body == "" {
				continue
			}
			status, answer, _ = w.raw(client, m.HTTPMethod, path, `{"bogus":1}`)
			if status != 400 || !strings.Contains(errMessage(answer), `"bogus"`) {
				t.Errorf("%s with an unknown field: %d %s", m.ID, status, errMessage(answer))
			}
		}
	}
	if found != len(served) || len(handlers()) != len(served) {
		t.Errorf("%d of %d served methods are documented, %d have handlers", found, len(served), len(handlers()))
	}
	status, answer, _ := w.raw(client, "POST", "/calendar/v3/calendars/"+cal+"/events", `{"start":{"date":"2026-01-01","hour":3}}`)
	if status != 400 || !strings.Contains(errMessage(answer), `"hour" at 'event.start'`) {
		t.Errorf("nested unknown field: %d %s", status, errMessage(answer))
	}
	for _, bad := range []string{`{"summary":5}`, `{"sequence":"x"}`, `[]`, `{"summary":"a"`, `{"attendees":{}}`} {
		if status, _, _ := w.raw(client, "POST", "/calendar/v3/calendars/"+cal+"/events", bad); status != 400 {
			t.Errorf("body %s: %d", bad, status)
		}
	}
	if status, _, _ := w.raw(client, "GET", "/calendar/v3/nowhere", ""); status != 404 {
		t.Errorf("unknown path: %d", status)
	}
}

func TestRequestLog(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	_, err := svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
	w.ok(err)
	_, err = svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
	w.want(err, "409 duplicate")
	_, err = svc.Events.List(cal).Do()
	w.ok(err)
	got := w.Requests(Filter{Method: "calendar.events.insert", CalendarID: cal, EventID: "task0001", Account: owner, Writes: true})
	if len(got) != 2 || got[0].Status != 200 || !got[0].Committed || got[1].Status != 409 || got[1].Reason != "duplicate" || got[1].Committed ||
		got[0].Query.Get("sendUpdates") != "none" || got[0].ClientID != clientID || got[0].Units != 1 || !json.Valid(got[0].Body) {
		t.Fatalf("log: %s", jsonText(got))
	}
	if n := len(w.Requests(Filter{Writes: true})); n != 3 {
		t.Fatalf("%d writes", n)
	}
	if n := len(w.Requests(Filter{Failed: true})); n != 1 {
		t.Fatalf("%d failed", n)
	}
	w.ResetRequests()
	if n := len(w.Requests(Filter{})); n != 0 {
		t.Fatalf("%d after a reset", n)
	}
}

func TestSeedMakesIDsRepeatable(t *testing.T) {
	a, b := newWorld(t), newWorld(t)
	if x, y := a.newCal(a.api(owner)), b.newCal(b.api(owner)); x != y {
		t.Fatalf("%s and %s", x, y)
	}
	c := newWorld(t, func(o *Options) { o.Seed = 8 })
	if x, y := a.newCal(a.api(owner)), c.newCal(c.api(owner)); x == y {
		t.Fatal("another seed gave the same id")
	}
}

func TestConcurrentUse(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	done := make(chan error)
	const n = 16
	for range n {
		go func() {
			_, err := svc.Events.Insert(cal, sample("same0001", 0)).SendUpdates("none").Do()
			w.Requests(Filter{})
			w.Calendars()
			w.Events(cal)
			done <- err
		}()
	}
	won := 0
	for range n {
		if err := <-done; err == nil {
			won++
		} else if reason(err) != "409 duplicate" {
			t.Errorf("unexpected %v", err)
		}
	}
	if won != 1 {
		t.Fatalf("%d of %d inserts with one id succeeded", won, n)
	}
}
