package functions_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// lease lets a test on Firestore see leases end, and is longer than a busy machine
// takes for what is done under one.
const lease = "30"

// short are waits that let a test see leases and intents end.
func short() map[string]string {
	return map[string]string{"LEASE_SECONDS": lease, "INTENT_SECONDS": "1"}
}

// trouble is one way to fail, for as long as it lasts.
type trouble struct {
	name   string
	google *fakegoogle.Fault
	erp    *fakeerp.Rule
	kind   failure.Kind
	// from and to bound how long the key rests after the first failure; both zero:
	// until a poll that may.
	from, to time.Duration
	// inPlace is how many calls one look makes of the method at fault, at least.
	inPlace     int
	onFirestore bool
}

func refusal(method string, status int, reason string) *fakegoogle.Fault {
	return &fakegoogle.Fault{Method: method, Status: status, Reason: reason, Count: -1}
}

func erpFault(cat, action string, f fakeerp.Fault) *fakeerp.Rule {
	return &fakeerp.Rule{Cat: cat, Action: action, Count: -1, Fault: f}
}

// begin puts a trouble into force.
func (x trouble) begin(w *world.World) (hits func() int, end func()) {
	if x.google != nil {
		injected := w.Google.Inject(*x.google)
		return injected.Hits, injected.Remove
	}
	w.ERP.ResetRequests()
	remove := w.ERP.Inject(*x.erp)
	return func() int {
		return len(w.ERP.Requests(func(r fakeerp.Request) bool { return r.Fault != "" }))
	}, remove
}

// recorded requires what rule 7.2 asks of a failure: on the key with its kind and a
// time, pending, and the message acknowledged.
func (x trouble) recorded(t *testing.T, w *world.World, work store.Work, hits int) {
	t.Helper()
	if n := refusals(t, w); n != 0 {
		t.Errorf("%d deliveries were refused", n)
	}
	if work.Failure == nil || work.Failure.Kind != x.kind || work.Dirty == 0 || work.PendingSince.IsZero() || work.LeaseToken != "" {
		t.Fatalf("recorded: %+v (failure %+v), want a failure of kind %s", work, work.Failure, x.kind)
	}
	if rest := work.DueAt.Sub(work.Failure.At); rest < x.from-10*time.Second || rest > x.to {
		t.Errorf("due %v after the failure, want between %v and %v", rest, x.from, x.to)
	}
	if hits < max(1, x.inPlace) {
		t.Errorf("%d calls met the trouble, want %d at least", hits, max(1, x.inPlace))
	}
	t.Logf("%s: recorded as %s, due after %v, %d calls in place, no delivery refused", x.name, work.Failure.Kind, work.DueAt.Sub(work.Failure.At).Round(time.Second), hits)
}

// untilRight makes a key due at each poll until it holds.
func untilRight(t *testing.T, w *world.World, key store.Key, holds func() bool) {
	t.Helper()
	eventually(t, func() bool {
		must(t, w.Store.MarkDirty(t.Context(), key, time.Now().Add(-time.Second)))
		w.Poll()
		return holds()
	})
}

func wantAtRest(t *testing.T, work store.Work) {
	t.Helper()
	if work.Failure != nil || work.Failed != "" || work.Dirty != 0 || !work.PendingSince.IsZero() || work.DeadLetter {
		t.Errorf("not at rest: %+v (failure %+v)", work, work.Failure)
	}
}

