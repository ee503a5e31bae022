// Package firestore keeps documents in Google Cloud Firestore (native mode): the
// backend of shared/store in the cloud. It must never judge by an instance's
// clock, never write a zero time or a null (a query would select them), and never
// put a document's contents into an error.
package firestore

import (
	"context"
	"strings"
	"time"

	vkit "cloud.google.com/go/firestore/apiv1"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/option"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/document"
)

const (
	defaultDatabase = "(default)"
	// operationTimeout bounds a read when ctx has no deadline, transactTimeout a
	// whole transaction with its repetitions.
	operationTimeout = 10 * time.Second
	transactTimeout  = 30 * time.Second
)

// Backend is a store.Backend in one Firestore database. It is safe for concurrent use.
type Backend struct {
	client            *vkit.Client
	project, database string
	// path is the database's resource name.
	path string
	seen sightings
}

var _ store.Backend = (*Backend)(nil)

// New makes a backend for a database; an empty name means "(default)". ctx is
// for making the client only. Without opts, FIRESTORE_EMULATOR_HOST is honoured.
func New(ctx context.Context, projectID, database string, opts ...option.ClientOption) (*Backend, error) {
	if database == "" {
		database = defaultDatabase
	}
	op := "open Firestore database " + projectID + "/" + database
	if projectID == "" || strings.Contains(projectID+database, "/") {
		return nil, failure.New(failure.Misconfigured, op, "the project or the database is not named")
	}
	client, err := dial(ctx, opts)
	if err != nil {
		return nil, failure.Wrap(failure.Misconfigured, op, err)
	}
	path := "projects/" + projectID + "/databases/" + database
	return &Backend{client: client, project: projectID, database: database, path: path}, nil
}

// Close closes the connections.
func (b *Backend) Close() error { return b.client.Close() }

// limited gives ctx a deadline if it has none.
func limited(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}

// read reads one document outside a transaction, and the time of that: without a
// consistency selector Firestore gives the latest state.
func (b *Backend) read(ctx context.Context, op string, ref store.Ref) (*pb.Document, time.Time, error) {
	ctx, cancel := limited(ctx, operationTimeout)
	defer cancel()
	// BatchGetDocuments rather than GetDocument: there NotFound could be the
	// document or the database.
	req := &pb.BatchGetDocumentsRequest{Database: b.path, Documents: []string{b.name(ref)}}
	sent := time.Now()
	s, err := repeat(ctx, func() (snapshot, error) { return b.lookUp(b.outgoing(ctx, false), req) })
	if err != nil {
		return nil, time.Time{}, classify(ctx, op, err)
	}
	at := document.Time(s.at.AsTime())
	b.seen.note(b.name(ref), sighting{s.docs[b.name(ref)], at, sent})
	return s.docs[b.name(ref)], at, nil
}

// Get reads one document.
func (b *Backend) Get(ctx context.Context, ref store.Ref, into any) (bool, error) {
	if err := document.Check(ref); err != nil {
		return false, err
	}
	doc, _, err := b.read(ctx, "read "+document.Name(ref), ref)
	if err != nil {
		return false, err
	}
	return document.Read(ref, treeOf(doc), into)
}

// Now gives the read time of a read of a document that need not exist.
func (b *Backend) Now(ctx context.Context) (time.Time, error) {
	_, at, err := b.read(ctx, "read Firestore's clock", store.Ref{Collection: store.Installation, ID: "clock"})
	return at, err
}

// Count runs an aggregation outside any transaction.
func (b *Backend) Count(ctx context.Context, q store.Query) (int, error) {
	ctx, cancel := limited(ctx, operationTimeout)
	defer cancel()
	s, err := document.Select(q)
	if err != nil {
		return 0, err
	}
	if q.Op == store.ContainsAny && len(s.Any) == 0 {
		return 0, nil // Firestore refuses an empty list
	}
	n, err := repeat(ctx, func() (int, error) { return b.count(b.outgoing(ctx, false), b.structured(s)) })
	if err != nil {
		return 0, classify(ctx, document.Describe(q), err)
	}
	return n, nil
}

// Query runs the query outside any transaction.
func (b *Backend) Query(ctx context.Context, q store.Query) ([]store.Document, error) {
	ctx, cancel := limited(ctx, operationTimeout)
	defer cancel()
	s, err := document.Select(q)
	if err != nil {
		return nil, err
	}
	if q.Op == store.ContainsAny && len(s.Any) == 0 {
		return nil, nil // Firestore refuses an empty list
	}
	found, err := repeat(ctx, func() ([]*pb.Document, error) {
		return b.run(b.outgoing(ctx, false), b.structured(s))
	})
	if err != nil {
		return nil, classify(ctx, document.Describe(q), err)
	}
	docs := make([]store.Document, len(found))
	for i, doc := range found {
		ref := store.Ref{Collection: q.Collection, ID: doc.Name[strings.LastIndex(doc.Name, "/")+1:]}
		docs[i] = document.Found(ref, treeOf(doc))
	}
	return docs, nil
}
