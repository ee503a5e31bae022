package notify_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/functions/notify"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/webhook"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// topics is a queue.Publisher that keeps what it was given.
type topics struct {
	messages map[string][]queue.Message
	err      error
}

func (p *topics) Publish(ctx context.Context, topic string, messages ...queue.Message) error {
	if _, limited := ctx.Deadline(); !limited {
		return errors.New("no deadline")
	}
	if p.err != nil {
		return p.err
	}
	if p.messages == nil {
		p.messages = map[string][]queue.Message{}
	}
	p.messages[topic] = append(p.messages[topic], messages...)
	return nil
}

type employees map[int64]store.EmployeeRecord

func (e employees) Employee(_ context.Context, id int64) (store.EmployeeRecord, bool, error) {
	if id == 503 {
		return store.EmployeeRecord{}, false, errors.New("the store is down")
	}
	rec, ok := e[id]
	return rec, ok, nil
}

type world struct {
	http.Handler
	key       webhook.Key
	published *topics
	log       *bytes.Buffer
}

func newWorld(t *testing.T, known employees) *world {
	t.Helper()
	key, err := webhook.ParseKey("whsec_" + strings.Repeat("AAAA", 8))
	if err != nil {
		t.Fatal(err)
	}
	second, err := webhook.ParseKey("whsec_" + strings.Repeat("BBBB", 8))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{key: key, published: &topics{}, log: &bytes.Buffer{}}
	w.Handler = notify.New(notify.Config{Keys: []webhook.Key{second, key}, TaskTopic: "tasks", EmployeeTopic: "employees"},
		notify.Deps{Publisher: w.published, Employees: known, Now: func() time.Time { return noon }, Log: logging.New(w.log, "p")})
	return w
}

// signed makes a right request.
func (w *world) signed(t *testing.T, method, path, body string, at time.Time) *http.Request {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	payload := body
	if method == http.MethodGet {
		payload = "GET " + path
	}
	h, err := webhook.Sign(w.key, "msg_1", at, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = h
	r.Header.Set("Content-Type", "application/json")
	return r
}

func (w *world) ask(r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, r)
	return answer
}