func TestEveryKindOfFailureOfATaskIsRecordedAndEndsWithItsCause(t *testing.T) {
	t.Parallel()
	const update = "calendar.events.update"
	for _, x := range []trouble{
		{name: "gone", google: refusal(update, 404, "notFound"), kind: failure.Gone, from: 30 * time.Second, to: time.Minute},
		{name: "conflict", google: refusal(update, 412, "conditionNotMet"), kind: failure.Conflict, from: 30 * time.Second, to: time.Minute, inPlace: 2},
		{name: "transient: an error", google: refusal(update, 503, "backendError"), kind: failure.Transient, to: time.Minute, inPlace: 2, onFirestore: true},
		{name: "transient: broken off", google: &fakegoogle.Fault{Method: update, Drop: true, Count: -1}, kind: failure.Transient, to: time.Minute, inPlace: 2},
		{name: "transient: no answer", google: &fakegoogle.Fault{Method: update, Hang: true, Count: -1}, kind: failure.Transient, to: time.Minute},
		{name: "rate-limited: 403", google: refusal(update, 403, "rateLimitExceeded"), kind: failure.RateLimited, from: time.Minute, to: 2 * time.Minute, inPlace: 2},
		{name: "rate-limited: the user", google: refusal(update, 403, "userRateLimitExceeded"), kind: failure.RateLimited, from: time.Minute, to: 2 * time.Minute, inPlace: 2},
		{name: "rate-limited: 429", google: refusal(update, 429, "rateLimitExceeded"), kind: failure.RateLimited, from: time.Minute, to: 2 * time.Minute, inPlace: 2},
		{name: "forbidden", google: refusal(update, 403, "forbidden"), kind: failure.Forbidden, from: 10 * time.Minute, to: 11 * time.Minute},
		{name: "forbidden: a scope", google: refusal(update, 403, "insufficientPermissions"), kind: failure.Forbidden, from: 10 * time.Minute, to: 11 * time.Minute},
		{name: "invalid", google: refusal(update, 400, "invalid"), kind: failure.Invalid, from: 10 * time.Minute, to: 11 * time.Minute},
		{name: "source", erp: erpFault("task", "show", fakeerp.Status(503)), kind: failure.Source, from: 30 * time.Second, to: time.Minute, inPlace: 3, onFirestore: true},
		{name: "source: the login page", erp: erpFault("task", "show", fakeerp.HTMLPage(200)), kind: failure.Source, from: 30 * time.Second, to: time.Minute, inPlace: 3},
		{name: "source-invalid", erp: erpFault("task", "show", fakeerp.Replace("date.todo", "soon")), kind: failure.SourceInvalid, from: 10 * time.Minute, to: 11 * time.Minute},
		{name: "misconfigured: the ERP's key", erp: erpFault("task", "show", fakeerp.Status(403)), kind: failure.Misconfigured},
	} {
		t.Run(x.name+" on embedded", func(t *testing.T) {
			t.Parallel()
			inBubble(t, world.Options{Env: short()}, x.task)
		})
		if x.onFirestore {
			t.Run(x.name+" on firestore", func(t *testing.T) {
				t.Parallel()
				x.task(t, world.New(t, world.Options{Env: short(), Backend: emulated(t)}))
			})
		}
	}
}

func (x trouble) task(t *testing.T, w *world.World) {
	who := withCalendars(t, w, "Olena")[0]
	task, other := w.Task(w.Tomorrow(9), who), w.Task(w.Tomorrow(12), who)
	w.Idle()
	hits, end := x.begin(w)
	must(t, w.ERP.MoveTask(task, w.Tomorrow(10)))
	w.Idle()
	rec, _, err := w.Store.Task(t.Context(), task)
	must(t, err)
	x.recorded(t, w, rec.Work, hits())
	w.WantStarts(who, w.Tomorrow(9), w.Tomorrow(12)) // nothing else came of it
	end()
	// Others are not held up by it.
	must(t, w.ERP.MoveTask(other, w.Tomorrow(15)))
	w.Idle()
	if got := w.Starts(who); len(got) != 2 || !got[1].Equal(w.Tomorrow(15)) {
		t.Errorf("another task's change: events at %v", got)
	}
	untilRight(t, w, store.TaskKey(task), func() bool { return w.Starts(who)[0].Equal(w.Tomorrow(10)) })
	eventually(t, func() bool {
		w.Poll()
		rec, _, err = w.Store.Task(t.Context(), task)
		must(t, err)
		return rec.Failure == nil && rec.Dirty == 0
	})
	wantAtRest(t, rec.Work)
	if n := refusals(t, w); n != 0 {
		t.Errorf("%d deliveries were refused in all", n)
	}
}

