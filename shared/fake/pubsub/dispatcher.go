package pubsub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrClosed is returned by what is asked of a closed Dispatcher or Server.
var ErrClosed = errors.New("the fake Pub/Sub is closed")

// ErrNotFound is returned for a topic or subscription that does not exist.
var ErrNotFound = errors.New("no such topic or subscription")

// closeGrace is how long Close waits for handlers that ignore their context.
const closeGrace = 10 * time.Second

// Message is what a publisher published.
type Message struct {
	// ID and PublishTime are given by Pub/Sub at publishing.
	ID          string
	PublishTime time.Time

	Data        []byte
	Attributes  map[string]string
	OrderingKey string
}

// Counts says how far a subscription's messages are.
type Counts struct {
	// Ready, InFlight and BackingOff together are the outstanding messages: those
	// waiting for a free place, those being pushed, those nacked and waiting.
	Ready, InFlight, BackingOff int
	// Pushes are all attempts begun; Acked and Nacked how they ended.
	Pushes, Acked, Nacked int
	// DeadLettered messages were forwarded and are outstanding no longer.
	DeadLettered int
}

// Outstanding is the number of messages neither acknowledged nor dead-lettered.
func (c Counts) Outstanding() int { return c.Ready + c.InFlight + c.BackingOff }

// Dispatcher delivers messages to push subscriptions. It starts no goroutine until
// there is something to deliver, and uses no network where subscriptions have
// handlers. Safe for concurrent use.
type Dispatcher struct {
	opts    Options
	client  *http.Client
	ownHTTP *http.Transport // nil where the caller gave the client
	ctx     context.Context // the parent of every push; ends with Close
	cancel  context.CancelFunc
	// forward publishes to a dead-letter topic: by Publish, or as the Server does, which
	// also gives the message to pstest.
	forward func(topic string, m Message) error

	running sync.WaitGroup // pushes, and handlers that outlive theirs

	mu          sync.Mutex
	closed      bool
	topics      map[string][]*subscription
	subs        map[string]*subscription
	lastID      int
	outstanding int
	idle        chan struct{} // closed when outstanding falls to 0, then replaced
}

// subscription is guarded by its Dispatcher's mutex.
type subscription struct {
	Subscription
	counts  Counts
	ready   []*delivery
	waiting map[*delivery]*time.Timer
}

type delivery struct {
	message  Message
	attempts int
}

