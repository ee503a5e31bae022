package firestore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/document"
)

// Transactions are optimistic. A run reads one snapshot without locks: the first
// read is strongly consistent, the others are made at its read time. The commit
// carries a precondition for every document that was read and is written (its
// update time, or that it does not exist), all of them checked in the moment in
// which all is written. A document that was read and is not written has no place
// for a precondition: it is locked by a transaction of Firestore's, compared with
// what f saw, and the same transaction commits. So whatever f read holds at the
// commit, which is serializability; and a run without writes is true of its
// snapshot. Of rivals for one document one always commits, and the others learn at
// once that they have to look again.
//
// Transactions of Firestore's for everything, as cloud.google.com/go/firestore
// makes them, lock what they read (shared; the default of server libraries and of
// the Standard edition is pessimistic, docs/transaction-data-contention). Two that
// read a document and want to write it then wait for each other until one is
// aborted, for which the emulator takes 2 s each time, whatever the mode that is
// asked for: 50 writers of one document need minutes.
const (
	transaction = "transaction"

	// Pauses between runs, half as long again or as short at random.
	firstPause   = 8 * time.Millisecond
	longestPause = 250 * time.Millisecond
	growth       = 1.6
	// rollbackTimeout bounds the release of locks, also after ctx has ended.
	rollbackTimeout = 2 * time.Second
	// sendings of one commit whose answer is lost on the way.
	sendings = 4
)

// passed tells that a call without effects failed because of others or of a broken
// connection: the transaction can be run again.
func passed(err error) bool {
	code := status.Code(err)
	return code == codes.Aborted || code == codes.Unavailable
}

func pauses(first, longest time.Duration, growth float64) *backoff.ExponentialBackOff {
	p := backoff.NewExponentialBackOff() // with a random half up or down
	p.InitialInterval, p.MaxInterval, p.Multiplier = first, longest, growth
	return p
}

// Transact runs f as a serializable transaction, again and again with short pauses
// while others interfere, until ctx ends; then the error is store.ErrContention.
// f's own error is returned as it is. Without a deadline in ctx, all together is
// given 30 s.
func (b *Backend) Transact(ctx context.Context, f func(tx store.Tx) error) error {
	ctx, cancel := limited(ctx, transactTimeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return failure.Wrap(failure.Transient, transaction, err)
	}
	waits := pauses(firstPause, longestPause, growth)
	var lost []byte
	contended, rerun := false, false
	for {
		t := &tx{
			ctx: b.outgoing(ctx, false), b: b, contended: contended, rerun: rerun, lost: lost,
			seen: map[string]*pb.Document{}, writes: map[string]*pb.Write{},
		}
		err := t.run(f)
		if err != nil {
			t.forget()
		}
		if err == nil || !t.again {
			return err
		}
		rerun = true
		contended = contended || errors.Is(err, store.ErrContention)
		if t.lock != nil {
			lost = t.lock
		}
		if !pause(ctx, waits.NextBackOff()) {
			return interrupted(ctx, err)
		}
	}
}

// run is one run.
func (t *tx) run(f func(tx store.Tx) error) error {
	writes, err := document.NewTxKnowing(t.read, t.known).Run(f)
	if t.again {
		return t.broken // whatever f made of it
	}
	if t.trusted && (err != nil || len(writes) == 0) {
		// No commit proves what f was given.
		t.again = true
		return failure.Wrap(failure.Transient, transaction, store.ErrContention)
	}
	if err == nil {
		err = failure.Wrap(failure.Transient, transaction, t.ctx.Err())
	}
	if err != nil {
		return err
	}
	t.note(writes)
	return t.commit()
}

// commit writes, provided that all that f read still holds.
func (t *tx) commit() error {
	blind := false // a write that no read stands behind
	for name, w := range t.writes {
		doc, seen := t.seen[name]
		switch {
		case !seen:
			blind = true
		case doc != nil:
			w.CurrentDocument = &pb.Precondition{ConditionType: &pb.Precondition_UpdateTime{UpdateTime: doc.UpdateTime}}
		case w.GetUpdate() != nil:
			w.CurrentDocument = &pb.Precondition{ConditionType: &pb.Precondition_Exists{Exists: false}}
		default: // a deletion of what does not exist: nothing but a read
			delete(t.writes, name)
		}
	}
	if len(t.writes) == 0 {
		return t.unchanged()
	}
	var unwritten []string
	for name := range t.seen {
		if t.writes[name] == nil {
			unwritten = append(unwritten, name)
		}
	}
	req := &pb.CommitRequest{Database: t.b.path}
	for _, name := range slices.Sorted(maps.Keys(t.writes)) {
		req.Writes = append(req.Writes, t.writes[name])
	}
	if len(unwritten) == 0 {
		return t.send(req, !blind)
	}
	committed := false
	defer func() {
		if !committed {
			t.rollback()
		}
	}()
	slices.Sort(unwritten)
	if err := t.confirm(unwritten); err != nil {
		return err
	}
	req.Transaction = t.lock
	err := t.send(req, true)
	committed = err == nil
	return err
}