func TestEveryKindOfFailureOfAnEmployeeIsRecordedAndEndsWithItsCause(t *testing.T) {
	t.Parallel()
	const create, share = "calendar.calendars.insert", "calendar.acl.insert"
	for _, x := range []trouble{
		{name: "gone", google: refusal("calendar.events.list", 404, "notFound"), kind: failure.Transient, to: time.Minute},
		{name: "conflict", google: refusal(create, 409, "conflict"), kind: failure.Conflict, from: 30 * time.Second, to: time.Minute},
		// A creation of unknown outcome waits for its intent: shared/calendars.
		{name: "transient: an error", google: refusal("calendar.acl.list", 503, "backendError"), kind: failure.Transient, to: time.Minute, inPlace: 2, onFirestore: true},
		{name: "transient: broken off", google: &fakegoogle.Fault{Method: share, Drop: true, Count: -1}, kind: failure.Transient, to: time.Minute},
		{name: "rate-limited", google: refusal(create, 403, "rateLimitExceeded"), kind: failure.RateLimited, to: 2 * time.Minute, inPlace: 2},
		{name: "forbidden", google: refusal(create, 403, "forbidden"), kind: failure.Forbidden, from: 10 * time.Minute, to: 11 * time.Minute},
		{name: "invalid", google: refusal(create, 400, "invalid"), kind: failure.Invalid, from: 10 * time.Minute, to: 11 * time.Minute},
		{name: "source", erp: erpFault("employee", "get_data", fakeerp.Status(503)), kind: failure.Source, from: 30 * time.Second, to: time.Minute, inPlace: 3},
		{name: "source: its tasks", erp: erpFault("task", "get_list", fakeerp.ErrorResult("no", 200)), kind: failure.Source, from: 30 * time.Second, to: time.Minute},
		{name: "source-invalid", erp: erpFault("employee", "get_data", fakeerp.Replace("is_work", "perhaps")), kind: failure.SourceInvalid, from: 10 * time.Minute, to: 11 * time.Minute},
		{name: "misconfigured: the ERP's key", erp: erpFault("employee", "get_data", fakeerp.Status(403)), kind: failure.Misconfigured, onFirestore: true},
	} {
		t.Run(x.name+" on embedded", func(t *testing.T) {
			t.Parallel()
			inBubble(t, world.Options{Env: short()}, x.employee)
		})
		if x.onFirestore {
			t.Run(x.name+" on firestore", func(t *testing.T) {
				t.Parallel()
				x.employee(t, world.New(t, world.Options{Env: short(), Backend: emulated(t)}))
			})
		}
	}
}

func (x trouble) employee(t *testing.T, w *world.World) {
	olena := withCalendars(t, w, "Olena")[0]
	hits, end := x.begin(w)
	petro := w.Employee("Petro")
	w.Idle()
	rec, _, err := w.Store.Employee(t.Context(), petro)
	must(t, err)
	x.recorded(t, w, rec.Work, hits())
	end()
	w.Task(w.Tomorrow(9), olena, petro)
	w.Idle()
	w.WantStarts(olena, w.Tomorrow(9))
	untilRight(t, w, store.EmployeeKey(petro), func() bool {
		return w.Calendar(petro) != "" && len(w.Events(petro)) == 1
	})
	eventually(t, func() bool {
		w.Poll()
		rec, _, err = w.Store.Employee(t.Context(), petro)
		must(t, err)
		return rec.Failure == nil && rec.Dirty == 0 && rec.State == store.StateActive
	})
	wantAtRest(t, rec.Work)
	wantReaders(t, w, w.Calendar(petro), "petro@provider.example")
	if n := refusals(t, w); n != 0 {
		t.Errorf("%d deliveries were refused in all", n)
	}
}

