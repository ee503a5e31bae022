package incidents_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/incidents"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
)

// world is one account, which processes look at through copies of 10 seconds.
type world struct {
	t  *testing.T
	at time.Time
	*store.Store
	// calls counts those of the store that may write, and err fails them.
	calls int
	err   error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	b, err := bolt.Open(filepath.Join(t.TempDir(), "store"), w.now, bolt.NoSync())
	w.must(err)
	t.Cleanup(func() { w.must(b.Close()) })
	w.Store = store.New(b)
	_, err = w.Connect(t.Context(), store.AccountRecord{Sub: "1", Email: "central@firm.example", ClientID: "client"}, false)
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) now() time.Time { return w.at }

func (w *world) RaiseIncident(ctx context.Context, sub string, r store.Refusal) error {
	if w.calls++; w.err != nil {
		return w.err
	}
	return w.Store.RaiseIncident(ctx, sub, r)
}

func (w *world) SuspectIncident(ctx context.Context, sub string, r store.Refusal, key string, afresh bool) (bool, error) {
	if w.calls++; w.err != nil {
		return false, w.err
	}
	return w.Store.SuspectIncident(ctx, sub, r, key, afresh)
}

func (w *world) EndIncident(ctx context.Context, sub, at string) error {
	if w.calls++; w.err != nil {
		return w.err
	}
	return w.Store.EndIncident(ctx, sub, at)
}

// copied is an instance's copy of the account.
type copied struct {
	w  *world
	a  store.AccountRecord
	at time.Time
}

func (c *copied) Account(ctx context.Context) (store.AccountRecord, error) {
	if c.w.at.Sub(c.at) > 10*time.Second {
		a, err := c.w.Account(ctx)
		if err != nil {
			return a, err
		}
		c.a, c.at = a, c.w.at
	}
	return c.a, nil
}

func (c *copied) Reread() { c.at = time.Time{} }

// instance is a process with a copy of its own.
func (w *world) instance() *incidents.Watch {
	return incidents.New(w, &copied{w: w}, w.now, slog.New(slog.DiscardHandler))
}

func (w *world) incident() *store.IncidentRecord {
	w.t.Helper()
	a, err := w.Account(w.t.Context())
	w.must(err)
	return a.Incident
}

func refused(kind failure.Kind, status int, reason string) error {
	return &failure.Error{Kind: kind, Op: "test", Status: status, Reason: reason, AccountWide: kind == failure.Misconfigured}
}

// Two thousand keys must not write to one document two thousand times (rule 7.7).
func TestManyKeysThatAgreeCostAFewWrites(t *testing.T) {
	w := newWorld(t)
	one, two := w.instance(), w.instance()
	for i := range 2000 {
		key, watch := fmt.Sprintf("c%d/%d", i%20, i), one
		if i%2 == 1 {
			watch = two
		}
		err := watch.Called(t.Context(), "events.insert", key, refused(failure.Forbidden, 403, "madeUp"))
		if i > 10 && !failure.Is(err, failure.Misconfigured) {
			t.Fatalf("key %d: %v, want it explained by the incident", i, err)
		}
		if i%100 == 99 {
			w.at = w.at.Add(time.Second)
		}
	}
	if in := w.incident(); in == nil || in.At != "events.insert" || in.Reason != "madeUp" || w.calls > 10 {
		t.Errorf("incident %+v after %d writes", in, w.calls)
	}
}

// Events of one calendar that are refused are that calendar's, however many.
func TestManyEventsOfOneCalendarAreNoIncident(t *testing.T) {
	w := newWorld(t)
	one := w.instance()
	for i := range 500 {
		if err := one.Called(t.Context(), "events.insert", fmt.Sprintf("c/%d", i), refused(failure.Forbidden, 403, "forbidden")); !failure.Is(err, failure.Forbidden) {
			t.Fatal(err)
		}
	}
	if in := w.incident(); in != nil || w.calls > 6 {
		t.Errorf("incident %+v after %d writes", in, w.calls)
	}
}

