package userside

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// Answer is what kind of answer came, whether or not it can be trusted.
type Answer string

// The kinds of answers.
const (
	AnswerData     Answer = "data"     // well formed and OK
	AnswerError    Answer = "error"    // a well-formed ERROR of the API
	AnswerRefused  Answer = "refused"  // status 401 or 403, whatever the body
	AnswerRedirect Answer = "redirect" // to a login page, mostly; not followed
	AnswerPage     Answer = "page"     // HTML or text
	AnswerBroken   Answer = "broken"   // empty, or JSON that does not parse
	AnswerUnknown  Answer = "unknown"  // JSON, and not the API's envelope
)

// Probe is what came back from asking once.
type Probe struct {
	Answer Answer
	Status int
	// Elsewhere is the host that a redirect leads to, "" where it is the ERP's own.
	Elsewhere string
}

// Probe calls one reading action (get_...) once, without retries or parameters, and says
// what kind of answer came, for a person who sets the connection up. An error means that
// no whole answer came.
func (c *Client) Probe(ctx context.Context, category, action string) (Probe, error) {
	op := "userside: probe " + category + "/" + action
	if !strings.HasPrefix(action, "get_") {
		return Probe{}, failure.New(failure.Invalid, "userside: probe", "only reading actions may be probed")
	}
	got, bad := c.exchange(ctx, call{op: op, cat: category, action: action, timeout: usualTimeout})
	if bad != nil {
		return Probe{}, bad.err
	}
	p := Probe{Status: got.status}
	switch {
	case p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden:
		p.Answer = AnswerRefused
		return p, nil
	case p.Status >= 300 && p.Status < 400:
		p.Answer = AnswerRedirect
		if to, err := url.Parse(got.header.Get("Location")); err == nil && to.Host != c.endpoint.Host {
			p.Elsewhere = to.Hostname()
		}
		return p, nil
	}
	switch got.form {
	case replyOK:
		p.Answer = AnswerData
		if p.Status >= 300 {
			p.Answer = AnswerError
		}
	case replyError:
		p.Answer = AnswerError
	case replyPage:
		p.Answer = AnswerPage
	case replyCut:
		p.Answer = AnswerBroken
	default:
		p.Answer = AnswerUnknown
	}
	return p, nil
}
