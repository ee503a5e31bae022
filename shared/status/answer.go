package status

import (
	"context"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/incidents"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Answer is the JSON of functions/README.md, Status.
type Answer struct {
	// State is "ok", "waiting", "warning" or "trouble": that of the worst problem.
	State         string    `json:"state"`
	Problems      []Trouble `json:"problems"`
	Connected     bool      `json:"connected"`
	Account       string    `json:"account"`
	Enabled       bool      `json:"enabled"`
	Confirmed     bool      `json:"confirmed"`
	Employees     Counts    `json:"employees"`
	OldestPending int64     `json:"oldest_pending_seconds"`
	HeldDeletions int       `json:"held_deletions"`
	DeadLetters   int       `json:"dead_letters"`
	// LastPoll is the last poll that got to its end or not; LastERPRead the last one that could
	// read the ERP.
	LastPoll      *time.Time `json:"last_poll"`
	LastERPRead   *time.Time `json:"last_erp_read"`
	LastReconcile *Run       `json:"last_reconcile"`
	Incident      *Incident  `json:"incident"`
	Takeover      *Takeover  `json:"takeover"`
	Notifications Connector  `json:"notifications"`
}

// Trouble is a Problem as programs see it.
type Trouble struct {
	Kind  Kind       `json:"kind"`
	Level Level      `json:"level"`
	Since *time.Time `json:"since"`
	// Until is when it ends by itself, where that is known.
	Until *time.Time `json:"until,omitempty"`
	Count int        `json:"count,omitempty"`
	// Cause is what the other side said, in technical words.
	Cause string `json:"cause,omitempty"`
}

// Counts are the employees by the state of their calendars.
type Counts struct {
	Active  int `json:"active"`
	Pending int `json:"pending"`
	Held    int `json:"held"`
	Error   int `json:"error"`
}

// Run is a full run.
type Run struct {
	Started  *time.Time `json:"started"`
	Ended    *time.Time `json:"ended"`
	Repaired int        `json:"repaired"`
}

// Incident is what keeps the whole account out.
type Incident struct {
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// Takeover is what an admin has to decide about.
type Takeover struct {
	Calendars int `json:"calendars"`
	// Unmarked answer, and nothing of their descriptions comes back; Unanswered are rows of
	// Google's list whose calendars do not answer.
	Unmarked   int       `json:"unmarked,omitempty"`
	Unanswered int       `json:"unanswered,omitempty"`
	Since      time.Time `json:"since"`
}

// Connector is how the ERP's connector does; counts are of the last 24 hours.
type Connector struct {
	Last          *time.Time `json:"last"`
	Connector     string     `json:"connector"`
	Changes       int        `json:"changes"`
	PolledPercent int        `json:"polled_percent"`
}

// Reader gives what answers programs: each call reads the status anew.
func Reader(from Store, set Settings, now func() time.Time) func(ctx context.Context) (Answer, error) {
	return func(ctx context.Context) (Answer, error) {
		s, err := Read(ctx, from, set, "", now())
		if err != nil {
			return Answer{}, err
		}
		return s.Answer(), nil
	}
}

// Answer puts the status into the form for programs.
func (s Status) Answer() Answer {
	a := Answer{
		State: "ok", Problems: []Trouble{}, Connected: s.Connected, Account: s.Account.Email,
		Enabled: s.Saved.Settings.Enabled, Confirmed: s.Saved.Settings.Confirmed && s.Saved.Ready(),
		Employees: Counts{Active: s.Tally.Employees[store.StateActive], Pending: s.Tally.Employees[store.StatePending],
			Held: s.Tally.Employees[store.StateHeld], Error: s.Tally.Employees[store.StateError]},
		HeldDeletions: s.Tally.HeldEmployees + s.Tally.HeldTasks, DeadLetters: s.Tally.DeadLetters,
		LastPoll: moment(s.Poll.RanAt), LastERPRead: moment(s.Poll.ReadAt),
	}
	n := s.Notifications
	a.Notifications = Connector{Last: moment(n.LastAt), Connector: n.Connector, Changes: n.Notified + n.Polled, PolledPercent: n.PolledPercent()}
	for i, p := range s.Problems() {
		if i == 0 {
			a.State = map[Level]string{Bad: "trouble", Warn: "warning", Wait: "waiting"}[p.Level]
		}
		a.Problems = append(a.Problems, Trouble{Kind: p.Kind, Level: p.Level, Since: moment(p.Since), Until: moment(p.Until), Count: p.Count, Cause: p.Detail})
	}
	if since := s.Tally.OldestPending(); !since.IsZero() {
		a.OldestPending = max(0, int64(s.Now.Sub(since)/time.Second))
	}
	if run := s.Reconcile; run != nil {
		a.LastReconcile = &Run{Started: moment(run.Started), Ended: moment(run.Ended), Repaired: int(run.Repaired)}
	}
	if in := s.Account.Incident; in != nil {
		a.Incident = &Incident{Reason: incidents.Text(in.Refusal), Since: in.Since.UTC()}
	}
	if in := s.Installation; in.Undecided() {
		a.Takeover = &Takeover{Calendars: len(s.Found.Calendars), Unmarked: len(s.Found.Blank), Unanswered: s.Found.Dead, Since: in.TakeoverAsked.UTC()}
	}
	return a
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
