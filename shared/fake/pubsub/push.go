package pubsub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"
)

// envelope is the body of a push. Google sends the id and the time under both
// spellings; deliveryAttempt only where there is a dead-letter policy.
type envelope struct {
	Message         envelopeMessage `json:"message"`
	Subscription    string          `json:"subscription"`
	DeliveryAttempt int             `json:"deliveryAttempt,omitempty"`
}

type envelopeMessage struct {
	Data           []byte            `json:"data,omitempty"` // base64, by encoding/json
	Attributes     map[string]string `json:"attributes,omitempty"`
	MessageID      string            `json:"messageId"`
	MessageIDAlt   string            `json:"message_id"`
	PublishTime    string            `json:"publishTime"`
	PublishTimeAlt string            `json:"publish_time"`
	OrderingKey    string            `json:"orderingKey,omitempty"`
}

// acknowledges reports whether Pub/Sub takes a status for an acknowledgement; every
// other one, 2xx or not, is a nack.
func acknowledges(status int) bool {
	switch status {
	case http.StatusProcessing, http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent:
		return true
	}
	return false
}

// post makes one push and returns the answer's status.
func (d *Dispatcher) post(s *subscription, it *delivery) (int, error) {
	at := it.message.PublishTime.UTC().Format(time.RFC3339Nano)
	env := envelope{
		Message: envelopeMessage{
			Data:           it.message.Data,
			Attributes:     it.message.Attributes,
			MessageID:      it.message.ID,
			MessageIDAlt:   it.message.ID,
			PublishTime:    at,
			PublishTimeAlt: at,
			OrderingKey:    it.message.OrderingKey,
		},
		Subscription: s.Name,
	}
	if s.DeadLetterTopic != "" {
		env.DeliveryAttempt = it.attempts
	}
	body, err := json.Marshal(env)
	if err != nil {
		return 0, fmt.Errorf("encoding the push of message %s: %w", it.message.ID, err)
	}
	ctx, cancel := context.WithTimeout(d.ctx, s.AckDeadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Endpoint, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("pushing message %s: %w", it.message.ID, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)")
	if s.Handler != nil {
		return d.call(ctx, s, req)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("pushing message %s: %w", it.message.ID, err)
	}
	defer func() { _ = resp.Body.Close() }()
	// Read to the end, or the connection cannot be used again. The body means nothing to
	// Pub/Sub, so an error in reading it changes nothing.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, nil
}

// call runs the subscription's handler in a goroutine of its own: a handler that outlasts
// the acknowledgement deadline must not delay the message's next attempt.
func (d *Dispatcher) call(ctx context.Context, s *subscription, req *http.Request) (int, error) {
	req.RequestURI = req.URL.RequestURI()
	req.RemoteAddr = "192.0.2.1:443" // TEST-NET-1: nobody's address
	answer := make(chan int, 1)
	d.running.Go(func() {
		w := &response{header: http.Header{}}
		// As with net/http's server, a handler's panic ends only its own request.
		defer func() {
			if p := recover(); p != nil {
				d.opts.Logger.Error("push handler panicked", "subscription", s.Name, "panic", p, "stack", string(debug.Stack()))
				w.status = http.StatusInternalServerError
			}
			if w.status == 0 {
				w.status = http.StatusOK
			}
			answer <- w.status
		}()
		s.Handler.ServeHTTP(w, req)
	})
	select {
	case status := <-answer:
		return status, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("awaiting the handler's answer: %w", ctx.Err())
	}
}

// response keeps what a push needs of an answer: its status.
type response struct {
	header http.Header
	status int
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	// 1xx are informational but for 101: the answer is still to come.
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
}

func (w *response) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return len(b), nil
}