// NewDispatcher returns a Dispatcher for the topics and subscriptions of opts, or
// everything that is wrong with opts. Its pushes end when ctx does.
func NewDispatcher(ctx context.Context, opts Options) (*Dispatcher, error) {
	opts, err := opts.check()
	if err != nil {
		return nil, fmt.Errorf("fake Pub/Sub: %w", err)
	}
	d := &Dispatcher{
		opts:   opts,
		client: opts.Client,
		topics: map[string][]*subscription{},
		subs:   map[string]*subscription{},
		idle:   make(chan struct{}),
	}
	d.ctx, d.cancel = context.WithCancel(ctx)
	d.forward = func(topic string, m Message) error {
		_, err := d.Publish(topic, m)
		return err
	}
	if d.client == nil {
		// One idle connection per push, or connections would be opened and closed all the time.
		d.ownHTTP = &http.Transport{MaxIdleConnsPerHost: DefaultMaxOutstanding}
		d.client = &http.Client{
			Transport:     d.ownHTTP,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	for _, t := range opts.Topics {
		d.topics[t] = nil
	}
	for _, s := range opts.Subscriptions {
		sub := &subscription{Subscription: s, waiting: map[*delivery]*time.Timer{}}
		d.subs[s.Name] = sub
		d.topics[s.Topic] = append(d.topics[s.Topic], sub)
		if _, ok := d.topics[s.DeadLetterTopic]; s.DeadLetterTopic != "" && !ok {
			d.topics[s.DeadLetterTopic] = nil // it exists, without a subscription so far
		}
	}
	return d, nil
}

// Publish gives m an id and a publish time and hands it to every subscription of
// the topic. Errors: [ErrNotFound], [ErrClosed].
func (d *Dispatcher) Publish(topic string, m Message) (id string, err error) {
	d.mu.Lock()
	d.lastID++
	m.ID = d.opts.IDPrefix + strconv.Itoa(d.lastID)
	d.mu.Unlock()
	m.PublishTime = d.opts.Now()
	m.Data = slices.Clone(m.Data)
	m.Attributes = maps.Clone(m.Attributes)
	if err := d.deliver(topic, m); err != nil {
		return "", fmt.Errorf("publishing to %s: %w", topic, err)
	}
	return m.ID, nil
}

// deliver hands a message that has its id to every subscription of the topic.
func (d *Dispatcher) deliver(topic string, m Message) error {
	topic = fullName(d.opts.Project, "topics", topic)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended() {
		return ErrClosed
	}
	subs, ok := d.topics[topic]
	if !ok {
		return ErrNotFound
	}
	for _, s := range subs {
		d.outstanding++
		s.ready = append(s.ready, &delivery{message: m})
		d.kick(s)
	}
	return nil
}

// kick starts as many pushes as there are messages and free places. Callers hold mu.
func (d *Dispatcher) kick(s *subscription) {
	for !d.ended() && len(s.ready) > 0 && s.counts.InFlight < s.MaxOutstanding {
		next := s.ready[0]
		s.ready[0] = nil
		s.ready = s.ready[1:]
		next.attempts++
		s.counts.InFlight++
		s.counts.Pushes++
		d.running.Go(func() { d.push(s, next) })
	}
}

// push makes one attempt and decides what becomes of the message.
func (d *Dispatcher) push(s *subscription, it *delivery) {
	status, err := d.post(s, it)
	acked := err == nil && acknowledges(status)
	if !acked {
		d.opts.Logger.Debug("push nacked", "subscription", s.Name, "message", it.message.ID,
			"attempt", it.attempts, "status", status, "error", err)
	}

	forwarded := false
	// Once the parent context has ended, every push fails, whatever the message.
	if !acked && s.DeadLetterTopic != "" && it.attempts >= s.MaxDeliveryAttempts && d.ctx.Err() == nil {
		if err := d.forward(s.DeadLetterTopic, deadLetter(s, it)); err != nil {
			d.opts.Logger.Warn("dead letter not forwarded", "subscription", s.Name, "message", it.message.ID, "error", err)
		} else {
			forwarded = true
			d.opts.Logger.Warn("message dead-lettered", "subscription", s.Name, "message", it.message.ID, "attempts", it.attempts)
		}
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	s.counts.InFlight--
	if acked {
		s.counts.Acked++
	} else {
		s.counts.Nacked++
	}
	switch {
	case acked:
		d.settle()
	case forwarded:
		s.counts.DeadLettered++
		d.settle()
	case !d.ended():
		// The timer's function takes mu, so it cannot run before waiting knows it.
		nacks := it.attempts
		s.waiting[it] = time.AfterFunc(s.backoff(nacks), func() { d.wake(s, it, nacks) })
	}
	d.kick(s)
}

// ended reports whether pushes are over. Callers hold mu.
func (d *Dispatcher) ended() bool { return d.closed || d.ctx.Err() != nil }

// settle notes that one message is outstanding no longer. Callers hold mu.
func (d *Dispatcher) settle() {
	d.outstanding--
	if d.outstanding == 0 {
		close(d.idle)
		d.idle = make(chan struct{})
	}
}

// wake ends the back-off that followed the message's nth nack.
func (d *Dispatcher) wake(s *subscription, it *delivery, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := s.waiting[it]; !ok || it.attempts != n {
		return // RedeliverNow was faster; it may even have been nacked again
	}
	delete(s.waiting, it)
	s.ready = append(s.ready, it)
	d.kick(s)
}

// RedeliverNow ends every back-off now, for tests that need not wait for it. Delivery
// attempts are counted on. It returns how many messages it woke.
func (d *Dispatcher) RedeliverNow() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	woken := 0
	for _, s := range d.subs {
		for it, timer := range s.waiting {
			timer.Stop()
			delete(s.waiting, it)
			s.ready = append(s.ready, it)
			woken++
		}
		d.kick(s)
	}
	return woken
}

// Idle waits until no message is outstanding on any subscription: those backing
// off included. It returns ctx's error, with the number still outstanding, when ctx
// ends first.
func (d *Dispatcher) Idle(ctx context.Context) error {
	for {
		d.mu.Lock()
		outstanding, idle := d.outstanding, d.idle
		d.mu.Unlock()
		if outstanding == 0 {
			return nil
		}
		select {
		case <-idle:
		case <-d.ctx.Done():
			return fmt.Errorf("waiting for %d messages: %w", outstanding, ErrClosed)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %d messages: %w", outstanding, ctx.Err())
		}
	}
}

// Counts gives those of one subscription, by short or full name; [ErrNotFound] where
// there is none.
func (d *Dispatcher) Counts(subscription string) (Counts, error) {
	name := fullName(d.opts.Project, "subscriptions", subscription)
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.subs[name]
	if !ok {
		return Counts{}, fmt.Errorf("counts of %s: %w", name, ErrNotFound)
	}
	c := s.counts
	c.Ready, c.BackingOff = len(s.ready), len(s.waiting)
	return c, nil
}

// Outstanding is the number of messages of all subscriptions that are neither
// acknowledged nor dead-lettered.
func (d *Dispatcher) Outstanding() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.outstanding
}

// Close stops all deliveries: pushes under way are cancelled, waiting messages
// lost. It waits for the handlers to return, at most 10 s, and says so if some did
// not. Further calls do nothing.
func (d *Dispatcher) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	for _, s := range d.subs {
		for it, timer := range s.waiting {
			timer.Stop()
			delete(s.waiting, it)
		}
		s.ready = nil
	}
	d.mu.Unlock()
	d.cancel()

	done := make(chan struct{})
	go func() {
		d.running.Wait()
		close(done)
	}()
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case <-done:
	case <-grace.C:
		return fmt.Errorf("closing the fake Pub/Sub: handlers still run %v after their context ended", closeGrace)
	}
	if d.ownHTTP != nil {
		d.ownHTTP.CloseIdleConnections()
	}
	return nil
}

// deadLetter is the message that Pub/Sub forwards, with the attributes it adds:
// the subscription by its short name, the time with milliseconds and +00:00.
func deadLetter(s *subscription, it *delivery) Message {
	m := it.message
	attrs := maps.Clone(m.Attributes)
	if attrs == nil {
		attrs = map[string]string{}
	}
	parts := strings.Split(s.Name, "/") // projects/<p>/subscriptions/<s>
	attrs["CloudPubSubDeadLetterSourceDeliveryCount"] = strconv.Itoa(it.attempts)
	attrs["CloudPubSubDeadLetterSourceSubscription"] = parts[len(parts)-1]
	attrs["CloudPubSubDeadLetterSourceSubscriptionProject"] = parts[1]
	attrs["CloudPubSubDeadLetterSourceTopicPublishTime"] = m.PublishTime.UTC().Format("2006-01-02T15:04:05.000-07:00")
	return Message{Data: m.Data, Attributes: attrs, OrderingKey: m.OrderingKey}
}
