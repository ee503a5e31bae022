package google

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// apiError is one of Google's documented Calendar errors.
type apiError struct {
	status         int
	domain, reason string
	message        string
	location       string // header or parameter at fault, where Google names it
	scopes         bool   // ACCESS_TOKEN_SCOPE_INSUFFICIENT: has details of its own
	detail         string // reason in the details, where Google sends some
	form           BodyForm
	retryAfter     time.Duration
}

func errorf(status int, reason, format string, args ...any) *apiError {
	return &apiError{status: status, domain: "global", reason: reason, message: fmt.Sprintf(format, args...)}
}

func invalidf(reason, format string, args ...any) *apiError {
	return errorf(http.StatusBadRequest, reason, format, args...)
}

func notFound() *apiError { return errorf(http.StatusNotFound, "notFound", "Not Found") }

func deletedAlready() *apiError {
	return errorf(http.StatusGone, "deleted", "Resource has been deleted")
}

func duplicate() *apiError {
	return errorf(http.StatusConflict, "duplicate", "The requested identifier already exists.")
}

func accessLevel(need string) *apiError {
	return errorf(http.StatusForbidden, "requiredAccessLevel", "You need to have %s access to this calendar.", need)
}

func usageLimit(status int, reason, message string) *apiError {
	e := errorf(status, reason, "%s", message)
	e.domain = "usageLimits"
	return e
}

func authError() *apiError {
	e := errorf(http.StatusUnauthorized, "authError", "Invalid Credentials")
	e.location = "Authorization"
	return e
}

func scopeError() *apiError {
	e := errorf(http.StatusForbidden, "insufficientPermissions", "Request had insufficient authentication scopes.")
	e.scopes = true
	return e
}

// body is the JSON of e: the older shape, or with status the newer one.
func (e *apiError) body(withStatus bool) obj {
	item := obj{"domain": e.domain, "reason": e.reason, "message": e.message}
	if e.location != "" {
		item["locationType"], item["location"] = "header", e.location
	}
	in := obj{"code": e.status, "message": e.message, "errors": []any{item}}
	switch e.form {
	case BodyWithStatus, BodyDetailsOnly:
		withStatus = true
	case BodyWithoutStatus:
		withStatus = false
	}
	detail := e.detail
	if e.scopes {
		detail = "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
	}
	if withStatus || detail != "" {
		in["status"] = grpcStatus(e.status)
	}
	if detail != "" {
		// Google sends the details in any case; clients tell such a 403 by them.
		in["details"] = []any{obj{
			"@type":    "type.googleapis.com/google.rpc.ErrorInfo",
			"reason":   detail,
			"domain":   "googleapis.com",
			"metadata": obj{"service": "calendar-json.googleapis.com"},
		}}
	}
	if e.form == BodyDetailsOnly {
		delete(in, "errors")
	}
	return obj{"error": in}
}

func (e *apiError) headers(h http.Header) {
	if e.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((e.retryAfter+time.Second-1)/time.Second)))
	}
	switch {
	case e.status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="invalid_token"`)
	case e.scopes:
		h.Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="insufficient_scope"`)
	}
}

func grpcStatus(code int) string {
	switch code {
	case http.StatusBadRequest:
		return "INVALID_ARGUMENT"
	case http.StatusUnauthorized:
		return "UNAUTHENTICATED"
	case http.StatusForbidden:
		return "PERMISSION_DENIED"
	case http.StatusNotFound:
		return "NOT_FOUND"
	case http.StatusConflict:
		return "ALREADY_EXISTS"
	case http.StatusPreconditionFailed, http.StatusGone:
		return "FAILED_PRECONDITION"
	case http.StatusTooManyRequests:
		return "RESOURCE_EXHAUSTED"
	case http.StatusNotImplemented:
		return "UNIMPLEMENTED"
	case http.StatusServiceUnavailable:
		return "UNAVAILABLE"
	}
	return "INTERNAL"
}
