package googlecalendar

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/api/googleapi"

	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// classify gives an error of a call its kind (shared/googlecalendar/README.md, Errors by reason).
// It keeps status and reason and drops everything else: bodies may hold people's
// data and url.Error the address of the call.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*failure.Error](err); ok {
		// The token source or the budget failed: the call was never made.
		return &failure.Error{Kind: known.Kind, Op: op, Status: known.Status, Reason: known.Reason, Detail: known.Detail, AccountWide: known.AccountWide, Err: known}
	}
	api, ok := errors.AsType[*googleapi.Error](err)
	if !ok {
		// Each layer of the way may have added the address once more.
		for ue, isURL := errors.AsType[*url.Error](err); isURL; ue, isURL = errors.AsType[*url.Error](err) {
			err = ue.Err
		}
		// No answer, or one cut short: the call may have taken effect.
		return &failure.Error{Kind: failure.Transient, Op: op, Ambiguous: true, Err: err}
	}
	f := &failure.Error{Op: op, Status: api.Code, Reason: reason(api), RetryAfter: retryAfter(api.Header)}
	if saysZone(api) {
		f.Reason = failure.ReasonZone
	}
	f.Kind = kindOf(api.Code, f.Reason)
	f.Ambiguous = api.Code >= 500
	if f.Kind == failure.Gone && !saysGone(api) {
		// Something before Google answered, or a part of it that knows no calendars: of
		// what was asked for it says nothing (rule 3.9).
		f.Kind, f.Ambiguous = failure.Transient, true
	}
	f.AccountWide = accountWide(f.Reason)
	return f
}

// Deleted reports whether an error is Google's word that an event was deleted, which is
// final, and not only that it is not found.
func Deleted(err error) bool {
	f, ok := errors.AsType[*failure.Error](err)
	return ok && f.Kind == failure.Gone && f.Status == http.StatusGone
}

// saysGone reports whether a 404 or 410 is Google's own word that something is not
// there, in either of its two JSON shapes.
func saysGone(api *googleapi.Error) bool {
	body := bodyOf(api)
	for _, e := range body.Error.Errors {
		if e.Reason == "notFound" || e.Reason == "deleted" {
			return true
		}
	}
	return body.Error.Status == "NOT_FOUND"
}

func kindOf(status int, reason string) failure.Kind {
	switch reason {
	case failure.ReasonQuota, failure.ReasonDailyLimit:
		return failure.Exhausted
	case "rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED":
		return failure.RateLimited
	case "insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
		return failure.Forbidden
	}
	switch {
	case accountWide(reason):
		return failure.Misconfigured
	case status == http.StatusUnauthorized:
		// The next try gets a fresh token.
		return failure.Transient
	case status == http.StatusForbidden:
		return failure.Forbidden
	case status == http.StatusNotFound, status == http.StatusGone:
		return failure.Gone
	case status == http.StatusConflict, status == http.StatusPreconditionFailed:
		return failure.Conflict
	case status == http.StatusTooManyRequests:
		return failure.RateLimited
	case status >= 500, status == http.StatusRequestTimeout:
		return failure.Transient
	default:
		return failure.Invalid
	}
}

// accountWide reports whether a reason concerns the account, or the project of its
// client, whatever was asked. Others are found by many keys that meet the same
// (rule 7.7).
func accountWide(reason string) bool {
	switch reason {
	case "accessNotConfigured", "SERVICE_DISABLED", "notACalendarUser", "domainPolicy",
		"CONSUMER_SUSPENDED", "CONSUMER_INVALID", "BILLING_DISABLED":
		return true
	}
	return false
}

// reason finds Google's word for an error in either of its two JSON shapes.
func reason(api *googleapi.Error) string {
	for _, e := range api.Errors {
		if e.Reason != "" {
			return e.Reason
		}
	}
	body := bodyOf(api)
	for _, e := range body.Error.Errors {
		if e.Reason != "" {
			return e.Reason
		}
	}
	for _, d := range body.Error.Details {
		if d.Reason != "" {
			return d.Reason
		}
	}
	return body.Error.Status
}

// errorBody is what is read of an error's body, in both of its shapes.
type errorBody struct {
	Error struct {
		Status string `json:"status"`
		Errors []struct {
			Reason string `json:"reason"`
		} `json:"errors"`
		Details []struct {
			Reason string `json:"reason"`
		} `json:"details"`
	} `json:"error"`
}

// bodyOf reads an error's body; one of another form is empty.
func bodyOf(api *googleapi.Error) errorBody {
	var body errorBody
	if json.Unmarshal([]byte(api.Body), &body) != nil {
		return errorBody{}
	}
	return body
}

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 || seconds > 3600 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
