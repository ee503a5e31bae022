package googlecalendar_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
)

// TestKindsByStatusAndReason shows rule 7.1.
func TestKindsByStatusAndReason(t *testing.T) {
	for _, row := range []struct {
		status    int
		reason    string
		kind      failure.Kind
		ambiguous bool
	}{
		{400, "invalid", failure.Invalid, false},
		{400, "badRequest", failure.Invalid, false},
		{401, "authError", failure.Transient, false},
		{403, "forbidden", failure.Forbidden, false},
		{403, "requiredAccessLevel", failure.Forbidden, false},
		{403, "insufficientPermissions", failure.Forbidden, false},
		{403, "rateLimitExceeded", failure.RateLimited, false},
		{403, "userRateLimitExceeded", failure.RateLimited, false},
		{403, "quotaExceeded", failure.Exhausted, false},
		{403, "dailyLimitExceeded", failure.Exhausted, false},
		{403, "accessNotConfigured", failure.Misconfigured, false},
		{403, "SERVICE_DISABLED", failure.Misconfigured, false},
		{403, "notACalendarUser", failure.Misconfigured, false},
		{403, "domainPolicy", failure.Misconfigured, false},
		{404, "notFound", failure.Gone, false},
		{409, "duplicate", failure.Conflict, false},
		{410, "deleted", failure.Gone, false},
		{412, "conditionNotMet", failure.Conflict, false},
		{429, "rateLimitExceeded", failure.RateLimited, false},
		{429, "quotaExceeded", failure.Exhausted, false},
		{500, "backendError", failure.Transient, true},
		{502, "badGateway", failure.Transient, true},
		{503, "backendError", failure.Transient, true},
		{501, "notImplemented", failure.Transient, true},
	} {
		for _, newer := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d %s, newer shape %t", row.status, row.reason, newer), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					w.Inject(google.Fault{Status: row.status, Reason: row.reason, Count: -1})
					_, err := w.gateway.Event(t.Context(), "cal", "event1")
					checkError(t, err, row.kind, row.status, row.reason, row.ambiguous)
					if f, _ := errors.AsType[*failure.Error](err); f == nil || f.AccountWide != (row.kind == failure.Misconfigured) {
						t.Errorf("%+v: is it the whole account's?", f)
					}
				}, func(o *google.Options) { o.StatusErrors = newer })
			})
		}
	}
}

func checkError(t *testing.T, err error, kind failure.Kind, status int, reason string, ambiguous bool) {
	t.Helper()
	e, ok := errors.AsType[*failure.Error](err)
	if !ok {
		t.Fatalf("error %v is no *failure.Error", err)
	}
	if e.Kind != kind || e.Status != status || e.Reason != reason || failure.IsAmbiguous(err) != ambiguous {
		t.Errorf("kind %s, status %d, reason %q, ambiguous %t; want %s, %d, %q, %t",
			e.Kind, e.Status, e.Reason, failure.IsAmbiguous(err), kind, status, reason, ambiguous)
	}
}

