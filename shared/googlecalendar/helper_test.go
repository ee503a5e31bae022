package googlecalendar_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/api/calendar/v3"
	"google.golang.org/api/option"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
)

const (
	owner    = "central@firm.example"
	employee = "olena@firm.example"
	tenant   = "0192d7a5-3f0e-7cc1-9f7e-2b1d8e7c1a10"
	baseURL  = "http://google.test"
	zoneName = "Europe/Kyiv"
)

// pacer lets everything pass and keeps what it was asked.
type pacer struct {
	mu        sync.Mutex
	calendars []string
	err       error
}

func (*pacer) Refused(context.Context, string, string) error { return nil }

func (p *pacer) Wait(_ context.Context, _, calendar string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calendars = append(p.calendars, calendar)
	return p.err
}

func (p *pacer) slots() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.calendars...)
}

func (p *pacer) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calendars = nil
}

// world is a stand-in of Google with a gateway that has exactly the product's scopes.
type world struct {
	*google.Server
	t       *testing.T
	gateway *googlecalendar.Gateway
	pacer   *pacer
	// answer, if set, may replace an answer on its way back.
	answer func(*http.Request, *http.Response, error) (*http.Response, error)
}

// inWorld runs f in a bubble: waits take no time, and the clock is its own.
func inWorld(t *testing.T, f func(t *testing.T, w *world), change ...func(*google.Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		o := google.Options{
			BaseURL: baseURL, ClientID: "client-1", ClientSecret: "secret", Seed: 7,
			Accounts: []google.Account{{Sub: "1001", Email: owner}, {Sub: "1002", Email: employee}},
		}
		for _, c := range change {
			c(&o)
		}
		w := &world{Server: google.New(o), t: t, pacer: &pacer{}}
		w.gateway = w.gatewayWith(googlecalendar.Scopes()...)
		f(t, w)
	})
}

func (w *world) gatewayWith(scopes ...string) *googlecalendar.Gateway {
	w.t.Helper()
	inner := w.Client(owner, scopes...).Transport
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		res, err := inner.RoundTrip(r)
		if w.answer != nil {
			return w.answer(r, res, err)
		}
		return res, err
	})}
	g, err := googlecalendar.New(w.t.Context(), client, baseURL+"/calendar/v3/", w.pacer, func(context.Context) (string, error) { return "1001", nil })
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// reply is an answer made by hand.
func reply(r *http.Request, status int, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

// byHand is Google's own client with every right, for what an owner does.
func (w *world) byHand() *calendar.Service {
	w.t.Helper()
	svc, err := calendar.NewService(w.t.Context(), option.WithHTTPClient(w.Client(owner, "calendar")), option.WithEndpoint(baseURL+"/calendar/v3/"))
	w.ok(err)
	return svc
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func mark() calendarsync.CalendarMark {
	return calendarsync.CalendarMark{Tenant: tenant, Employee: 42, Epoch: "epoch-1", From: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)}
}

// newCalendar makes a calendar and forgets that it took calls.
func (w *world) newCalendar() googlecalendar.Calendar {
	w.t.Helper()
	c, err := w.gateway.CreateCalendar(w.t.Context(), "Olena", zoneName, mark())
	w.ok(err)
	w.ResetRequests()
	w.pacer.reset()
	return c
}

// draft is an event of an hour, owned by task 17 and employee 42.
func draft() googlecalendar.Draft {
	m := calendarsync.Mark{Tenant: tenant, Task: 17, Employee: 42, Generation: 0, Hash: "0123456789abcdef"}
	from := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	return googlecalendar.Draft{
		ID: calendarsync.EventID(m.Tenant, m.Task, m.Employee, m.Generation), Mark: m,
		Content: calendarsync.Event{
			Title: "Repair, Main St 1", Location: "Main St 1", Description: "Call before &amp; after\nhttp://erp/task/17", Color: "5",
			Start: calendarsync.EventTime{Instant: from, Zone: zoneName},
			End:   calendarsync.EventTime{Instant: from.Add(time.Hour), Zone: zoneName},
		},
	}
}

func (w *world) insert(calendarID string, d googlecalendar.Draft) googlecalendar.Event {
	w.t.Helper()
	e, err := w.gateway.InsertEvent(w.t.Context(), calendarID, d)
	w.ok(err)
	return e
}
