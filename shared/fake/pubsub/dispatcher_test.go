package pubsub_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/shared/fake/pubsub"
)

// pushed is a push as an endpoint outside this package reads it.
type pushed struct {
	Message struct {
		Data        []byte            `json:"data"`
		Attributes  map[string]string `json:"attributes"`
		MessageID   string            `json:"messageId"`
		PublishTime time.Time         `json:"publishTime"`
	} `json:"message"`
	Subscription    string `json:"subscription"`
	DeliveryAttempt *int   `json:"deliveryAttempt"`
}

// endpoint records pushes and answers as told.
type endpoint struct {
	t      *testing.T
	answer func(n int, w http.ResponseWriter, r *http.Request) // n counts from 1

	mu     sync.Mutex
	pushes []pushed
	at     []time.Time
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		e.t.Errorf("reading the push: %v", err)
	}
	var p pushed
	if err := json.Unmarshal(body, &p); err != nil {
		e.t.Errorf("the push is no envelope: %v\n%s", err, body)
	}
	e.mu.Lock()
	e.pushes = append(e.pushes, p)
	e.at = append(e.at, time.Now())
	n := len(e.pushes)
	e.mu.Unlock()
	if e.answer != nil {
		e.answer(n, w, r)
	}
}

func (e *endpoint) seen() []pushed {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.pushes)
}

// waits are the times between pushes.
func (e *endpoint) waits() []time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	var waits []time.Duration
	for i := 1; i < len(e.at); i++ {
		waits = append(waits, e.at[i].Sub(e.at[i-1]))
	}
	return waits
}

func nackUntil(n int) func(int, http.ResponseWriter, *http.Request) {
	return func(i int, w http.ResponseWriter, _ *http.Request) {
		if i < n {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
}

func dispatcher(t *testing.T, subs ...pubsub.Subscription) *pubsub.Dispatcher {
	t.Helper()
	d, err := pubsub.NewDispatcher(t.Context(), pubsub.Options{Subscriptions: subs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func publish(t *testing.T, d *pubsub.Dispatcher, topic, data string) string {
	t.Helper()
	id, err := d.Publish(topic, pubsub.Message{Data: []byte(data), Attributes: map[string]string{"lane": "live"}})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func idle(t *testing.T, d *pubsub.Dispatcher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour) // of the bubble
	defer cancel()
	if err := d.Idle(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestANackedMessageComesAgainAfterADoublingWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{t: t, answer: nackUntil(9)}
		d := dispatcher(t, pubsub.Subscription{Topic: "t", Name: "s", Handler: e, MinBackoff: 10 * time.Second, MaxBackoff: 600 * time.Second})
		publish(t, d, "t", "x")
		idle(t, d)

		want := []time.Duration{10e9, 20e9, 40e9, 80e9, 160e9, 320e9, 600e9, 600e9}
		if diff := cmp.Diff(want, e.waits()); diff != "" {
			t.Errorf("waits between pushes (-want +got):\n%s", diff)
		}
		got, err := d.Counts("s")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(pubsub.Counts{Pushes: 9, Acked: 1, Nacked: 8}, got); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
	})
}

func TestEachMessageBacksOffByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{t: t}
		e.answer = func(_ int, w http.ResponseWriter, _ *http.Request) {
			all := e.seen()
			if string(all[len(all)-1].Message.Data) == "poison" {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}
		d := dispatcher(t, pubsub.Subscription{Topic: "t", Name: "s", Handler: e, MaxOutstanding: 1})
		publish(t, d, "t", "poison")
		synctest.Wait()
		start := time.Now()
		publish(t, d, "t", "fine")
		synctest.Wait()
		if c, _ := d.Counts("s"); c.Acked != 1 || c.BackingOff != 1 || c.Outstanding() != 1 {
			t.Errorf("counts = %+v; want one acknowledged beside one backing off", c)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("a fine message waited %v behind a nacked one", waited)
		}
	})
}

func TestStatusesDecide(t *testing.T) {
	for status, acked := range map[int]bool{
		200: true, 201: true, 202: true, 204: true,
		203: false, 206: false, 301: false, 400: false, 404: false, 429: false, 500: false, 503: false,
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &endpoint{t: t, answer: func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }}
				d := dispatcher(t, pubsub.Subscription{Topic: "t", Name: "s", Handler: e})
				publish(t, d, "t", "x")
				synctest.Wait()
				if got := d.Outstanding() == 0; got != acked {
					t.Errorf("status %d acknowledged = %v, want %v", status, got, acked)
				}
			})
		})
	}
}

