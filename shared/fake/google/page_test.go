package google

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"
)

func (w *world) page(query string) string {
	w.t.Helper()
	status, body, h := w.raw(w.http(), "GET", "/?"+query, "")
	text, _ := body["text"].(string)
	if status != 200 {
		w.t.Fatalf("page: %d %s", status, text)
	}
	if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "form-action 'self'") || strings.Contains(csp, "unsafe") {
		w.t.Fatalf("policy %q", csp)
	}
	return text
}

func TestPageShowsTheWeek(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	if text := w.page(""); !strings.Contains(text, "No calendar has been created yet") {
		t.Fatal("an empty world has its own words")
	}
	cal := w.newCal(svc)
	in := sample("task0001", 0) // Monday 23 November, 12:00 in Kyiv
	in.Summary = `<script>alert(1)</script>`
	in.Description = "a &amp; b<br>https://erp.example/task/1"
	_, err := svc.Events.Insert(cal, in).SendUpdates("none").Do()
	w.ok(err)
	_, err = svc.Events.Insert(cal, &calendar.Event{Id: "alld0000", Summary: "Stocktaking", Start: &calendar.EventDateTime{Date: "2026-11-24"}, End: &calendar.EventDateTime{Date: "2026-11-25"}}).SendUpdates("none").Do()
	w.ok(err)
	_, err = svc.Acl.Insert(cal, user(reader, "reader")).Do()
	w.ok(err)
	if text := w.page("day=2026-11-18"); strings.Contains(text, "Main St 1") || !strings.Contains(text, "16 – 22 November 2026") {
		t.Fatal("the week of 18 November must not show an event of the 23rd")
	}
	if text := w.page(""); !strings.Contains(text, "Main St 1") || !strings.Contains(text, "21 – 27 November 2026") {
		t.Fatal("near the week's end the page is to show the days to come")
	}
	text := w.page("day=2026-11-25")
	for _, want := range []string{"23 – 29 November 2026", "&lt;script&gt;", "12:00 – 13:00", "Main St 1", "Stocktaking", "all day", "Invitation to " + reader, "acl.insert"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if regexp.MustCompile(`(?i)<script>|style=|onclick|https?://[^/]*google(apis)?\.com/.*\.(js|css)`).MatchString(text) {
		t.Error("the page has inline code or style, or outside resources")
	}
	detail := w.page("calendar=" + url.QueryEscape(cal) + "&event=task0001")
	for _, want := range []string{"Monday, 23 November 2026, 12:00", "a &amp; b\n", `href="https://erp.example/task/1"`, `value="2026-11-23T12:00"`} {
		if !strings.Contains(detail, want) {
			t.Errorf("the detail lacks %q", want)
		}
	}
	if text := w.page("view=day&day=2026-11-24"); !strings.Contains(text, "Stocktaking") || strings.Contains(text, "Main St 1") {
		t.Error("the side-by-side view must show one day")
	}
	other := w.newCal(svc)
	if text := w.page("day=2026-11-25&cal=" + url.QueryEscape(other)); strings.Contains(text, "Main St 1") {
		t.Error("the filter by calendar lets another's events through")
	}
	for _, path := range []string{"/static/style.css", "/static/app.js", "/static/grid.css"} {
		if status, _, _ := w.raw(w.http(), "GET", path, ""); status != 200 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, _, _ := w.raw(w.http(), "GET", "/nowhere", ""); status != 404 {
		t.Errorf("unknown page: %d", status)
	}
}

func TestOverlappingEventsLieSideBySide(t *testing.T) {
	blocks := []block{{start: 600, end: 660}, {start: 630, end: 690}, {start: 660, end: 700}, {start: 800, end: 860}}
	layOut(blocks, 8)
	for i, want := range []string{"w2-0", "w2-1", "w2-0", "w1-0"} {
		if !strings.Contains(blocks[i].Class+" ", want+" ") {
			t.Errorf("block %d has %q, want %s", i, blocks[i].Class, want)
		}
	}
}

func TestOwnerForms(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	_, err := svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
	w.ok(err)
	w.ok(w.SetShare(cal, reader, "reader"))
	do := func(want int, kv ...string) string {
		t.Helper()
		status, out := w.form("/owner", append(kv, "calendar", cal, "event", "task0001", "back", "day=2026-11-25&event=task0001")...)
		if status != want {
			t.Fatalf("%v: %d %v", kv, status, out["text"])
		}
		loc, _ := out["location"].(string)
		return loc
	}
	if loc := do(303, "action", "edit-event", "summary", "New", "location", "There", "was", "2026-11-23T12:00", "start", "2026-11-24T09:30"); !strings.HasPrefix(loc, "/google/?") {
		t.Fatalf("back to %q", loc)
	}
	if ev := w.Events(cal)[0]; ev.Summary != "New" || ev.Location != "There" || ev.Start.DateTime != "2026-11-24T09:30:00+02:00" || ev.End.DateTime != "2026-11-24T10:30:00+02:00" {
		t.Fatalf("edited: %s", jsonText(ev))
	}
	do(303, "action", "copy-event")
	if n := len(w.Events(cal)); n != 2 {
		t.Fatalf("%d events after duplicating", n)
	}
	if loc := do(303, "action", "delete-event"); strings.Contains(loc, "event=") {
		t.Fatalf("the deleted event is still in the address: %s", loc)
	}
	do(404, "action", "delete-event")
	do(303, "action", "set-share", "address", reader, "role", "owner")
	if r := w.Calendars()[2].Role(reader); r != "owner" {
		t.Fatalf("role %s", r)
	}
	do(303, "action", "remove-share", "address", reader)
	do(400, "action", "explode")
	do(303, "action", "delete-calendar")
	if !w.Calendars()[2].Deleted {
		t.Fatal("the calendar lives")
	}
}

func TestOwnerFormsRefuseOtherSites(t *testing.T) {
	w := newWorld(t)
	cal := w.newCal(w.api(owner))
	status, _, _ := w.raw(w.http(), "POST", "/owner", "action=delete-calendar&calendar="+url.QueryEscape(cal), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "cross-site")
	if status != http.StatusForbidden || w.Calendars()[2].Deleted {
		t.Fatalf("a form of another site got %d", status)
	}
}

func TestEventStreamTellsChanges(t *testing.T) {
	w := newWorld(t)
	srv := httptest.NewServer(http.StripPrefix("/google", w.Server))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/google/events-stream", nil)
	w.ok(err)
	resp, err := srv.Client().Do(req)
	w.ok(err)
	defer resp.Body.Close()
	if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Fatalf("content type %q", ct)
	}
	lines := bufio.NewReader(resp.Body)
	if first, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(first, "retry:") {
		t.Fatalf("%q %v", first, err)
	}
	w.newCal(w.api(owner))
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF || err != nil {
			t.Fatalf("the stream ended: %v", err)
		}
		if line == "event: changed\n" {
			return
		}
	}
}
