package firestore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore"
)

// server is a Firestore that fails as told: the emulator cannot be made to. It
// answers reads with "missing" and keeps the writes that were committed.
type server struct {
	pb.UnimplementedFirestoreServer
	mu sync.Mutex
	// reads and commits hold the coming answers; none left means success. lose
	// makes the next commit take effect and its answer get lost.
	reads, commits []codes.Code
	lose           bool
	written        []string
	conditions     []*pb.Precondition
	began, retried []string // transactions; those that a later one names as lost
	rolledBack     []string
	headers        []metadata.MD
	unbounded      bool // a call without a deadline came
}

const quoted = "marker-of-contents"

func (s *server) next(ctx context.Context, answers *[]codes.Code) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := ctx.Deadline(); !ok {
		s.unbounded = true
	}
	md, _ := metadata.FromIncomingContext(ctx)
	s.headers = append(s.headers, md)
	if len(*answers) == 0 {
		return nil
	}
	code := (*answers)[0]
	*answers = (*answers)[1:]
	if code == codes.OK {
		return nil
	}
	return status.Error(code, quoted)
}

func (s *server) BatchGetDocuments(r *pb.BatchGetDocumentsRequest, out pb.Firestore_BatchGetDocumentsServer) error {
	if err := s.next(out.Context(), &s.reads); err != nil {
		return err
	}
	resp := &pb.BatchGetDocumentsResponse{
		Result:   &pb.BatchGetDocumentsResponse_Missing{Missing: r.Documents[0]},
		ReadTime: timestamppb.New(time.Date(2026, 3, 1, 12, 0, 0, 1999, time.UTC)),
	}
	if begin := r.GetNewTransaction(); begin != nil {
		s.mu.Lock()
		s.began = append(s.began, fmt.Sprint(len(s.began)+1))
		resp.Transaction = []byte(s.began[len(s.began)-1])
		s.retried = append(s.retried, string(begin.GetReadWrite().GetRetryTransaction()))
		s.mu.Unlock()
	}
	return out.Send(resp)
}

func (s *server) RunQuery(_ *pb.RunQueryRequest, out pb.Firestore_RunQueryServer) error {
	return s.next(out.Context(), &s.reads)
}

func (s *server) Commit(ctx context.Context, r *pb.CommitRequest) (*pb.CommitResponse, error) {
	if err := s.next(ctx, &s.commits); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range r.Writes {
		name := w.GetUpdate().GetName()
		s.written = append(s.written, name[strings.LastIndex(name, "/")+1:])
		s.conditions = append(s.conditions, w.CurrentDocument)
	}
	if s.lose {
		s.lose = false
		return nil, status.Error(codes.Unavailable, quoted)
	}
	return &pb.CommitResponse{CommitTime: timestamppb.Now()}, nil
}

func (s *server) Rollback(ctx context.Context, r *pb.RollbackRequest) (*emptypb.Empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() == nil {
		s.rolledBack = append(s.rolledBack, string(r.Transaction))
	}
	return &emptypb.Empty{}, nil
}

func serve(t *testing.T, s pb.FirestoreServer) *firestore.Backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	pb.RegisterFirestoreServer(g, s)
	var wg sync.WaitGroup
	wg.Go(func() { _ = g.Serve(l) })
	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	b, err := firestore.New(t.Context(), "project", "other", option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = b.Close()
		g.Stop()
		wg.Wait()
	})
	return b
}

var place = store.Ref{Collection: store.Tasks, ID: "17"}

// write reads and writes one document; locked reads another besides.
func write(tx store.Tx) error {
	if _, err := tx.Get(place, &note{}); err != nil {
		return err
	}
	return tx.Set(place, note{quoted})
}

func locked(tx store.Tx) error {
	if _, err := tx.Get(store.Ref{Collection: store.Employees, ID: "3"}, &note{}); err != nil {
		return err
	}
	return write(tx)
}

func blind(tx store.Tx) error { return tx.Set(place, note{quoted}) }

