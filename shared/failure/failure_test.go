package failure_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
)

func TestKindOf(t *testing.T) {
	cause := errors.New("cause")
	gone := failure.New(failure.Gone, "read event e1", "")
	for name, row := range map[string]struct {
		err  error
		kind failure.Kind
	}{
		"no error":             {nil, ""},
		"unknown":              {cause, failure.Transient},
		"ended context":        {context.Canceled, failure.Transient},
		"its own":              {gone, failure.Gone},
		"wrapped in words":     {fmt.Errorf("look at task 17: %w", gone), failure.Gone},
		"wrapped in a kind":    {failure.Wrap(failure.Misconfigured, "start", gone), failure.Misconfigured},
		"in words over a kind": {fmt.Errorf("a: %w", failure.Wrap(failure.Source, "b", fmt.Errorf("c: %w", gone))), failure.Source},
		"joined":               {errors.Join(cause, gone), failure.Gone},
	} {
		t.Run(name, func(t *testing.T) {
			if got := failure.KindOf(row.err); got != row.kind {
				t.Errorf("kind %q, want %q", got, row.kind)
			}
			if row.err != nil && !failure.Is(row.err, row.kind) {
				t.Errorf("Is(%v, %s) is false", row.err, row.kind)
			}
			if failure.Is(row.err, failure.Exhausted) || failure.Is(nil, "") {
				t.Error("Is agrees to a kind that it is not")
			}
		})
	}
}

func TestWrapKeepsNilAndCause(t *testing.T) {
	if err := failure.Wrap(failure.Transient, "read", nil); err != nil {
		t.Errorf("wrapping no error gives %v", err)
	}
	cause := errors.New("cause")
	if err := failure.Wrap(failure.Transient, "read", cause); !errors.Is(err, cause) {
		t.Errorf("%v has lost its cause", err)
	}
}

func TestIsAmbiguous(t *testing.T) {
	lost := &failure.Error{Kind: failure.Transient, Op: "insert event e1", Ambiguous: true, Err: context.DeadlineExceeded}
	for name, row := range map[string]struct {
		err  error
		want bool
	}{
		"no error":                   {nil, false},
		"answered":                   {failure.New(failure.Conflict, "insert", ""), false},
		"lost":                       {lost, true},
		"lost, in words":             {fmt.Errorf("write: %w", lost), true},
		"a bare time-out":            {context.DeadlineExceeded, true},
		"a bare end":                 {fmt.Errorf("call: %w", context.Canceled), true},
		"unknown":                    {errors.New("cause"), false},
		"ended before the call":      {failure.Wrap(failure.Transient, "wait for a slot", context.Canceled), false},
		"judged by who knows better": {failure.Wrap(failure.Revoked, "refresh", lost), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := failure.IsAmbiguous(row.err); got != row.want {
				t.Errorf("ambiguous: %t, want %t", got, row.want)
			}
		})
	}
}

// What failed after a call that may have taken effect is as it was, and ambiguous.
func TestAmbiguously(t *testing.T) {
	if err := failure.Ambiguously(nil); err != nil {
		t.Errorf("nothing failed, and %v", err)
	}
	refused := &failure.Error{Kind: failure.Conflict, Op: "read event e1", Status: 409}
	for name, err := range map[string]error{
		"refused": refused, "refused, in words": fmt.Errorf("write: %w", refused), "lost": context.DeadlineExceeded, "unknown": errors.New("cause"),
	} {
		after := failure.Ambiguously(err)
		if !failure.IsAmbiguous(after) || failure.KindOf(after) != failure.KindOf(err) || !strings.Contains(after.Error(), err.Error()) {
			t.Errorf("%s: %v", name, after)
		}
	}
	if refused.Ambiguous {
		t.Error("what was refused before has changed")
	}
}

func TestErrorText(t *testing.T) {
	for want, err := range map[string]*failure.Error{
		"read event e1: gone": failure.New(failure.Gone, "read event e1", ""),
		"insert event e1: exhausted (status 403, quotaExceeded)": {Kind: failure.Exhausted, Op: "insert event e1", Status: 403, Reason: "quotaExceeded"},
		"insert event e1: transient (status 503)":                {Kind: failure.Transient, Op: "insert event e1", Status: 503, RetryAfter: time.Second},
		"refresh: revoked (invalid_grant): connect again":        {Kind: failure.Revoked, Op: "refresh", Reason: "invalid_grant", Detail: "connect again"},
		"read: transient: cause":                                 {Kind: failure.Transient, Op: "read", Err: errors.New("cause")},
	} {
		if got := err.Error(); got != want {
			t.Errorf("text %q, want %q", got, want)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q is more than one line", err.Error())
		}
	}
}