// Bodies that the stand-in does not send, but Google or something before it does.
func TestKindsOfOtherBodies(t *testing.T) {
	details := func(code int, status, reason string) string {
		return fmt.Sprintf(`{"error":{"code":%d,"message":"m","status":%q,"details":[{"@type":"type.googleapis.com/google.rpc.Help"},{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":%q}]}}`, code, status, reason)
	}
	for name, row := range map[string]struct {
		status    int
		body      string
		kind      failure.Kind
		reason    string
		ambiguous bool
	}{
		"scope in details":        {403, details(403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), failure.Forbidden, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", false},
		"rate in details":         {429, details(429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"), failure.RateLimited, "RATE_LIMIT_EXCEEDED", false},
		"rate in details of 403":  {403, details(403, "PERMISSION_DENIED", "RATE_LIMIT_EXCEEDED"), failure.RateLimited, "RATE_LIMIT_EXCEEDED", false},
		"quota in details":        {403, details(403, "PERMISSION_DENIED", "quotaExceeded"), failure.Exhausted, "quotaExceeded", false},
		"status only":             {403, `{"error":{"code":403,"message":"m","status":"PERMISSION_DENIED"}}`, failure.Forbidden, "PERMISSION_DENIED", false},
		"exhausted status":        {403, `{"error":{"code":403,"message":"m","status":"RESOURCE_EXHAUSTED"}}`, failure.RateLimited, "RESOURCE_EXHAUSTED", false},
		"no reason in the body":   {404, `{"error":{"message":"m"}}`, failure.Transient, "", true},
		"gone by status only":     {404, `{"error":{"code":404,"message":"m","status":"NOT_FOUND"}}`, failure.Gone, "NOT_FOUND", false},
		"gone, with details":      {404, details(404, "NOT_FOUND", "RESOURCE_GONE"), failure.Gone, "RESOURCE_GONE", false},
		"a page for 404":          {404, "<html>Not Found</html>", failure.Transient, "", true},
		"a page for 410":          {410, "<html>Gone</html>", failure.Transient, "", true},
		"nothing for 404":         {404, "", failure.Transient, "", true},
		"nothing for 410":         {410, "", failure.Transient, "", true},
		"a foreign 404":           {404, `{"error":"not_found"}`, failure.Transient, "", true},
		"another reason for 404":  {404, `{"error":{"code":404,"errors":[{"reason":"unknownMethod"}]}}`, failure.Transient, "unknownMethod", true},
		"another reason for 410":  {410, `{"error":{"code":410,"errors":[{"reason":"fullSyncRequired"}]}}`, failure.Transient, "fullSyncRequired", true},
		"a page":                  {502, "<html>Bad Gateway</html>", failure.Transient, "", true},
		"a page for 403":          {403, "<html>Forbidden</html>", failure.Forbidden, "", false},
		"nothing":                 {429, "", failure.RateLimited, "", false},
		"an error of other form":  {400, `{"error":"invalid_request"}`, failure.Invalid, "", false},
		"request timed out":       {408, "", failure.Transient, "", false},
		"200 with a page":         {200, "<html>", failure.Transient, "", true},
		"200 cut short":           {200, `{"id":"event1","summary":"Rep`, failure.Transient, "", true},
		"200 of another event":    {200, `{"id":"event2"}`, failure.Transient, "", true},
		"200 with nothing":        {200, `null`, failure.Transient, "", true},
		"200 with a number as id": {200, `{"id":17}`, failure.Transient, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.answer = func(r *http.Request, _ *http.Response, _ error) (*http.Response, error) {
					return reply(r, row.status, row.body), nil
				}
				_, err := w.gateway.Event(t.Context(), "cal", "event1")
				status := row.status
				if status == 200 {
					status = 0
				}
				checkError(t, err, row.kind, status, row.reason, row.ambiguous)
			})
		})
	}
}

// method is one of the gateway's, called with what must not get into an error.
type method struct {
	name, api string
	do        func(context.Context, *googlecalendar.Gateway, googlecalendar.Calendar) error
	// writes: a write to the calendar; once: never repeated after a lost answer.
	writes, once bool
}

