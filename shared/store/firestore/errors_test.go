package firestore_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
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
	// begins, reads and commits hold the coming answers; none left means success.
	begins, reads, commits []codes.Code
	written                []string
	unbounded              bool // a call without a deadline came
}

const quoted = "marker-of-contents"

func (s *server) next(ctx context.Context, answers *[]codes.Code) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := ctx.Deadline(); !ok {
		s.unbounded = true
	}
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

func (s *server) BeginTransaction(ctx context.Context, _ *pb.BeginTransactionRequest) (*pb.BeginTransactionResponse, error) {
	return &pb.BeginTransactionResponse{Transaction: []byte("t")}, s.next(ctx, &s.begins)
}

func (s *server) BatchGetDocuments(r *pb.BatchGetDocumentsRequest, out pb.Firestore_BatchGetDocumentsServer) error {
	if err := s.next(out.Context(), &s.reads); err != nil {
		return err
	}
	return out.Send(&pb.BatchGetDocumentsResponse{
		Result:   &pb.BatchGetDocumentsResponse_Missing{Missing: r.Documents[0]},
		ReadTime: timestamppb.New(time.Date(2026, 3, 1, 12, 0, 0, 1999, time.UTC)),
	})
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
	}
	return &pb.CommitResponse{CommitTime: timestamppb.Now()}, nil
}

func (s *server) Rollback(context.Context, *pb.RollbackRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func serve(t *testing.T, s *server) *firestore.Backend {
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
	b, err := firestore.New(t.Context(), "project", "", option.WithGRPCConn(conn))
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

func write(tx store.Tx) error {
	if _, err := tx.Get(place, &note{}); err != nil {
		return err
	}
	return tx.Set(place, note{quoted})
}

func TestFailuresOfATransaction(t *testing.T) {
	for name, c := range map[string]struct {
		server    *server
		kind      failure.Kind
		ambiguous bool
	}{
		"begin: unknown":          {&server{begins: []codes.Code{codes.Unknown}}, failure.Transient, false},
		"begin: no database":      {&server{begins: []codes.Code{codes.NotFound}}, failure.Misconfigured, false},
		"begin: no right":         {&server{begins: []codes.Code{codes.PermissionDenied}}, failure.Misconfigured, false},
		"read: internal":          {&server{reads: []codes.Code{codes.Internal}}, failure.Transient, false},
		"read: no right":          {&server{reads: []codes.Code{codes.PermissionDenied}}, failure.Misconfigured, false},
		"commit: internal":        {&server{commits: []codes.Code{codes.Internal}}, failure.Transient, true},
		"commit: unknown":         {&server{commits: []codes.Code{codes.Unknown}}, failure.Transient, true},
		"commit: deadline":        {&server{commits: []codes.Code{codes.DeadlineExceeded}}, failure.Transient, true},
		"commit: forgotten":       {&server{commits: []codes.Code{codes.InvalidArgument}}, failure.Transient, true},
		"commit: no right":        {&server{commits: []codes.Code{codes.PermissionDenied}}, failure.Misconfigured, false},
		"commit: no index or so":  {&server{commits: []codes.Code{codes.FailedPrecondition}}, failure.Misconfigured, false},
		"commit: others, forever": {&server{commits: many(codes.Aborted)}, failure.Transient, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contention := strings.Contains(name, "others")
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			b := serve(t, c.server)
			err := b.Transact(ctx, write)
			if !failure.Is(err, c.kind) {
				t.Errorf("got %v", err)
			}
			if !contention && failure.IsAmbiguous(err) != c.ambiguous {
				t.Errorf("ambiguous %v: %v", !c.ambiguous, err)
			}
			if errors.Is(err, store.ErrContention) != contention {
				t.Errorf("as contention %v: %v", !contention, err)
			}
			if strings.Contains(name, "forgotten") && strings.Contains(err.Error(), quoted) {
				t.Errorf("the error quotes the server: %v", err)
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

// f runs again after ABORTED, and nothing of its first run is committed.
func TestRunAgain(t *testing.T) {
	for name, s := range map[string]*server{
		"commit": {commits: []codes.Code{codes.Aborted}},
		"read":   {reads: []codes.Code{codes.OK, codes.Aborted}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := serve(t, s)
			runs := 0
			err := b.Transact(t.Context(), func(tx store.Tx) error {
				runs++
				for range 2 {
					if _, err := tx.Get(place, &note{}); err != nil {
						return err
					}
				}
				if got, want := tx.Now(), time.Date(2026, 3, 1, 12, 0, 0, 1000, time.UTC); got != want {
					t.Errorf("run %d: now is %v", runs, got)
				}
				return tx.Set(store.Ref{Collection: store.Tasks, ID: string(rune('0' + runs))}, note{"x"})
			})
			if err != nil || runs != 2 {
				t.Fatalf("%d runs, error %v", runs, err)
			}
			if len(s.written) != 1 || s.written[0] != "2" {
				t.Errorf("written: %v", s.written)
			}
			if s.unbounded {
				t.Error("a call had no deadline")
			}
		})
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
