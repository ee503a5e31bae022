package inprocess_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/fake/inprocess"
)

func TestAnAnswerIsThatOfAServer(t *testing.T) {
	errOver := errors.New("over")
	for name, row := range map[string]struct {
		handler      http.HandlerFunc
		over         bool
		status       int
		body         string
		err, bodyErr error
	}{
		"whole": {handler: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "short and stout")
		}, status: http.StatusTeapot, body: "short and stout"},
		"nothing said":  {handler: func(http.ResponseWriter, *http.Request) {}, status: http.StatusOK},
		"broken before": {handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, err: io.ErrUnexpectedEOF},
		"broken in the body": {handler: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "short")
			panic(http.ErrAbortHandler)
		}, status: http.StatusOK, body: "short", bodyErr: io.ErrUnexpectedEOF},
		"broken because the caller gave up": {handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, over: true, err: errOver},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://in.test/", nil)
			if err != nil {
				t.Fatal(err)
			}
			if row.over {
				cancel(errOver)
			}
			res, err := inprocess.Ask(row.handler, r).Response(r)
			if !errors.Is(err, row.err) {
				t.Fatalf("got %v, want %v", err, row.err)
			}
			if err != nil {
				return
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if res.StatusCode != row.status || string(body) != row.body || !errors.Is(err, row.bodyErr) {
				t.Errorf("%d %q, %v", res.StatusCode, body, err)
			}
		})
	}
}