func methods() []method {
	d := draft()
	d.Content.Title, d.Content.Location, d.Content.Description = "MARK-title", "MARK-place", "MARK-text +380501234567"
	rule := googlecalendar.Rule{ID: "user:mark-1@people.example", Role: "writer", Type: "user", Address: "mark-1@people.example"}
	type g = googlecalendar.Gateway
	type c = googlecalendar.Calendar
	return []method{
		{"InsertEvent", "calendar.events.insert", func(ctx context.Context, g *g, c c) error { _, err := g.InsertEvent(ctx, c.ID, d); return err }, true, false},
		{"UpdateEvent", "calendar.events.update", func(ctx context.Context, g *g, c c) error { _, err := g.UpdateEvent(ctx, c.ID, d); return err }, true, false},
		{"DeleteEvent", "calendar.events.delete", func(ctx context.Context, g *g, c c) error { return g.DeleteEvent(ctx, c.ID, d.ID, "") }, true, false},
		{"Event", "calendar.events.get", func(ctx context.Context, g *g, c c) error { _, err := g.Event(ctx, c.ID, d.ID); return err }, false, false},
		{"Events", "calendar.events.list", func(ctx context.Context, g *g, c c) error { _, _, err := g.Events(ctx, c.ID); return err }, false, false},
		{"CreateCalendar", "calendar.calendars.insert", func(ctx context.Context, g *g, _ c) error {
			_, err := g.CreateCalendar(ctx, "MARK-name", zoneName, mark())
			return err
		}, false, true},
		{"Calendar", "calendar.calendars.get", func(ctx context.Context, g *g, c c) error { _, err := g.Calendar(ctx, c.ID); return err }, false, false},
		{"UpdateCalendar", "calendar.calendars.update", func(ctx context.Context, g *g, c c) error {
			return g.UpdateCalendar(ctx, c, "MARK-name", zoneName, mark())
		}, true, false},
		{"Calendars", "calendar.calendarList.list", func(ctx context.Context, g *g, _ c) error { _, err := g.Calendars(ctx); return err }, false, false},
		{"Rules", "calendar.acl.list", func(ctx context.Context, g *g, c c) error { _, err := g.Rules(ctx, c.ID); return err }, false, false},
		{"Share", "calendar.acl.insert", func(ctx context.Context, g *g, c c) error { _, err := g.Share(ctx, c.ID, rule.Address); return err }, true, true},
		{"ForceReader", "calendar.acl.update", func(ctx context.Context, g *g, c c) error { return g.ForceReader(ctx, c.ID, rule) }, true, false},
		{"Unshare", "calendar.acl.delete", func(ctx context.Context, g *g, c c) error { return g.Unshare(ctx, c.ID, rule.ID) }, true, false},
		// Last: afterwards there is no calendar.
		{"DeleteCalendar", "calendar.calendars.delete", func(ctx context.Context, g *g, c c) error { return g.DeleteCalendar(ctx, c.ID) }, true, false},
	}
}

func TestNoDataInErrors(t *testing.T) {
	secret := func(text string) bool {
		text = strings.ToLower(text)
		for _, s := range []string{"mark-", "+380", "people.example", "bearer", "http://", "google.test", "sendupdates", "fields="} {
			if strings.Contains(text, s) {
				return true
			}
		}
		return false
	}
	body := `{"error":{"code":%d,"message":"MARK-message","errors":[{"reason":"invalid","message":"MARK-message","location":"MARK-location"}]}}`
	for name, answer := range map[string]func(*http.Request, *http.Response, error) (*http.Response, error){
		"400 that quotes": func(r *http.Request, _ *http.Response, _ error) (*http.Response, error) {
			return reply(r, 400, fmt.Sprintf(body, 400)), nil
		},
		"503 that quotes": func(r *http.Request, _ *http.Response, _ error) (*http.Response, error) {
			return reply(r, 503, fmt.Sprintf(body, 503)), nil
		},
		"a page that quotes": func(r *http.Request, _ *http.Response, _ error) (*http.Response, error) {
			return reply(r, 500, "<html>MARK-page "+r.URL.String()), nil
		},
		"a lost connection": func(*http.Request, *http.Response, error) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
		"a url.Error below": func(r *http.Request, _ *http.Response, _ error) (*http.Response, error) {
			return nil, &url.Error{Op: r.Method, URL: r.URL.String() + "?token=MARK-token", Err: errors.New("connection refused")}
		},
		"a time-out": func(r *http.Request, _ *http.Response, _ error) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
		"no token": func(*http.Request, *http.Response, error) (*http.Response, error) {
			return nil, failure.New(failure.Revoked, "refresh the access token", "connect the account again")
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.newCalendar()
				w.answer = answer
				for _, m := range methods() {
					err := m.do(t.Context(), w.gateway, c)
					if err == nil {
						t.Errorf("%s: no error", m.name)
						continue
					}
					for e := err; e != nil; e = errors.Unwrap(e) {
						if secret(e.Error()) {
							t.Errorf("%s: data in the error %v", m.name, e)
						}
					}
				}
			})
		})
	}
}