// Keys that fail among others that succeed are no incident, and each success in between
// is one write at most.
func TestFailuresAmongSuccessesAreNoIncident(t *testing.T) {
	w := newWorld(t)
	one, two := w.instance(), w.instance()
	for i := range 20 {
		_ = one.Called(t.Context(), "acl.insert", fmt.Sprintf("c%d", i), refused(failure.Forbidden, 403, "forbidden"))
		w.at = w.at.Add(11 * time.Second)
		for range 10 {
			w.must(two.Called(t.Context(), "acl.insert", "other", nil))
		}
	}
	if in := w.incident(); in != nil || w.calls > 40 {
		t.Errorf("incident %+v after %d writes", in, w.calls)
	}
}

func TestNothingIsWrittenWhileCallsSucceed(t *testing.T) {
	w := newWorld(t)
	one := w.instance()
	for range 100 {
		w.must(one.Admit(t.Context(), "events.insert"))
		w.must(one.Called(t.Context(), "events.insert", "c/1", nil))
		// What may well be the key's own.
		_ = one.Called(t.Context(), "events.insert", "c/1", refused(failure.Conflict, 409, "duplicate"))
		_ = one.Called(t.Context(), "events.insert", "c/1", refused(failure.Gone, 404, "notFound"))
		_ = one.Called(t.Context(), "events.insert", "c/1", refused(failure.Transient, 503, "backendError"))
		_ = one.Called(t.Context(), "events.insert", "c/1", refused(failure.Exhausted, 403, "dailyLimitExceeded"))
	}
	if w.calls != 0 || w.incident() != nil {
		t.Errorf("%d writes, incident %+v", w.calls, w.incident())
	}
}

// While an incident is open one call a minute is let through, over all instances.
func TestOneCallAMinuteIsLetThrough(t *testing.T) {
	w := newWorld(t)
	off := refused(failure.Misconfigured, 403, "accessNotConfigured")
	one, two := w.instance(), w.instance()
	w.must(two.Admit(t.Context(), "events.list")) // it has a copy from before
	_ = one.Called(t.Context(), "events.list", "c", off)
	w.at = w.at.Add(11 * time.Second)
	passed := 0
	for range 600 {
		w.at = w.at.Add(time.Second)
		for _, watch := range []*incidents.Watch{one, two} {
			v := watch.Stop(t.Context())
			if v.KeptBack != nil {
				if v.Probing || !failure.Is(watch.Admit(t.Context(), "events.insert"), failure.Misconfigured) {
					t.Fatalf("stopped by %v, and yet let through", v.KeptBack)
				}
				continue
			}
			passed++
			w.must(watch.Admit(t.Context(), "events.insert")) // the pass that it was let through for
			_ = watch.Called(t.Context(), "events.insert", "c/1", off)
		}
	}
	if passed < 9 || passed > 10 {
		t.Errorf("%d were let through in ten minutes", passed)
	}
	w.at = w.at.Add(time.Minute)
	if v := one.Stop(t.Context()); v.KeptBack != nil || !v.Probing {
		t.Fatalf("stopped by %v", v.KeptBack)
	}
	w.must(one.Called(t.Context(), "acl.list", "c", nil))
	w.at = w.at.Add(11 * time.Second)
	for _, watch := range []*incidents.Watch{one, two} {
		if v := watch.Stop(t.Context()); v != (incidents.Verdict{}) || watch.Open(t.Context()) {
			t.Errorf("after its end: %+v", v)
		}
	}
}

// The store may be away when an incident shows, or ends: the next call does it.
func TestWhatCannotBeRecordedIsRecordedByTheNextCall(t *testing.T) {
	w := newWorld(t)
	one := w.instance()
	off := refused(failure.Misconfigured, 403, "accessNotConfigured")
	away := errors.New("store: away")
	w.err = away
	if err := one.Called(t.Context(), "events.list", "c", off); !failure.Is(err, failure.Misconfigured) || w.incident() != nil {
		t.Fatalf("%v, incident %+v", err, w.incident())
	}
	w.err = nil
	_ = one.Called(t.Context(), "events.list", "c", off)
	if w.incident() == nil {
		t.Fatal("no incident")
	}
	w.err = away
	w.must(one.Called(t.Context(), "events.list", "c", nil))
	w.err = nil
	w.must(one.Called(t.Context(), "events.list", "c", nil))
	if in := w.incident(); in != nil {
		t.Errorf("left: %+v", in)
	}

	w.err = away
	for i := range 5 {
		_ = one.Called(t.Context(), "events.insert", fmt.Sprintf("c%d/1", i), refused(failure.Invalid, 400, "invalid"))
	}
	w.err = nil
	for i := range 5 {
		_ = one.Called(t.Context(), "events.insert", fmt.Sprintf("c%d/1", i), refused(failure.Invalid, 400, "invalid"))
	}
	if in := w.incident(); in == nil || in.At != "events.insert" {
		t.Errorf("incident %+v", in)
	}
}

