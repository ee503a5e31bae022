// Package pubsub publishes messages on Google Cloud Pub/Sub. It must never put
// anything but ids, cause, lane and run into one (rule 10.4).
package pubsub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	gcp "cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

const (
	// timeout bounds one Publish with all its messages.
	timeout = 10 * time.Second
	// bundling is how long a message waits for others to share a request with. A
	// notification waits for it, so it is short.
	bundling = time.Millisecond
)

// Publisher is a queue.Publisher on one client, safe for concurrent use.
type Publisher struct {
	client *gcp.Client

	mu     sync.Mutex
	topics map[string]*gcp.Publisher
}

var _ queue.Publisher = (*Publisher)(nil)

// New makes a Publisher for the topics of a project. It connects on first use, and
// to PUBSUB_EMULATOR_HOST if that is set.
func New(ctx context.Context, project string, opts ...option.ClientOption) (*Publisher, error) {
	client, err := gcp.NewClient(ctx, project, opts...)
	if err != nil {
		return nil, fmt.Errorf("make the Pub/Sub client of project %s: %w", project, err)
	}
	return &Publisher{client: client, topics: map[string]*gcp.Publisher{}}, nil
}

func (p *Publisher) topic(name string) *gcp.Publisher {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := p.topics[name]
	if !ok {
		t = p.client.Publisher(name)
		t.PublishSettings.DelayThreshold = bundling
		t.PublishSettings.Timeout = timeout
		p.topics[name] = t
	}
	return t
}

// Publish sends messages and returns when Pub/Sub has accepted every one. After an
// error some may have been accepted: publishing again is harmless, a message being
// a pointer.
func (p *Publisher) Publish(ctx context.Context, topic string, messages ...queue.Message) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	encoded := make([]*gcp.Message, len(messages))
	for i, m := range messages {
		data, attributes, err := m.Encode(topic)
		if err != nil {
			return err
		}
		encoded[i] = &gcp.Message{Data: data, Attributes: attributes}
	}
	t := p.topic(topic)
	results := make([]*gcp.PublishResult, len(encoded))
	for i, m := range encoded {
		results[i] = t.Publish(ctx, m)
	}
	var first error
	for _, r := range results {
		if _, err := r.Get(ctx); err != nil && first == nil {
			first = err
		}
	}
	if first != nil {
		return fault("publish to "+topic, first)
	}
	return nil
}

// TopicExists checks for a topic without publishing to it. The error is of kind
// misconfigured with Reason "NotFound" where it is not, with "PermissionDenied"
// where the caller may not ask (the publisher role alone does not allow it).
func (p *Publisher) TopicExists(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	full := name
	if !strings.Contains(name, "/") {
		full = "projects/" + p.client.Project() + "/topics/" + name
	}
	if _, err := p.client.TopicAdminClient.GetTopic(ctx, &pubsubpb.GetTopicRequest{Topic: full}); err != nil {
		f := fault("look for topic "+name, err)
		if known, ok := errors.AsType[*failure.Error](f); ok {
			known.Ambiguous = false
			if known.Kind == failure.Misconfigured {
				known.Detail = "the topic is missing or not this account's to look at"
			}
		}
		return f
	}
	return nil
}

// Close sends what is under way and ends the connections.
func (p *Publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.topics {
		t.Stop()
	}
	if err := p.client.Close(); err != nil {
		return fmt.Errorf("close the Pub/Sub client: %w", err)
	}
	return nil
}

// fault gives an error its kind by its gRPC code.
func fault(op string, err error) error {
	f := &failure.Error{Kind: failure.Transient, Op: op, Ambiguous: true}
	for _, cut := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, cut) {
			f.Err, f.Detail = cut, "Pub/Sub did not accept it in time"
			return f
		}
	}
	code := status.Code(err)
	f.Reason = code.String()
	switch code {
	case codes.NotFound, codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument:
		f.Kind, f.Ambiguous = failure.Misconfigured, false
		f.Detail = "the topic is missing or not this service account's to publish to"
	case codes.ResourceExhausted:
		f.Kind = failure.RateLimited
	}
	return f
}
