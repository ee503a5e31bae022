package firestore

import (
	"context"
	"fmt"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore/document"
)

// tx is one run of a transaction: a snapshot that f reads, and what f would write.
type tx struct {
	ctx context.Context
	b   *Backend
	// at is the time of the first read, and of all others: f sees one moment.
	at *timestamppb.Timestamp
	// seen holds each document that was read, by resource name, nil if missing.
	seen map[string]*pb.Document
	// writes holds one write for each document; the latest counts.
	writes map[string]*pb.Write
	size   int
	// err makes the transaction fail even if f overlooks it.
	err error
	// again tells that the run failed without any effect, because of others or of
	// a broken connection, so that f can be run again; contended, that a run before
	// did because of others.
	again, contended bool
	// lock is the transaction at the server that holds locks for the commit, if
	// any; lost the one of the run before.
	lock, lost []byte
}

func (t *tx) fail(err error) error {
	if t.err == nil {
		t.err = err
	}
	return err
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
	name := t.b.name(ref)
	if _, known := t.seen[name]; !known {
		req := &pb.BatchGetDocumentsRequest{Database: t.b.path, Documents: []string{name}}
		if t.at != nil {
			req.ConsistencySelector = &pb.BatchGetDocumentsRequest_ReadTime{ReadTime: t.at}
		}
		s, err := t.b.lookUp(t.ctx, req)
		if err != nil {
			t.again = passed(err)
			e := classify(t.ctx, op, err)
			if t.contended && t.ctx.Err() != nil {
				e.Err = fmt.Errorf("%w: %w", store.ErrContention, e.Err)
			}
			return false, t.fail(e)
		}
		if t.at == nil {
			t.at = s.at
		}
		t.seen[name] = s.docs[name]
	}
	found, err := decode(ref, t.seen[name], into)
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
	name := t.b.name(ref)
	t.writes[name] = &pb.Write{Operation: &pb.Write_Update{Update: &pb.Document{Name: name, Fields: toFields(tree)}}}
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
	name := t.b.name(ref)
	t.writes[name] = &pb.Write{Operation: &pb.Write_Delete{Delete: name}}
	return nil
}

// Now is the moment that all reads of this run show; without one the transaction
// fails.
func (t *tx) Now() time.Time {
	if t.at == nil {
		_ = t.fail(failure.Wrap(failure.Invalid, "transaction", document.ErrNowBeforeGet))
		return time.Time{}
	}
	return document.Time(t.at.AsTime())
}
