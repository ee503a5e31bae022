package firestore

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// kindOf says what a status means for us. All that may pass by itself is
// Transient, as is anything unknown.
func kindOf(code codes.Code) failure.Kind {
	switch code {
	case codes.NotFound, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented, codes.FailedPrecondition:
		// No such database, no right to it, or (FailedPrecondition) no index for a query.
		return failure.Misconfigured
	case codes.InvalidArgument, codes.OutOfRange:
		return failure.Invalid
	}
	return failure.Transient
}

// classify gives the error of a call before any commit its kind.
func classify(ctx context.Context, op string, err error) *failure.Error {
	code := status.Code(err)
	e := &failure.Error{Kind: kindOf(code), Op: op, Reason: code.String(), Err: describe(code, err)}
	if code == codes.Aborted {
		e.Err = fmt.Errorf("%w: %w", store.ErrContention, e.Err)
	}
	if ended := ctx.Err(); ended != nil {
		e.Kind, e.Err = failure.Transient, fmt.Errorf("%w: %w", ended, e.Err)
	}
	return e
}

// classifyCommit gives the error of a commit its kind: of one that locks, in a
// transaction of Firestore's, or not. Ambiguous is it whenever the commit may have
// taken effect: if neither this answer rules it out nor, when the commit was sent
// again (resent), anything can.
func classifyCommit(ctx context.Context, err error, locks, resent bool) *failure.Error {
	e := classify(ctx, transaction, err)
	code := status.Code(err)
	// Documents were checked before; what is left of InvalidArgument is a
	// transaction that the server forgot, or that had committed.
	forgotten := locks && code == codes.InvalidArgument
	if resent || forgotten {
		e.Kind = failure.Transient
	}
	e.Ambiguous = e.Kind == failure.Transient
	if code == codes.Aborted && ctx.Err() == nil {
		e.Err = describe(code, err) // of a commit sent again: no mere contention
	}
	return e
}

// interrupted is the error of a transaction that lost, err, and whose time ended
// before it could run again: nothing of it took effect.
func interrupted(ctx context.Context, err error) error {
	return &failure.Error{Kind: failure.Transient, Op: transaction, Reason: status.Code(err).String(),
		Err: fmt.Errorf("%w: %w", ctx.Err(), err)}
}

// hidden keeps a status without its message, which may quote a value.
type hidden struct{ code codes.Code }

func (h hidden) Error() string              { return "refused by Firestore" }
func (h hidden) GRPCStatus() *status.Status { return status.New(h.code, h.Error()) }

func describe(code codes.Code, err error) error {
	if code == codes.InvalidArgument || code == codes.OutOfRange {
		return hidden{code}
	}
	return err
}
