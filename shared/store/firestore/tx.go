package firestore

import (
	"context"
	"fmt"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore/document"
)

// tx is one run of a transaction.
type tx struct {
	ctx context.Context
	b   *Backend
	// id names the transaction at the server; nil until the first read began it.
	id []byte
	// lost is the id of the run before, which others made fail.
	lost []byte
	// repeated tells that others made a run before fail.
	repeated bool
	writes   []*pb.Write
	size     int
	read     time.Time
	// err makes the transaction fail even if f overlooks it.
	err error
	// again tells that the failure was a read that others, or a broken connection,
	// made fail: nothing happened, and f can be run again.
	again bool
}

func (t *tx) fail(err error) error {
	if t.err == nil {
		t.err = err
	}
	return err
}

// options of the transaction at its begin. The mode is left to the database's
// default, which for the Standard edition is pessimistic: a read locks the
// document (shared), the commit waits for the others' locks, and of two that wait
// for each other one gets ABORTED. That suits short transactions on one hot
// document, for the server queues them instead of letting all but one work in
// vain. Correctness does not rest on it: with an optimistic database the commit
// fails instead, and f runs again just so.
func (t *tx) options() *pb.TransactionOptions {
	// Named as a retry, the transaction keeps its age among its rivals; without
	// it, many writers of one document starve each other.
	return &pb.TransactionOptions{Mode: &pb.TransactionOptions_ReadWrite_{
		ReadWrite: &pb.TransactionOptions_ReadWrite{RetryTransaction: t.lost, ConcurrencyMode: pb.TransactionOptions_OPTIMISTIC},
	}}
}

// Get reads a document, before the first write.
func (t *tx) Get(ref store.Ref, into any) (bool, error) {
	if t.err != nil {
		return false, t.err
	}
	if err := document.Check(ref); err != nil {
		return false, t.fail(err)
	}
	op := "read " + document.Name(ref)
	if len(t.writes) > 0 {
		return false, t.fail(failure.Wrap(failure.Invalid, op, document.ErrReadAfterWrite))
	}
	req := &pb.BatchGetDocumentsRequest{Database: t.b.path, Documents: []string{t.b.name(ref)}}
	if t.id == nil {
		// The first read begins the transaction: no call of its own for that.
		req.ConsistencySelector = &pb.BatchGetDocumentsRequest_NewTransaction{NewTransaction: t.options()}
	} else {
		req.ConsistencySelector = &pb.BatchGetDocumentsRequest_Transaction{Transaction: t.id}
	}
	s, err := t.b.lookUp(t.ctx, req)
	if t.id == nil {
		t.id = s.transaction
	}
	if err == nil && t.id == nil {
		err = status.Error(codes.Internal, "an answer without a transaction")
	}
	if err != nil {
		t.again = lost(err)
		e := classify(t.ctx, op, err)
		if t.repeated && t.ctx.Err() != nil {
			// The time ended in a wait for a lock: it was others who took it.
			e.Err = fmt.Errorf("%w: %w", store.ErrContention, e.Err)
		}
		return false, t.fail(e)
	}
	// Each read has a time of its own; the clock must not step back between them.
	if s.at.After(t.read) {
		t.read = s.at
	}
	found, err := decode(ref, s.doc, into)
	if err != nil {
		return false, t.fail(err)
	}
	return found, nil
}

// Set notes the document for the commit, as it is now.
func (t *tx) Set(ref store.Ref, doc any) error {
	if t.err != nil {
		return t.err
	}
	tree, size, err := document.Prepare(ref, doc)
	if err != nil {
		return t.fail(err)
	}
	t.size += size
	if t.size > document.MaxTransaction {
		return t.fail(failure.New(failure.Invalid, "write "+document.Name(ref), "the transaction is larger than 10 MiB"))
	}
	t.writes = append(t.writes, &pb.Write{Operation: &pb.Write_Update{
		Update: &pb.Document{Name: t.b.name(ref), Fields: toFields(tree)},
	}})
	return nil
}

// Delete notes the deletion for the commit.
func (t *tx) Delete(ref store.Ref) error {
	if t.err != nil {
		return t.err
	}
	if err := document.Check(ref); err != nil {
		return t.fail(err)
	}
	t.writes = append(t.writes, &pb.Write{Operation: &pb.Write_Delete{Delete: t.b.name(ref)}})
	return nil
}

// Now is the read time of the latest Get; without one the transaction fails.
func (t *tx) Now() time.Time {
	if t.read.IsZero() {
		_ = t.fail(failure.Wrap(failure.Invalid, "transaction", document.ErrNowBeforeGet))
	}
	return t.read
}
