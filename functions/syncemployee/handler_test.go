package syncemployee_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/functions/syncemployee"
	"github.com/erp-calendar/erp-calendar/shared/calendars"
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/workers"
)

// world is a Syncer whose report is given, and a queue.
type world struct {
	report   calendars.Report
	err      error
	down     bool // the queue
	orders   []calendars.Order
	runs     []string
	messages []queue.Message
}

func (w *world) Sync(_ context.Context, o calendars.Order) (calendars.Report, error) {
	w.orders = append(w.orders, o)
	return w.report, w.err
}

func (w *world) StartFullRun(_ context.Context, cause queue.Cause, id string) error {
	w.runs = append(w.runs, string(cause)+" "+id)
	return w.err
}

func (w *world) Publish(_ context.Context, topic string, messages ...queue.Message) error {
	if w.down || topic != "employees" {
		return errors.New("down")
	}
	w.messages = append(w.messages, messages...)
	return nil
}

// push gives the status that a message is answered with.
func (w *world) push(ctx context.Context, t *testing.T, data string) int {
	t.Helper()
	body, err := json.Marshal(map[string]any{"message": map[string]any{
		"data": base64.StdEncoding.EncodeToString([]byte(data)), "messageId": "m-1", "attributes": map[string]string{"run": "part-1"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	h := syncemployee.New(syncemployee.Config{EmployeeTopic: "employees"},
		syncemployee.Deps{Calendars: w, Publisher: w, Hooks: workers.Hooks{Forget: func() {}}, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Code
}

func TestWhatAMessageLeadsTo(t *testing.T) {
	const two = `{"ids":[7,8],"cause":"poll"}`
	rest := calendars.Report{Remaining: []calendarsync.EmployeeID{8}}
	next := func(c queue.Cause) []queue.Message {
		return []queue.Message{{IDs: []int64{8}, Cause: c, Lane: queue.LaneBulk, Run: "part-1"}}
	}
	for name, row := range map[string]struct {
		world    world
		data     string
		status   int
		runs     []string
		orders   int
		messages []queue.Message
	}{
		"done":                 {world{}, two, http.StatusNoContent, nil, 1, nil},
		"a full run":           {world{}, `{"all":true,"cause":"reconcile"}`, http.StatusNoContent, []string{"reconcile m-1"}, 0, nil},
		"a full run, not done": {world{err: errors.New("away")}, `{"all":true,"cause":"reconcile"}`, http.StatusServiceUnavailable, []string{"reconcile m-1"}, 0, nil},
		"not done":             {world{err: errors.New("away")}, two, http.StatusServiceUnavailable, nil, 1, nil},
		"a lease for it lives": {world{report: calendars.Report{Redelivered: []calendarsync.EmployeeID{8}}}, two, http.StatusServiceUnavailable, nil, 1, nil},
		// The card that a poll saw change is read by now: the rest is a fill.
		"no time for one, of a poll":      {world{report: rest}, two, http.StatusNoContent, nil, 1, next(queue.CauseFill)},
		"no time for one, of a reconcile": {world{report: rest}, `{"ids":[7,8],"cause":"reconcile"}`, http.StatusNoContent, nil, 1, next(queue.CauseReconcile)},
		"and the queue is down":           {world{report: rest, down: true}, two, http.StatusServiceUnavailable, nil, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := row.world
			if got := w.push(t.Context(), t, row.data); got != row.status {
				t.Errorf("status %d, want %d", got, row.status)
			}
			if diff := cmp.Diff(row.runs, w.runs); diff != "" || len(w.orders) != row.orders {
				t.Errorf("%d orders; runs:\n%s", len(w.orders), diff)
			}
			if diff := cmp.Diff(row.messages, w.messages); diff != "" {
				t.Errorf("messages:\n%s", diff)
			}
		})
	}
}

// rule 7.3: a message is worked on for at most four minutes, and shorter where the
// platform's time-out is, so that the last employee still ends within it.
func TestTheRestGetsTheTimeThatThereIs(t *testing.T) {
	for name, row := range map[string]struct{ timeout, share time.Duration }{
		"no time-out":    {0, 240 * time.Second},
		"a long one":     {30 * time.Minute, 240 * time.Second},
		"a short one":    {100 * time.Second, 60 * time.Second},
		"a bit too long": {5 * time.Minute, 240 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if row.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, row.timeout)
					defer cancel()
				}
				w := &world{}
				began := time.Now()
				if got := w.push(ctx, t, `{"ids":[7],"cause":"fill"}`); got != http.StatusNoContent {
					t.Fatalf("status %d", got)
				}
				if got := w.orders[0].Until.Sub(began); got != row.share {
					t.Errorf("%s, want %s", got, row.share)
				}
			})
		})
	}
}
