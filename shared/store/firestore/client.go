package firestore

import (
	"context"
	"errors"
	"io"
	"math"
	"net/url"
	"os"
	"strings"
	"time"

	vkit "cloud.google.com/go/firestore/apiv1"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	emulatorHost = "FIRESTORE_EMULATOR_HOST"
	// readAttempts of one read outside a transaction, if the connection broke.
	readAttempts = 5
)

// dial makes the client. Options of the caller's go before the environment.
func dial(ctx context.Context, opts []option.ClientOption) (*vkit.Client, error) {
	var conn *grpc.ClientConn
	if host := os.Getenv(emulatorHost); host != "" && len(opts) == 0 {
		host = strings.TrimPrefix(strings.TrimPrefix(host, "http://"), "https://")
		var err error
		conn, err = grpc.NewClient("passthrough:///"+host,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithPerRPCCredentials(owner{}),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
		if err != nil {
			return nil, err
		}
		opts = []option.ClientOption{option.WithGRPCConn(conn)}
	}
	client, err := vkit.NewClient(ctx, opts...)
	if err != nil {
		if conn != nil {
			err = errors.Join(err, conn.Close())
		}
		return nil, err
	}
	// The client would send a commit again after UNAVAILABLE and tell only the last
	// answer, which says nothing of what became of the first: see send.
	client.CallOptions.Commit = nil
	return client, nil
}

// owner is the emulator's fixed token that passes every security rule.
type owner struct{}

func (owner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

func (owner) RequireTransportSecurity() bool { return false }

// outgoing adds the headers by which Firestore finds the database: the generated
// client sends `database` alone, with which reads of a named database fail. They
// are those of cloud.google.com/go/firestore.
func (b *Backend) outgoing(ctx context.Context, inTransaction bool) context.Context {
	is := "false"
	if inTransaction {
		is = "true"
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	md = md.Copy()
	md.Set("google-cloud-resource-prefix", b.path)
	md.Set("x-goog-is-transaction", is)
	return metadata.NewOutgoingContext(ctx, md)
}

// routed adds what a read by name needs besides.
func (b *Backend) routed(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "x-goog-request-params",
		"project_id="+url.QueryEscape(b.project)+"&database_id="+url.QueryEscape(b.database))
}

func (b *Backend) name(ref store.Ref) string {
	return b.path + "/documents/" + string(ref.Collection) + "/" + ref.ID
}

// snapshot is what one call read.
type snapshot struct {
	// docs holds what was asked for by resource name, nil where there is no document.
	docs map[string]*pb.Document
	// at is the time of the (latest) read.
	at *timestamppb.Timestamp
	// transaction is the id of the transaction that the call began, if it was to.
	transaction []byte
}

// lookUp reads the documents that req names. With an error comes what was
// answered before it. The error is that of the call.
func (b *Backend) lookUp(ctx context.Context, req *pb.BatchGetDocumentsRequest) (snapshot, error) {
	s := snapshot{docs: make(map[string]*pb.Document, len(req.Documents))}
	ctx, cancel := context.WithCancel(ctx) // ends the stream in every case
	defer cancel()
	stream, err := b.client.BatchGetDocuments(b.routed(ctx), req)
	if err != nil {
		return s, err
	}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s, err
		}
		if len(resp.Transaction) > 0 {
			s.transaction = resp.Transaction
		}
		// A message may bring the transaction and no result.
		switch r := resp.Result.(type) {
		case *pb.BatchGetDocumentsResponse_Found:
			s.docs[r.Found.Name] = r.Found
		case *pb.BatchGetDocumentsResponse_Missing:
			s.docs[r.Missing] = nil
		}
		if resp.ReadTime != nil {
			s.at = resp.ReadTime // they never decrease within one answer
		}
	}
	if len(s.docs) < len(req.Documents) || s.at == nil {
		return s, status.Error(codes.Internal, "an incomplete answer")
	}
	return s, nil
}

// run collects the results of a query.
func (b *Backend) run(ctx context.Context, q *pb.StructuredQuery) ([]*pb.Document, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := b.client.RunQuery(ctx, &pb.RunQueryRequest{
		Parent:    b.path + "/documents",
		QueryType: &pb.RunQueryRequest_StructuredQuery{StructuredQuery: q},
	})
	if err != nil {
		return nil, err
	}
	var docs []*pb.Document
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		if resp.Document != nil { // else it tells of progress
			docs = append(docs, resp.Document)
		}
	}
}

// count asks how many results a query has.
func (b *Backend) count(ctx context.Context, q *pb.StructuredQuery) (int, error) {
	const alias = "n"
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := b.client.RunAggregationQuery(ctx, &pb.RunAggregationQueryRequest{
		Parent: b.path + "/documents",
		QueryType: &pb.RunAggregationQueryRequest_StructuredAggregationQuery{StructuredAggregationQuery: &pb.StructuredAggregationQuery{
			QueryType: &pb.StructuredAggregationQuery_StructuredQuery{StructuredQuery: q},
			Aggregations: []*pb.StructuredAggregationQuery_Aggregation{{Alias: alias,
				Operator: &pb.StructuredAggregationQuery_Aggregation_Count_{Count: &pb.StructuredAggregationQuery_Aggregation_Count{}}}},
		}},
	})
	if err != nil {
		return 0, err
	}
	for {
		resp, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return 0, status.Error(codes.Internal, "an answer without a count")
		case err != nil:
			return 0, err
		case resp.Result != nil:
			return int(resp.Result.AggregateFields[alias].GetIntegerValue()), nil
		}
	}
}

// passing tells that the way to the server failed: a read may be sent again.
func passing(err error) bool {
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.Internal
}

// repeat does a read again if the way to the server failed, within some 2 s.
func repeat[T any](ctx context.Context, read func() (T, error)) (T, error) {
	waits := pauses(50*time.Millisecond, time.Second, 2)
	for n := 1; ; n++ {
		out, err := read()
		if err == nil || !passing(err) || n == readAttempts || !pause(ctx, waits.NextBackOff()) {
			return out, err
		}
	}
}

// pause waits; false if ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
