package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/erp-calendar/erp-calendar/shared/fake/deployment"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore"
)

const (
	emulatorHost = "FIRESTORE_EMULATOR_HOST"
	// tripTakes is by how much each call to the emulator is held up, so that calls beside
	// each other are seen to be.
	tripTakes = 25 * time.Millisecond
)

// trip is one call to Firestore.
type trip struct {
	method     string
	began, end time.Time
}

// trips notes calls to Firestore. Safe for concurrent use.
type trips struct {
	mu   sync.Mutex
	made []trip
}

func (t *trips) note(method string, began time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.made = append(t.made, trip{method[strings.LastIndexByte(method, '/')+1:], began, time.Now()})
}

func (t *trips) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.made = nil
}

// until gives the calls that had ended at a moment.
func (t *trips) until(at time.Time) []trip {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(t.made), func(c trip) bool { return c.end.After(at) })
}

// inSequence is the longest chain of calls of which each began when the one before had
// ended: the first to end is in it, then the first to end of those that began later.
func inSequence(made []trip) (chain []string) {
	made = slices.SortedFunc(slices.Values(made), func(a, b trip) int { return cmp.Compare(a.end.UnixNano(), b.end.UnixNano()) })
	var last time.Time
	for _, c := range made {
		if !c.began.Before(last) {
			chain, last = append(chain, c.method), c.end
		}
	}
	return chain
}

// dial connects to the emulator so that every call is noted.
func (t *trips) dial(host string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+host,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(owner{}),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			began := time.Now()
			_ = pause(ctx, tripTakes) // the call itself tells of an end
			err := invoke(ctx, method, req, reply, cc, opts...)
			t.note(method, began)
			return err
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			began := time.Now()
			_ = pause(ctx, tripTakes)
			s, err := stream(ctx, desc, cc, method, opts...)
			if err != nil {
				t.note(method, began)
				return nil, err
			}
			return &notedStream{s, sync.OnceFunc(func() { t.note(method, began) })}, nil
		}))
}

// notedStream is an answer in parts, which ends with an error or io.EOF.
type notedStream struct {
	grpc.ClientStream
	ended func()
}

// RecvMsg receives a part.
func (s *notedStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err != nil {
		s.ended()
	}
	return err
}

// owner is the emulator's fixed token that passes every security rule.
type owner struct{}

// GetRequestMetadata gives it.
func (owner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

// RequireTransportSecurity is false: the emulator has none.
func (owner) RequireTransportSecurity() bool { return false }

// tripsOfAChange counts, on Firestore's emulator, the round trips in sequence from
// Notify's answer to the call to Google, and what a change costs.
func (b *bench) tripsOfAChange(ctx context.Context) error {
	host := os.Getenv(emulatorHost)
	if host == "" {
		b.say("Firestore round trips of a change: not counted, for that needs the emulator's address in %s\n", emulatorHost)
		return nil
	}
	return b.apart(ctx, employeesTasks{2, 12}, func(ctx context.Context, own *bench) error { return own.countTrips(ctx, host) })
}

func (b *bench) countTrips(ctx context.Context, host string) error {
	noted := &trips{}
	conn, err := noted.dial(host)
	if err != nil {
		return err
	}
	backend, err := firestore.New(ctx, fmt.Sprintf("bench-%d", time.Now().UnixNano()), "", option.WithGRPCConn(conn))
	if err != nil {
		return err
	}
	defer func() { _ = backend.Close() }()
	counted := &counting{Backend: backend}
	st := store.New(counted)
	s := b.spec(perMinute, taskPushes, employeePushes, deployment.Notify, deployment.SyncTask, deployment.SyncEmployee)
	s.RefreshToken = b.google.RefreshToken(accountEmail, scopes()...)
	d, err := start(ctx, s, st, slog.New(&warnings{count: map[string]int{}}))
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	server := httptest.NewServer(d.Handler)
	defer server.Close()
	p := &process{base: server.URL, client: &http.Client{Timeout: time.Minute, Transport: transport()}}
	if err := publish(ctx, d, true, command{Cause: queue.CauseConsole, Lane: queue.LaneBulk}.messages()); err != nil {
		return err
	}
	c := &changer{b: b, moving: map[int64]bool{}}
	rest := func() error {
		for d.PubSub.Outstanding() > 0 {
			if err := pause(ctx, 10*time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	}
	for began := time.Now(); !c.refresh(); {
		if time.Since(began) > 2*time.Minute {
			return errors.New("the fill on Firestore's emulator is not done")
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	if err := rest(); err != nil {
		return err
	}
	b.tell(p)
	defer b.tell(nil)
	const n = 7
	var chains [][]string
	var before operations
	for i := range n + 1 {
		noted.reset()
		began := time.Now()
		took, ok := c.move(ctx)
		if !ok || took >= lost {
			return errors.New("a change on Firestore's emulator was not made")
		}
		if err := rest(); err != nil {
			return err
		}
		if i == 0 {
			// The first one reads what a worker then remembers for a while.
			before = counted.operations()
			continue
		}
		chains = append(chains, inSequence(noted.until(began.Add(took).Add(-b.latency))))
	}
	spent := counted.operations().minus(before)
	slices.SortFunc(chains, func(a, b []string) int { return cmp.Compare(len(a), len(b)) })
	usual := chains[n/2]
	b.say("Firestore round trips in sequence, from a change to the call to Google, on the emulator: %d (%d to %d in %d changes)",
		len(usual), len(chains[0]), len(chains[n-1]), n)
	b.say("  %s", strings.Join(usual, ", "))
	b.sayOperations(spent, n, "change")
	b.say("")
	b.atMost("Firestore round trips in sequence, change → Google", float64(len(usual)), 6, "")
	return nil
}