// A token that could not be had is no refusal of the method that was to be called.
func TestWhatWasNotCalledIsNoRefusal(t *testing.T) {
	w := newWorld(t)
	one := w.instance()
	for i := range 10 {
		token := &failure.Error{Kind: failure.Forbidden, Op: "refresh", Status: 400, Reason: "x"}
		_ = one.Called(t.Context(), "events.insert", fmt.Sprintf("c%d/1", i), &failure.Error{Kind: failure.Forbidden, Op: "insert", Status: 400, Reason: "x", Err: token})
	}
	if w.calls != 0 {
		t.Errorf("%d writes", w.calls)
	}
}

func TestWithoutAWatchNothingIsKeptBack(t *testing.T) {
	var none *incidents.Watch
	err := errors.New("as it is")
	if none.Stop(t.Context()) != (incidents.Verdict{}) || none.Open(t.Context()) || none.Admit(t.Context(), "x") != nil || !errors.Is(none.Called(t.Context(), "x", "k", err), err) {
		t.Error("a nil Watch keeps something back")
	}
}

// Rule 7.7: where there are fewer keys than make an incident at once, all that there are
// make one once they have met the same for half an hour, with no success in between.
func TestInASmallInstallationAllKeysThatThereAreAgree(t *testing.T) {
	forbidden := func() error { return refused(failure.Forbidden, 403, "madeUp") }
	for name, row := range map[string]struct {
		method string
		keys   []string
		err    func() error
		// worked: a call of the method succeeds in the middle.
		worked bool
		want   bool
	}{
		"three employees":                {"calendars.insert", []string{"employee 1", "employee 2", "employee 3"}, forbidden, false, true},
		"the only one":                   {"calendars.insert", []string{"employee 1"}, forbidden, false, true},
		"the only calendar":              {"events.list", []string{"c1"}, forbidden, false, true},
		"a few events":                   {"events.insert", []string{"c1/1", "c1/2", "c2/3"}, forbidden, false, true},
		"no access token is good enough": {"events.insert", []string{"c1/1", "c1/2"}, func() error { return refused(failure.Transient, 401, "authError") }, false, true},
		"one event":                      {"events.insert", []string{"c1/1"}, forbidden, false, false},
		"others succeed":                 {"events.insert", []string{"c1/1", "c1/2", "c2/3"}, forbidden, true, false},
		"an address nobody may see":      {"acl.insert", []string{"c1", "c2", "c3"}, forbidden, false, false},
		"what is written is at fault":    {"events.insert", []string{"c1/1", "c1/2"}, func() error { return refused(failure.Invalid, 400, "invalid") }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			one := w.instance()
			// As keys back off: after 10 minutes, 20, 40.
			for i, after := range []time.Duration{0, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute} {
				w.at = w.at.Add(after)
				for _, key := range row.keys {
					_ = one.Called(t.Context(), row.method, key, row.err())
				}
				if row.worked && i == 1 {
					_ = one.Called(t.Context(), row.method, "c9/9", nil)
				}
				if in := w.incident(); in != nil && i < 2 {
					t.Fatalf("an incident after %s: %+v", after, in)
				}
				if row.worked && i == 2 {
					break
				}
			}
			if in := w.incident(); (in != nil) != row.want || in != nil && (in.At != row.method || in.Reason == "") {
				t.Errorf("incident %+v", in)
			}
			if w.calls > 5*len(row.keys)+5 {
				t.Errorf("%d writes", w.calls)
			}
		})
	}
}
