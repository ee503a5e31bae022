package workers_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/budget"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/workers"
)

// push is Pub/Sub's envelope around a message.
func push(t *testing.T, data string, attributes map[string]string) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{
		"message":         map[string]any{"data": base64.StdEncoding.EncodeToString([]byte(data)), "attributes": attributes, "messageId": "m-1"},
		"subscription":    "projects/p/subscriptions/sync-task",
		"deliveryAttempt": 3,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func post(t *testing.T, h http.Handler, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const good = `{"ids":[1,2],"cause":"notify"}`

func TestHandlerAnswersByKind(t *testing.T) {
	const secret = "+380501234567"
	for name, row := range map[string]struct {
		body   string // push of good, if empty
		err    error
		status int
		level  string
	}{
		"done":               {"", nil, http.StatusNoContent, ""},
		"no message":         {"{", nil, http.StatusBadRequest, "ERROR"},
		"unknown field":      {push(t, `{"ids":[1],"cause":"notify","phone":"`+secret+`"}`, nil), nil, http.StatusBadRequest, "ERROR"},
		"no cause":           {push(t, `{"ids":[1]}`, nil), nil, http.StatusBadRequest, "ERROR"},
		"unknown lane":       {push(t, good, map[string]string{"lane": "fast"}), nil, http.StatusBadRequest, "ERROR"},
		"kind invalid":       {"", failure.New(failure.Invalid, "read message m-1", "all is for employees"), http.StatusBadRequest, "ERROR"},
		"kind transient":     {"", failure.New(failure.Transient, "take a lease", "the store is away"), http.StatusServiceUnavailable, "WARN"},
		"kind revoked":       {"", failure.New(failure.Revoked, "read the account", ""), http.StatusServiceUnavailable, "WARN"},
		"kind forbidden":     {"", failure.New(failure.Forbidden, "share", ""), http.StatusServiceUnavailable, "WARN"},
		"kind misconfigured": {"", failure.New(failure.Misconfigured, "read settings", ""), http.StatusServiceUnavailable, "WARN"},
		"no kind":            {"", errors.New("store: away"), http.StatusServiceUnavailable, "WARN"},
		"cut short":          {"", context.DeadlineExceeded, http.StatusServiceUnavailable, "WARN"},
	} {
		t.Run(name, func(t *testing.T) {
			log := &bytes.Buffer{}
			ran := 0
			h := workers.Handler(slog.New(slog.NewTextHandler(log, nil)), workers.Hooks{Forget: func() {}}, func(context.Context, queue.Delivery) error {
				ran++
				return row.err
			})
			body := row.body
			if body == "" {
				body = push(t, good, nil)
			}
			w := post(t, h, body)
			if w.Code != row.status {
				t.Errorf("status %d, want %d", w.Code, row.status)
			}
			if understood := row.body == ""; understood != (ran == 1) {
				t.Errorf("the work was done %d times", ran)
			}
			if got := log.String(); (row.level == "") != (got == "") || !strings.Contains(got, row.level) {
				t.Errorf("logged %q, want level %q", got, row.level)
			}
			if strings.Contains(log.String()+w.Body.String(), secret) {
				t.Errorf("people's data in the log or the answer:\n%s\n%s", log, w.Body)
			}
			if row.err != nil && strings.Contains(w.Body.String(), row.err.Error()) {
				t.Errorf("the answer tells the inside: %s", w.Body)
			}
		})
	}
}

func TestHandlerTakesOnlyPosts(t *testing.T) {
	h := workers.Handler(slog.New(slog.DiscardHandler), workers.Hooks{Forget: func() {}}, func(context.Context, queue.Delivery) error {
		t.Error("the work was done")
		return nil
	})
	for _, row := range []struct {
		method, path string
		status       int
	}{{http.MethodGet, "/", http.StatusMethodNotAllowed}, {http.MethodPost, "/other", http.StatusNotFound}} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), row.method, row.path, strings.NewReader(push(t, good, nil))))
		if w.Code != row.status {
			t.Errorf("%s %s: status %d, want %d", row.method, row.path, w.Code, row.status)
		}
	}
}

// TestHandlerWorksOnTheMessagesLane shows rule 6.3.
func TestHandlerWorksOnTheMessagesLane(t *testing.T) {
	for _, row := range []struct {
		cause, attribute string
		lane             queue.Lane
		forgets          bool
	}{
		{"notify", "", queue.LaneLive, false},
		{"poll", "", queue.LaneLive, false},
		{"poll", "bulk", queue.LaneBulk, false},
		{"retry", "", queue.LaneLive, false},
		{"console", "", queue.LaneLive, true},
		{"console", "bulk", queue.LaneBulk, true},
		{"reconcile", "", queue.LaneBulk, false},
		{"fill", "", queue.LaneBulk, false},
		{"fill", "live", queue.LaneLive, false},
	} {
		t.Run(row.cause+" "+row.attribute, func(t *testing.T) {
			attributes := map[string]string{}
			if row.attribute != "" {
				attributes["lane"] = row.attribute
			}
			forgotten, ran := false, false
			h := workers.Handler(slog.New(slog.DiscardHandler), workers.Hooks{Forget: func() { forgotten = true }}, func(ctx context.Context, d queue.Delivery) error {
				ran = true
				if got := budget.LaneOf(ctx); got != row.lane || d.Lane != row.lane {
					t.Errorf("lane %s in the context and %s in the message, want %s", got, d.Lane, row.lane)
				}
				// New settings must be in force for this very message.
				if forgotten != row.forgets {
					t.Errorf("settings forgotten: %t, want %t", forgotten, row.forgets)
				}
				if d.ID != "m-1" || d.Attempt != 3 || len(d.IDs) != 2 {
					t.Errorf("the work got %+v", d)
				}
				return nil
			})
			w := post(t, h, push(t, `{"ids":[1,2],"cause":"`+row.cause+`"}`, attributes))
			if w.Code != http.StatusNoContent || !ran {
				t.Errorf("status %d, done: %t", w.Code, ran)
			}
		})
	}
}

type noted struct {
	versions []string
	err      error
}

func (n *noted) NotificationCame(_ context.Context, connector string) error {
	n.versions = append(n.versions, connector)
	return n.err
}

// That a notification came is noted once a minute, and for each version of the connector.
func TestANotificationIsNotedOnceAMinute(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	n := &noted{}
	h := workers.Handler(slog.New(slog.DiscardHandler), workers.Hooks{Came: workers.Came(n, func() time.Time { return now }, slog.New(slog.DiscardHandler))},
		func(context.Context, queue.Delivery) error { return nil })
	come := func(cause, version string) {
		t.Helper()
		if w := post(t, h, push(t, `{"ids":[1],"cause":"`+cause+`"}`, map[string]string{"connector": version})); w.Code != http.StatusNoContent {
			t.Errorf("status %d", w.Code)
		}
	}
	come("poll", "")
	for range 3 {
		come("notify", "1.1")
	}
	come("notify", "1.2")
	now = now.Add(59 * time.Second)
	come("notify", "1.2")
	n.err = errors.New("no database")
	now = now.Add(time.Second)
	come("notify", "1.2")
	if want := []string{"1.1", "1.2", "1.2"}; !slices.Equal(n.versions, want) {
		t.Errorf("noted %q, want %q", n.versions, want)
	}
}
