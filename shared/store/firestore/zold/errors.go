package firestore

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

func aborted(err error) bool { return status.Code(err) == codes.Aborted }

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

// classify gives the error of a read its kind. The cause stays in the chain, for
// RunTransaction recognises ABORTED by it.
func classify(ctx context.Context, op string, err error) error {
	code := status.Code(err)
	e := &failure.Error{Kind: kindOf(code), Op: op, Reason: code.String(), Err: describe(code, err)}
	if ended := ctx.Err(); ended != nil {
		e.Kind, e.Err = failure.Transient, fmt.Errorf("%w: %w", ended, e.Err)
	} else if code == codes.Aborted {
		e.Err = fmt.Errorf("%w: %w", store.ErrContention, e.Err)
	}
	return e
}

// classifyCommit gives the error of a whole transaction its kind. sent tells
// whether a commit may have arrived, repeated whether others interfered before.
func classifyCommit(ctx context.Context, op string, err error, sent, repeated bool) error {
	code := status.Code(err)
	e := &failure.Error{Kind: kindOf(code), Op: op, Reason: code.String(), Err: describe(code, err)}
	ended := ctx.Err()
	if code == codes.Aborted || ended != nil && repeated {
		// The deadline mostly comes while the library waits for its next attempt.
		e.Err = fmt.Errorf("%w: %w", store.ErrContention, e.Err)
	}
	if ended != nil {
		e.Kind, e.Err = failure.Transient, fmt.Errorf("%w: %w", ended, e.Err)
	}
	if code == codes.InvalidArgument && sent {
		// Documents were checked before; what is left is a transaction that took
		// too long and was forgotten by the server.
		e.Kind = failure.Transient
	}
	e.Ambiguous = sent && e.Kind == failure.Transient && code != codes.Aborted
	return e
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
