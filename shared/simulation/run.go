package simulation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	// pollEvery is how often Scheduler calls Poll.
	pollEvery = 5 * time.Minute
	// restDays bounds how long the product may take to come to rest after the faults have
	// ended: more than its longest pause for a failed key (6 h), and than the waits for the
	// delete guard and for new calendars.
	restDays = 6
)

// Violation is one rule broken once.
type Violation struct {
	Rule   string // what must hold, in a few words; the same for one defect
	Detail string
}

func (v Violation) String() string { return v.Rule + ": " + v.Detail }

// Result is how a history went.
type Result struct {
	History    History
	Violations []Violation
	// Trace says what happened, and when.
	Trace []string
	// Took is how much of the bubble's time passed.
	Took time.Duration
	// Polls, Kills and Calls measure the history.
	Polls, Kills, Calls int
	// Ways names those in which the stand-ins were to behave, Met counts which showed.
	Ways string
	Met  Met
	// Done is how many steps were applied.
	Done int
}

// Failed reports whether anything was violated.
func (r Result) Failed() bool { return len(r.Violations) > 0 }

// String prints the history, what happened in it, and what was violated.
func (r Result) String() string {
	var out strings.Builder
	out.WriteString(r.History.String())
	out.WriteString(r.Ways + "\n")
	for _, line := range r.Trace {
		out.WriteString(line + "\n")
	}
	for _, v := range r.Violations {
		fmt.Fprintf(&out, "%s\n", v)
	}
	out.WriteString(r.Met.String())
	fmt.Fprintf(&out, "took %v of its own time, %d polls, %d kills, %d calls\n", r.Took.Round(time.Second), r.Polls, r.Kills, r.Calls)
	return out.String()
}

// Rules lists the violated rules.
func (r Result) Rules() []string {
	var out []string
	for _, v := range r.Violations {
		out = append(out, v.Rule)
	}
	return out
}

// Runner runs histories.
type Runner struct {
	env environment
	// Log receives the product's log; nil for none.
	Log io.Writer
}

// NewRunner makes a Runner.
func NewRunner(ctx context.Context) (*Runner, error) {
	env, err := loadEnvironment(ctx)
	if err != nil {
		return nil, err
	}
	return &Runner{env: env}, nil
}

// Run runs one history in a bubble of its own and has it judged.
func (r *Runner) Run(t *testing.T, h History, defect Defect) (result Result) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if r.Log != nil {
		log = slog.New(slog.NewTextHandler(r.Log, nil))
	}
	synctest.Test(t, func(t *testing.T) {
		w, err := open(t.Context(), r.env, h, defect, log, nil)
		if err != nil {
			t.Error(err)
			return
		}
		began := time.Now()
		result = w.play(h)
		result.Took = time.Since(began)
		if err := w.close(); err != nil {
			result.Violations = append(result.Violations, Violation{"the simulation ends", err.Error()})
		}
	})
	return result
}

// play applies the steps, lets everything come to rest, and judges.
func (w *world) play(h History) Result {
	w.polled = time.Now()
	if err := w.startAuditor(); err != nil {
		w.fail(err)
	}
	w.connect()
	w.advance(20 * time.Second)
	done := 0
	for _, s := range h.Steps {
		done++
		if err := w.apply(s); err != nil && !errors.Is(err, errNothingToDo) && !errors.Is(err, google.ErrNotThere) && !errors.Is(err, userside.ErrNotFound) {
			w.fail(fmt.Errorf("step %s: %w", s, err))
		}
		w.fail(w.standInForWaiting(s))
		w.advance(s.After)
		w.noteWaiting()
		w.collectViolations()
		if len(w.violations) > 0 {
			break // the rest of the history would add nothing
		}
	}
	if len(w.violations) == 0 {
		w.comeToRest()
	}
	if len(w.violations) == 0 {
		w.readersLook()
	}
	r := Result{History: h, Trace: w.trace, Violations: w.violations, Calls: len(w.calls()), Kills: w.boots - instances - w.renewals, Polls: w.polls, Done: done, Met: w.met()}
	r.Ways = "Google: " + w.setup.Google.Ways.String() + "; ERP: " + w.setup.ERP.String()
	for _, err := range w.failures {
		r.Violations = append(r.Violations, Violation{"the simulation works", err.Error()})
	}
	return r
}

// violate notes a violation, the first of each rule.
func (w *world) violate(rule, format string, args ...any) {
	for _, v := range w.violations {
		if v.Rule == rule {
			return
		}
	}
	v := Violation{rule, fmt.Sprintf(format, args...)}
	w.note("VIOLATED %s", v)
	w.violations = append(w.violations, v)
}

