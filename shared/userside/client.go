package userside

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	usualTimeout = 10 * time.Second // one attempt of an ordinary call
	longTimeout  = 60 * time.Second // one attempt of a call that returns much (shared/userside/README.md)
	manyIDs      = 10               // more ids than this get the long time-out
	maxAttempts  = 3
	// patience limits all attempts together where the context has no deadline.
	patience = 4 * time.Minute
)

// Config says where the ERP is and how it wants to be asked.
type Config struct {
	// URL is the ERP's base; "api.php" is appended. A query in it is dropped.
	URL *url.URL
	// Key is the API key.
	Key string
	// KeyInQuery sends the key in the URL's query instead of the form body.
	KeyInQuery bool
	// AllowHTTP permits a plain http URL.
	AllowHTTP bool
}

// String hides the key from anything that prints a Config.
func (Config) String() string { return "userside.Config" }

// GoString hides the key from %#v.
func (Config) GoString() string { return "userside.Config" }

// Client asks one ERP. It is safe for concurrent use.
type Client struct {
	endpoint   url.URL
	key        string
	keyInQuery bool
	http       *http.Client
	now        func() time.Time
	tasks      *bearing[calendarsync.TaskID]
	employees  *bearing[calendarsync.EmployeeID]
	roleMemory RoleMemory // nil: each catalogue is read by itself

	mu sync.Mutex
	// roles is how the ERP has spelled its roles; nil before the first catalogue.
	roles *store.KnownRoles
	// known is a task that came back lately, to be asked for together with missing ones
	// (rule 4.2); 0: none.
	known calendarsync.TaskID
	// shown is an employee who came back lately; 0: none.
	shown calendarsync.EmployeeID
	// unassigned is set once the ERP was seen to list tasks without executors apart.
	unassigned bool
	// queryOnly is set once the ERP was seen to read the query and no body (E1).
	queryOnly bool
}

// String hides the key from anything that prints a Client.
func (*Client) String() string { return "userside.Client" }

// GoString hides the key from %#v.
func (*Client) GoString() string { return "userside.Client" }

// New makes a client. A nil transport is http.DefaultTransport. What is wrong with the
// configuration, such as plain http without AllowHTTP, is of kind misconfigured. now is
// used only to read a Retry-After that is a date.
func New(cfg Config, transport http.RoundTripper, now func() time.Time) (*Client, error) {
	const op = "userside: configure"
	switch {
	case cfg.URL == nil || cfg.URL.Host == "":
		return nil, failure.New(failure.Misconfigured, op, "the ERP's URL has no host")
	case cfg.URL.Scheme != "https" && cfg.URL.Scheme != "http":
		return nil, failure.New(failure.Misconfigured, op, "the ERP's URL is neither https nor http")
	case cfg.URL.Scheme == "http" && !cfg.AllowHTTP:
		return nil, failure.New(failure.Misconfigured, op, "plain http would show the API key to the network and is not allowed")
	case cfg.Key == "":
		return nil, failure.New(failure.Misconfigured, op, "the ERP's API key is empty")
	case now == nil:
		return nil, failure.New(failure.Misconfigured, op, "no clock")
	}
	base := *cfg.URL
	base.RawQuery, base.ForceQuery, base.Fragment, base.RawFragment = "", false, "", ""
	endpoint := base.JoinPath("api.php")
	if strings.HasSuffix(strings.TrimSuffix(base.Path, "/"), "/api.php") {
		// The script's own address, as the ERP's settings page shows it.
		endpoint = base.JoinPath()
	}
	if transport == nil {
		transport = http.DefaultTransport
	}
	return &Client{
		endpoint:   *endpoint,
		key:        cfg.Key,
		keyInQuery: cfg.KeyInQuery,
		now:        now,
		tasks:      newBearing[calendarsync.TaskID](),
		employees:  newBearing[calendarsync.EmployeeID](),
		http: &http.Client{
			Transport: transport,
			// Following a redirect would send the key to a login page's host (rule 10.1).
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// call is one question to the ERP.
type call struct {
	op          string // for errors: what is being done and to which id
	cat, action string
	params      url.Values
	timeout     time.Duration // of one attempt
	write       bool          // never repeated
	once        bool          // a reading that is not repeated either
	// divisible says that less can be asked for: what took too long is not repeated.
	divisible bool
	// tolerate gives a well-formed ERROR back as a reply instead of an error: what the ERP
	// answers about a single unknown id is not documented (shared/userside/README.md).
	tolerate bool
	// place is where parameters go: "" is both.
	place place
	// comments says that those of tasks are kept.
	comments bool
}

// place is where parameters are sent.
type place string

const (
	placeQuery place = "query"
	placeBody  place = "body"
)

// failedAttempt is how one attempt failed.
type failedAttempt struct {
	err   *failure.Error
	again bool // another attempt may help
	// spoils: one bad record or too many ids may be the reason.
	spoils  bool
	tooLong bool
	// errorReply is the answer where it was a well-formed ERROR.
	errorReply *reply
}

// do asks with retries (reads only) and gives the ERP's well-formed answer.
func (c *Client) do(ctx context.Context, q call) (reply, error) {
	if q.write {
		rep, bad := c.attempt(ctx, q)
		if bad != nil {
			return reply{}, bad.err
		}
		return rep, nil
	}
	limit := patience
	if deadline, ok := ctx.Deadline(); ok {
		// A wait that would outlast the deadline is not begun, and the last attempt's error
		// is given instead. At least a nanosecond, because zero means "no limit" to backoff.
		limit = max(time.Until(deadline), 1)
	}
	pace := &pacing{backOff: &backoff.ExponentialBackOff{
		InitialInterval: 500 * time.Millisecond, Multiplier: 2, MaxInterval: 5 * time.Second,
	}}
	var rep reply
	var last *failedAttempt
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		rep, last = c.attempt(ctx, q)
		switch {
		case last == nil:
			return struct{}{}, nil
		case !last.again, q.once, q.divisible && last.tooLong:
			return struct{}{}, backoff.Permanent(last.err)
		}
		pace.after = last.err.RetryAfter
		return struct{}{}, last.err
	}, backoff.WithBackOff(pace), backoff.WithMaxTries(maxAttempts), backoff.WithMaxElapsedTime(limit))
	if err == nil {
		return rep, nil
	}
	if last.errorReply != nil && q.tolerate && ctx.Err() == nil {
		return *last.errorReply, nil
	}
	// Not err itself: Retry replaces it by the context's, which has no kind.
	if last.spoils {
		return reply{}, &spoiledError{last.err}
	}
	return reply{}, last.err
}

// pacing waits exponentially, and at least as long as the ERP asked for.
type pacing struct {
	backOff *backoff.ExponentialBackOff
	after   time.Duration
}

func (p *pacing) Reset() { p.backOff.Reset() }

// NextBackOff spreads the wait over half to one and a half of it. The clock's nanoseconds
// seed the spread: callers do not share them, and on a fake clock a run can be repeated
// exactly.
func (p *pacing) NextBackOff() time.Duration {
	wait := p.backOff.NextBackOff()
	spread := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(wait))).Float64() //nolint:gosec // it spreads pauses and keeps nothing secret
	return max(time.Duration(float64(wait)*(0.5+spread)), p.after)
}

