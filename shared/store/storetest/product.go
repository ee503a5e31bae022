package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Product holds store.Store on a backend to the product's own contract: leases and
// dirty counters, mappings, calendars, accounts, the budget and the records beside
// them. open gives an empty backend for each subtest and closes it by t.Cleanup.
//
// Every transaction's closure is run once for nothing before it counts, because
// Firestore runs it again after losing against another; and the database's clock is
// moved by the test, years away from the machine's, so that whatever judges by an
// instance's clock fails (rule 1.5).
func Product(t *testing.T, open func(t *testing.T) store.Backend) {
	for _, test := range []struct {
		name string
		run  func(r *rig)
	}{
		{"a task is leased", func(r *rig) { leaseTaken(r, store.Tasks) }},
		{"an employee is leased", func(r *rig) { leaseTaken(r, store.Employees) }},
		{"a leased task is left to its holder", func(r *rig) { leaseBusy(r, store.Tasks) }},
		{"a leased employee is left to the holder", func(r *rig) { leaseBusy(r, store.Employees) }},
		{"what a pass is still to come for is remembered", func(r *rig) { owed(r, store.Tasks) }},
		{"a holder who reads later is not asked again", func(r *rig) { leaseOfALaterReader(r, store.Tasks) }},
		{"a task's message comes again", func(r *rig) { redelivered(r, store.Tasks) }},
		{"an employee's message comes again", func(r *rig) { redelivered(r, store.Employees) }},
		{"a task's lease expires", func(r *rig) { leaseExpires(r, store.Tasks) }},
		{"an employee's lease expires", func(r *rig) { leaseExpires(r, store.Employees) }},
		{"a claim's lost answer on a task", func(r *rig) { ownToken(r, store.Tasks) }},
		{"a claim's lost answer on an employee", func(r *rig) { ownToken(r, store.Employees) }},
		{"a dirty task is looked at again", func(r *rig) { settleRefused(r, store.Tasks) }},
		{"a dirty employee is looked at again", func(r *rig) { settleRefused(r, store.Employees) }},
		{"when a task is due", func(r *rig) { dueAt(r, store.Tasks) }},
		{"when an employee is due", func(r *rig) { dueAt(r, store.Employees) }},
		{"due tasks", func(r *rig) { dueKeys(r, store.Tasks, store.Employees) }},
		{"due employees", func(r *rig) { dueKeys(r, store.Employees, store.Tasks) }},
		{"since when a task is pending", func(r *rig) { pendingSince(r, store.Tasks) }},
		{"since when an employee is pending", func(r *rig) { pendingSince(r, store.Employees) }},
		{"a lease is extended", extended},
		{"keys marked dirty", markedDirty},
		{"a vouched deletion", vouched},
		{"failures of tasks are listed", failedTasks},
		{"since when a task is unreadable", func(r *rig) { unreadableSince(r, store.Tasks) }},
		{"since when an employee is unreadable", func(r *rig) { unreadableSince(r, store.Employees) }},

		{"an intent needs an active calendar of its epoch", intendNeedsEpoch},
		{"an intent needs the lease", intendNeedsLease},
		{"a settled task confirms its mappings", settleConfirms},
		{"a write is shown from its announcement on", writesUnderWay},
		{"tasks of an employee", tasksOf},
		{"tasks with new events", insertedSince},
		{"tasks at rest are forgotten", forgetsIdle},
		{"dead letters of tasks", func(r *rig) { deadLetters(r, store.Tasks) }},
		{"dead letters of employees", func(r *rig) { deadLetters(r, store.Employees) }},

		{"saving an employee leaves their work alone", saveKeepsWork},
		{"saving an employee needs the lease", saveNeedsLease},
		{"employees are forgotten", forgetEmployee},
		{"calendars are adopted", adoptCalendar},
		{"employees are listed", listEmployees},
		{"whose card changed", seenSince},

		{"connections", connections},
		{"another account is refused", otherAccount},
		{"a refused grant", grantRefused},
		{"an incident of the account", incidentOfTheAccount},
		{"refusals that agree", refusalsThatAgree},
		{"an unknown refusal is believed when it is repeated", unknownRefusal},
		{"a refused grant of another version", grantOfAnotherVersion},
		{"writes are paused", func(r *rig) { pauses(r, writesPause()) }},
		{"creations are paused", func(r *rig) { pauses(r, creationsPause()) }},
		{"the day's limit ends with Google's day", func(r *rig) { dailyLimit(r, writesPause()) }},
		{"the day's limit of creations", func(r *rig) { dailyLimit(r, creationsPause()) }},
		{"the first tenant wins", tenant},
		{"the names of zones", zoneNames},
		{"an admin decides whose the found calendars are", takeover},
		{"a mark that cannot be read", unreadableMark},
		{"slots of the budget", slots},
		{"a calendar's slots", calendarSlots},
		{"a calendar's pace", calendarPaces},
		{"few slots far ahead", fewSlots},
		{"a changed limit", changedLimit},
		{"the bucket of calendar creations", creations},
		{"the queue for calendars", creationQueue},
		{"a replacement is reserved ahead", replacementAhead},
		{"a reservation ahead that nobody uses counts for nothing", replacementUnused},
		{"the queue during a pause", creationsHeld},
		{"who left the queue", creationsLeft},
		{"creations and shares of a day", creationsOfADay},
		{"shares in the order of asking", sharesInOrder},
		{"what refusals of creations teach", refusalsTeach},
		{"what was refused was not made", refusedIsNotMade},
		{"a creation needs the lease and no calendar", creationRefused},

		{"the delete guard's day", guardWindow},
		{"the delete guard's share", guardPercent},
		{"what the delete guard granted is renewed", guardRenews},
		{"held deletions are dropped", dropsHeld},
		{"what was kept is reopened", reopensKept},
		{"purges", purges},

		{"settings", savedSettings},
		{"a sign-in is finished once", signInOnce},
		{"an address stays with the account that came first", adminPinned},
		{"sessions are ended one by one and all at once", sessionsEnd},
		{"a ticket is taken once", ticketOnce},
		{"poll records", pollRecords},
		{"faults of the catalogue", catalogueFaults},
		{"cards that the ERP refuses", refusedCards},
		{"calendars out of reach", unreached},
		{"the last good catalogues", knownCatalogue},
		{"how roles are spelled", knownRoles},
		{"notifications and what told of changes", notifications},
		{"full runs", fullRuns},
		{"runs put off", putOffRuns},
		{"activity", activityOrder},
		{"activity of one task or employee", activityOfOne},
		{"activity is counted by the hour", activityCounted},
		{"how a poll went", pollOutcome},
		{"since when something is wrong", wrongSince},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(newRig(t, open(t)))
		})
	}
	t.Run("the database's own clock", func(t *testing.T) { ownClock(t, open(t)) })
	t.Run("faults", func(t *testing.T) { survives(t, open) })
	t.Run("others come between", func(t *testing.T) { interleaved(t, open) })
	t.Run("concurrency", func(t *testing.T) { concurrent(t, open) })
}