// quotaExceeded pauses what it concerns for a quarter of an hour at first and says
// until when, in the record that all instances and the console read; what is not
// concerned goes on.
func TestAnExhaustedQuotaPausesWhatItConcerns(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		method string
		until  func(store.AccountRecord) time.Time
		writes bool // events go on
	}{
		"an event":   {"calendar.events.update", func(a store.AccountRecord) time.Time { return a.PausedUntil }, false},
		"a calendar": {"calendar.calendars.insert", func(a store.AccountRecord) time.Time { return a.CreationsPausedUntil }, true},
		"a share":    {"calendar.acl.insert", func(a store.AccountRecord) time.Time { return a.CreationsPausedUntil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
				olena := withCalendars(t, w, "Olena")[0]
				task := w.Task(w.Tomorrow(9), olena)
				w.Idle()
				fault := w.Google.Inject(fakegoogle.Fault{Method: row.method, Status: 403, Reason: "quotaExceeded", Count: -1})
				if row.writes {
					w.Employee("Petro")
				} else {
					must(t, w.ERP.MoveTask(task, w.Tomorrow(10)))
				}
				w.Idle()
				a, err := w.Store.Account(t.Context())
				must(t, err)
				if left := time.Until(row.until(a)); left < 14*time.Minute || left > 15*time.Minute {
					t.Errorf("paused for %v", left)
				}
				before := fault.Hits()
				if row.writes {
					w.Employee("Ivan")
					must(t, w.ERP.MoveTask(task, w.Tomorrow(11)))
					w.Idle()
					w.WantStarts(olena, w.Tomorrow(11))
				} else {
					must(t, w.ERP.MoveTask(task, w.Tomorrow(11)))
					w.Task(w.Tomorrow(14), olena)
					w.Google.ResetRequests()
					w.Idle()
					w.Reconcile()
					reads := 0
					for _, r := range w.Calls() {
						if r.Write {
							t.Errorf("a %s during the pause", r.Method)
						}
						reads++
					}
					if reads == 0 {
						t.Error("reading did not go on")
					}
				}
				for range 3 {
					w.Poll()
				}
				if fault.Hits() != before {
					t.Errorf("%d calls during the pause", fault.Hits()-before)
				}
				if n := alarms(w, "quota-exhausted"); n != 1 {
					t.Errorf("%d alarms", n)
				}
				if n := refusals(t, w); n != 0 {
					t.Errorf("%d deliveries were refused", n)
				}
			})
		})
	}
}

// An OAuth client that Google refuses is a fault of the configuration: nothing is
// disconnected, it is told once, and all follows once it is right.
func TestARefusedClientDisconnectsNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{Env: short()}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		task := w.Task(w.Tomorrow(9), who)
		w.Idle()
		refused := w.Google.Inject(fakegoogle.Fault{Method: "oauth2.token", Status: 401, Reason: "invalid_client", Count: -1})
		rejected := w.Google.Inject(fakegoogle.Fault{Method: "calendar.*", Status: 401, Count: -1}) // the access token has expired
		must(t, w.ERP.MoveTask(task, w.Tomorrow(10)))
		newcomer := w.Employee("Petro")
		w.Idle()
		for _, work := range []store.Work{taskWork(t, w, task), employeeWork(t, w, newcomer)} {
			if work.Failure != nil || work.Dirty == 0 || work.DueAt.IsZero() {
				t.Errorf("not waiting: %+v (failure %+v)", work, work.Failure)
			}
		}
		for range 3 {
			w.Poll()
		}
		if a, err := w.Store.Account(t.Context()); err != nil || !a.Connected || !a.SuspectSince.IsZero() {
			t.Errorf("connected %v, suspect since %v, %v", a.Connected, a.SuspectSince, err)
		}
		if n := alarms(w, "client-refused"); n != 1 || alarms(w, "grant-revoked") != 0 {
			t.Errorf("%d alarms of the client, %d of the grant", n, alarms(w, "grant-revoked"))
		}
		refused.Remove()
		rejected.Remove()
		polls(w, 2)
		w.WantStarts(who, w.Tomorrow(10))
		if w.Calendar(newcomer) == "" {
			t.Error("the newcomer has no calendar")
		}
		w.Poll()
		if n := alarms(w, "client-refused"); n != 2 { // its end
			t.Errorf("%d entries, want the beginning and the end", n)
		}
		if n := refusals(t, w); n != 0 {
			t.Errorf("%d deliveries were refused", n)
		}
	})
}

func taskWork(t *testing.T, w *world.World, id int64) store.Work {
	t.Helper()
	rec, _, err := w.Store.Task(t.Context(), id)
	must(t, err)
	return rec.Work
}

func employeeWork(t *testing.T, w *world.World, id int64) store.Work {
	t.Helper()
	rec, _, err := w.Store.Employee(t.Context(), id)
	must(t, err)
	return rec.Work
}

