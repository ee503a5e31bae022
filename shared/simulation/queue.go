package simulation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/fake/pubsub"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// deadLetters is the topic of messages that were given up.
const deadLetters = "dead-letters"

// publisher is an instance's access to the queue, which keeps no order: each message is
// delivered after a delay of its own.
type publisher struct{ i *instance }

// Publish accepts messages; they are delivered later.
func (p *publisher) Publish(ctx context.Context, topic string, messages ...queue.Message) error {
	w := p.i.w
	name := drawName(ctx, "publish "+topic)
	if err := p.i.before(); err != nil {
		return err
	}
	fault := w.faults.next("publish", topic)
	if fault == faultUnavailable {
		return errors.New("simulation: the queue does not answer")
	}
	for n, m := range messages {
		data, attributes, err := m.Encode(topic)
		if err != nil {
			return err
		}
		w.deliver(topic, pubsub.Message{Data: data, Attributes: attributes}, w.delay(name, strconv.Itoa(n)))
	}
	if err := p.i.after(); err != nil {
		return err
	}
	if fault == faultLost {
		return errors.New("simulation: the queue's answer was lost")
	}
	return nil
}

// delay is short for most messages; some are delayed so long that others overtake them.
func (w *world) delay(names ...string) time.Duration {
	high := 150 * time.Millisecond
	switch p := w.dice.pick(1000, append([]string{"delayed"}, names...)...); {
	case p < 10:
		high = 4 * time.Minute
	case p < 80:
		high = 10 * time.Second
	}
	return w.brief(w.dice.between(time.Millisecond, high, append([]string{"delay"}, names...)...))
}

// deliver gives a message to the queue after a while.
func (w *world) deliver(topic string, m pubsub.Message, after time.Duration) {
	w.spawn(func() {
		if !pause(w.ctx, after) {
			return
		}
		if _, err := w.queue.Publish(topic, m); err != nil {
			w.fail(fmt.Errorf("publish to %s: %w", topic, err))
		}
	})
}

// subscribe makes the queue with the product's subscriptions (rule 7.3).
func (w *world) subscribe() error {
	lease := w.config.Lease
	sub := func(topic, name, function string, pushes int, ack time.Duration) pubsub.Subscription {
		return pubsub.Subscription{
			Topic: topic, Name: name, Handler: w.push(function), AckDeadline: ack, MinBackoff: w.backoff, MaxBackoff: 10 * w.backoff,
			MaxOutstanding: pushes, DeadLetterTopic: deadLetters, MaxDeliveryAttempts: w.setup.Deliveries,
		}
	}
	last := sub(deadLetters, "dead-letter", "DeadLetter", 10, time.Minute)
	last.DeadLetterTopic, last.MaxDeliveryAttempts = "", 0
	var err error
	w.queue, err = pubsub.NewDispatcher(w.ctx, pubsub.Options{
		Project: w.config.Project, Now: time.Now, Logger: w.log,
		Subscriptions: []pubsub.Subscription{
			sub(w.config.Task, "sync-task", "SyncTask", 80, 2*lease),
			sub(w.config.Topics.Employee, "sync-employee", "SyncEmployee", 8, 600*time.Second),
			last,
		},
	})
	return err
}

// push delivers messages to one of the instances. Now and then a message comes twice,
// later or at the same time.
func (w *world) push(function string) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := readAll(r)
		if err != nil {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		id, attempt := messageOf(body)
		name := function + "/" + id + "/" + strconv.Itoa(attempt)
		if !w.calm.Load() && w.dice.chance(w.setup.Doubled, "twice", name) {
			w.spawn(func() {
				if pause(w.ctx, w.brief(w.dice.between(0, 20*time.Second, "twice after", name))) {
					w.serve(w.ctx, function, name+"/again", body)
				}
			})
		}
		status, answered := w.serve(r.Context(), function, name, body)
		if !answered || !w.calm.Load() && w.dice.chance(w.setup.Unacked, "unacked", name) {
			status = http.StatusServiceUnavailable
		}
		rw.WriteHeader(status)
	})
}

// serve has one of the instances serve a push.
func (w *world) serve(ctx context.Context, function, name string, body []byte) (status int, answered bool) {
	i := w.slot(w.dice.pick(len(w.slots), "slot", name))
	r, err := post(withActor(ctx, name), "http://push.invalid/", body)
	if err != nil {
		w.fail(err)
		return http.StatusInternalServerError, true
	}
	answer, answered := i.call(function, r)
	return answer.Status(), answered
}
