package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/functions/notify"
	"github.com/erp-calendar/erp-calendar/shared/fake/deployment"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/serve"
	"github.com/erp-calendar/erp-calendar/shared/webhook"
)

// nowhere publishes at once.
type nowhere struct{}

// Publish does nothing.
func (nowhere) Publish(context.Context, string, ...queue.Message) error { return nil }

// discarded is an answer that nobody reads.
type discarded struct{ header http.Header }

// Header gives the header.
func (d *discarded) Header() http.Header { return d.header }

// WriteHeader does nothing.
func (d *discarded) WriteHeader(int) {}

// Write takes everything.
func (d *discarded) Write(b []byte) (int, error) { return len(b), nil }

// notifyAlone is Notify's handler without server, transport and publishing.
func (b *bench) notifyAlone(context.Context) error {
	key, err := webhook.ParseKey(b.secret.notify)
	if err != nil {
		return err
	}
	log := logging.New(io.Discard, "bench").With(logging.Labels("function", deployment.Notify))
	h := serve.New(deployment.Notify, log, time.Minute, func(context.Context) (http.Handler, error) {
		return notify.New(notify.Config{Keys: []webhook.Key{key}, TaskTopic: "task-changes", EmployeeTopic: "employee-changes"},
			notify.Deps{Publisher: nowhere{}, Now: time.Now, Log: log}), nil
	})
	body, header, err := deployment.Notification(b.secret.notify, fakeerp.TaskChanged, 123)
	if err != nil {
		return err
	}
	header.Set("Content-Type", "application/json")
	check := httptest.NewRecorder()
	h.ServeHTTP(check, request(body, header))
	if check.Code != http.StatusAccepted {
		return fmt.Errorf("notify a task: status %d", check.Code)
	}
	n := 20_000
	if b.bySingle {
		n = 2000
	}
	requests := make([]*http.Request, n)
	for i := range requests {
		requests[i] = request(body, header)
	}
	answer := &discarded{http.Header{}}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	// Of twenty parts the fastest: what else the machine does counts in, in the others.
	fastest := time.Hour
	for part := range slices.Chunk(requests, n/20) {
		began := time.Now()
		for _, r := range part {
			clear(answer.header)
			h.ServeHTTP(answer, r)
		}
		fastest = min(fastest, time.Since(began)/time.Duration(len(part)))
	}
	runtime.ReadMemStats(&after)
	each := float64(fastest.Nanoseconds()) / 1e3
	allocations := float64(after.Mallocs-before.Mallocs) / float64(n)
	b.say("Notify's handler alone: %.1f µs, %.0f allocations, %d bytes a notification\n", each, allocations, (after.TotalAlloc-before.TotalAlloc)/uint64(n))
	b.atMost("Notify's handler alone", each, 20, "µs")
	b.atMost("Notify's handler alone, allocations", allocations, 60, "")
	return nil
}

func request(body []byte, header http.Header) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body)) //nolint:noctx // it goes nowhere
	r.Header = header
	return r
}