func body(kind string, ids ...any) string {
	b, err := json.Marshal(map[string]any{"type": kind, "timestamp": "2026-11-22T10:00:00Z", "data": map[string]any{"ids": ids}})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func upTo(n int) []any {
	ids := make([]any, n)
	for i := range ids {
		ids[i] = i + 1
	}
	return ids
}

func TestAccepted(t *testing.T) {
	type published = map[string][]queue.Message
	message := func(deleted bool, ids ...int64) queue.Message {
		return queue.Message{IDs: ids, Cause: queue.CauseNotify, Deleted: deleted, Lane: queue.LaneLive}
	}
	for name, c := range map[string]struct {
		body string
		n    int
		want published
	}{
		"task changed":       {body("task.changed", 123), 1, published{"tasks": {message(false, 123)}}},
		"task deleted":       {body("task.deleted", 123), 1, published{"tasks": {message(true, 123)}}},
		"employee changed":   {body("employee.changed", 7, 8), 2, published{"employees": {message(false, 7, 8)}}},
		"employee deleted":   {body("employee.deleted", 7), 1, published{"employees": {message(true, 7)}}},
		"ids given twice":    {body("task.changed", 5, 3, 5), 2, published{"tasks": {message(false, 5, 3)}}},
		"no timestamp":       {`{"type":"task.changed","data":{"ids":[1]}}`, 1, published{"tasks": {message(false, 1)}}},
		"a sender's extra":   {`{"type":"task.changed","source":"x","data":{"ids":[1]}}`, 1, published{"tasks": {message(false, 1)}}},
		"the largest number": {body("task.changed", int64(9223372036854775807)), 1, published{"tasks": {message(false, 9223372036854775807)}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			answer := w.ask(w.signed(t, "POST", "/", c.body, noon))
			if answer.Code != 202 || strings.TrimSpace(answer.Body.String()) != fmt.Sprintf(`{"accepted":%d}`, c.n) {
				t.Errorf("answered %d %s", answer.Code, answer.Body)
			}
			if ct := answer.Header().Get("Content-Type"); ct != "application/json" {
				t.Errorf("content type %s", ct)
			}
			if diff := cmp.Diff(c.want, w.published.messages); diff != "" {
				t.Error(diff)
			}
			if n := strings.Count(w.log.String(), "\n"); n != 1 {
				t.Errorf("%d log lines: %s", n, w.log)
			}
		})
	}
}

// The connector's version goes with its messages, as far as it is one.
func TestTheConnectorsVersionGoesWithItsMessages(t *testing.T) {
	for agent, want := range map[string]string{
		"erp-calendar-connector/1.1": "1.1", "erp-calendar-connector/2.0-beta": "2.0-beta",
		"": "", "curl/8.0": "", "erp-calendar-connector/": "", "erp-calendar-connector/1.1 (x)": "",
		"erp-calendar-connector/" + strings.Repeat("1", 21): "", "erp-calendar-connector/1\u00e9": "",
	} {
		w := newWorld(t, nil)
		r := w.signed(t, "POST", "/", body("task.changed", 123), noon)
		r.Header.Set("User-Agent", agent)
		if answer := w.ask(r); answer.Code != 202 {
			t.Fatalf("%q: answered %d", agent, answer.Code)
		}
		if got := w.published.messages["tasks"][0].Connector; got != want {
			t.Errorf("%q: %q, want %q", agent, got, want)
		}
	}
}

func TestALargeNotificationIsSpreadOverMessages(t *testing.T) {
	w := newWorld(t, nil)
	ids := append(upTo(1000), upTo(1000)...) // distinct ids count
	answer := w.ask(w.signed(t, "POST", "/", body("task.changed", ids...), noon))
	if answer.Code != 202 || !strings.Contains(answer.Body.String(), `"accepted":1000`) {
		t.Fatalf("answered %d %s", answer.Code, answer.Body)
	}
	seen := map[int64]bool{}
	for _, m := range w.published.messages["tasks"] {
		if len(m.IDs) > queue.MaxIDs {
			t.Errorf("%d ids in one message", len(m.IDs))
		}
		for _, id := range m.IDs {
			seen[id] = true
		}
	}
	if len(seen) != 1000 {
		t.Errorf("%d ids were published", len(seen))
	}
}

func TestARepeatedNotificationIsAcceptedAgain(t *testing.T) {
	w := newWorld(t, nil)
	for range 2 {
		if answer := w.ask(w.signed(t, "POST", "/", body("task.changed", 1), noon.Add(-5*time.Minute))); answer.Code != 202 {
			t.Errorf("answered %d", answer.Code)
		}
	}
}

// fault spoils a request; each is caught by one check of the contract.
type fault struct {
	name   string
	status int
	detail string // must name what is at fault
	spoil  func(t *testing.T, w *world, r *http.Request) *http.Request
}

func sends(text string) func(*testing.T, *world, *http.Request) *http.Request {
	return func(t *testing.T, w *world, _ *http.Request) *http.Request {
		return w.signed(t, "POST", "/", text, noon)
	}
}

func header(name, value string) func(*testing.T, *world, *http.Request) *http.Request {
	return func(_ *testing.T, _ *world, r *http.Request) *http.Request {
		if value == "" {
			r.Header.Del(name)
		} else {
			r.Header.Set(name, value)
		}
		return r
	}
}

func at(offset time.Duration) func(*testing.T, *world, *http.Request) *http.Request {
	return func(t *testing.T, w *world, _ *http.Request) *http.Request {
		return w.signed(t, "POST", "/", body("task.changed", 1), noon.Add(offset))
	}
}

func faults() []fault {
	large := strings.Repeat(" ", notify.MaxBody+1)
	return []fault{
		{"GET", 405, "POST", func(_ *testing.T, _ *world, r *http.Request) *http.Request { r.Method = "GET"; return r }},
		{"PUT", 405, "POST", func(_ *testing.T, _ *world, r *http.Request) *http.Request { r.Method = "PUT"; return r }},
		{"no content type", 415, "Content-Type", header("Content-Type", "")},
		{"a form", 415, "Content-Type", header("Content-Type", "application/x-www-form-urlencoded")},
		{"text", 415, "Content-Type", header("Content-Type", "text/json")},
		{"Latin-1", 415, "Content-Type", header("Content-Type", "application/json; charset=iso-8859-1")},
		{"compressed", 415, "Content-Encoding", header("Content-Encoding", "gzip")},
		{"too large", 413, "256 KiB", sends(large)},
		{"too large, length not told", 413, "256 KiB", func(t *testing.T, w *world, _ *http.Request) *http.Request {
			r := w.signed(t, "POST", "/", large, noon)
			r.ContentLength = -1
			return r
		}},
		{"no id", 401, "webhook-id", header("webhook-id", "")},
		{"no timestamp", 401, "webhook-timestamp", header("webhook-timestamp", "")},
		{"no signature", 401, "webhook-signature", header("webhook-signature", "")},
		{"wrong signature", 401, "webhook-signature", header("webhook-signature", "v1,AAAA")},
		{"timestamp odd", 401, "webhook-timestamp", header("webhook-timestamp", "soon")},
		{"stale", 401, "webhook-timestamp", at(-5*time.Minute - time.Second)},
		{"from the future", 401, "webhook-timestamp", at(5*time.Minute + time.Second)},
		{"another body", 401, "webhook-signature", func(_ *testing.T, _ *world, r *http.Request) *http.Request {
			r.Body = io.NopCloser(strings.NewReader(body("task.changed", 2)))
			return r
		}},
		{"nothing", 400, "body", sends("")},
		{"no JSON", 400, "body", sends("{")},
		{"two values", 400, "body", sends(body("task.changed", 1) + "{}")},
		{"a list", 400, "body", sends("[]")},
		{"null", 400, "body", sends("null")},
		{"a name twice", 400, "twice", sends(`{"type":"task.changed","data":{"ids":[1],"ids":[2]}}`)},
		{"no type", 400, "type", sends(`{"data":{"ids":[1]}}`)},
		{"type in capitals", 400, "type", sends(`{"TYPE":"task.changed","data":{"ids":[1]}}`)},
		{"type a number", 400, "type", sends(`{"type":1,"data":{"ids":[1]}}`)},
		{"unknown type", 400, "type", sends(body("task.created", 1))},
		{"half a type", 400, "type", sends(body("task", 1))},
		{"timestamp no time", 400, "timestamp", sends(`{"type":"task.changed","timestamp":"yesterday","data":{"ids":[1]}}`)},
		{"no data", 400, "data", sends(`{"type":"task.changed"}`)},
		{"data a list", 400, "data", sends(`{"type":"task.changed","data":[1]}`)},
		{"more in data", 400, "data", sends(`{"type":"task.changed","data":{"ids":[1],"state":3}}`)},
		{"no ids", 400, "data.ids", sends(`{"type":"task.changed","data":{}}`)},
		{"ids empty", 400, "data.ids", sends(body("task.changed"))},
		{"ids null", 400, "data.ids", sends(`{"type":"task.changed","data":{"ids":null}}`)},
		{"ids a number", 400, "data.ids", sends(`{"type":"task.changed","data":{"ids":1}}`)},
		{"id zero", 400, "data.ids[1]", sends(body("task.changed", 1, 0))},
		{"id negative", 400, "data.ids[0]", sends(body("task.changed", -1))},
		{"id a text", 400, "data.ids[0]", sends(body("task.changed", "1"))},
		{"id a fraction", 400, "data.ids[0]", sends(body("task.changed", 1.5))},
		{"id null", 400, "data.ids[0]", sends(body("task.changed", nil))},
		{"id too large", 400, "data.ids[0]", sends(`{"type":"task.changed","data":{"ids":[9223372036854775808]}}`)},
		{"one bad id of many", 400, "data.ids[1001]", sends(body("task.changed", append(upTo(1001), "x")...))},
		{"too many ids", 413, "data.ids", sends(body("task.changed", upTo(1001)...))},
		{"not published", 503, "not published", func(_ *testing.T, w *world, r *http.Request) *http.Request {
			w.published.err = errors.New("SECRETTOPIC is down")
			return r
		}},
	}
}

func TestRefused(t *testing.T) {
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			w := newWorld(t, nil)
			r := f.spoil(t, w, w.signed(t, "POST", "/", body("task.changed", 1), noon))
			answer := w.ask(r)
			var problem struct {
				Title, Detail string
				Status        int
			}
			if err := json.Unmarshal(answer.Body.Bytes(), &problem); err != nil {
				t.Fatal(err)
			}
			if answer.Code != f.status || problem.Status != f.status || problem.Title == "" || !strings.Contains(problem.Detail, f.detail) {
				t.Errorf("answered %d %+v, want %d naming %s", answer.Code, problem, f.status, f.detail)
			}
			if ct := answer.Header().Get("Content-Type"); ct != "application/problem+json" {
				t.Errorf("content type %s", ct)
			}
			if allow := answer.Header().Get("Allow"); (allow == "POST") != (f.status == 405) {
				t.Errorf("Allow is %q", allow)
			}
			if strings.Contains(answer.Body.String(), "SECRETTOPIC") {
				t.Error("the caller is told what is wrong inside")
			}
			if len(w.published.messages) > 0 {
				t.Errorf("published %v", w.published.messages)
			}
			if n := strings.Count(w.log.String(), "\n"); n != 1 {
				t.Errorf("%d log lines: %s", n, w.log)
			}
		})
	}
}

