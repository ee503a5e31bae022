package pubsub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Server is a [Dispatcher] behind Google's Pub/Sub API on a port of 127.0.0.1.
// Pull subscriptions that a test makes through the API work beside the push ones,
// as pstest has them.
type Server struct {
	*Dispatcher
	addr string
	grpc *grpc.Server
	api  *front
	fake *pstest.Server
	once sync.Once
}

// Start makes the topics and subscriptions of opts and serves them until Close is
// called or ctx ends.
func Start(ctx context.Context, opts Options) (*Server, error) {
	d, err := NewDispatcher(ctx, opts)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the fake Pub/Sub: %w", err)
	}
	fake := pstest.NewServer() // its own port stays unused: callers talk to front
	s := &Server{
		Dispatcher: d,
		addr:       listener.Addr().String(),
		grpc:       grpc.NewServer(),
		api:        &front{GServer: &fake.GServer, d: d, boot: strconv.FormatInt(d.opts.Now().UnixMicro(), 36) + "-"},
		fake:       fake,
	}
	fake.SetTimeNowFunc(d.opts.Now)
	d.forward = func(topic string, m Message) error {
		_, err := s.Publish(topic, m)
		return err
	}
	if err := s.api.create(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the fake Pub/Sub: %w", err), listener.Close(), s.Close())
	}
	pb.RegisterPublisherServer(s.grpc, s.api)
	pb.RegisterSubscriberServer(s.grpc, s.api)
	pb.RegisterSchemaServiceServer(s.grpc, &fake.GServer)
	go func() {
		// Serve returns when Stop is called; nothing else ends a listener here.
		if err := s.grpc.Serve(listener); err != nil {
			d.opts.Logger.Error("the fake Pub/Sub stopped serving", "error", err)
		}
	}()
	context.AfterFunc(ctx, func() { _ = s.Close() })
	return s, nil
}

// Project is the project that short names belong to.
func (s *Server) Project() string { return s.opts.Project }

// ClientOptions make Google's client talk to this server, whatever
// PUBSUB_EMULATOR_HOST says. They hold one connection, which the client closes: each
// client needs its own.
func (s *Server) ClientOptions() ([]option.ClientOption, error) {
	conn, err := grpc.NewClient("passthrough:///"+s.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("connecting to the fake Pub/Sub: %w", err)
	}
	return []option.ClientOption{option.WithGRPCConn(conn)}, nil
}

// Publish publishes as a client does, without one.
func (s *Server) Publish(topic string, m Message) (id string, err error) {
	topic = fullName(s.opts.Project, "topics", topic)
	resp, err := s.api.Publish(s.ctx, &pb.PublishRequest{Topic: topic, Messages: []*pb.PubsubMessage{{
		Data: slices.Clone(m.Data), Attributes: maps.Clone(m.Attributes), OrderingKey: m.OrderingKey,
	}}})
	switch {
	case status.Code(err) == codes.NotFound:
		return "", fmt.Errorf("publishing to %s: %w", topic, ErrNotFound)
	case err != nil:
		return "", fmt.Errorf("publishing to %s: %w", topic, err)
	}
	return resp.MessageIds[0], nil
}

// Messages are all messages ever published, in any way and to any topic, dead letters
// included, for a test that they hold ids only (rule 10.4).
func (s *Server) Messages() []*pstest.Message { return s.fake.Messages() }

// Close ends the API and all deliveries; see [Dispatcher.Close].
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		err = s.Dispatcher.Close()
		s.grpc.Stop()
		err = errors.Join(err, s.fake.Close()) // pstest panics when closed twice
	})
	return err
}

// front is pstest's service with push: what is published goes to the Dispatcher.
type front struct {
	*pstest.GServer
	d *Dispatcher
	// boot begins the ids that are pushed. Google never gives an id twice, but pstest
	// counts from 1 at every start, perhaps on the state of the one before, in which a full
	// run and a lease are known by their message's id (rule 1.4).
	boot string
}

// create makes the Dispatcher's topics and subscriptions known to pstest, so that
// the API lists them.
func (f *front) create(ctx context.Context) error {
	for topic := range f.d.topics {
		if _, err := f.CreateTopic(ctx, &pb.Topic{Name: topic}); err != nil {
			return fmt.Errorf("creating topic %s: %w", topic, err)
		}
	}
	for _, s := range f.d.opts.Subscriptions {
		sub := &pb.Subscription{
			Name:               s.Name,
			Topic:              s.Topic,
			PushConfig:         &pb.PushConfig{PushEndpoint: s.Endpoint},
			AckDeadlineSeconds: int32(min(600, max(10, int64(s.AckDeadline.Seconds())))),
			RetryPolicy: &pb.RetryPolicy{
				MinimumBackoff: durationpb.New(s.MinBackoff),
				MaximumBackoff: durationpb.New(s.MaxBackoff),
			},
		}
		if s.DeadLetterTopic != "" {
			sub.DeadLetterPolicy = &pb.DeadLetterPolicy{
				DeadLetterTopic:     s.DeadLetterTopic,
				MaxDeliveryAttempts: int32(min(s.MaxDeliveryAttempts, 100)),
			}
		}
		if _, err := f.GServer.CreateSubscription(ctx, sub); err != nil {
			return fmt.Errorf("creating subscription %s: %w", s.Name, err)
		}
	}
	return nil
}

// Publish gives ids by pstest, which also keeps the messages for pull
// subscriptions, then pushes.
func (f *front) Publish(ctx context.Context, req *pb.PublishRequest) (*pb.PublishResponse, error) {
	resp, err := f.GServer.Publish(ctx, req)
	if err != nil {
		return nil, err
	}
	for _, m := range req.Messages {
		err := f.d.deliver(req.Topic, Message{
			ID: f.boot + m.MessageId, PublishTime: m.PublishTime.AsTime(),
			Data: m.Data, Attributes: m.Attributes, OrderingKey: m.OrderingKey,
		})
		switch {
		case errors.Is(err, ErrNotFound): // a topic made through the API: pull only
		case err != nil:
			return nil, status.Error(codes.Unavailable, err.Error())
		}
	}
	// pstest keeps a copy for each push subscription, whose messages nobody pulls.
	for _, s := range f.d.opts.Subscriptions {
		if s.Topic != req.Topic {
			continue
		}
		if _, err := f.Acknowledge(ctx, &pb.AcknowledgeRequest{Subscription: s.Name, AckIds: resp.MessageIds}); err != nil {
			return nil, fmt.Errorf("taking pushed messages from %s: %w", s.Name, err)
		}
	}
	return resp, nil
}

// CreateSubscription rejects push subscriptions, which only Options can make, rather than
// accept one whose messages would go nowhere.
func (f *front) CreateSubscription(ctx context.Context, req *pb.Subscription) (*pb.Subscription, error) {
	if req.GetPushConfig().GetPushEndpoint() != "" {
		return nil, status.Error(codes.Unimplemented, "the fake Pub/Sub takes push subscriptions in its Options only")
	}
	return f.GServer.CreateSubscription(ctx, req)
}