func TestFailuresOfATransaction(t *testing.T) {
	type codesOf = []codes.Code
	for name, c := range map[string]struct {
		f         func(store.Tx) error
		server    *server
		kind      failure.Kind // "" for success
		ambiguous bool
	}{
		"read: internal":     {write, &server{reads: codesOf{codes.Internal}}, failure.Transient, false},
		"read: no database":  {write, &server{reads: codesOf{codes.NotFound}}, failure.Misconfigured, false},
		"read: no right":     {write, &server{reads: codesOf{codes.PermissionDenied}}, failure.Misconfigured, false},
		"read: broken once":  {write, &server{reads: codesOf{codes.Unavailable}}, "", false},
		"confirm: unknown":   {locked, &server{reads: codesOf{codes.OK, codes.OK, codes.Unknown}}, failure.Transient, false},
		"commit: internal":   {write, &server{commits: codesOf{codes.Internal}}, failure.Transient, true},
		"commit: unknown":    {write, &server{commits: codesOf{codes.Unknown}}, failure.Transient, true},
		"commit: deadline":   {write, &server{commits: codesOf{codes.DeadlineExceeded}}, failure.Transient, true},
		"commit: malformed":  {write, &server{commits: codesOf{codes.InvalidArgument}}, failure.Invalid, false},
		"commit: forgotten":  {locked, &server{commits: codesOf{codes.InvalidArgument}}, failure.Transient, true},
		"commit: no right":   {write, &server{commits: codesOf{codes.PermissionDenied}}, failure.Misconfigured, false},
		"commit: not so":     {blind, &server{commits: codesOf{codes.FailedPrecondition}}, failure.Misconfigured, false},
		"commit: no db":      {blind, &server{commits: codesOf{codes.NotFound}}, failure.Misconfigured, false},
		"commit: lost":       {write, &server{commits: codesOf{codes.Unavailable}}, "", false},
		"commit: all lost":   {write, &server{commits: many(codes.Unavailable)}, failure.Transient, true},
		"commit: blind lost": {blind, &server{commits: codesOf{codes.Unavailable}}, failure.Transient, true},
		// Its own writes may be what it then meets.
		"commit: lost, then changed":   {write, &server{commits: codesOf{codes.Unavailable, codes.FailedPrecondition}}, failure.Transient, true},
		"commit: lost, then forgotten": {locked, &server{commits: codesOf{codes.Unavailable, codes.InvalidArgument}}, failure.Transient, true},
		"commit: lost, then aborted":   {locked, &server{commits: codesOf{codes.Unavailable, codes.Aborted}}, failure.Transient, true},
		"commit: others, forever":      {write, &server{commits: many(codes.FailedPrecondition)}, failure.Transient, false},
		"commit: locks, forever":       {locked, &server{commits: many(codes.Aborted)}, failure.Transient, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contention := strings.Contains(name, "forever")
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			b := serve(t, c.server)
			err := b.Transact(ctx, c.f)
			if c.kind == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !failure.Is(err, c.kind) {
				t.Errorf("got %v", err)
			}
			// In the rare case that the time ends in a commit, the outcome is unknown.
			if late := contention && status.Code(err) == codes.DeadlineExceeded; !late {
				if failure.IsAmbiguous(err) != c.ambiguous {
					t.Errorf("ambiguous %v: %v", !c.ambiguous, err)
				}
				if errors.Is(err, store.ErrContention) != contention {
					t.Errorf("as contention %v: %v", !contention, err)
				}
			}
			if (strings.Contains(name, "forgotten") || strings.Contains(name, "malformed")) && strings.Contains(err.Error(), quoted) {
				t.Errorf("the error quotes the server: %v", err)
			}
			c.server.mu.Lock()
			defer c.server.mu.Unlock()
			if !slices.Equal(c.server.began, c.server.rolledBack) {
				t.Errorf("began %v, rolled back %v", c.server.began, c.server.rolledBack)
			}
		})
	}
}

func many(code codes.Code) (codes []codes.Code) {
	for range 100 {
		codes = append(codes, code)
	}
	return codes
}

// f runs again after others interfered, and nothing of its first run is committed.
func TestRunAgain(t *testing.T) {
	for name, s := range map[string]*server{
		"commit aborted":  {commits: []codes.Code{codes.Aborted}},
		"changed":         {commits: []codes.Code{codes.FailedPrecondition}},
		"created":         {commits: []codes.Code{codes.AlreadyExists}},
		"deleted":         {commits: []codes.Code{codes.NotFound}},
		"read aborted":    {reads: []codes.Code{codes.OK, codes.Aborted}},
		"confirm aborted": {reads: []codes.Code{codes.OK, codes.OK, codes.Aborted}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := serve(t, s)
			runs := 0
			err := b.Transact(t.Context(), func(tx store.Tx) error {
				runs++
				own := store.Ref{Collection: store.Tasks, ID: string(rune('0' + runs))}
				for _, ref := range []store.Ref{place, own} {
					if _, err := tx.Get(ref, &note{}); err != nil {
						return errors.New("an error of f's own, without the cause")
					}
				}
				if got, want := tx.Now(), time.Date(2026, 3, 1, 12, 0, 0, 1000, time.UTC); got != want {
					t.Errorf("run %d: now is %v", runs, got)
				}
				return tx.Set(own, note{"x"})
			})
			if err != nil || runs != 2 {
				t.Fatalf("%d runs, error %v", runs, err)
			}
			if len(s.written) != 1 || s.written[0] != "2" || s.conditions[0].GetConditionType() == nil || s.conditions[0].GetExists() {
				t.Errorf("written: %v if %v", s.written, s.conditions)
			}
			if name == "commit aborted" && !slices.Equal(s.retried, []string{"", "1"}) {
				t.Errorf("the transactions that were named as lost: %q", s.retried)
			}
			if s.unbounded {
				t.Error("a call had no deadline")
			}
		})
	}
}