// confirm locks documents that were read and makes sure that they are what f saw.
func (t *tx) confirm(names []string) error {
	t.ctx = t.b.outgoing(t.ctx, true)
	// The mode is left to the database. Pessimistic (the Standard edition's default),
	// the read locks them until the commit; optimistic, the commit fails if they
	// changed: right either way. The locks are shared and short, and whoever writes
	// these documents holds none himself unless he also relies on others unwritten:
	// only such two can wait for each other. Named as a retry of the one before, a
	// transaction keeps its turn.
	s, err := t.lookUpLocking(&pb.BatchGetDocumentsRequest{
		Database: t.b.path, Documents: names,
		ConsistencySelector: &pb.BatchGetDocumentsRequest_NewTransaction{NewTransaction: &pb.TransactionOptions{
			Mode: &pb.TransactionOptions_ReadWrite_{ReadWrite: &pb.TransactionOptions_ReadWrite{RetryTransaction: t.lost}},
		}},
	})
	t.lock = s.transaction
	if err == nil && t.lock == nil {
		err = status.Error(codes.Internal, "an answer without a transaction")
	}
	if err != nil {
		t.again = passed(err)
		return classify(t.ctx, transaction+": confirm what was read", err)
	}
	return t.compare(s.docs, names)
}

// lookUpLocking reads documents and locks them. Only the answer names the transaction whose locks
// they are: where ctx ends before it comes, they are released once it is there. Forgotten, they
// stood in everybody's way for a minute.
func (t *tx) lookUpLocking(req *pb.BatchGetDocumentsRequest) (snapshot, error) {
	type answer struct {
		snapshot
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), transactTimeout)
		defer cancel()
		s, err := t.b.lookUp(ctx, req)
		answered <- answer{s, err}
	}()
	select {
	case a := <-answered:
		return a.snapshot, a.err
	case <-t.ctx.Done():
		go func() { t.b.release(t.ctx, (<-answered).transaction) }()
		return snapshot{}, status.FromContextError(t.ctx.Err()).Err()
	}
}

// unchanged makes sure, for a transaction that only read, that its documents were
// together what f saw: the emulator can show a commit at a read time at which an
// earlier read did not see it yet. One document needs no such look.
func (t *tx) unchanged() error {
	if len(t.seen) < 2 {
		return nil
	}
	names := slices.Sorted(maps.Keys(t.seen))
	s, err := t.b.lookUp(t.ctx, &pb.BatchGetDocumentsRequest{Database: t.b.path, Documents: names})
	if err != nil {
		t.again = passed(err)
		return classify(t.ctx, transaction+": confirm what was read", err)
	}
	return t.compare(s.docs, names)
}

// compare asks for another run where documents are not what f saw.
func (t *tx) compare(docs map[string]*pb.Document, names []string) error {
	for _, name := range names {
		if now, was := docs[name], t.seen[name]; (now == nil) != (was == nil) || !proto.Equal(now.GetUpdateTime(), was.GetUpdateTime()) {
			t.again = true
			return failure.Wrap(failure.Transient, transaction, store.ErrContention)
		}
	}
	return nil
}

// send sends the commit. If once tells that it cannot take effect twice, it is sent
// again when the answer was lost. But then only success tells what became of it:
// with any other answer the outcome is unknown, and f is not run again, for it
// would find its own writes.
func (t *tx) send(req *pb.CommitRequest, once bool) error {
	waits := pauses(50*time.Millisecond, time.Second, 2)
	guarded := slices.ContainsFunc(req.Writes, func(w *pb.Write) bool { return w.CurrentDocument != nil })
	for n := 1; ; n++ {
		sent := time.Now()
		res, err := t.b.client.Commit(t.ctx, req)
		if err == nil {
			t.remember(req, res, sent)
			return nil
		}
		beaten := false // nothing took effect for certain, because of others
		switch status.Code(err) {
		case codes.Unavailable, codes.ResourceExhausted:
			if once && n < sendings && pause(t.ctx, waits.NextBackOff()) {
				continue
			}
		case codes.Aborted:
			beaten = true
		case codes.FailedPrecondition, codes.AlreadyExists, codes.NotFound:
			// A precondition failed. Were it something else, the next run's reads tell.
			beaten = guarded
		}
		if beaten && n == 1 {
			t.again = true
			return &failure.Error{Kind: failure.Transient, Op: transaction, Reason: status.Code(err).String(),
				Err: fmt.Errorf("%w: %w", store.ErrContention, err)}
		}
		return classifyCommit(t.ctx, err, req.Transaction != nil, n > 1)
	}
}

// rollback releases the locks.
func (t *tx) rollback() { t.b.release(t.ctx, t.lock) }

// release releases a transaction's locks, as well as it can, also after ctx has ended: if it
// fails, the server does so when it forgets the transaction (60 s). nil: there are none.
func (b *Backend) release(ctx context.Context, transaction []byte) {
	if transaction == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_ = b.client.Rollback(ctx, &pb.RollbackRequest{Database: b.path, Transaction: transaction})
}