// attempt asks once.
func (c *Client) attempt(ctx context.Context, q call) (reply, *failedAttempt) {
	got, bad := c.exchange(ctx, q)
	if bad != nil {
		return reply{}, bad
	}
	return c.classify(q, got)
}

// maxInQuery is how long a parameter of the query may be: the longest URLs stay below the
// 2,000 characters that every server takes.
const maxInQuery = 1500

// callNames say which call it is, and inQuery are the parameters that hold ids, numbers
// and dates only.
var (
	callNames = map[string]bool{"cat": true, "action": true, "subcat": true}
	inQuery   = map[string]bool{
		"id": true, "is_without_comments": true, "employee_id": true, "staff_id": true, "division_id": true, "state_id": true,
		"date_change_from": true, "date_change_to": true, "date_do_from": true, "date_do_to": true, "limit": true, "order_by": true,
	}
)

// received is a whole HTTP answer.
type received struct {
	status int
	header http.Header
	reply  reply
	form   replyForm
}

// exchange sends one request and gives the whole answer.
func (c *Client) exchange(ctx context.Context, q call) (received, *failedAttempt) {
	if ctx.Err() != nil {
		f := c.broken(ctx, q, 0, ctx.Err())
		f.err.Ambiguous = false // nothing was sent
		return received{}, f
	}
	attempt, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()

	form := url.Values{}
	for k, v := range q.params {
		form[k] = v
	}
	form.Set("cat", q.cat)
	// Old releases know only subcat (shared/userside/README.md).
	form.Set("action", q.action)
	form.Set("subcat", q.action)
	endpoint := c.endpoint
	// Nobody has proved that an ERP reads a body (E1), so what is short is in the query too.
	// A value to be written may be a person's, and web servers log queries: it is there only
	// where the ERP reads nothing else.
	query := url.Values{}
	for name, values := range form {
		short := inQuery[name] && !q.write && len(values[0]) <= maxInQuery
		if q.place != placeBody && (short || callNames[name] || q.write && q.place == placeQuery) {
			query[name] = values
		}
	}
	if q.place == placeQuery {
		form = url.Values{}
	}
	if c.keyInQuery {
		query.Set("key", c.key)
	} else {
		form.Set("key", c.key)
	}
	endpoint.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(attempt, http.MethodPost, endpoint.String(), strings.NewReader(form.Encode()))
	if err != nil {
		// The text would hold the URL.
		return received{}, &failedAttempt{err: failure.New(failure.Misconfigured, q.op, "the ERP's URL makes no request")}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "erp-calendar")

	resp, err := c.http.Do(req)
	if err != nil {
		return received{}, c.broken(ctx, q, 0, err)
	}
	defer resp.Body.Close()
	body := &boundedBody{body: resp.Body}
	rep, what := readReply(body, q.comments)
	if body.over {
		return received{}, &failedAttempt{spoils: true, err: &failure.Error{Kind: failure.Source, Op: q.op, Status: resp.StatusCode,
			Detail: "the ERP's answer is larger than 32 MiB or has more values than any ERP's", Ambiguous: q.write}}
	}
	if body.err != nil {
		return received{}, c.broken(ctx, q, resp.StatusCode, body.err)
	}
	return received{resp.StatusCode, resp.Header, rep, what}, nil
}