// A commit that took effect although its answer was lost must not be told as
// refused, nor run again: f would find its own writes.
func TestLostAnswer(t *testing.T) {
	s := &server{lose: true, commits: []codes.Code{codes.OK, codes.FailedPrecondition}}
	runs := 0
	err := serve(t, s).Transact(t.Context(), func(tx store.Tx) error { runs++; return write(tx) })
	if !failure.IsAmbiguous(err) || runs != 1 || len(s.written) != 1 {
		t.Errorf("%d runs, written %v, error %v", runs, s.written, err)
	}
}

// The locks of a transaction are released although its context has ended.
func TestCancelledTransactionIsRolledBack(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &cancelling{cancel: cancel}
	err := serve(t, s).Transact(ctx, locked)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !errors.Is(err, context.Canceled) || !failure.IsAmbiguous(err) || !slices.Equal(s.rolledBack, []string{"1"}) {
		t.Errorf("rolled back %v, error %v", s.rolledBack, err)
	}
}

// cancelling ends its caller's context in the middle of a commit.
type cancelling struct {
	server
	cancel context.CancelFunc
}

func (s *cancelling) Commit(ctx context.Context, _ *pb.CommitRequest) (*pb.CommitResponse, error) {
	s.cancel()
	<-ctx.Done()
	return nil, ctx.Err()
}

// So are locks whose transaction is told only after that.
func TestLocksToldTooLateAreReleased(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &late{cancel: cancel, gone: make(chan struct{}), released: make(chan string, 1)}
	err := serve(t, s).Transact(ctx, locked)
	close(s.gone)
	if !errors.Is(err, context.Canceled) || failure.IsAmbiguous(err) {
		t.Errorf("error %v", err)
	}
	select {
	case is := <-s.released:
		if is != "1" {
			t.Errorf("released %q", is)
		}
	case <-t.Context().Done():
	case <-time.After(20 * time.Second):
		t.Error("the locks stay")
	}
}

// late ends its caller's context before it tells which transaction's the locks are.
type late struct {
	server
	cancel   context.CancelFunc
	gone     chan struct{}
	released chan string
}

func (s *late) BatchGetDocuments(r *pb.BatchGetDocumentsRequest, out pb.Firestore_BatchGetDocumentsServer) error {
	if r.GetNewTransaction() != nil {
		s.cancel()
		<-s.gone
	}
	return s.server.BatchGetDocuments(r, out)
}

func (s *late) Rollback(_ context.Context, r *pb.RollbackRequest) (*emptypb.Empty, error) {
	s.released <- string(r.Transaction)
	return &emptypb.Empty{}, nil
}

// The headers lead to the named database: reads of one fail without them.
func TestHeaders(t *testing.T) {
	s := &server{}
	b := serve(t, s)
	if err := b.Transact(t.Context(), locked); err != nil {
		t.Fatal(err)
	}
	const path = "projects/project/databases/other"
	var inTransaction []string
	for _, md := range s.headers {
		if got := md.Get("google-cloud-resource-prefix"); !slices.Equal(got, []string{path}) {
			t.Errorf("resource prefix %q", got)
		}
		if params := strings.Join(md.Get("x-goog-request-params"), "&"); !strings.Contains(params, "database=projects%2Fproject%2Fdatabases%2Fother") {
			t.Errorf("request parameters %q", params)
		}
		inTransaction = append(inTransaction, md.Get("x-goog-is-transaction")...)
	}
	for _, md := range s.headers[:3] { // the reads
		if params := md.Get("x-goog-request-params"); !slices.Contains(params, "project_id=project&database_id=other") {
			t.Errorf("request parameters of a read %q", params)
		}
	}
	if !slices.Equal(inTransaction, []string{"false", "false", "true", "true"}) {
		t.Errorf("in a transaction: %q", inTransaction)
	}
}

func TestFailuresOfReads(t *testing.T) {
	for name, c := range map[string]struct {
		code codes.Code
		kind failure.Kind
	}{
		"internal":    {codes.Internal, failure.Transient},
		"no database": {codes.NotFound, failure.Misconfigured},
		"no right":    {codes.PermissionDenied, failure.Misconfigured},
		"no index":    {codes.FailedPrecondition, failure.Misconfigured},
		"malformed":   {codes.InvalidArgument, failure.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &server{}
			b := serve(t, s)
			for what, read := range map[string]func() error{
				"get": func() error { _, err := b.Get(t.Context(), place, &note{}); return err },
				"query": func() error {
					_, err := b.Query(t.Context(), store.Query{Collection: store.Tasks})
					return err
				},
				"now": func() error { _, err := b.Now(t.Context()); return err },
			} {
				s.reads = many(c.code)
				err := read()
				if !failure.Is(err, c.kind) || failure.IsAmbiguous(err) {
					t.Errorf("%s: got %v", what, err)
				}
				if status.Code(err) != c.code {
					t.Errorf("%s: the cause is lost: %v", what, err)
				}
			}
			if s.unbounded {
				t.Error("a call had no deadline")
			}
		})
	}
}