// fault is what befalls one transaction.
type fault int

const (
	sound fault = iota
	// refused: nothing is committed, and the caller gets an error.
	refused
	// answerLost: it is committed, and the caller gets an error.
	answerLost
	// ranAgain: it is committed and, since the answer was lost on the way, run and
	// committed once more without the caller's knowing: what Firestore's client does
	// when the server calls the repeated commit aborted.
	ranAgain
)

var errInjected = &failure.Error{Kind: failure.Transient, Op: "commit", Detail: "injected", Ambiguous: true}

var errTrial = errors.New("a run for nothing")

// shaky is a backend whose transactions are hard to get right on: see Product.
type shaky struct {
	store.Backend
	// trial runs every closure once without committing it.
	trial bool

	mu sync.Mutex
	at time.Time
	// next befalls the next transaction.
	next fault
	// between is done once, after the next trial.
	between func()
}

// Now is the moved clock.
func (b *shaky) Now(context.Context) (time.Time, error) { return b.now(), nil }

func (b *shaky) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

func (b *shaky) advance(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = b.at.Add(d)
}

func (b *shaky) inject(f fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next = f
}

// Transact makes the trial, what is to come between, and the transaction with its fault.
func (b *shaky) Transact(ctx context.Context, f func(tx store.Tx) error) error {
	b.mu.Lock()
	next, between := b.next, b.between
	b.next, b.between = sound, nil
	b.mu.Unlock()
	run := func(tx store.Tx) error { return f(movedTx{tx, b}) }
	if b.trial || between != nil {
		err := b.Backend.Transact(ctx, func(tx store.Tx) error {
			if err := run(tx); err != nil {
				return err
			}
			return errTrial
		})
		if err == nil {
			return errors.New("storetest: a transaction was committed although its function failed")
		}
	}
	if between != nil {
		between()
	}
	switch next {
	case refused:
		err := b.Backend.Transact(ctx, func(tx store.Tx) error {
			if err := run(tx); err != nil {
				return err
			}
			return errTrial
		})
		if errors.Is(err, errTrial) {
			return errInjected
		}
		return err
	case answerLost:
		if err := b.Backend.Transact(ctx, run); err != nil {
			return err
		}
		return errInjected
	case ranAgain:
		if err := b.Backend.Transact(ctx, run); err != nil {
			return err
		}
	}
	return b.Backend.Transact(ctx, run)
}

