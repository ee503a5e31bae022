package pubsub_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	gcp "cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/queue/pubsub"
)

// start gives a Publisher on an in-process Pub/Sub with one topic.
func start(t *testing.T) (*pubsub.Publisher, *pstest.Server) {
	t.Helper()
	server := pstest.NewServer()
	t.Cleanup(func() { _ = server.Close() })
	opts := []option.ClientOption{
		option.WithEndpoint(server.Addr), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	}
	admin, err := gcp.NewClient(t.Context(), "p", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	if _, err := admin.TopicAdminClient.CreateTopic(t.Context(), &pubsubpb.Topic{Name: "projects/p/topics/task-changes"}); err != nil {
		t.Fatal(err)
	}
	p, err := pubsub.New(t.Context(), "p", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p, server
}

func TestPublishedWhenItReturns(t *testing.T) {
	p, server := start(t)
	sent := []queue.Message{
		{IDs: []int64{1, 2}, Cause: queue.CauseNotify, Lane: queue.LaneLive},
		{IDs: []int64{3}, Cause: queue.CausePoll, Lane: queue.LaneBulk, Run: "r1"},
	}
	if err := p.Publish(t.Context(), "task-changes", sent...); err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]string{}
	for _, m := range server.Messages() {
		got[string(m.Data)] = m.Attributes
	}
	want := map[string]map[string]string{
		`{"ids":[1,2],"cause":"notify"}`: {"lane": "live", "topic": "task-changes"},
		`{"ids":[3],"cause":"poll"}`:     {"lane": "bulk", "topic": "task-changes", "run": "r1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, m := range server.Messages() {
		if !json.Valid(m.Data) {
			t.Errorf("%q is not JSON", m.Data)
		}
	}
}

func TestFailures(t *testing.T) {
	p, server := start(t)
	if err := p.Publish(t.Context(), "no-such-topic", queue.Message{IDs: []int64{1}, Cause: queue.CausePoll}); !failure.Is(err, failure.Misconfigured) {
		t.Errorf("a missing topic: %v", err)
	}
	// One that cannot be encoded stops all, before anything is sent.
	if err := p.Publish(t.Context(), "task-changes", queue.Message{IDs: []int64{1}, Cause: queue.CausePoll}, queue.Message{}); !failure.Is(err, failure.Invalid) {
		t.Errorf("an empty message: %v", err)
	}
	if n := len(server.Messages()); n != 0 {
		t.Errorf("%d messages were sent", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Publish(ctx, "task-changes", queue.Message{IDs: []int64{1}, Cause: queue.CausePoll}); !failure.Is(err, failure.Transient) || !failure.IsAmbiguous(err) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestNothingToPublish(t *testing.T) {
	p, _ := start(t)
	if err := p.Publish(t.Context(), "task-changes"); err != nil {
		t.Error(err)
	}
}

func TestTopicExists(t *testing.T) {
	p, server := start(t)
	for _, name := range []string{"task-changes", "projects/p/topics/task-changes"} {
		if err := p.TopicExists(t.Context(), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := p.TopicExists(t.Context(), "no-such-topic")
	f, ok := errors.AsType[*failure.Error](err)
	if !ok || f.Kind != failure.Misconfigured || f.Reason != "NotFound" {
		t.Errorf("a missing topic: %v", err)
	}
	if n := len(server.Messages()); n != 0 {
		t.Errorf("looking published %d messages", n)
	}
}