// The contract's order: a request with several faults is answered by the first.
func TestOrderOfTheChecks(t *testing.T) {
	steps := []struct {
		status int
		spoil  func(r *http.Request)
	}{
		{405, func(r *http.Request) { r.Method = "GET" }},
		{415, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }},
		{413, func(r *http.Request) { r.ContentLength = notify.MaxBody + 1 }},
		{401, func(r *http.Request) { r.Header.Set("webhook-signature", "v1,AAAA") }},
	}
	for first := range len(steps) + 1 {
		w := newWorld(t, nil)
		w.published.err = errors.New("down") // 503 would be last
		r := w.signed(t, "POST", "/", body("task.created", upTo(1001)...), noon)
		want := 400 // an unknown type comes before too many ids
		for i := len(steps) - 1; i >= first; i-- {
			steps[i].spoil(r)
			want = steps[i].status
		}
		if answer := w.ask(r); answer.Code != want {
			t.Errorf("from step %d on: answered %d, want %d", first, answer.Code, want)
		}
	}
	w := newWorld(t, nil)
	w.published.err = errors.New("down")
	if answer := w.ask(w.signed(t, "POST", "/", body("task.changed", upTo(1001)...), noon)); answer.Code != 413 {
		t.Errorf("too many ids while not publishing: %d", answer.Code)
	}
}

