package pass_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const lease = 90 * time.Second

var errCut = errors.New("cut short")

func at(seconds int) time.Time {
	return time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC).Add(time.Duration(seconds) * time.Second)
}

// TestBackoff: rule 7.2, a failed key rests by the kind of its failure, longer each
// time and never for ever.
func TestBackoff(t *testing.T) {
	t.Parallel()
	for kind, want := range map[failure.Kind][3]time.Duration{ // after 0, 2 and 100 failures
		failure.Transient:     {30 * time.Second, 2 * time.Minute, time.Hour},
		failure.Gone:          {30 * time.Second, 2 * time.Minute, time.Hour},
		failure.Conflict:      {30 * time.Second, 2 * time.Minute, time.Hour},
		failure.Source:        {30 * time.Second, 2 * time.Minute, time.Hour},
		failure.RateLimited:   {time.Minute, 4 * time.Minute, 10 * time.Minute},
		failure.Exhausted:     {15 * time.Minute, time.Hour, 6 * time.Hour},
		failure.Forbidden:     {10 * time.Minute, 40 * time.Minute, 6 * time.Hour},
		failure.Invalid:       {10 * time.Minute, 40 * time.Minute, 6 * time.Hour},
		failure.SourceInvalid: {10 * time.Minute, 40 * time.Minute, 6 * time.Hour},
		failure.Revoked:       {},
		failure.Misconfigured: {},
	} {
		err := failure.New(kind, "test", "")
		for i, before := range []*store.Failure{nil, {Count: 2}, {Count: 100}} {
			if got := pass.Backoff(err, before); got != want[i] {
				t.Errorf("%s, %+v: %s, want %s", kind, before, got, want[i])
			}
		}
	}
	if got := pass.Backoff(errCut, nil); got != 30*time.Second {
		t.Errorf("an error without a kind: %s", got)
	}
}

// TestTerm: rule 1.5, calls end 10 s before the lease does, counted from before the
// store was asked; shorter leases keep a quarter.
func TestTerm(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		length, until time.Duration
	}{{90 * time.Second, 80 * time.Second}, {2 * time.Second, 1500 * time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			database := at(0) // whatever the instance's clock says
			term := pass.Term{Began: began, Until: database.Add(row.length), Length: row.length}
			<-time.After(time.Second) // the bubble's time: the store took that long
			calls, cancel := term.Calls(t.Context(), time.Now())
			defer cancel()
			if deadline, _ := calls.Deadline(); !deadline.Equal(began.Add(row.until)) {
				t.Errorf("calls end %s after the store was asked, want %s", deadline.Sub(began), row.until)
			}
			if got := term.IntentDeadline(); !got.Equal(database.Add(row.until)) {
				t.Errorf("intent's deadline %s, want %s", got, database.Add(row.until))
			}
			if got := term.AcquiredAt(); !got.Equal(database) {
				t.Errorf("acquired at %s, want %s", got, database)
			}
			if got := term.At(time.Now()); !got.Equal(database.Add(time.Second)) {
				t.Errorf("now is %s, want %s", got, database.Add(time.Second))
			}
		})
	}
	// Rule 2.4: 60 s after the deadline of an intent made under a lease of 90 s.
	if got := pass.IntentGrace(lease); got != time.Minute {
		t.Errorf("grace %s", got)
	}
}

func TestResult(t *testing.T) {
	t.Parallel()
	first, second := failure.New(failure.Transient, "first", ""), failure.New(failure.Forbidden, "second", "")
	revoked := failure.New(failure.Revoked, "third", "")
	for name, row := range map[string]struct {
		do   func(*pass.Result)
		want store.Result
	}{
		"nothing":            {func(*pass.Result) {}, store.Result{}},
		"the earliest again": {func(r *pass.Result) { r.Again(at(9)); r.Again(at(5)); r.Again(at(7)) }, store.Result{RetryAt: at(5)}},
		"waiting":            {func(r *pass.Result) { r.Wait(at(9)) }, store.Result{RetryAt: at(9), Waiting: true}},
		"the first failure, the earliest time": {func(r *pass.Result) { r.Fail(second, at(0), nil); r.Fail(first, at(0), nil) },
			store.Result{Err: second, RetryAt: at(30)}},
		"a failure counted on": {func(r *pass.Result) { r.Fail(first, at(0), &store.Failure{Count: 1}) }, store.Result{Err: first, RetryAt: at(60)}},
		"for Poll to bring up": {func(r *pass.Result) { r.Fail(revoked, at(3), nil) }, store.Result{Err: revoked, RetryAt: at(3)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r pass.Result
			row.do(&r)
			if r.Result != row.want {
				t.Errorf("%+v, want %+v", r.Result, row.want)
			}
		})
	}
}

