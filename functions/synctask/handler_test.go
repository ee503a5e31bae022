package synctask_test

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

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/erp-calendar/erp-calendar/functions/synctask"
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/workers"
)

// world is a Syncer whose report is given, and a queue.
type world struct {
	report   events.Report
	err      error
	down     bool // the queue
	orders   []events.Order
	messages []queue.Message
}

func (w *world) Sync(_ context.Context, o events.Order) (events.Report, error) {
	w.orders = append(w.orders, o)
	return w.report, w.err
}

func (w *world) Publish(_ context.Context, topic string, messages ...queue.Message) error {
	if w.down || topic != "employees" {
		return errors.New("down")
	}
	w.messages = append(w.messages, messages...)
	return nil
}

// push gives the status that a message is answered with.
func (w *world) push(t *testing.T, data string) int {
	t.Helper()
	body, err := json.Marshal(map[string]any{"message": map[string]any{
		"data": base64.StdEncoding.EncodeToString([]byte(data)), "messageId": "m-1",
	}})
	if err != nil {
		t.Fatal(err)
	}
	h := synctask.New(synctask.Config{EmployeeTopic: "employees"},
		synctask.Deps{Events: w, Publisher: w, Hooks: workers.Hooks{Forget: func() {}}, Log: slog.New(slog.DiscardHandler)})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Code
}

func TestWhatAMessageLeadsTo(t *testing.T) {
	const two = `{"ids":[7,8],"cause":"notify","deleted":true}`
	order := []events.Order{{Tasks: []calendarsync.TaskID{7, 8}, Message: "m-1", Cause: queue.CauseNotify, Deleted: true}}
	for name, row := range map[string]struct {
		world    world
		data     string
		status   int
		orders   []events.Order
		messages []queue.Message
	}{
		"done":                  {world{}, two, http.StatusNoContent, order, nil},
		"all is for employees":  {world{}, `{"all":true,"cause":"console"}`, http.StatusBadRequest, nil, nil},
		"not done":              {world{err: errors.New("the store is away")}, two, http.StatusServiceUnavailable, order, nil},
		"a lease for it lives":  {world{report: events.Report{Redelivered: []calendarsync.TaskID{8}}}, two, http.StatusServiceUnavailable, order, nil},
		"calendars to relist":   {world{report: events.Report{Relist: []int64{3, 4}}}, two, http.StatusNoContent, order, []queue.Message{{IDs: []int64{3, 4}, Cause: queue.CauseFill, Lane: queue.LaneBulk}}},
		"and the queue is down": {world{report: events.Report{Relist: []int64{3}}, down: true}, two, http.StatusServiceUnavailable, order, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := row.world
			if got := w.push(t, row.data); got != row.status {
				t.Errorf("status %d, want %d", got, row.status)
			}
			if diff := cmp.Diff(row.orders, w.orders, cmpopts.IgnoreUnexported(events.Order{})); diff != "" {
				t.Errorf("orders:\n%s", diff)
			}
			if diff := cmp.Diff(row.messages, w.messages); diff != "" {
				t.Errorf("messages:\n%s", diff)
			}
		})
	}
}
