package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/signin"
)

// scratch is what the probe made, and must remove.
type scratch struct {
	name, id string
	// tried: an insert was sent whose calendar may exist unheard of.
	tried bool
	// deleting: a deletion was accepted, or may have been; then 404 means gone.
	deleting bool
	gone     bool
	made     time.Time
	// rule is the id of the share, "" without one.
	rule string
}

// probe finds out about one account.
type probe struct {
	google   *client
	account  string
	zone     string
	share    string // "" if no second address was given
	patience time.Duration
	now      func() time.Time
	pause    func(ctx context.Context, d time.Duration) error
	say      func(format string, args ...any)
	// reader opens the reader's own view; nil if it is not to be asked.
	reader func(ctx context.Context) (*client, func(context.Context) error, error)

	questions []question
	findings  []finding
	scratch   scratch
	// met counts what befell the calls: stray 404s by method and form.
	met map[string]int
	// lastMet is how long after the creation the last of them came.
	lastMet time.Duration
	// asked counts the calls that name the scratch calendar while it exists.
	asked int
	// rulesDenied: the rules of a calendar that this client did not make are not listed.
	rulesDenied bool
}

// notReached is the detail of a question that nothing was done about yet.
const notReached = "not reached"

func newProbe() *probe {
	p := &probe{questions: questions(), met: map[string]int{}}
	for _, q := range p.questions {
		p.findings = append(p.findings, finding{ID: q.id, Row: q.row, Question: q.asks, StandIn: q.standIn, Product: open, Detail: notReached})
	}
	return p
}

// run asks everything, and removes what it made whatever happens.
func (p *probe) run(ctx context.Context) (leftBehind []string) {
	err := p.steps(ctx)
	if err != nil {
		p.accountWide(err)
		p.failRest(err)
	}
	p.tellNotFound(err)
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	return p.clean(ending)
}