func TestErrorsBeforeTheCallKeepTheirKind(t *testing.T) {
	for _, kind := range []failure.Kind{failure.Revoked, failure.Misconfigured, failure.RateLimited, failure.Transient} {
		t.Run(string(kind), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.pacer.err = failure.New(kind, "wait for a slot", "our sentence")
				for _, m := range methods() {
					err := m.do(t.Context(), w.gateway, googlecalendar.Calendar{ID: "cal"})
					if !failure.Is(err, kind) || failure.IsAmbiguous(err) || !strings.Contains(err.Error(), "our sentence") {
						t.Errorf("%s: error %v, want kind %s, not ambiguous, and its sentence", m.name, err, kind)
					}
				}
				if n := len(w.Requests(google.Filter{})); n != 0 {
					t.Errorf("%d calls were made without a slot", n)
				}
			})
		})
	}
}

// A token that cannot be had is found in the middle of a call, below url.Error.
func TestTokenFailureWithinTheCallKeepsItsKind(t *testing.T) {
	for _, kind := range []failure.Kind{failure.Revoked, failure.Misconfigured, failure.Transient} {
		inWorld(t, func(t *testing.T, w *world) {
			w.answer = func(*http.Request, *http.Response, error) (*http.Response, error) {
				return nil, failure.New(kind, "refresh the access token", "")
			}
			attempts := 1
			if kind == failure.Transient {
				attempts = 4 // the call was never made, so also calendars.insert may be repeated
			}
			_, err := w.gateway.CreateCalendar(t.Context(), "Olena", zoneName, mark())
			if !failure.Is(err, kind) || failure.IsAmbiguous(err) || len(w.pacer.slots()) != attempts {
				t.Errorf("error %v after %d attempts, want kind %s, not ambiguous, %d", err, len(w.pacer.slots()), kind, attempts)
			}
		})
	}
}

// TestRetriesInPlace shows rule 7.6.
func TestRetriesInPlace(t *testing.T) {
	type fault = google.Fault
	for name, row := range map[string]struct {
		fault google.Fault
		// attempts of calls that may always be repeated, and of those that must
		// not be after an ambiguous failure.
		always, once int
	}{
		"rate limited":     {fault{Status: 403, Reason: "rateLimitExceeded"}, 4, 4},
		"429":              {fault{Status: 429}, 4, 4},
		"401":              {fault{Status: 401}, 4, 4},
		"503":              {fault{Status: 503}, 4, 1},
		"500":              {fault{Status: 500}, 4, 1},
		"connection lost":  {fault{Drop: true}, 4, 1},
		"no answer":        {fault{Hang: true}, 4, 1},
		"quota exceeded":   {fault{Status: 403, Reason: "quotaExceeded"}, 1, 1},
		"forbidden":        {fault{Status: 403}, 1, 1},
		"scopes are short": {fault{Status: 403, Reason: "insufficientPermissions"}, 1, 1},
		"bad request":      {fault{Status: 400}, 1, 1},
		"not found":        {fault{Status: 404}, 1, 1},
		"a page for 404":   {fault{Status: 404, Body: google.BodyHTML}, 4, 1},
		"nothing for 404":  {fault{Status: 404, Body: google.BodyEmpty}, 4, 1},
		"conflict":         {fault{Status: 409}, 1, 1},
		"changed since":    {fault{Status: 412}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.newCalendar()
				f := row.fault
				f.Count = -1
				w.Inject(f)
				for _, m := range methods() {
					w.ResetRequests()
					w.pacer.reset()
					err := m.do(t.Context(), w.gateway, c)
					want := row.always
					if err == nil {
						t.Errorf("%s: no error", m.name)
					}
					if m.once {
						want = row.once
					}
					got := w.Requests(google.Filter{Method: m.api})
					if len(got) != want || len(w.Requests(google.Filter{})) != want {
						t.Errorf("%s: %d calls, want %d", m.name, len(got), want)
					}
					slots := w.pacer.slots()
					if len(slots) != want {
						t.Errorf("%s: %d slots for %d calls", m.name, len(slots), want)
					}
					for _, calendar := range slots {
						if m.writes != (calendar == c.ID) || (!m.writes && calendar != "") {
							t.Errorf("%s: the slot is for calendar %q", m.name, calendar)
						}
					}
				}
			})
		})
	}
}

