package google

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
)

const (
	owner    = "central@firm.example"
	reader   = "olena@firm.example"
	clientID = "client-1.apps.example"
	secret   = "client-secret"
	redirect = "http://app.example/OAuth/callback"
)

var productScopes = []string{"openid", "email", "calendar.app.created", "calendar.acls", "calendar.calendarlist.readonly"}

// clock is a hand-moved clock.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

type world struct {
	*Server
	t     *testing.T
	clock *clock
}

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	c := &clock{t: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	o := Options{
		BaseURL: "http://localhost:8080/google", Now: c.now, ClientID: clientID, ClientSecret: secret, RedirectURIs: []string{redirect},
		Accounts: []Account{{Sub: "1001", Email: owner, Name: "Central"}, {Sub: "1002", Email: reader, Name: "Olena"}}, Seed: 7,
	}
	for _, f := range change {
		f(&o)
	}
	return &world{Server: New(o), t: t, clock: c}
}

// api is Google's generated client, signed in as account.
func (w *world) api(account string, scopes ...string) *calendar.Service {
	w.t.Helper()
	if len(scopes) == 0 {
		scopes = productScopes
	}
	svc, err := calendar.NewService(w.t.Context(), option.WithHTTPClient(w.Client(account, scopes...)), option.WithEndpoint(w.opt.BaseURL+"/calendar/v3/"))
	if err != nil {
		w.t.Fatal(err)
	}
	return svc
}

func (w *world) newCal(svc *calendar.Service) string {
	w.t.Helper()
	cal, err := svc.Calendars.Insert(&calendar.Calendar{Summary: "Olena", TimeZone: "Europe/Kyiv"}).Do()
	if err != nil {
		w.t.Fatal(err)
	}
	return cal.Id
}

// sample is an event of an hour starting the given number of hours after ten.
func sample(id string, hours int) *calendar.Event {
	at := time.Date(2026, 11, 23, 10+hours, 0, 0, 0, time.UTC)
	return &calendar.Event{Id: id, Summary: "Repair", Location: "Main St 1",
		Start: &calendar.EventDateTime{DateTime: at.Format(time.RFC3339)}, End: &calendar.EventDateTime{DateTime: at.Add(time.Hour).Format(time.RFC3339)}}
}

// reason is "<status> <reason>" of a Calendar error, "" for none.
func reason(err error) string {
	if err == nil {
		return ""
	}
	var g *googleapi.Error
	if !errors.As(err, &g) {
		return "not a Google error: " + err.Error()
	}
	r := ""
	if len(g.Errors) > 0 {
		r = g.Errors[0].Reason
	}
	return jsonText(g.Code) + " " + r
}

func (w *world) want(err error, wanted string) {
	w.t.Helper()
	if got := reason(err); got != wanted {
		w.t.Fatalf("error is %q, want %q (%v)", got, wanted, err)
	}
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// raw sends one request as it is and gives status and decoded answer.
func (w *world) raw(client *http.Client, method, path, body string, header ...string) (int, map[string]any, http.Header) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.opt.BaseURL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		w.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]any{}
	if len(b) > 0 && json.Unmarshal(b, &out) != nil {
		out["text"] = string(b)
	}
	return resp.StatusCode, out, resp.Header
}

func errMessage(body map[string]any) string {
	e, _ := body["error"].(map[string]any)
	m, _ := e["message"].(string)
	return m
}

func ids(events []*calendar.Event) []string {
	var out []string
	for _, e := range events {
		out = append(out, e.Id)
	}
	slices.Sort(out)
	return out
}