// The grant dies and comes back: one alarm, nothing deleted, no delivery attempts
// burnt, keys stay dirty, and everything is caught up.
func TestAGrantThatDiesAndComesBack(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{Env: map[string]string{"LEASE_SECONDS": lease, "ABSENCE_SECONDS": "1"}}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro", "Ivan")
		moved, closed, kept := w.Task(w.Tomorrow(9), ids[0]), w.Task(w.Tomorrow(10), ids[0]), w.Task(w.Tomorrow(11), ids[1])
		w.Task(w.Tomorrow(12), ids[2])
		w.Idle()
		w.Poll()
		held := len(w.Google.Calendars())
		must(t, w.Google.RevokeGrant(world.Account))
		died := time.Now()
		must(t, w.ERP.MoveTask(moved, w.Tomorrow(15)))
		w.Idle()
		if a, err := w.Store.Account(t.Context()); err != nil || !a.Connected || a.SuspectSince.IsZero() {
			t.Fatalf("after the first refusal: connected %v, suspect since %v, %v", a.Connected, a.SuspectSince, err)
		}
		connected := func() bool {
			a, err := w.Store.Account(t.Context())
			must(t, err)
			return a.Connected
		}
		eventually(t, func() bool {
			w.Notify("task.changed", moved)
			w.Idle()
			return !connected()
		})
		if took := time.Since(died); took < 10*time.Second { // a third of the lease
			t.Errorf("disconnected after %v, before the repeat", took)
		}
		asked := len(w.Google.Requests(fakegoogle.Filter{Method: "oauth2.token"}))
		// Life goes on in the ERP.
		must(t, w.ERP.CloseTask(closed))
		must(t, w.ERP.DeleteTask(kept))
		must(t, w.ERP.DismissEmployee(ids[2]))
		newcomer := w.Employee("Roman")
		fresh := w.Task(w.Tomorrow(16), newcomer, ids[1])
		w.Idle()
		for range 3 {
			w.Poll()
		}
		w.Reconcile()
		if n := len(w.Google.Requests(fakegoogle.Filter{Method: "oauth2.token"})); n != asked {
			t.Errorf("%d questions for a token of a dead grant", n-asked)
		}
		if n := len(w.Google.Calendars()); n != held {
			t.Errorf("%d calendars, had %d", n, held)
		}
		w.WantStarts(ids[0], w.Tomorrow(9), w.Tomorrow(10))
		w.WantStarts(ids[1], w.Tomorrow(11))
		w.WantStarts(ids[2], w.Tomorrow(12))
		for _, work := range []store.Work{taskWork(t, w, moved), taskWork(t, w, closed), taskWork(t, w, kept), taskWork(t, w, fresh), employeeWork(t, w, ids[2]), employeeWork(t, w, newcomer)} {
			if work.Dirty == 0 || work.DueAt.IsZero() {
				t.Errorf("a key is at rest: %+v", work)
			}
		}
		if n := alarms(w, "grant-revoked"); n != 1 {
			t.Errorf("%d alarms", n)
		}
		if n := refusals(t, w); n != 0 {
			t.Errorf("%d deliveries were refused", n)
		}

		w.Connect()
		must(t, w.Deployment.Publisher.Publish(t.Context(), "employee-changes", queue.Message{All: true, Cause: queue.CauseConsole, Lane: queue.LaneBulk}))
		w.Idle()
		eventually(t, func() bool { w.Poll(); return w.Calendar(ids[2]) == "" && len(w.Starts(ids[1])) == 1 })
		w.WantStarts(ids[0], w.Tomorrow(15))
		w.WantStarts(ids[1], w.Tomorrow(16))
		w.WantStarts(newcomer, w.Tomorrow(16))
		// An audit that met a task in another's hands comes again when the lease is over.
		eventually(t, func() bool { w.Poll(); return employeeWork(t, w, newcomer).Dirty == 0 })
		for _, key := range []store.Work{taskWork(t, w, moved), taskWork(t, w, closed), taskWork(t, w, fresh), employeeWork(t, w, newcomer)} {
			wantAtRest(t, key)
		}
		if n := refusals(t, w); n != 0 || alarms(w, "grant-revoked") > 2 {
			t.Errorf("%d deliveries were refused in all, %d alarms", n, alarms(w, "grant-revoked"))
		}
	})
}

// unreliable is a database that can be away.
type unreliable struct {
	store.Backend
	away atomic.Bool
}

var errAway = errors.New("the database is away")

func (u *unreliable) Transact(ctx context.Context, f func(store.Tx) error) error {
	if u.away.Load() {
		return errAway
	}
	return u.Backend.Transact(ctx, f)
}

