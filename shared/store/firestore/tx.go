package firestore

import (
	"context"
	"fmt"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/document"
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
	// again tells that the run failed without any effect, because of others or of
	// a broken connection, so that f can be run again; broken is that read's error.
	// contended tells that a run before did because of others.
	again, contended bool
	broken           error
	// trusted tells that f was given what this process saw last of a document; rerun that
	// a run before failed, so that it is not to be.
	trusted, rerun bool
	// lock is the transaction at the server that holds locks for the commit, if
	// any; lost the one of the run before.
	lock, lost []byte
}

// read reads a document as it was at the first read of this run.
func (t *tx) read(ref store.Ref, op string) (document.Tree, time.Time, error) {
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
			t.broken = e
			return nil, time.Time{}, e
		}
		if t.at == nil {
			t.at = s.at
		}
		t.seen[name] = s.docs[name]
	}
	return treeOf(t.seen[name]), document.Time(t.at.AsTime()), nil
}

// note keeps the latest write to each document.
func (t *tx) note(writes []document.Write) {
	for _, w := range writes {
		name := t.b.name(w.Ref)
		t.writes[name] = &pb.Write{Operation: &pb.Write_Delete{Delete: name}}
		if w.Tree != nil {
			t.writes[name] = &pb.Write{Operation: &pb.Write_Update{Update: &pb.Document{Name: name, Fields: toFields(w.Tree)}}}
		}
	}
}
