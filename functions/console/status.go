package console

import (
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/incidents"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/serve"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// How many records a page reads at most.
const (
	mostPending     = 1000
	mostFailed      = 100
	mostDeadLetters = 1000
)

// overview is the state that the page and the API both show.
type overview struct {
	account   store.AccountRecord
	connected bool
	ever      bool // an account was connected at some time
	saved     settings.Saved
	employees []store.EmployeeRecord
	pending   []store.TaskRecord // the oldest first
	dead      []store.DeadLetterRecord
	held      store.HeldPlan
	dropped   []store.HeldKey
	purge     *store.PurgeRecord
	// question is what an admin has to decide about what was found, takingOver whether
	// they have, and it is not done yet.
	question   question
	takingOver bool
	lastPoll   time.Time
	reconcile  *store.RunRecord
	runs       []store.RunRecord // of any cause, the latest first
	// notifications is how the ERP's connector does.
	notifications store.Notifications
	// queue is who waits for Google's limit on new calendars, in order.
	queue []store.QueuedCreation
}

// overview reads everything side by side.
func (h *handler) overview(ctx context.Context) (overview, error) {
	var o overview
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		o.account, err = h.Store.Account(ctx)
		if errors.Is(err, store.ErrNotConnected) {
			return nil
		}
		o.ever, o.connected = err == nil, err == nil && o.account.Connected
		if err != nil {
			return err
		}
		o.queue, err = h.Store.CreationQueue(ctx, o.account.Sub, h.Now(), o.account.CreationsResume())
		return err
	})
	g.Go(func() (err error) { o.saved, err = h.Settings.Saved(ctx); return err })
	g.Go(func() (err error) { o.employees, err = h.Store.Employees(ctx); return err })
	g.Go(func() (err error) { o.pending, err = h.Store.PendingTasks(ctx, mostPending); return err })
	g.Go(func() (err error) { o.dead, err = h.Store.DeadLetters(ctx, mostDeadLetters); return err })
	g.Go(func() (err error) { o.held, err = h.Store.Held(ctx); return err })
	g.Go(func() (err error) { o.dropped, err = h.Store.Dropped(ctx); return err })
	g.Go(func() error {
		in, err := h.Store.Installation(ctx)
		o.purge, o.takingOver = in.Purge, in.TakingOver != ""
		if err == nil && in.Undecided() {
			o.question, err = h.question(ctx)
		}
		return err
	})
	g.Go(func() (err error) {
		o.notifications, err = h.Store.Notifications(ctx, h.Now(), string(queue.CauseNotify), string(queue.CausePoll))
		return err
	})
	g.Go(func() error {
		poll, _, err := h.Store.TaskPoll(ctx)
		o.lastPoll = poll.RanAt
		return err
	})
	g.Go(func() error {
		run, found, err := h.Store.LastRun(ctx, string(queue.CauseReconcile))
		if found {
			o.reconcile = &run
		}
		return err
	})
	g.Go(func() (err error) { o.runs, err = h.Store.Runs(ctx, mostRuns); return err })
	return o, g.Wait()
}

// counts are the employees by the state of their calendars.
type counts struct {
	Active  int `json:"active"`
	Pending int `json:"pending"`
	Held    int `json:"held"`
	Error   int `json:"error"`
}

func (o overview) counts() counts {
	var c counts
	for _, e := range o.employees {
		switch e.CardState() {
		case store.StateActive:
			c.Active++
		case store.StatePending:
			c.Pending++
		case store.StateHeld:
			c.Held++
		case store.StateError:
			c.Error++
		case store.StateNone, store.StateDeleting:
		}
	}
	return c
}

// oldestPending is when the oldest change not yet applied became known; zero if
// everything is applied.
func (o overview) oldestPending() time.Time {
	var oldest time.Time
	for _, t := range o.pending {
		oldest = earlier(oldest, t.PendingSince)
	}
	for _, e := range o.employees {
		oldest = earlier(oldest, e.PendingSince)
	}
	return oldest
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// apiRun and apiAnswer are the JSON of functions/README.md, Status.
type apiRun struct {
	Started  *time.Time `json:"started"`
	Ended    *time.Time `json:"ended"`
	Repaired int        `json:"repaired"`
}

type apiAnswer struct {
	Connected     bool         `json:"connected"`
	Account       string       `json:"account"`
	Enabled       bool         `json:"enabled"`
	Confirmed     bool         `json:"confirmed"`
	Employees     counts       `json:"employees"`
	OldestPending int64        `json:"oldest_pending_seconds"`
	HeldDeletions int          `json:"held_deletions"`
	DeadLetters   int          `json:"dead_letters"`
	LastPoll      *time.Time   `json:"last_poll"`
	LastReconcile *apiRun      `json:"last_reconcile"`
	Incident      *apiIncident `json:"incident"`
	Takeover      *apiTakeover `json:"takeover"`
	Notifications apiNotices   `json:"notifications"`
}

// apiNotices is how the ERP's connector does; counts are of the last 24 hours.
type apiNotices struct {
	Last          *time.Time `json:"last"`
	Connector     string     `json:"connector"`
	Changes       int        `json:"changes"`
	PolledPercent int        `json:"polled_percent"`
}

// apiIncident is what keeps the whole account out.
type apiIncident struct {
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (h *handler) answer(o overview) apiAnswer {
	c := o.counts()
	a := apiAnswer{
		Connected: o.connected, Account: o.account.Email,
		Enabled:   o.saved.Settings.Enabled,
		Confirmed: o.saved.Settings.Confirmed && o.saved.Ready(),
		Takeover:  o.question.answer(), Employees: c, HeldDeletions: o.held.Events + o.held.Calendars, DeadLetters: len(o.dead), LastPoll: moment(o.lastPoll),
	}
	n := o.notifications
	a.Notifications = apiNotices{Last: moment(n.LastAt), Connector: n.Connector, Changes: n.Notified + n.Polled, PolledPercent: n.PolledPercent()}
	if since := o.oldestPending(); !since.IsZero() {
		a.OldestPending = max(0, int64(h.Now().Sub(since)/time.Second))
	}
	if run := o.reconcile; run != nil {
		a.LastReconcile = &apiRun{Started: moment(run.Started), Ended: moment(run.Ended), Repaired: int(run.Repaired)}
	}
	if in := o.account.Incident; in != nil {
		a.Incident = &apiIncident{Reason: incidents.Text(in.Refusal), Since: in.Since.UTC()}
	}
	return a
}

// apiStatus answers GET /api/status. Without a session it answers with a problem: a
// program would take a redirect to a page for an answer.
func (h *handler) apiStatus(w http.ResponseWriter, r *http.Request) {
	_, found, allowed, err := h.session(r)
	switch {
	case err != nil:
		h.Log.ErrorContext(r.Context(), "look whether the session was ended", "error", err)
		serve.Problem(w, http.StatusServiceUnavailable, "No database", "The database did not answer.")
		return
	case !found:
		serve.Problem(w, http.StatusUnauthorized, "Not signed in", "There is no session, or it has expired. Sign in at the console.")
		return
	case !allowed:
		serve.Problem(w, http.StatusForbidden, "Not allowed", "This account is not on the list of admins.")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	o, err := h.overview(ctx)
	if err != nil {
		h.Log.ErrorContext(r.Context(), "read the status", "error", err)
		serve.Problem(w, http.StatusServiceUnavailable, "No database", "The database did not answer.")
		return
	}
	serve.JSON(w, http.StatusOK, h.answer(o))
}