func TestTally(t *testing.T) {
	t.Parallel()
	var sum, other pass.Tally
	sum.AddAll(other)
	other.Add("a", 1)
	other.Add("a", 1)
	sum.AddAll(other)
	sum.Add("b", 3)
	if sum["a"] != 2 || sum["b"] != 3 || other["b"] != 0 {
		t.Errorf("%v and %v", sum, other)
	}
}

// errLimit is how Google refuses for the limit of a day.
var errLimit = &failure.Error{Kind: failure.Exhausted, Op: "test", Status: 403, Reason: failure.ReasonDailyLimit}

// account is what pauses are recorded on.
type account struct {
	store.AccountRecord
	readErr, writeErr error
	ended             int
	now               time.Time
	dirty             map[store.Key]time.Time
}

func (a *account) Account(context.Context) (store.AccountRecord, error) {
	return a.AccountRecord, a.readErr
}
func (a *account) Now(context.Context) (time.Time, error) { return a.now, a.writeErr }
func (a *account) clock() time.Time                       { return a.now }

func (a *account) MarkDirty(_ context.Context, key store.Key, due time.Time) error {
	a.dirty[key] = due
	return a.writeErr
}

func (a *account) PauseWrites(_ context.Context, sub, reason string) (time.Time, error) {
	if a.writeErr != nil || sub != a.Sub {
		return time.Time{}, errors.Join(a.writeErr, errCut)
	}
	a.PausedUntil, a.PauseSeconds, a.PauseReason = a.now.Add(time.Hour), 3600, reason
	return a.PausedUntil, nil
}

func (a *account) WritesWork(context.Context, string) error {
	if a.writeErr == nil {
		a.PausedUntil, a.PauseSeconds = time.Time{}, 0
		a.ended++
	}
	return a.writeErr
}

func (a *account) PauseCreations(_ context.Context, _, reason string) (time.Time, error) {
	a.CreationsPausedUntil, a.CreationsPauseSeconds = a.now.Add(30*time.Minute), 1800
	a.CreationsPauseReason = reason
	return a.CreationsPausedUntil, a.writeErr
}

func (a *account) CreationsWork(context.Context, string) error {
	a.CreationsPauseSeconds = 0
	a.ended++
	return a.writeErr
}

// TestPause: rule 6.6, Google's pause is recorded for every instance, held to at once
// by the one that heard of it, and its end recorded once.
func TestPause(t *testing.T) {
	t.Parallel()
	a := &account{AccountRecord: store.AccountRecord{Sub: "1"}, now: at(0)}
	stale := a.AccountRecord
	p := pass.NewWritesPause(a, a, a.clock, slog.New(slog.DiscardHandler))
	if !p.Until(a.AccountRecord).IsZero() || !p.Heard().IsZero() {
		t.Fatal("paused from the start")
	}
	p.Accepted(t.Context())
	if a.ended != 0 {
		t.Fatal("the end of no pause was recorded")
	}
	hour := at(0).Add(time.Hour)
	if got := p.Refused(t.Context(), errLimit); !got.Equal(hour) {
		t.Fatalf("paused until %s, want %s", got, hour)
	}
	if a.PauseReason != failure.ReasonDailyLimit {
		t.Errorf("recorded as %q", a.PauseReason)
	}
	if !p.Until(stale).Equal(hour) || !p.Heard().Equal(hour) {
		t.Error("an account read before the pause hides it")
	}
	other := pass.NewWritesPause(a, a, a.clock, slog.New(slog.DiscardHandler))
	if !other.Until(a.AccountRecord).Equal(hour) || !other.Heard().IsZero() {
		t.Error("another instance does not go by the record")
	}
	creations := pass.NewCreationsPause(a, a, a.clock, slog.New(slog.DiscardHandler))
	if !creations.Until(a.AccountRecord).Equal(hour.Add(6 * time.Minute)) {
		t.Error("creating goes on while all writes pause, or before what is live")
	}
	a.now = hour
	if !p.Until(a.AccountRecord).IsZero() || !p.Heard().IsZero() {
		t.Error("paused beyond the end")
	}
	a.writeErr = errCut
	p.Accepted(t.Context())
	a.writeErr = nil
	p.Accepted(t.Context())
	p.Accepted(t.Context())
	if a.ended != 1 || a.PauseSeconds != 0 {
		t.Errorf("the end was recorded %d times", a.ended)
	}
}