func TestLostAnswerOfACreationIsNotRepeated(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.Inject(google.Fault{Method: "calendar.calendars.insert", LoseResponse: true})
		_, err := w.gateway.CreateCalendar(t.Context(), "Olena", zoneName, mark())
		if !failure.Is(err, failure.Transient) || !failure.IsAmbiguous(err) {
			t.Errorf("error %v, want transient and ambiguous", err)
		}
		made := 0
		for _, c := range w.Server.Calendars() {
			if !c.Primary {
				made++
			}
		}
		if made != 1 {
			t.Errorf("%d calendars were made, want the one whose answer was lost", made)
		}
		// It can be found by its mark, which it has had from its first moment.
		found, err := w.gateway.Calendars(t.Context())
		if err != nil || len(found) != 2 || (found[0].Mark != mark() && found[1].Mark != mark()) {
			t.Errorf("found %+v, %v; want the calendar with its mark", found, err)
		}
	})
}

func TestLostAnswerOfAShareMailsNobodyTwice(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.newCalendar()
		w.Inject(google.Fault{Method: "calendar.acl.insert", LoseResponse: true})
		_, err := w.gateway.Share(t.Context(), c.ID, employee)
		if !failure.Is(err, failure.Transient) || !failure.IsAmbiguous(err) {
			t.Errorf("error %v, want transient and ambiguous", err)
		}
		if mails := w.Mails(); len(mails) != 1 || mails[0].To != employee {
			t.Errorf("mails %+v, want one invitation", mails)
		}
	})
}

// A write whose answer was lost may have taken effect, whatever its repetition is
// answered: the intent must stay open until the event was read.
func TestARefusedRepetitionDoesNotUndoALostAnswer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.newCalendar()
		w.Inject(google.Fault{Method: "calendar.events.insert", LoseResponse: true})
		w.Inject(google.Fault{Method: "calendar.events.insert", Status: 403, Reason: "forbidden"})
		if _, err := w.gateway.InsertEvent(t.Context(), c.ID, draft()); !failure.Is(err, failure.Forbidden) || !failure.IsAmbiguous(err) {
			t.Errorf("error %v, want forbidden and ambiguous", err)
		}
		if events := w.Server.Events(c.ID); len(events) != 1 {
			t.Errorf("%d events, want the one whose answer was lost", len(events))
		}
	})
}

// Google may not know for a moment whose a fresh calendar is (shared/googlecalendar/README.md).
func TestASharingRefusedForAMomentIsRiddenOut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.newCalendar()
		fault := w.Inject(google.Fault{Method: "calendar.acl.insert", Status: 403, Reason: "requiredAccessLevel", Count: 2})
		if _, err := w.gateway.Share(t.Context(), c.ID, employee); err != nil {
			t.Error(err)
		}
		fault.Remove()
		w.Inject(google.Fault{Method: "calendar.acl.insert", Status: 403, Reason: "requiredAccessLevel", Count: -1})
		_, err := w.gateway.Share(t.Context(), c.ID, "other@firm.example")
		checkError(t, err, failure.Transient, 403, "requiredAccessLevel", false)
	})
}

