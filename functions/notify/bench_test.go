package notify_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/functions/notify"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/serve"
	"github.com/erp-calendar/erp-calendar/shared/webhook"
)

// nowhere publishes at once.
type nowhere struct{}

func (nowhere) Publish(context.Context, string, ...queue.Message) error { return nil }

// alone is the function as it is deployed, and a request for it; nothing is published.
func alone(t testing.TB) (handler http.Handler, request func() *http.Request) {
	t.Helper()
	key, err := webhook.ParseKey("whsec_AAAABBBBCCCCDDDDEEEEFFFFGGGGHHHH")
	if err != nil {
		t.Fatal(err)
	}
	log := logging.New(io.Discard, "p").With(logging.Labels("function", "Notify"))
	h := serve.New("Notify", log, time.Minute, func(context.Context) (http.Handler, error) {
		return notify.New(notify.Config{Keys: []webhook.Key{key}, TaskTopic: "tasks", EmployeeTopic: "employees"},
			notify.Deps{Publisher: nowhere{}, Now: func() time.Time { return noon }, Log: log}), nil
	})
	text := []byte(body("task.changed", 123))
	header, err := webhook.Sign(key, "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", noon, text)
	if err != nil {
		t.Fatal(err)
	}
	header.Set("Content-Type", "application/json")
	return h, func() *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(text))
		r.Header = header
		return r
	}
}

// BenchmarkNotification is the function without server, transport and publishing.
func BenchmarkNotification(b *testing.B) {
	h, request := alone(b)
	requests := make([]*http.Request, b.N)
	for i := range requests {
		requests[i] = request()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for _, r := range requests {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}

// TestANotificationCostsLittle bounds the allocations of one: the ERP's dispatcher waits
// for it.
func TestANotificationCostsLittle(t *testing.T) {
	h, request := alone(t)
	const runs, most = 100, 60
	requests := make([]*http.Request, 0, runs+1)
	for range cap(requests) {
		requests = append(requests, request())
	}
	n := 0
	each := testing.AllocsPerRun(runs, func() {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, requests[n])
		if n++; answer.Code != http.StatusAccepted {
			t.Errorf("status %d", answer.Code)
		}
	})
	if each > most {
		t.Errorf("%.0f allocations, want at most %d", each, most)
	}
}