// advance lets time pass; Scheduler goes on calling Poll.
func (w *world) advance(d time.Duration) {
	end := time.Now().Add(w.brief(d))
	every := w.pollEvery
	if d > 20*time.Minute && !w.realClock {
		// In hours without a step fewer polls do the same.
		every = max(10*time.Minute, d/6)
	}
	for {
		next := w.polled.Add(every)
		if next.After(end) {
			break
		}
		pause(w.ctx, time.Until(next))
		w.poll()
	}
	pause(w.ctx, time.Until(end))
}

func (w *world) poll() {
	w.polled = time.Now()
	w.polls++
	w.scheduled("Poll")
	w.decideFound()
}

// idle waits until no message and no request is under way.
func (w *world) idle() bool {
	for end := time.Now().Add(10 * time.Hour); time.Now().Before(end); pause(w.ctx, w.brief(7*time.Second)) {
		ctx, cancel := context.WithDeadline(w.ctx, end)
		err := w.queue.Idle(ctx)
		cancel()
		if err == nil && w.threads() == 0 && w.queue.Outstanding() == 0 {
			return true
		}
	}
	return false
}

// comeToRest ends all faults, gives the product what it needs to make the calendars
// right, and judges once nothing is due any more.
func (w *world) comeToRest() {
	w.note("faults end")
	w.faults.clear()
	w.google.ClearFaults()
	w.erp.ClearFaults()
	w.mendAllButTasks()
	w.allowOutside()
	w.giveReachBack()
	if w.giveMarksBack() == nil {
		w.scheduled("Reconcile") // as every night; without it nobody would see that they do
	}
	w.chooseRolesAnew()
	w.calm.Store(true)
	for n := range w.slots {
		i := w.slot(n)
		i.mu.Lock()
		i.killAt = 0
		i.mu.Unlock()
	}
	if w.setup.Unaided {
		if !w.untilNothingDue(time.Now().Add(restDays*24*time.Hour), 3) {
			return
		}
		if w.decideHeld(heldConfirm); !w.untilNothingDue(time.Now().Add(restDays*24*time.Hour), 2) {
			return
		}
		if w.judgeState(); len(w.violations) > 0 {
			return
		}
	}
	w.erp.AddState(userside.TaskState{ID: stateAgreed, Name: "Agreed", Role: w.agreedRole()})
	w.connect()
	if !w.endPurge() {
		return
	}
	w.fail(w.configure(func(c *calendarsync.Settings) {
		c.Enabled, c.TimeZone = true, zoneName
	}))
	w.chooseRolesAnew()
	w.decideHeld(heldReopen)
	w.decideHeld(heldReopen) // of whom two things were kept, the one after the other
	if !w.lookedAtByNewInstances() || !w.settle() {
		return
	}
	if bad := w.badTasks(); len(bad) > 0 {
		w.note("judged but for the tasks %v, then they are mended", bad)
		w.auditor.Unreadable(bad...)
		if w.judgeState(); len(w.violations) > 0 {
			return
		}
		w.auditor.Unreadable()
		if w.mendTasks(); !w.settle() {
			return
		}
	}
	w.judge()
}

// endPurge waits for the end of a purge that is under way and switches syncing on again.
func (w *world) endPurge() bool {
	for end := time.Now().Add(restDays * 24 * time.Hour); w.purging(); w.poll() {
		if time.Now().After(end) {
			w.violate("a purge ends", "it is still under way after %d days of quiet", restDays)
			return false
		}
		if !w.idle() {
			return false
		}
		pause(w.ctx, time.Until(w.polled.Add(w.pollEvery)))
	}
	w.fail(w.afterPurge(false))
	return len(w.violations) == 0
}

// agreedRole is the role of the state that histories change and delete.
func (w *world) agreedRole() int64 {
	for _, s := range w.erp.States() {
		if s.ID == stateAgreed {
			return s.Role
		}
	}
	return userside.RoleNotCompleted
}