// broken describes an attempt whose connection failed before a whole answer came.
func (c *Client) broken(ctx context.Context, q call, status int, err error) *failedAttempt {
	var dialing *net.OpError
	e := &failure.Error{Kind: failure.Source, Op: q.op, Status: status, Detail: "the connection to the ERP failed",
		// Nothing was sent where not even a connection came about.
		Ambiguous: q.write && !(errors.As(err, &dialing) && dialing.Op == "dial")}
	var timeout net.Error
	tooLong := false
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		// The caller ended it, which says nothing about the ERP.
		e.Kind, e.Detail, e.Err = failure.Transient, "cancelled", context.Canceled
		return &failedAttempt{err: e}
	case ctx.Err() != nil:
		e.Detail, e.Err = "the ERP did not answer in time", context.DeadlineExceeded
		return &failedAttempt{err: e}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		e.Detail, e.Err = "the ERP did not answer in time", context.DeadlineExceeded
		tooLong = true
	default:
		e.Err = c.clean(err)
	}
	return &failedAttempt{err: e, again: true, spoils: true, tooLong: tooLong}
}

// clean removes the URL, which may contain the key, from an error (rule 10.2).
func (c *Client) clean(err error) error {
	for {
		var withURL *url.Error
		if !errors.As(err, &withURL) || withURL.Err == nil {
			break
		}
		err = withURL.Err
	}
	// A transport may have quoted the request in a text of its own. Such a text is withheld
	// rather than edited.
	text := err.Error()
	for _, s := range []string{c.key, url.QueryEscape(c.key), url.PathEscape(c.key), "://" + c.endpoint.Host, "@" + c.endpoint.Host} {
		if strings.Contains(text, s) {
			return errors.New("cause withheld because it quotes the request")
		}
	}
	return err
}

// classify makes a reply of a whole HTTP answer, or says how the attempt failed.
func (c *Client) classify(q call, got received) (reply, *failedAttempt) {
	status := got.status
	bad := func(kind failure.Kind, again bool, detail string) (reply, *failedAttempt) {
		return reply{}, &failedAttempt{again: again, spoils: again && status != http.StatusTooManyRequests, err: &failure.Error{Kind: kind, Op: q.op, Status: status, Detail: detail,
			RetryAfter: c.retryAfter(got.header), Ambiguous: q.write && (status >= 500 || status < 300)}}
	}
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		return bad(failure.Misconfigured, false, "the ERP refused the API key, our address or the section")
	}
	if status >= 300 && status < 400 {
		return bad(failure.Source, false, "redirected to a login page")
	}
	again := status < 300 || status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
	rep, what := got.reply, got.form
	switch what {
	case replyPage:
		return bad(failure.Source, again, "the ERP answered with a page instead of JSON")
	case replyCut:
		return bad(failure.Source, again, "the ERP answered with broken JSON")
	}
	if what == replyShape && status < 300 {
		return bad(failure.SourceInvalid, false, "the ERP's answer is not of the documented shape")
	}
	if status < 300 && !rep.isError {
		return rep, nil
	}
	_, f := bad(failure.Source, again && status >= 300, "the ERP answered with an error")
	if !rep.isError {
		return reply{}, f
	}
	rep.status = status
	f.err.Reason, f.errorReply = "ERROR", &rep
	if status < 500 {
		f.err.Ambiguous = false // the ERP says itself that it did not do it
	}
	if q.tolerate && !f.again {
		return rep, nil
	}
	return reply{}, f
}

// retryAfter reads Retry-After in seconds or as a date; 0 where there is none.
func (c *Client) retryAfter(header http.Header) time.Duration {
	h := header.Get("Retry-After")
	if s, err := strconv.ParseUint(h, 10, 31); err == nil {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(h); err == nil {
		return max(at.Sub(c.now()), 0)
	}
	return 0
}

// distrust is the error of a well-formed answer that cannot be trusted.
func distrust(op, format string, args ...any) *failure.Error {
	return failure.New(failure.SourceInvalid, op, fmt.Sprintf(format, args...))
}