// steps is everything in its order; the error is what made it end early.
func (p *probe) steps(ctx context.Context) error {
	for _, step := range []struct {
		says string
		do   func(context.Context) error
	}{
		{"reading the list of calendars", p.lookAround},
		{"making a scratch calendar", p.create},
		{"reading it back", p.readBack},
		{"writing events", p.events},
		{"sharing it", p.shares},
		{"waiting until the list names it", p.waitForRow},
		{"looking once more at what was cancelled", p.cancelledLater},
		{"deleting it, and waiting until the list drops it", p.deletion},
		{"looking for the rules of what is deleted", p.rulesOfDeleted},
	} {
		p.say("%s …", step.says)
		if err := step.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// failRest marks every question that nobody answered.
func (p *probe) failRest(err error) {
	for i := range p.findings {
		if f := &p.findings[i]; f.Product == open && f.Detail == notReached {
			f.Product, f.Detail = failed, err.Error()
		}
	}
}

// accountWide says whether an error is one of the whole account.
func (p *probe) accountWide(err error) {
	if said, ok := errors.AsType[*refusedToken](err); ok {
		p.answer("account", said.code, "the sign-in and the token endpoint answer so (status %d)", said.status)
		return
	}
	said, ok := errors.AsType[*apiError](err)
	if !ok || said.status != http.StatusForbidden && said.status != http.StatusUnauthorized {
		return
	}
	if said.reason == "quotaExceeded" {
		p.answer("creation", "quotaExceeded", "Google's limit of creations is reached, or all writes are locked, for some hours")
		return
	}
	p.answer("account", said.reason, "%s answers %d", said.method+" "+redacted(said.path), said.status)
}

// redacted takes ids out of a path.
func redacted(path string) string {
	names := strings.Split(path, "/")
	for i, n := range names {
		if strings.ContainsAny(n, "@%") || strings.HasPrefix(n, "c_") {
			names[i] = "…"
		}
	}
	return strings.Join(names, "/")
}

// existing makes a call to what is known to exist. A 404 is counted and asked again,
// for half a minute.
func (p *probe) existing(ctx context.Context, r request) (object, error) {
	for attempt := 1; ; attempt++ {
		p.asked++
		out, err := p.google.do(ctx, r)
		said, is := errors.AsType[*apiError](err)
		if !is || said.status != http.StatusNotFound {
			return out, err
		}
		p.met[r.method+" "+redacted(r.path)+" ("+said.form+")"]++
		p.lastMet = p.now().Sub(p.scratch.made).Round(time.Second)
		if attempt == 4 {
			return out, err
		}
		if err := p.pause(ctx, time.Duration(attempt)*5*time.Second); err != nil {
			return nil, err
		}
	}
}

// tellNotFound answers G1 by what befell the calls.
func (p *probe) tellNotFound(err error) {
	switch {
	case len(p.met) > 0:
		var which []string
		for what := range p.met {
			which = append(which, what)
		}
		p.answer("not-found", "met", "%d of %d calls, the last %s after the creation: %s", total(p.met), p.asked, p.lastMet, sorted(which))
	case p.asked == 0 && err != nil:
		p.fails(err, "not-found")
	default:
		p.answer("not-found", noneMet, "in %d calls to a calendar that exists; that is no proof, spells come and go", p.asked)
	}
}

// lookAround reads the list, which shows whether the account can be used at all, and
// whether calendars of an earlier consent are there.
func (p *probe) lookAround(ctx context.Context) error {
	rows, err := p.google.all(ctx, "users/me/calendarList", url.Values{"minAccessRole": {"owner"}, "showHidden": {"true"}, "maxResults": {"250"}})
	if err != nil {
		return err
	}
	p.answer("account", noneMet, "the list of calendars can be read")
	if err := p.reachOf(ctx, rows); err != nil {
		return err
	}
	return p.rulesOfOthers(ctx)
}

// rulesOfOthers looks, and only looks, at the account's own calendar, which is there and which
// this client did not make: it has to be denied, and its rules to be listed.
func (p *probe) rulesOfOthers(ctx context.Context) error {
	own, err := p.denied(ctx, "primary")
	switch {
	case err != nil:
		return err
	case !own:
		p.cannot("rules", "the account's own calendar answers this client, though it did not make it")
		return nil
	}
	p.rulesDenied, err = p.lastlyDenied(ctx, false, "primary", "acl")
	if p.rulesDenied {
		p.answer("rules", "of others denied", "the rules of the account's own calendar are not listed, which this client did not make")
	}
	return err
}

// rulesOfDeleted looks whether the rules of the scratch calendar are denied now that it is
// deleted.
func (p *probe) rulesOfDeleted(ctx context.Context) error {
	switch f := p.finding("rules"); {
	case f.Product == open && f.Detail != notReached:
		return nil // it could not be seen whether those of others are
	case !p.scratch.gone:
		p.cannot("rules", "the deletion was accepted, and the calendar answers all the same")
		return nil
	}
	denied, err := p.lastlyDenied(ctx, true, p.scratch.id, "acl")
	switch {
	case err != nil:
		return err
	case !denied && p.rulesDenied:
		p.answer("rules", "the wrong way round", "those of the account's own calendar are denied, those of a deleted one are listed")
	case !denied:
		p.answer("rules", "of deleted listed", "a minute after the deletion the rules of the deleted calendar are still listed")
	case !p.rulesDenied:
		p.answer("rules", "told apart", "those of the account's own calendar are listed, though it is denied; those of a deleted one are denied")
	}
	return nil
}

// lastlyDenied asks until it is as hoped, for a minute: a spell passes, and what was deleted
// may be known for a moment.
func (p *probe) lastlyDenied(ctx context.Context, hoped bool, below ...string) (bool, error) {
	for attempt := 1; ; attempt++ {
		denied, err := p.denied(ctx, below...)
		if err != nil || denied == hoped || attempt == 6 {
			return denied, err
		}
		if err := p.pause(ctx, 10*time.Second); err != nil {
			return false, err
		}
	}
}

// denied reports whether Google denies that there is something below calendars.
func (p *probe) denied(ctx context.Context, below ...string) (bool, error) {
	_, err := p.google.do(ctx, request{method: http.MethodGet, path: parts(append([]string{"calendars"}, below...)...)})
	said, is := errors.AsType[*apiError](err)
	if is && (said.status == http.StatusNotFound || said.status == http.StatusForbidden || said.status == http.StatusGone) {
		return true, nil
	}
	return false, err
}

// reachOf reads, and only reads, calendars that the product made in this account.
func (p *probe) reachOf(ctx context.Context, rows []object) error {
	const most = 5
	within, away, stale := 0, 0, 0
	for _, row := range rows {
		if !strings.Contains(text(row, "description"), "erp-calendar/1 ") || within+away+stale == most {
			continue
		}
		_, err := p.google.do(ctx, request{method: http.MethodGet, path: parts("calendars", text(row, "id"))})
		said, is := errors.AsType[*apiError](err)
		switch {
		case err == nil:
			within++
		case !is || said.status != http.StatusNotFound && said.status != http.StatusForbidden:
			return err
		case p.sharable(ctx, text(row, "id")):
			away++
		default:
			stale++ // its sharing is gone too: a row of a deleted calendar
		}
	}
	switch {
	case away > 0:
		p.answer("reach", "no", "%d calendars of erp-calendar are listed and shared, and answer neither this client nor this consent", away)
	case within > 0:
		p.answer("reach", "yes", "%d calendars of erp-calendar answer; whether there was another consent before this one, the probe cannot see", within)
	default:
		p.cannot("reach", "there is no calendar of erp-calendar in this account; run the probe again after a later consent")
	}
	return nil
}

// sharable reports whether a calendar's rules can be read, which have a scope of
// their own.
func (p *probe) sharable(ctx context.Context, id string) bool {
	_, err := p.google.do(ctx, request{method: http.MethodGet, path: parts("calendars", id, "acl")})
	return err == nil
}

// clean removes what was made, and names what stays.
func (p *probe) clean(ctx context.Context) (leftBehind []string) {
	s := &p.scratch
	if s.id == "" && s.tried && !s.gone {
		p.find(ctx)
	}
	if s.id == "" || s.gone {
		if s.tried && s.id == "" {
			return []string{"perhaps a calendar " + s.name + ": its creation was answered by nothing, and the list does not name it"}
		}
		return nil
	}
	path := parts("calendars", s.id)
	for attempt := 1; attempt <= 5; attempt++ {
		_, err := p.google.do(ctx, request{method: http.MethodDelete, path: path})
		said, is := errors.AsType[*apiError](err)
		if err == nil || is && (said.status == http.StatusGone || said.status == http.StatusNotFound && s.deleting) {
			return nil
		}
		s.deleting = s.deleting || ambiguous(err)
		if p.pause(ctx, time.Duration(attempt)*5*time.Second) != nil {
			break
		}
	}
	return []string{"the calendar " + s.name}
}

// find looks in the list for a scratch calendar whose creation was not answered.
func (p *probe) find(ctx context.Context) {
	for range 6 {
		rows, err := p.google.all(ctx, "users/me/calendarList", url.Values{"minAccessRole": {"owner"}, "showHidden": {"true"}})
		for _, row := range rows {
			if err == nil && strings.Contains(text(row, "summary"), p.scratch.name) {
				p.scratch.id = text(row, "id")
				return
			}
		}
		if p.pause(ctx, 10*time.Second) != nil {
			return
		}
	}
}

// newName is one that no other calendar has.
func newName() string { return fmt.Sprintf("erp-calendar probe %.8s", signin.Random()) }
