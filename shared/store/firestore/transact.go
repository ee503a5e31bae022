package firestore

import (
	"context"
	"errors"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	// Pauses between the runs of a transaction that lost, half as long again or as
	// short at random. cloud.google.com/go/firestore would wait 1, 2, 4 ... 30 s.
	firstPause   = 8 * time.Millisecond
	longestPause = 250 * time.Millisecond
	growth       = 1.6
	// rollbackTimeout bounds the release of the locks, also after ctx has ended.
	rollbackTimeout = 2 * time.Second
	// commitAttempts of one transaction whose answer is lost on the way.
	commitAttempts = 4
)

// lost tells that a call before the commit failed because of others or of a
// broken connection: the transaction as a whole can be run again.
func lost(err error) bool {
	code := status.Code(err)
	return code == codes.Aborted || code == codes.Unavailable
}

// Transact runs f in a Firestore transaction, again and again with short pauses
// while others interfere, until ctx ends; then the error is store.ErrContention.
// f's own error is returned as it is. Without a deadline in ctx, all together is
// given 30 s.
func (b *Backend) Transact(ctx context.Context, f func(tx store.Tx) error) error {
	ctx, cancel := limited(ctx, transactTimeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return failure.Wrap(failure.Transient, transaction, err)
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = firstPause, longestPause, growth
	var before []byte
	contended := false
	for {
		t := &tx{ctx: b.outgoing(ctx, true), b: b, lost: before, repeated: contended}
		err := t.run(f)
		if err == nil || !t.again {
			return err
		}
		contended = contended || errors.Is(err, store.ErrContention)
		if t.id != nil {
			before = t.id
		}
		if !pause(ctx, pauses.NextBackOff()) {
			return interrupted(ctx, err)
		}
	}
}

const transaction = "transaction"

// run is one run. If it fails, the transaction is rolled back, so that its locks
// do not hold up others until the server forgets it (60 s).
func (t *tx) run(f func(tx store.Tx) error) error {
	committed := false
	defer func() { // in a panic of f, too
		if !committed {
			t.rollback()
		}
	}()
	err := f(t)
	if t.again {
		return t.err // whatever f made of it
	}
	if err == nil {
		err = t.err
	}
	if err == nil {
		err = failure.Wrap(failure.Transient, transaction, t.ctx.Err())
	}
	if err != nil {
		return err
	}
	err = t.commit()
	committed = err == nil
	return err
}

// commit commits. A commit whose answer was lost is sent again: a transaction is
// committed once at most. But then only success tells what became of it, so that
// any other answer leaves the outcome unknown; f is not run again, for it might
// find its own writes.
func (t *tx) commit() error {
	if t.id == nil {
		if len(t.writes) == 0 {
			return nil
		}
		resp, err := t.b.client.BeginTransaction(t.ctx, &pb.BeginTransactionRequest{Database: t.b.path, Options: t.options()})
		if err != nil {
			t.again = lost(err)
			return classify(t.ctx, transaction+": begin", err)
		}
		t.id = resp.Transaction
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = 50*time.Millisecond, time.Second, 2
	req := &pb.CommitRequest{Database: t.b.path, Writes: t.writes, Transaction: t.id}
	for n := 1; ; n++ {
		_, err := t.b.client.Commit(t.ctx, req)
		if err == nil {
			return nil
		}
		code := status.Code(err)
		if (code == codes.Unavailable || code == codes.ResourceExhausted) && n < commitAttempts && pause(t.ctx, pauses.NextBackOff()) {
			continue
		}
		// Without writes there is nothing whose outcome could be unknown.
		unknown := len(t.writes) > 0 && (n > 1 || code != codes.Aborted)
		t.again = code == codes.Aborted && !unknown
		return classifyCommit(t.ctx, err, unknown)
	}
}

// rollback releases the locks, as well as it can: if it fails, the server does so
// when it forgets the transaction.
func (t *tx) rollback() {
	if t.id == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), rollbackTimeout)
	defer cancel()
	_ = t.b.client.Rollback(ctx, &pb.RollbackRequest{Database: t.b.path, Transaction: t.id})
}