func TestPauseOfCreations(t *testing.T) {
	t.Parallel()
	a := &account{AccountRecord: store.AccountRecord{Sub: "1"}, now: at(0)}
	p := pass.NewCreationsPause(a, a, a.clock, slog.New(slog.DiscardHandler))
	writes := pass.NewWritesPause(a, a, a.clock, slog.New(slog.DiscardHandler))
	until := p.Refused(t.Context(), errLimit)
	if !p.Until(a.AccountRecord).Equal(until) || until.IsZero() || a.CreationsPauseReason != failure.ReasonDailyLimit {
		t.Error("not paused")
	}
	if !writes.Until(a.AccountRecord).IsZero() {
		t.Error("events are not written while only creating pauses")
	}
	p.Accepted(t.Context())
	if a.CreationsPauseSeconds != 0 || a.ended != 1 {
		t.Error("the end was not recorded")
	}
}

// TestPauseThatCannotBeRecorded: the process that heard of it keeps to it all the same.
func TestPauseThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]*account{
		"not written":         {writeErr: errCut, now: at(0)},
		"whose account fails": {readErr: errCut, now: at(0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pass.NewWritesPause(a, a, a.clock, slog.New(slog.DiscardHandler))
			want := at(0).Add(15 * time.Minute)
			if got := p.Refused(t.Context(), errLimit); !got.Equal(want) || !p.Until(store.AccountRecord{}).Equal(want) {
				t.Errorf("paused until %s, want %s", got, want)
			}
		})
	}
}

type settings struct {
	set calendarsync.Settings
	err error
}

func (s settings) Settings(context.Context) (calendarsync.Settings, error) { return s.set, s.err }

// TestStopped: rules 4.6, 4.7, 6.6 and 7.5, why nothing may be written.
func TestStopped(t *testing.T) {
	t.Parallel()
	on := calendarsync.Settings{Enabled: true, Confirmed: true}
	wrong := failure.New(failure.Misconfigured, "read settings", "")
	revoked := failure.New(failure.Revoked, "read the account", "")
	paused := store.AccountRecord{Sub: "1", PausedUntil: at(60)}
	for name, row := range map[string]struct {
		settings settings
		account  account
		bad      bool // the settings
		kind     failure.Kind
		until    time.Time
		err      error
	}{
		"nothing":              {settings: settings{on, nil}},
		"paused by the admin":  {settings: settings{calendarsync.Settings{Confirmed: true}, nil}, kind: failure.Misconfigured},
		"not confirmed":        {settings: settings{calendarsync.Settings{Enabled: true}, nil}, kind: failure.Misconfigured},
		"settings wrong":       {settings: settings{err: wrong}, bad: true, kind: failure.Misconfigured},
		"settings unreadable":  {settings: settings{err: errCut}, err: errCut},
		"disconnected":         {settings: settings{on, nil}, account: account{readErr: revoked}, kind: failure.Revoked},
		"another client":       {settings: settings{on, nil}, account: account{readErr: wrong}, kind: failure.Misconfigured},
		"account unreadable":   {settings: settings{on, nil}, account: account{readErr: errCut}, err: errCut},
		"Google pauses writes": {settings: settings{on, nil}, account: account{AccountRecord: paused}, kind: failure.Exhausted, until: at(60)},
		"Google's pause over":  {settings: settings{on, nil}, account: account{AccountRecord: store.AccountRecord{PausedUntil: at(0)}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := row.account
			a.now = at(0)
			pause := pass.NewWritesPause(&a, &a, a.clock, slog.New(slog.DiscardHandler))
			got, err := pass.Stopped(t.Context(), "test", row.settings, &a, pause)
			if got.BadSettings != row.bad || failure.KindOf(got.Err) != row.kind || !got.Until.Equal(row.until) || !errors.Is(err, row.err) {
				t.Errorf("%+v, %v; want %v (%s) until %s, %v", got, err, row.bad, row.kind, row.until, row.err)
			}
			if !row.until.IsZero() {
				if got, err := pass.Stopped(t.Context(), "test", row.settings, &a, nil); got.Err != nil || err != nil {
					t.Errorf("without a pause: %+v, %v", got, err)
				}
			}
		})
	}
}