// settle polls until nothing is due, has an admin confirm what is held, and reconciles,
// until in a whole round there was nothing to confirm.
func (w *world) settle() bool {
	if late := w.setup.Google.Ways.ListDelayUpTo; late > 0 {
		w.advance(late) // a calendar whose maker heard no answer is found once it is listed
	}
	end := time.Now().Add(restDays * 24 * time.Hour)
	// A text that Google folds later is written once more before it is known for Google's form
	// (rule 2.8): also of what is written only after the first full run.
	fullRuns := 1
	if texts := w.setup.Google.Ways.Texts; texts != (google.Folding{AtOnce: texts.AtOnce}) && !texts.AtOnce {
		fullRuns = 2
	}
	for round := 0; ; round++ {
		// An absence is proved at the second poll.
		if !w.untilNothingDue(end, max(3-2*round, 1)) {
			return false
		}
		if round >= fullRuns {
			if len(w.decideHeld(heldConfirm)) == 0 {
				return true
			}
			if !w.untilNothingDue(end, 1) {
				return false
			}
		}
		w.scheduled("Reconcile")
	}
}

// untilNothingDue polls at least so many times, and until nothing is due. It reports
// whether that was so before end.
func (w *world) untilNothingDue(end time.Time, atLeast int) bool {
	began := time.Now()
	for n := 0; ; n++ {
		if time.Since(began) > 24*time.Hour {
			// What is held waits for an admin, who looks at it once a day.
			w.decideHeld(heldConfirm)
			w.inviteOutside()
			w.replaceUnreachable()
			w.chooseRolesAnew()
			began = time.Now()
		}
		if !w.idle() {
			w.violate("comes to rest", "messages are still under way after ten hours: %s", w.outstanding())
			return false
		}
		due, key, err := w.due()
		w.fail(err)
		if n >= atLeast && due.IsZero() {
			return true
		}
		if time.Now().After(end) {
			w.violate("comes to rest", "%s is still due at %s after %d days of quiet%s", key, due.Format(time.DateTime), restDays, w.failureOf(key))
			return false
		}
		next := w.polled.Add(w.pollEvery)
		if w.realClock && time.Until(due) > longOnRealClock {
			if time.Since(began) > mostOnRealClock {
				w.violate("comes to rest", "%s is still due at %s", key, due.Format(time.DateTime))
				return false
			}
			// On the real clock an admin presses "Try again" instead of waiting for the end of
			// a failed key's pause.
			w.note("%s is due in %v: an admin tries again", key, time.Until(due).Round(time.Second))
			if time.Since(began) > mostOnRealClock/4 {
				// Tasks of a calendar that is gone wait for its replacement, which may be held.
				w.decideHeld(heldConfirm)
			}
			w.fail(w.tryAllAgain())
			due = time.Now()
		}
		for n >= atLeast && next.Before(due) {
			next = next.Add(w.pollEvery) // polls that find nothing due need not be made
		}
		pause(w.ctx, time.Until(next))
		w.poll()
	}
}

func (w *world) outstanding() string {
	var out strings.Builder
	for _, s := range []string{"sync-task", "sync-employee", "dead-letter"} {
		c, err := w.queue.Counts(s)
		w.fail(err)
		fmt.Fprintf(&out, "%s %+v; ", s, c)
	}
	return out.String()
}

// due finds the key that is due first; zero where there is none.
func (w *world) due() (at time.Time, key string, err error) {
	bad := w.badTasks()
	for _, c := range []store.Collection{store.Employees, store.Tasks} {
		docs, err := w.memory.Query(w.ctx, store.Query{Collection: c, Field: "due_at", Op: store.Exists, Limit: 1 + len(bad)})
		if err != nil {
			return at, key, err
		}
		for _, d := range docs {
			if c == store.Tasks && slices.ContainsFunc(bad, func(id int64) bool { return strings.TrimLeft(d.ID, "0") == strconv.FormatInt(id, 10) }) {
				continue // nobody can say what is to become of it
			}
			due, err := dueAt(d)
			if err != nil {
				return at, key, err
			}
			if at.IsZero() || due.Before(at) {
				at, key = due, string(c)+"/"+d.ID
			}
		}
	}
	return at, key, nil
}

// failureOf says why a key's last pass failed; "" where it did not.
func (w *world) failureOf(key string) string {
	collection, id, _ := strings.Cut(key, "/")
	var rec store.TaskRecord // an employee's failure stands in the same field
	if found, err := w.memory.Get(w.ctx, store.Ref{Collection: store.Collection(collection), ID: id}, &rec); err != nil || !found || rec.Failure == nil {
		return ""
	}
	return fmt.Sprintf(": %+v", *rec.Failure)
}

// keepActivity keeps the activity records, which may be lost with the database.
func (w *world) keepActivity() error {
	all, err := store.New(w.memory).RecentActivity(w.ctx, 0)
	w.kept = append(w.kept, all...)
	return err
}
