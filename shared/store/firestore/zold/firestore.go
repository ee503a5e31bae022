// Package firestore keeps documents in Google Cloud Firestore (native mode): the
// backend of shared/store in the cloud. It must never judge by an instance's
// clock, never write a zero time or a null (a query would select them), and never
// put a document's contents into an error.
package firestore

import (
	"context"
	"errors"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/api/option"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore/document"
)

const (
	// operationTimeout bounds a read when ctx has no deadline, transactTimeout a
	// whole transaction with its repetitions.
	operationTimeout = 10 * time.Second
	transactTimeout  = 30 * time.Second
	// attempts of a transaction that loses against others. The client library
	// waits up to 1, 2, 4 ... 30 s between them, so that mostly the deadline ends
	// them. They must be one call of RunTransaction: it names the transaction that
	// lost to the server, without which 20 writers of one document starve each other.
	attempts = 10
)

// Backend is a store.Backend in one Firestore database. It is safe for concurrent use.
type Backend struct {
	client *firestore.Client
}

var _ store.Backend = (*Backend)(nil)

// New makes a backend for a database; an empty name means "(default)". ctx is
// for making the client only. FIRESTORE_EMULATOR_HOST is honoured.
func New(ctx context.Context, projectID, database string, opts ...option.ClientOption) (*Backend, error) {
	if database == "" {
		database = firestore.DefaultDatabaseID
	}
	client, err := firestore.NewClientWithDatabase(ctx, projectID, database, opts...)
	if err != nil {
		return nil, failure.Wrap(failure.Misconfigured, "open Firestore database "+projectID+"/"+database, err)
	}
	return &Backend{client: client}, nil
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

func (b *Backend) ref(ref store.Ref) *firestore.DocumentRef {
	return b.client.Collection(string(ref.Collection)).Doc(ref.ID)
}

// Get reads one document.
func (b *Backend) Get(ctx context.Context, ref store.Ref, into any) (bool, error) {
	ctx, cancel := limited(ctx, operationTimeout)
	defer cancel()
	if err := document.Check(ref); err != nil {
		return false, err
	}
	// GetAll rather than Get: there NotFound could be the document or the database.
	snaps, err := b.client.GetAll(ctx, []*firestore.DocumentRef{b.ref(ref)})
	if err != nil {
		return false, classify(ctx, "read "+document.Name(ref), err)
	}
	return decode(ref, snaps[0], into)
}

func decode(ref store.Ref, snap *firestore.DocumentSnapshot, into any) (bool, error) {
	if !snap.Exists() {
		return false, nil
	}
	if err := document.Decode(snap.Data(), into); err != nil {
		return false, failure.Wrap(failure.Invalid, "read "+document.Name(ref), err)
	}
	return true, nil
}

// Now gives the read time of a read of a document that need not exist.
func (b *Backend) Now(ctx context.Context) (time.Time, error) {
	ctx, cancel := limited(ctx, operationTimeout)
	defer cancel()
	snaps, err := b.client.GetAll(ctx, []*firestore.DocumentRef{b.ref(store.Ref{Collection: store.Installation, ID: "clock"})})
	if err != nil {
		return time.Time{}, classify(ctx, "read Firestore's clock", err)
	}
	return document.Time(snaps[0].ReadTime), nil
}

// Transact runs f in a Firestore transaction, up to 10 times if others interfere;
// then the error is store.ErrContention. f's own error is returned as it is.
// Without a deadline in ctx, all together is given 30 s.
func (b *Backend) Transact(ctx context.Context, f func(tx store.Tx) error) error {
	const op = "transaction"
	ctx, cancel := limited(ctx, transactTimeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return failure.Wrap(failure.Transient, op, err)
	}
	// own is f's error of the latest run; sent tells whether a commit may have
	// reached the server.
	var own error
	sent, runs := false, 0
	err := b.client.RunTransaction(ctx, func(ctx context.Context, ftx *firestore.Transaction) error {
		t := &tx{ctx: ctx, b: b, ftx: ftx}
		runs++
		own = f(t)
		if own == nil {
			own = t.err
		}
		if own == nil && ctx.Err() != nil {
			own = failure.Wrap(failure.Transient, op, ctx.Err())
		}
		sent = sent || own == nil
		return own
	}, firestore.MaxAttempts(attempts))
	if err == nil {
		return nil
	}
	if own != nil && errors.Is(err, own) && !aborted(err) {
		return own
	}
	return classifyCommit(ctx, op, err, sent, runs > 1)
}

// Query runs the query outside any transaction.
func (b *Backend) Query(ctx context.Context, q store.Query) ([]store.Document, error) {
	ctx, cancel := limited(ctx, operationTimeout)
	defer cancel()
	s, err := document.Select(q)
	if err != nil {
		return nil, err
	}
	fq := b.client.Collection(string(q.Collection)).Query
	direction := firestore.Asc
	if q.Descending {
		direction = firestore.Desc
	}
	switch q.Op {
	case store.Every:
		fq = fq.OrderBy(firestore.DocumentID, firestore.Asc)
		if q.After != "" {
			fq = fq.StartAfter(q.After)
		}
	case store.Equal:
		fq = fq.Where(q.Field, "==", s.Bound)
	case store.AtMost:
		fq = fq.Where(q.Field, "<=", s.Bound).OrderBy(q.Field, direction)
	case store.Exists:
		fq = fq.OrderBy(q.Field, direction)
	case store.ContainsAny:
		if len(s.Any) == 0 {
			return nil, nil
		}
		fq = fq.Where(q.Field, "array-contains-any", s.Any)
	}
	if q.Limit > 0 {
		fq = fq.Limit(q.Limit)
	}
	snaps, err := fq.Documents(ctx).GetAll()
	if err != nil {
		return nil, classify(ctx, document.Describe(q), err)
	}
	docs := make([]store.Document, len(snaps))
	for i, snap := range snaps {
		ref := store.Ref{Collection: q.Collection, ID: snap.Ref.ID}
		docs[i] = store.Document{ID: ref.ID, Decode: func(into any) error {
			_, err := decode(ref, snap, into)
			return err
		}}
	}
	return docs, nil
}