func TestPassingFaultsAreRiddenOut(t *testing.T) {
	for name, f := range map[string]google.Fault{
		"503": {Status: 503, Count: 3}, "lost": {Drop: true, Count: 3}, "rate": {Status: 429, Count: 3}, "cut": {TruncateBody: true, Count: 2},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.newCalendar()
				w.insert(c.ID, draft())
				w.Inject(f)
				if _, err := w.gateway.Event(t.Context(), c.ID, draft().ID); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// arrivals are the pauses between the calls, on the bubble's clock.
func pauses(w *world) []time.Duration {
	var out []time.Duration
	calls := w.Requests(google.Filter{})
	for i := 1; i < len(calls); i++ {
		out = append(out, calls[i].Time.Sub(calls[i-1].Time))
	}
	return out
}

func TestBackOffGrowsWithJitter(t *testing.T) {
	seen := map[time.Duration]bool{}
	for i := range 10 {
		inWorld(t, func(t *testing.T, w *world) {
			w.Inject(google.Fault{Status: 503, Count: -1})
			// The clock spreads the pauses, so no two callers may come at one moment.
			<-time.After(time.Duration(i+1) * time.Nanosecond)
			if _, err := w.gateway.Event(t.Context(), "cal", "event1"); err == nil {
				t.Error("no error")
			}
			got := pauses(w)
			if len(got) != 3 {
				t.Fatalf("pauses %v, want three", got)
			}
			// 400 ms, growing by half, each give or take a half.
			for i, mean := range []time.Duration{400 * time.Millisecond, 600 * time.Millisecond, 900 * time.Millisecond} {
				if got[i] < mean/2 || got[i] > mean*3/2 {
					t.Errorf("pause %d is %s, want about %s", i, got[i], mean)
				}
			}
			seen[got[0]] = true
		})
	}
	if len(seen) < 2 {
		t.Error("the pauses have no jitter")
	}
}

func TestRetryAfterIsKept(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"7": 7 * time.Second, "120": 2 * time.Minute,
		// Nonsense leaves our own pause.
		"0": 0, "-5": 0, "soon": 0, "": 0,
	} {
		t.Run(header, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.answer = func(r *http.Request, _ *http.Response, _ error) (*http.Response, error) {
					return reply(r, 429, "", "Retry-After", header), nil
				}
				_, err := w.gateway.Event(t.Context(), "cal", "event1")
				if e, ok := errors.AsType[*failure.Error](err); !ok || e.RetryAfter != want {
					t.Errorf("error %v does not tell on that Google asked for %s", err, want)
				}
				for _, got := range pauses(w) {
					if want > 0 && got != want || want == 0 && got > 2*time.Second {
						t.Errorf("pause %s, want %s", got, want)
					}
				}
			})
		})
	}
}

func TestNoRetryBeyondTheDeadline(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.Inject(google.Fault{Status: 429, RetryAfter: 30 * time.Second, Count: -1})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		from := time.Now()
		_, err := w.gateway.Event(ctx, "cal", "event1")
		if !failure.Is(err, failure.RateLimited) || time.Since(from) != 0 || len(w.pacer.slots()) != 1 {
			t.Errorf("error %v after %s and %d attempts; want rate-limited at once", err, time.Since(from), len(w.pacer.slots()))
		}
	})
}

func TestEachAttemptIsBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.newCalendar()
		w.insert(c.ID, draft())
		w.Inject(google.Fault{Hang: true})
		from := time.Now()
		if _, err := w.gateway.Event(t.Context(), c.ID, draft().ID); err != nil {
			t.Error(err)
		}
		if got := time.Since(from); got < 20*time.Second || got > 22*time.Second {
			t.Errorf("the second attempt came after %s, want 20s and a pause", got)
		}
	})
}

func TestEndOfTheContextEndsTheWait(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.Inject(google.Fault{Status: 429, RetryAfter: time.Minute, Count: -1})
		ctx, cancel := context.WithCancel(t.Context())
		stop := time.AfterFunc(5*time.Second, cancel)
		defer stop.Stop()
		from := time.Now()
		_, err := w.gateway.Event(ctx, "cal", "event1")
		if !failure.Is(err, failure.RateLimited) || time.Since(from) != 5*time.Second {
			t.Errorf("error %v after %s, want Google's own after 5s", err, time.Since(from))
		}
	})
}