func (u *unreliable) Get(ctx context.Context, ref store.Ref, into any) (bool, error) {
	if u.away.Load() {
		return false, errAway
	}
	return u.Backend.Get(ctx, ref, into)
}

func (u *unreliable) Query(ctx context.Context, q store.Query) ([]store.Document, error) {
	if u.away.Load() {
		return nil, errAway
	}
	return u.Backend.Query(ctx, q)
}

func (u *unreliable) Count(ctx context.Context, q store.Query) (int, error) {
	if u.away.Load() {
		return 0, errAway
	}
	return u.Backend.Count(ctx, q)
}

// Only what cannot be recorded is refused, and comes again.
func TestWhatCannotBeRecordedIsRefusedAndComesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := &unreliable{Backend: embedded(t)}
		w := world.New(t, world.Options{Backend: backend, Bubble: true})
		who := withCalendars(t, w, "Olena")[0]
		task := w.Task(w.Tomorrow(9), who)
		w.Idle()
		w.Google.ResetRequests()
		backend.away.Store(true)
		must(t, w.ERP.MoveTask(task, w.Tomorrow(10)))
		newcomer := w.Employee("Petro")
		eventually(t, func() bool { return refusals(t, w) >= 4 })
		for _, r := range w.Calls() {
			if r.Write {
				t.Errorf("a %s without the database", r.Method)
			}
		}
		backend.away.Store(false)
		w.Idle()
		w.WantStarts(who, w.Tomorrow(10))
		if w.Calendar(newcomer) == "" {
			t.Error("the newcomer has no calendar")
		}
		t.Logf("%d refused deliveries while the database was away, all caught up", refusals(t, w))
	})
}

// A dead letter is brought up by the next poll and clears itself when its key
// succeeds; while the key fails it stays.
func TestADeadLetterClearsItselfWhenItsKeySucceeds(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		task := w.Task(w.Tomorrow(9), who)
		w.Idle()
		w.SetQuiet(true)
		must(t, w.ERP.MoveTask(task, w.Tomorrow(10)))
		newcomer := w.Employee("Petro")
		letter := func(topic string, id int64) {
			t.Helper()
			body, err := json.Marshal(map[string]any{
				"message": map[string]any{
					"data":      base64.StdEncoding.EncodeToString([]byte(`{"ids":[` + itoa(id) + `],"cause":"notify"}`)),
					"messageId": "dead-" + topic,
					"attributes": map[string]string{
						"topic": topic, "lane": "live", "CloudPubSubDeadLetterSourceDeliveryCount": "100",
						"CloudPubSubDeadLetterSourceSubscription": "sync-" + strings.TrimSuffix(topic, "-changes"),
					},
				},
				"subscription": "projects/world-test/subscriptions/dead-letter",
			})
			must(t, err)
			w.Post("/DeadLetter/", body, http.Header{"Content-Type": {"application/json"}}, http.StatusNoContent)
		}
		letter("task-changes", task)
		letter("employee-changes", newcomer)
		letters := func() int {
			t.Helper()
			all, err := w.Store.DeadLetters(t.Context(), 10)
			must(t, err)
			return len(all)
		}
		if letters() != 2 {
			t.Fatalf("%d dead letters", letters())
		}
		fault := w.Google.Inject(fakegoogle.Fault{Method: "calendar.*", Writes: true, Status: 403, Reason: "forbidden", Count: -1})
		w.Poll()
		if letters() != 2 || fault.Hits() == 0 {
			t.Errorf("%d dead letters while their keys fail, %d tries", letters(), fault.Hits())
		}
		fault.Remove()
		for _, key := range []store.Key{store.TaskKey(task), store.EmployeeKey(newcomer)} {
			must(t, w.Store.MarkDirty(t.Context(), key, time.Now().Add(-time.Second)))
		}
		w.Poll()
		w.WantStarts(who, w.Tomorrow(10))
		if letters() != 0 || w.Calendar(newcomer) == "" {
			t.Errorf("%d dead letters after their keys succeeded, calendar %q", letters(), w.Calendar(newcomer))
		}
		wantAtRest(t, taskWork(t, w, task))
		wantAtRest(t, employeeWork(t, w, newcomer))
	})
}
