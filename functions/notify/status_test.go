package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/functions/notify"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/status"
	"github.com/erp-calendar/erp-calendar/shared/webhook"
)

// TestTheStatusIsForWhoeverCanSign: monitoring reads it without a browser, strangers do not.
func TestTheStatusIsForWhoeverCanSign(t *testing.T) {
	w := newWorld(t, nil)
	answer, failing := status.Answer{State: "trouble", Problems: []status.Trouble{{Kind: status.DeletionsHeld, Level: status.Bad, Count: 3}}}, error(nil)
	w.Handler = notify.New(notify.Config{Keys: []webhook.Key{w.key}},
		notify.Deps{Status: func(context.Context) (status.Answer, error) { return answer, failing }, Now: func() time.Time { return noon }, Log: logging.New(io.Discard, "p")})
	got := w.ask(w.signed(t, http.MethodGet, "/status", "", noon))
	var read status.Answer
	if err := json.Unmarshal(got.Body.Bytes(), &read); err != nil || got.Code != http.StatusOK || read.State != "trouble" || read.Problems[0].Count != 3 {
		t.Errorf("%d %s: %v", got.Code, got.Body, err)
	}
	unsigned := w.signed(t, http.MethodGet, "/status", "", noon)
	unsigned.Header.Del("webhook-signature")
	for name, row := range map[string]struct {
		request *http.Request
		code    int
	}{
		"not signed":         {unsigned, http.StatusUnauthorized},
		"an hour old":        {w.signed(t, http.MethodGet, "/status", "", noon.Add(-time.Hour)), http.StatusUnauthorized},
		"signed for a card":  {as(w.signed(t, http.MethodGet, "/employees/7", "", noon), "/status"), http.StatusUnauthorized},
		"not to be written":  {w.signed(t, http.MethodPost, "/status", "", noon), http.StatusMethodNotAllowed},
		"another path below": {w.signed(t, http.MethodGet, "/status/x", "", noon), http.StatusNotFound},
	} {
		if got := w.ask(row.request); got.Code != row.code {
			t.Errorf("%s: %d, want %d", name, got.Code, row.code)
		}
	}
	failing = errors.New("the database is away")
	if got := w.ask(w.signed(t, http.MethodGet, "/status", "", noon)); got.Code != http.StatusServiceUnavailable {
		t.Errorf("without a database: %d", got.Code)
	}
}

// as sends a signed request to another path.
func as(r *http.Request, path string) *http.Request {
	r.URL.Path = path
	return r
}
