// Package failure names the ways in which work can fail (rule 7.1), so
// that every decision (retry, record, alarm, hold) is made on a kind and never
// on an error's text. It must never carry a body, a token or a person's data:
// an Error holds kind, status, reason and a sentence of our own.
package failure

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind is one way to fail. The values are stored and shown, so they are stable.
type Kind string

// The kinds of rule 7.1.
const (
	// Gone: what was addressed does not exist any more (404, 410).
	Gone Kind = "gone"
	// Conflict: another writer changed it first (409, 412, a stale sequence).
	Conflict Kind = "conflict"
	// Transient: the other side or the way to it failed; the same call may work soon.
	Transient Kind = "transient"
	// RateLimited: too many calls just now; wait seconds.
	RateLimited Kind = "rate-limited"
	// Exhausted: Google's anti-abuse limit (`quotaExceeded`); wait hours.
	Exhausted Kind = "exhausted"
	// Revoked: the grant of the central account is dead or missing.
	Revoked Kind = "revoked"
	// Forbidden: policy or a missing scope forbids it; an admin has to act.
	Forbidden Kind = "forbidden"
	// Invalid: the request itself is malformed; it cannot succeed with the same data.
	Invalid Kind = "invalid"
	// Source: the ERP could not be read.
	Source Kind = "source"
	// SourceInvalid: the ERP answered, but its answer cannot be trusted.
	SourceInvalid Kind = "source-invalid"
	// Misconfigured: our own settings or credentials are wrong.
	Misconfigured Kind = "misconfigured"
)

// ReasonZone is the reason of a write whose time zone Google does not take by that name.
const ReasonZone = "invalidTimeZone"

// Google's reasons for a pause: of a limit that nobody knows, and of the calls that a
// project may make in a day, which Google counts anew at midnight Pacific time (rule 6.6).
const (
	ReasonQuota      = "quotaExceeded"
	ReasonDailyLimit = "dailyLimitExceeded"
)

// ReasonOf gives the reason of the outermost Error in an error's chain, "" for none.
func ReasonOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}

// Error is a failure with its kind. Op says what was being done and to which
// id; Reason is the other side's machine-readable word for it, if it gave one.
type Error struct {
	Kind   Kind
	Op     string
	Status int    // HTTP status, 0 when there was no answer
	Reason string // e.g. "quotaExceeded"
	Detail string // our own sentence
	// RetryAfter is what the other side asked for; 0 when it asked for nothing.
	RetryAfter time.Duration
	// Ambiguous is true when the call may have taken effect although it failed
	// (time-out, lost connection, 5xx): rule 2.4 leaves such an intent open.
	Ambiguous bool
	// AccountWide is true when the other side refused the whole account, and not what
	// was asked of it (rule 7.7).
	AccountWide bool
	// Err is the cause. It must not hold a URL with secrets: adapters unwrap
	// url.Error first (rule 10.2).
	Err error
}

// Error gives one line with op, kind, status and reason.
func (e *Error) Error() string {
	s := e.Op + ": " + string(e.Kind)
	if e.Status != 0 {
		s += fmt.Sprintf(" (status %d", e.Status)
		if e.Reason != "" {
			s += ", " + e.Reason
		}
		s += ")"
	} else if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// New makes a failure of a kind with our own sentence.
func New(kind Kind, op, detail string) *Error {
	return &Error{Kind: kind, Op: op, Detail: detail}
}

// Wrap gives err a kind and what was being done; nil stays nil.
func Wrap(kind Kind, op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Op: op, Err: err}
}

// KindOf gives the kind of the outermost Error in an error's chain, "" of nil, and
// Transient of any other error: an unknown failure is tried again rather than given up.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Transient
}

// Is reports whether err is of the kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// IsAmbiguous reports whether the call behind err may have taken effect.
func IsAmbiguous(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Ambiguous
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// Ambiguously is err, said of calls of which an earlier one may have taken effect: no later
// refusal makes that undone. nil stays nil.
func Ambiguously(err error) error {
	if err == nil || IsAmbiguous(err) {
		return err
	}
	if e, ok := err.(*Error); ok { //nolint:errorlint // what wraps one is wrapped, with its words
		ambiguous := *e
		ambiguous.Ambiguous = true
		return &ambiguous
	}
	return &Error{Kind: KindOf(err), Op: "after a call that may have taken effect", Ambiguous: true, Err: err}
}
