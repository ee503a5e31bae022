package pubsub

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What a subscription gets where its fields are zero. They are Google's: the
// retry policy's 10 s and 600 s, the acknowledgement deadline of 10 s, five
// delivery attempts (the documented default of max_delivery_attempts).
const (
	DefaultMinBackoff          = 10 * time.Second
	DefaultMaxBackoff          = 600 * time.Second
	DefaultAckDeadline         = 10 * time.Second
	DefaultMaxDeliveryAttempts = 5
	// DefaultMaxOutstanding bounds a subscription's concurrent pushes. Google has no such
	// setting: its push window opens with success, until Cloud Run's max_instances ×
	// concurrency bounds it. Set that product.
	DefaultMaxOutstanding = 100
)

// Options describe a whole Pub/Sub.
type Options struct {
	// Project is the project of all short topic and subscription names; "local"
	// where empty.
	Project string
	// Topics that exist besides those which subscriptions name.
	Topics []string
	// Subscriptions are all push.
	Subscriptions []Subscription
	// IDPrefix begins the ids of messages published without the API, where several
	// Dispatchers follow each other on one state: Google never gives an id twice.
	IDPrefix string
	// Now gives publish times; time.Now where nil.
	Now func() time.Time
	// Client pushes to endpoints that are URLs. Where nil, the Dispatcher uses one that
	// follows no redirects: to Pub/Sub, 3xx is a nack.
	Client *http.Client
	// Logger receives nacked and dead-lettered messages (ids and statuses, never content);
	// nothing is logged where nil.
	Logger *slog.Logger
}

// Subscription is one push subscription. Names of topics and subscriptions may be
// short ("task-changes") or full ("projects/p/topics/task-changes").
type Subscription struct {
	Topic string
	Name  string

	// Endpoint is the http(s) URL that messages are POSTed to. With a Handler it is
	// only the URL that the handler sees.
	Endpoint string
	// Handler, where set, is called in-process instead.
	Handler http.Handler

	// MinBackoff and MaxBackoff bound the wait before a nacked message comes
	// again; the wait doubles with each nack of that message.
	MinBackoff, MaxBackoff time.Duration
	// AckDeadline is how long a push may take; then it counts as nacked.
	AckDeadline time.Duration
	// MaxOutstanding bounds the pushes under way at once.
	MaxOutstanding int

	// DeadLetterTopic receives messages that were nacked MaxDeliveryAttempts times.
	// Without it a message is pushed for ever and carries no delivery attempt.
	DeadLetterTopic     string
	MaxDeliveryAttempts int
}

// check returns o with full names and defaults, or everything that is wrong with it.
func (o Options) check() (Options, error) {
	var faults []error
	if o.Project == "" {
		o.Project = "local"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	topics := make([]string, 0, len(o.Topics))
	for _, t := range o.Topics {
		topics = append(topics, fullName(o.Project, "topics", t))
	}
	o.Topics = topics

	seen := map[string]bool{}
	subs := make([]Subscription, 0, len(o.Subscriptions))
	for i, s := range o.Subscriptions {
		s, err := s.check(o.Project)
		if err != nil {
			faults = append(faults, fmt.Errorf("subscription %d (%q): %w", i, s.Name, err))
		}
		if seen[s.Name] {
			faults = append(faults, fmt.Errorf("subscription %d (%q): the name is taken", i, s.Name))
		}
		seen[s.Name] = true
		subs = append(subs, s)
	}
	o.Subscriptions = subs
	return o, errors.Join(faults...)
}

func (s Subscription) check(project string) (Subscription, error) {
	var faults []error
	if s.Name == "" {
		faults = append(faults, errors.New("no name"))
	}
	if s.Topic == "" {
		faults = append(faults, errors.New("no topic"))
	}
	s.Name = fullName(project, "subscriptions", s.Name)
	s.Topic = fullName(project, "topics", s.Topic)
	switch {
	case s.Handler != nil:
		if s.Endpoint == "" {
			s.Endpoint = "http://push.invalid/"
		}
	case s.Endpoint == "":
		faults = append(faults, errors.New("neither endpoint nor handler"))
	}
	if u, err := url.Parse(s.Endpoint); err != nil || (s.Endpoint != "" && u.Host == "") {
		faults = append(faults, errors.New("the endpoint is no absolute URL"))
	}
	if s.DeadLetterTopic != "" {
		s.DeadLetterTopic = fullName(project, "topics", s.DeadLetterTopic)
		if s.MaxDeliveryAttempts == 0 {
			s.MaxDeliveryAttempts = DefaultMaxDeliveryAttempts
		}
	}
	s.MinBackoff = orDefault(s.MinBackoff, DefaultMinBackoff)
	if s.MaxBackoff == 0 {
		s.MaxBackoff = max(DefaultMaxBackoff, s.MinBackoff)
	}
	s.AckDeadline = orDefault(s.AckDeadline, DefaultAckDeadline)
	s.MaxOutstanding = orDefault(s.MaxOutstanding, DefaultMaxOutstanding)
	if s.MinBackoff < 0 || s.MaxBackoff < s.MinBackoff || s.AckDeadline < 0 || s.MaxOutstanding < 0 || s.MaxDeliveryAttempts < 0 {
		faults = append(faults, errors.New("a negative number, or MaxBackoff under MinBackoff"))
	}
	return s, errors.Join(faults...)
}

// backoff is how long a message waits after its nth nack (n from 1).
func (s *Subscription) backoff(n int) time.Duration {
	wait := s.MinBackoff
	for range n - 1 {
		if wait >= s.MaxBackoff/2 {
			return s.MaxBackoff
		}
		wait *= 2
	}
	return wait
}

func orDefault[T comparable](value, def T) T {
	var zero T
	if value == zero {
		return def
	}
	return value
}

// fullName makes projects/<project>/<kind>/<name> of a short name.
func fullName(project, kind, name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	return "projects/" + project + "/" + kind + "/" + name
}