// TestPark: rule 7.5, keys stay dirty while nothing may be written, and are due when
// it may.
func TestPark(t *testing.T) {
	t.Parallel()
	ids := []calendarsync.TaskID{1, 2}
	why := failure.New(failure.Revoked, "test", "")
	for name, row := range map[string]struct{ until, due time.Time }{
		"for Poll to bring up": {time.Time{}, at(0)},
		"until a time":         {at(60), at(60)},
		"a time gone by":       {at(-60), at(0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{now: at(0), dirty: map[store.Key]time.Time{}}
			err := pass.Park(t.Context(), a, slog.New(slog.DiscardHandler), store.TaskKey, ids, pass.Stop{Err: why, Until: row.until})
			if err != nil || len(a.dirty) != 2 || !a.dirty[store.TaskKey(1)].Equal(row.due) || !a.dirty[store.TaskKey(2)].Equal(row.due) {
				t.Errorf("%v, %v; want both due at %s", a.dirty, err, row.due)
			}
			a.writeErr = errCut
			if err := pass.Park(t.Context(), a, slog.New(slog.DiscardHandler), store.TaskKey, ids, pass.Stop{Err: why}); !errors.Is(err, errCut) {
				t.Errorf("what could not be parked is told as %v", err)
			}
		})
	}
}

type guard struct {
	granted int
	began   time.Time
	err     error
}

func (g guard) Permit(context.Context, store.Guarded, int, int) (int, time.Time, error) {
	return g.granted, g.began, g.err
}

// TestPermit: rules 4.3 and 4.5, one alarm where the first deletion is held.
func TestPermit(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		guard
		alarms int
	}{
		"granted":     {guard{granted: 2}, 0},
		"held":        {guard{granted: 1}, 0},
		"first held":  {guard{granted: 1, began: at(0)}, 1},
		"unreachable": {guard{err: errCut}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			granted, err := pass.Permit(t.Context(), row.guard, slog.New(slog.NewJSONHandler(&log, nil)), store.GuardedEvents, 2, 10)
			if granted != row.granted || !errors.Is(err, row.err) {
				t.Errorf("%d, %v", granted, err)
			}
			if got := strings.Count(log.String(), `"alarm":"deletions-held"`); got != row.alarms {
				t.Errorf("%d alarms, want %d: %s", got, row.alarms, log.String())
			}
		})
	}
}

// TestAllowed: rule 4.5, an admin's confirmation holds for a day, and for what was
// held when it was given.
func TestAllowed(t *testing.T) {
	t.Parallel()
	day := 24 * 60 * 60
	got := []bool{
		pass.Allowed(at(0), time.Time{}, at(1)), pass.Allowed(at(5), at(0), at(6)),
		pass.Allowed(at(0), at(0), at(1)), pass.Allowed(at(0), at(5), at(4+day)), pass.Allowed(time.Time{}, at(5), at(6)),
		pass.Allowed(at(0), at(5), at(5+day)),
	}
	if want := []bool{false, false, true, true, true, false}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