func TestAPushThatOverrunsTheAckDeadlineIsNacked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{t: t, answer: func(n int, w http.ResponseWriter, r *http.Request) {
			if n > 1 {
				return
			}
			<-r.Context().Done()
			w.WriteHeader(http.StatusOK) // too late: the message must come again
		}}
		d := dispatcher(t, pubsub.Subscription{
			Topic: "t", Name: "s", Handler: e, AckDeadline: time.Minute, MinBackoff: 10 * time.Second,
		})
		publish(t, d, "t", "x")
		idle(t, d)
		if diff := cmp.Diff([]time.Duration{70 * time.Second}, e.waits()); diff != "" {
			t.Errorf("wait for the redelivery (-want +got):\n%s", diff)
		}
	})
}

func TestAPanickingHandlerNacksItsMessageAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{t: t, answer: func(n int, _ http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				panic("a defect")
			}
		}}
		d := dispatcher(t, pubsub.Subscription{Topic: "t", Name: "s", Handler: e})
		publish(t, d, "t", "x")
		idle(t, d)
		if n := len(e.seen()); n != 2 {
			t.Errorf("%d pushes, want the nacked one and another", n)
		}
	})
}

func TestDeadLettering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nacking := &endpoint{t: t, answer: func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }}
		dead := &endpoint{t: t}
		d := dispatcher(t,
			pubsub.Subscription{Topic: "task-changes", Name: "sync-task", Handler: nacking, DeadLetterTopic: "dead-letters", MaxDeliveryAttempts: 5},
			pubsub.Subscription{Topic: "dead-letters", Name: "dead-letter", Handler: dead},
		)
		publishedAt := time.Now()
		id := publish(t, d, "task-changes", `{"ids":[1]}`)
		idle(t, d)

		var attempts []int
		for _, p := range nacking.seen() {
			if p.DeliveryAttempt == nil {
				t.Fatal("a subscription with a dead-letter policy pushed without deliveryAttempt")
			}
			if p.Message.MessageID != id {
				t.Errorf("message id = %q, want the published %q on every attempt", p.Message.MessageID, id)
			}
			attempts = append(attempts, *p.DeliveryAttempt)
		}
		if diff := cmp.Diff([]int{1, 2, 3, 4, 5}, attempts); diff != "" {
			t.Errorf("delivery attempts (-want +got):\n%s", diff)
		}

		got := dead.seen()
		if len(got) != 1 {
			t.Fatalf("%d dead letters, want 1", len(got))
		}
		if string(got[0].Message.Data) != `{"ids":[1]}` || got[0].Message.MessageID == id {
			t.Errorf("dead letter = %+v; want the same data under an id of its own", got[0].Message)
		}
		if got[0].DeliveryAttempt != nil {
			t.Error("deliveryAttempt without a dead-letter policy")
		}
		want := map[string]string{
			"lane": "live",
			"CloudPubSubDeadLetterSourceDeliveryCount":       "5",
			"CloudPubSubDeadLetterSourceSubscription":        "sync-task",
			"CloudPubSubDeadLetterSourceSubscriptionProject": "local",
			"CloudPubSubDeadLetterSourceTopicPublishTime":    publishedAt.UTC().Format("2006-01-02T15:04:05.000") + "+00:00",
		}
		if diff := cmp.Diff(want, got[0].Message.Attributes); diff != "" {
			t.Errorf("attributes (-want +got):\n%s", diff)
		}
		if c, _ := d.Counts("sync-task"); c.DeadLettered != 1 || c.Outstanding() != 0 {
			t.Errorf("counts = %+v", c)
		}
	})
}

func TestNoMorePushesAtOnceThanAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		e := &endpoint{t: t, answer: func(int, http.ResponseWriter, *http.Request) { <-release }}
		d := dispatcher(t, pubsub.Subscription{Topic: "t", Name: "s", Handler: e, MaxOutstanding: 3})
		for range 10 {
			publish(t, d, "t", "x")
		}
		for done := range 10 {
			synctest.Wait()
			want := min(10, done+3)
			if n := len(e.seen()); n != want {
				t.Fatalf("after %d answers %d pushes were made, want %d", done, n, want)
			}
			release <- struct{}{}
		}
		idle(t, d)
	})
}