func TestCard(t *testing.T) {
	const id = "c_abc123@group.calendar.google.com"
	with := func(state store.EmployeeState) store.EmployeeRecord {
		return store.EmployeeRecord{State: state, Name: "N", Address: "a@example.com", Calendar: &store.CalendarRecord{ID: id, Epoch: "e"}}
	}
	known := employees{
		1: {State: store.StateNone, Reason: "no-address"}, 2: {State: store.StatePending, Calendar: &store.CalendarRecord{Epoch: "e"}},
		42: with(store.StateActive), 4: with(store.StateHeld), 5: with(store.StateDeleting), 6: {State: store.StateError},
		7: {}, 8: with("of-tomorrow"),
	}
	link := `,"calendar_id":"` + id + `","add_url":"https://calendar.google.com/calendar/r?cid=` +
		strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(id)), "=") + `"`
	for path, want := range map[string]string{
		"/employees/1":  `{"employee_id":1,"state":"none"}`,
		"/employees/2":  `{"employee_id":2,"state":"pending"}`,
		"/employees/42": `{"employee_id":42,"state":"active"` + link + `}`,
		"/employees/4":  `{"employee_id":4,"state":"held"` + link + `}`,
		"/employees/5":  `{"employee_id":5,"state":"deleting"}`,
		"/employees/6":  `{"employee_id":6,"state":"error"}`,
		"/employees/7":  `{"employee_id":7,"state":"none"}`,
		"/employees/8":  `{"employee_id":8,"state":"error"}`,
	} {
		w := newWorld(t, known)
		answer := w.ask(w.signed(t, "GET", path, "", noon))
		if got := strings.TrimSpace(answer.Body.String()); answer.Code != 200 || got != want {
			t.Errorf("%s: %d %s, want %s", path, answer.Code, got, want)
		}
		if strings.Contains(w.log.String(), id) {
			t.Errorf("%s: the calendar's id is in the log", path)
		}
	}
}

func TestCardRefused(t *testing.T) {
	known := employees{42: {State: store.StateActive}}
	for _, c := range []struct {
		name, method, path string
		status             int
		spoil              func(w *world, r *http.Request)
	}{
		{"unknown", "GET", "/employees/43", 404, nil},
		{"no number", "GET", "/employees/x", 404, nil},
		{"another spelling", "GET", "/employees/042", 404, nil},
		{"nothing", "GET", "/employees/", 404, nil},
		{"deeper", "GET", "/employees/42/x", 404, nil},
		{"the store is down", "GET", "/employees/503", 503, nil},
		{"unsigned", "GET", "/employees/42", 401, func(_ *world, r *http.Request) { r.Header.Del("webhook-signature") }},
		{"unsigned and unknown", "GET", "/employees/43", 401, func(_ *world, r *http.Request) { r.Header.Del("webhook-id") }},
		{"another card's signature", "GET", "/employees/41", 401, func(_ *world, r *http.Request) { r.URL.Path = "/employees/42" }},
		{"POST", "POST", "/employees/42", 405, nil},
		{"HEAD", "GET", "/employees/42", 405, func(_ *world, r *http.Request) { r.Method = "HEAD" }},
		{"another path", "POST", "/Notify", 404, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, known)
			r := w.signed(t, c.method, c.path, "", noon)
			if c.spoil != nil {
				c.spoil(w, r)
			}
			answer := w.ask(r)
			if answer.Code != c.status || answer.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("answered %d %v", answer.Code, answer.Header())
			}
			if allow := answer.Header().Get("Allow"); (allow == "GET") != (c.status == 405) {
				t.Errorf("Allow is %q", allow)
			}
		})
	}
}

