package userside

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
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

// Places says where an ERP was seen to read parameters.
type Places struct{ Query, Body bool }

// Places asks one reading action with its name in the query alone and in the body alone,
// and says which of the two the ERP answers (E1). The key is where it is configured to be.
func (c *Client) Places(ctx context.Context, category, action string) (Places, error) {
	var p Places
	for place, into := range map[place]*bool{placeQuery: &p.Query, placeBody: &p.Body} {
		got, bad := c.exchange(ctx, call{op: "userside: probe " + category + "/" + action, cat: category, action: action, timeout: usualTimeout, place: place})
		if bad != nil {
			return Places{}, bad.err
		}
		*into = got.status < 300 && got.form == replyOK
	}
	return p, nil
}

// Bears is how many tasks of one show the ERP was seen to bear (E2).
func (c *Client) Bears() int { return c.tasks.bears() }

// TaskSample is in what form an ERP says things of some tasks.
type TaskSample struct {
	// Dates counts the forms of date.todo, each digit as 9 and each letter as a, and Unreadable those that this
	// client cannot read (E5).
	Dates, Unreadable map[string]int
	// NoExecutors counts the tasks that are said to have none, and LeftOut those of which
	// nothing is said (E4).
	NoExecutors, LeftOut int
}

// Sample looks at the form in which the ERP shows some tasks, for a person who sets the
// connection up.
func (c *Client) Sample(ctx context.Context, ids []calendarsync.TaskID) (TaskSample, error) {
	out := TaskSample{Dates: map[string]int{}, Unreadable: map[string]int{}}
	rep, err := c.do(ctx, call{op: "userside: show " + describe("task", ids), cat: "task", action: "show", timeout: timeoutFor(len(ids)), divisible: true,
		params: url.Values{"id": {joined(ids)}, "is_without_comments": {"1"}}})
	if err != nil {
		return out, err
	}
	tasks := []any{rep.data()}
	if data, ok := rep.data().(object); ok && data["id"] == nil {
		tasks = slices.Collect(maps.Values(data))
	}
	for _, task := range tasks {
		if o, ok := task.(object); ok {
			out.add(o)
		}
	}
	return out, nil
}

// maxForm is how much of a date's form is told.
const maxForm = 40

func (s *TaskSample) add(task object) {
	date, _ := task["date"].(object)
	todo, isText := date["todo"].(string)
	// Whatever stands there may be anybody's (rule 10.2): of a text only its form is told.
	form := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsDigit(r):
			return '9'
		case unicode.IsLetter(r):
			return 'a'
		}
		return r
	}, todo[:min(len(todo), maxForm)])
	if !isText {
		form = "null"
	}
	s.Dates[form]++
	if _, ok := parseDate(todo); isText && !ok {
		s.Unreadable[form]++
	}
	staff, _ := task["staff"].(object)
	switch v := first(staff, "employee", "worker"); {
	case v == nil:
		s.LeftOut++
	case emptyCollection(v):
		s.NoExecutors++
	}
}

// HeedsUnassigned reports whether the list of tasks without executors is another than the
// list of all, in some states; known is false where that cannot be seen (E4).
func (c *Client) HeedsUnassigned(ctx context.Context, states []calendarsync.StateID) (heeds, known bool, unassigned []calendarsync.TaskID, err error) {
	if unassigned, err = c.ListTasks(ctx, TaskFilter{Unassigned: true, States: states}); err != nil {
		return false, false, nil, err
	}
	all, err := c.ListTasks(ctx, TaskFilter{States: states})
	return len(unassigned) < len(all), len(all) > 0, unassigned, err
}
