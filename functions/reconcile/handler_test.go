package reconcile_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/functions/reconcile"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

type published struct {
	to  map[string][]queue.Message
	err error
}

func (p *published) Publish(_ context.Context, topic string, messages ...queue.Message) error {
	if p.err == nil {
		p.to[topic] = append(p.to[topic], messages...)
	}
	return p.err
}

func TestReconcile(t *testing.T) {
	start := map[string][]queue.Message{"employees": {{All: true, Cause: queue.CauseReconcile, Lane: queue.LaneBulk}}}
	for _, c := range []struct {
		method, path string
		err          error
		status       int
		want         map[string][]queue.Message
	}{
		{"POST", "/", nil, 202, start},
		{"POST", "/", errors.New("down"), 503, map[string][]queue.Message{}},
		{"GET", "/", nil, 405, map[string][]queue.Message{}},
		{"POST", "/x", nil, 404, map[string][]queue.Message{}},
	} {
		p := &published{to: map[string][]queue.Message{}, err: c.err}
		w := httptest.NewRecorder()
		reconcile.New(reconcile.Config{EmployeeTopic: "employees"}, reconcile.Deps{Publisher: p, Log: slog.New(slog.DiscardHandler)}).
			ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.status)
		}
		if diff := cmp.Diff(c.want, p.to); diff != "" {
			t.Errorf("%s %s: %s", c.method, c.path, diff)
		}
	}
}