func TestEverySubscriptionOfATopicGetsItsOwnCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &endpoint{t: t}, &endpoint{t: t}
		d := dispatcher(t,
			pubsub.Subscription{Topic: "t", Name: "a", Handler: a},
			pubsub.Subscription{Topic: "projects/local/topics/t", Name: "b", Handler: b},
		)
		data, attrs := []byte("before"), map[string]string{"lane": "live"}
		if _, err := d.Publish("t", pubsub.Message{Data: data, Attributes: attrs}); err != nil {
			t.Fatal(err)
		}
		copy(data, "after!")
		maps.DeleteFunc(attrs, func(string, string) bool { return true })
		idle(t, d)
		for name, e := range map[string]*endpoint{"a": a, "b": b} {
			got := e.seen()
			if len(got) != 1 || string(got[0].Message.Data) != "before" || got[0].Message.Attributes["lane"] != "live" {
				t.Errorf("%s got %+v, want the message as it was published", name, got)
			}
			if got[0].Subscription != "projects/local/subscriptions/"+name {
				t.Errorf("%s was pushed as %q", name, got[0].Subscription)
			}
		}
	})
}

func TestIdleWaitsForBackOffsAndRedeliverNowEndsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{t: t, answer: nackUntil(3)}
		d := dispatcher(t, pubsub.Subscription{Topic: "t", Name: "s", Handler: e, MinBackoff: 10 * time.Second})
		publish(t, d, "t", "x")
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := d.Idle(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Idle with a message backing off = %v, want the deadline", err)
		}
		if n := d.RedeliverNow(); n != 1 {
			t.Errorf("RedeliverNow woke %d, want 1", n)
		}
		idle(t, d)
		// Nacked again, it waits its second wait in full: the first one's timer,
		// which would end 5 s later, is void.
		if diff := cmp.Diff([]time.Duration{5 * time.Second, 20 * time.Second}, e.waits()); diff != "" {
			t.Errorf("waits between pushes (-want +got):\n%s", diff)
		}
	})
}

func TestAHandlerThatPublishesKeepsTheDispatcherBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		last := &endpoint{t: t}
		var d *pubsub.Dispatcher
		first := &endpoint{t: t, answer: func(int, http.ResponseWriter, *http.Request) { publish(t, d, "second", "y") }}
		d = dispatcher(t,
			pubsub.Subscription{Topic: "first", Name: "first", Handler: first},
			pubsub.Subscription{Topic: "second", Name: "second", Handler: last},
		)
		publish(t, d, "first", "x")
		idle(t, d)
		if n := len(last.seen()); n != 1 {
			t.Errorf("idle with %d of 1 follow-up messages delivered", n)
		}
	})
}

func TestCloseCancelsAndEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cancelled := false
		e := &endpoint{t: t, answer: func(_ int, _ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			cancelled = true
		}}
		d := dispatcher(t, pubsub.Subscription{Topic: "t", Name: "s", Handler: e, MaxOutstanding: 1})
		publish(t, d, "t", "under way")
		publish(t, d, "t", "waiting")
		synctest.Wait()
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if !cancelled {
			t.Error("Close returned before the handler did")
		}
		if _, err := d.Publish("t", pubsub.Message{}); !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("Publish after Close = %v, want ErrClosed", err)
		}
		if err := d.Idle(t.Context()); !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("Idle after Close with messages lost = %v, want ErrClosed", err)
		}
		if n := len(e.seen()); n != 1 {
			t.Errorf("%d pushes, want none after Close", n)
		}
	})
}

func TestUnknownNames(t *testing.T) {
	d := dispatcher(t, pubsub.Subscription{Topic: "t", Name: "s", Handler: &endpoint{t: t}})
	if _, err := d.Publish("other", pubsub.Message{}); !errors.Is(err, pubsub.ErrNotFound) {
		t.Errorf("publishing to no topic = %v", err)
	}
	if _, err := d.Counts("other"); !errors.Is(err, pubsub.ErrNotFound) {
		t.Errorf("counts of no subscription = %v", err)
	}
}

func TestOptionsReportEveryFault(t *testing.T) {
	h := &endpoint{t: t}
	_, err := pubsub.NewDispatcher(t.Context(), pubsub.Options{Subscriptions: []pubsub.Subscription{
		{Topic: "t", Handler: h},
		{Name: "no-topic", Handler: h},
		{Topic: "t", Name: "no-target"},
		{Topic: "t", Name: "relative", Endpoint: "/push"},
		{Topic: "t", Name: "backwards", Handler: h, MinBackoff: 2, MaxBackoff: 1},
		{Topic: "t", Name: "twice", Handler: h},
		{Topic: "t", Name: "twice", Handler: h},
	}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"no name", "no topic", "neither endpoint nor handler", "relative", "backwards", "the name is taken"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not tell %q:\n%v", want, err)
		}
	}
}