// movedTx has the moved clock, and the backend's rule that it must be read for.
type movedTx struct {
	store.Tx
	b *shaky
}

func (tx movedTx) Now() time.Time {
	if tx.Tx.Now().IsZero() {
		return time.Time{}
	}
	return tx.b.now()
}

// rig is a Store on a shaky backend, for one test.
type rig struct {
	*testing.T
	b *shaky
	s *store.Store
	// began is the database's time at the start.
	began time.Time
	ctx   context.Context
	n     int
}

func newRig(t *testing.T, b store.Backend) *rig {
	t.Helper()
	began := time.Date(2041, 5, 6, 7, 8, 9, 0, time.UTC)
	s := &shaky{Backend: b, trial: true, at: began}
	return &rig{T: t, b: s, s: store.New(s), began: began, ctx: testContext(t)}
}

// must ends the test on an error.
func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// is wants an error that wraps want.
func (r *rig) is(err, want error) {
	r.Helper()
	if !errors.Is(err, want) {
		r.Errorf("got the error %v, want %v", err, want)
	}
}

// equal compares values; a nil slice and an empty one are the same, as they are stored.
func equal[T any](r *rig, what string, got, want T) {
	r.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		r.Errorf("%s: got + want -:\n%s", what, diff)
	}
}

// state is all that the database holds.
type state struct {
	Settings      []store.SettingsRecord
	Installation  []store.InstallationRecord
	Accounts      []store.AccountRecord
	Employees     []store.EmployeeRecord
	Tasks         []store.TaskRecord
	SignIns       []store.SignInRecord
	Tickets       []store.TicketRecord
	Admins        []store.AdminRecord
	Sessions      []store.SessionRecord
	DeadLetters   []store.DeadLetterRecord
	Activity      []store.ActivityRecord
	TaskPolls     []store.TaskPollRecord
	EmployeePolls []store.EmployeePollRecord
	Alarms        []store.AlarmsRecord
	Runs          []store.RunRecord
	RunParts      []store.RunPart
	Budgets       []store.BudgetRecord
	Creations     []store.CreationsRecord
	Days          []store.DayRecord
	Folds         []store.FoldRecord
	Outcomes      []store.PollOutcome
}

// state reads the whole database past the Store.
func (r *rig) state() state {
	r.Helper()
	return state{
		Settings:      all[store.SettingsRecord](r, store.Settings),
		Installation:  all[store.InstallationRecord](r, store.Installation),
		Accounts:      all[store.AccountRecord](r, store.Accounts),
		Employees:     all[store.EmployeeRecord](r, store.Employees),
		Tasks:         all[store.TaskRecord](r, store.Tasks),
		SignIns:       all[store.SignInRecord](r, store.SignIns),
		Tickets:       all[store.TicketRecord](r, store.Tickets),
		Admins:        all[store.AdminRecord](r, store.Admins),
		Sessions:      all[store.SessionRecord](r, store.Sessions),
		DeadLetters:   all[store.DeadLetterRecord](r, store.DeadLetters),
		Activity:      all[store.ActivityRecord](r, store.Activity),
		TaskPolls:     all[store.TaskPollRecord](r, store.Polls),
		EmployeePolls: all[store.EmployeePollRecord](r, store.Polls),
		Alarms:        all[store.AlarmsRecord](r, store.Polls),
		Runs:          all[store.RunRecord](r, store.Runs),
		RunParts:      all[store.RunPart](r, store.RunParts),
		Budgets:       all[store.BudgetRecord](r, store.Budgets),
		Creations:     all[store.CreationsRecord](r, store.Creations),
		Days:          all[store.DayRecord](r, store.Days),
		Folds:         all[store.FoldRecord](r, store.Polls),
		Outcomes:      all[store.PollOutcome](r, store.Polls),
	}
}

func all[T any](r *rig, c store.Collection) []T {
	r.Helper()
	docs, err := r.b.Query(r.ctx, store.Query{Collection: c})
	r.must(err)
	out := make([]T, len(docs))
	for i, d := range docs {
		r.must(d.Decode(&out[i]))
	}
	return out
}

// unchanged wants f to leave the whole database as it was.
func (r *rig) unchanged(what string, f func()) {
	r.Helper()
	before := r.state()
	f()
	equal(r, what, r.state(), before)
}