// Whatever a signed body holds: a known answer, and what is published keeps the
// form of the queue.
func FuzzNotification(f *testing.F) {
	f.Add([]byte(body("task.changed", 1, 2)))
	f.Add([]byte(`{"type":"employee.deleted","data":{"ids":[9]}}`))
	f.Add([]byte(`{"type":"task.changed","data":{"ids":[1e3,1.0,-0]}}`))
	key, err := webhook.ParseKey("whsec_" + strings.Repeat("AAAA", 8))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p := &topics{}
		h := notify.New(notify.Config{Keys: []webhook.Key{key}, TaskTopic: "tasks", EmployeeTopic: "employees"},
			notify.Deps{Publisher: p, Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler)})
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(text))
		if r.Header, err = webhook.Sign(key, "m", noon, text); err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if (w.Code == 202) != (len(p.messages) == 1) || (w.Code != 202 && w.Code != 400 && w.Code != 413) {
			t.Fatalf("answered %d, published %v", w.Code, p.messages)
		}
		for topic, messages := range p.messages {
			for _, m := range messages {
				if _, _, err := m.Encode(topic); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// untouched is a body that must not be read.
type untouched struct{ t *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// Headers that no body can make good are refused before it arrives (rule 10.14).
func TestHeadersAreRefusedBeforeTheBody(t *testing.T) {
	w := newWorld(t, nil)
	for name, row := range map[string]struct {
		change func(h http.Header)
		status int
	}{
		"no headers at all":        {func(h http.Header) { clear(h) }, 415},
		"no signature":             {func(h http.Header) { h.Del(webhook.HeaderSignature) }, 401},
		"no id":                    {func(h http.Header) { h.Del(webhook.HeaderID) }, 401},
		"no timestamp":             {func(h http.Header) { h.Del(webhook.HeaderTimestamp) }, 401},
		"a timestamp that is none": {func(h http.Header) { h.Set(webhook.HeaderTimestamp, "x") }, 401},
		"stale":                    {func(h http.Header) { h.Set(webhook.HeaderTimestamp, "1") }, 401},
		"from the future":          {func(h http.Header) { h.Set(webhook.HeaderTimestamp, "99999999999") }, 401},
		"a signature that is none": {func(h http.Header) { h.Set(webhook.HeaderSignature, "v1,AAAA") }, 401},
		"of another version only": {func(h http.Header) {
			h.Set(webhook.HeaderSignature, strings.Replace(h.Get(webhook.HeaderSignature), "v1,", "v1a,", 1))
		}, 401},
		"compressed":                {func(h http.Header) { h.Set("Content-Encoding", "gzip") }, 415},
		"a form":                    {func(h http.Header) { h.Set("Content-Type", "application/x-www-form-urlencoded") }, 415},
		"too long by its own words": {func(h http.Header) { h.Set("Content-Length", "big") }, 413},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.signed(t, http.MethodPost, "/", body("task.changed", 1), noon)
			r.Body, r.ContentLength = io.NopCloser(untouched{t}), -1
			row.change(r.Header)
			if r.Header.Get("Content-Length") == "big" {
				r.ContentLength = notify.MaxBody + 1
			}
			if answer := w.ask(r); answer.Code != row.status {
				t.Errorf("got %d: %s", answer.Code, answer.Body)
			}
		})
	}
}

// late is a body that never comes.
type late struct{}

func (late) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

func TestABodyThatDoesNotComeIsTooSlow(t *testing.T) {
	w := newWorld(t, nil)
	r := w.signed(t, http.MethodPost, "/", body("task.changed", 1), noon)
	r.Body = io.NopCloser(late{})
	if answer := w.ask(r); answer.Code != http.StatusRequestTimeout || len(w.published.messages) > 0 {
		t.Errorf("got %d, published %v", answer.Code, w.published.messages)
	}
}
