package functions_test

import (
	"net/http"
	"testing"
	"time"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// polls lets time pass as Scheduler does, a poll every five minutes, which takes none in
// a bubble.
func polls(w *world.World, n int) {
	every := time.NewTicker(5 * time.Minute)
	defer every.Stop()
	for range n {
		<-every.C
		w.Poll()
	}
}

// shutOut is one way in which the whole account is kept out.
type shutOut struct {
	begin func(w *world.World) (end func())
	alarm string // "account-refused" unless set
	at    string
	// reason of the incident.
	reason string
	// repeated: it is believed when it is repeated, and keys failed of it before.
	repeated bool
}

// spells puts spells in force together.
func spells(all ...fakegoogle.Spell) func(w *world.World) func() {
	return func(w *world.World) func() {
		var begun []*fakegoogle.Injected
		for _, s := range all {
			begun = append(begun, w.Google.Begin(s))
		}
		return func() {
			for _, s := range begun {
				s.Remove()
			}
		}
	}
}

// expired has Google accept no access token that was given before, and none be given.
func expired(code string) func(w *world.World) func() {
	unauthorized := fakegoogle.Spell{Fault: fakegoogle.Fault{Name: "the access token has expired", Method: "calendar.*", Status: http.StatusUnauthorized, Count: -1}}
	return spells(fakegoogle.TokenRefusal(code), unauthorized)
}

// morning makes tasks of tomorrow morning, ten minutes apart, for people by turns.
func morning(w *world.World, who []int64, n int) []int64 {
	var tasks []int64
	for i := range n {
		tasks = append(tasks, w.Task(w.Tomorrow(8).Add(time.Duration(i)*10*time.Minute), who[i%len(who)]))
	}
	return tasks
}

// moveToAfternoon moves the tasks of a morning to the afternoon.
func moveToAfternoon(t *testing.T, w *world.World, tasks []int64) {
	t.Helper()
	for i, task := range tasks {
		must(t, w.ERP.MoveTask(task, w.Tomorrow(14).Add(time.Duration(i)*10*time.Minute)))
	}
}

// wantAfternoon wants n tasks of a morning where moveToAfternoon moved them.
func wantAfternoon(w *world.World, who []int64, n int) {
	for i, id := range who {
		var want []time.Time
		for k := i; k < n; k += len(who) {
			want = append(want, w.Tomorrow(14).Add(time.Duration(k)*10*time.Minute))
		}
		w.WantStarts(id, want...)
	}
}

// TestWhateverHitsTheAccountIsOneIncident shows rule 7.7: one alarm with the code, reason
// and cure for each way in which the whole account may be kept out; nothing is deleted,
// no delivery attempt is burnt, Google is asked about once a minute, and everything
// follows within three polls of its end.
func TestWhateverHitsTheAccountIsOneIncident(t *testing.T) {
	t.Parallel()
	rows := map[string]shutOut{
		"accessNotConfigured":        {begin: spells(fakegoogle.AccountRefusal("accessNotConfigured")), at: store.AtAPI, reason: "accessNotConfigured"},
		"notACalendarUser":           {begin: spells(fakegoogle.AccountRefusal("notACalendarUser")), at: store.AtAPI, reason: "notACalendarUser"},
		"a reason that nobody knows": {begin: spells(fakegoogle.AccountRefusal("madeUpTomorrow")), at: "events.update", reason: "madeUpTomorrow"},
		"the zone by either name": {begin: func(w *world.World) func() {
			w.Google.ChangeWays(func(ways *fakegoogle.Ways) { ways.ZonesRefused = []string{"Europe/Kyiv", "Europe/Kiev"} })
			return func() { w.Google.ChangeWays(func(ways *fakegoogle.Ways) { ways.ZonesRefused = nil }) }
		}, at: store.AtZone, reason: "invalidTimeZone"},
	}
	for _, code := range []string{"deleted_client", "disabled_client", "admin_policy_enforced", "org_internal", "access_denied", "made_up_tomorrow"} {
		rows["token "+code] = shutOut{begin: expired(code), at: store.AtToken, reason: code, repeated: code == "made_up_tomorrow"}
	}
	for _, code := range []string{"invalid_client", "unauthorized_client"} {
		rows["token "+code] = shutOut{begin: expired(code), at: store.AtToken, reason: code, alarm: "client-refused"}
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, world.Options{Env: short()}, row.play)
		})
	}
}

func (row shutOut) play(t *testing.T, w *world.World) {
	who := withCalendars(t, w, "Olena", "Petro", "Ivan")
	tasks := morning(w, who, 24)
	w.Idle()
	w.Poll()
	calendars := len(w.Google.Calendars())

	end := row.begin(w)
	began := time.Now()
	w.Google.ResetRequests()
	moveToAfternoon(t, w, tasks)
	newcomer := w.Employee("Roman")
	w.Idle()
	polls(w, 6)
	row.told(t, w, 1)
	a, err := w.Store.Account(t.Context())
	must(t, err)
	if in := a.Incident; in == nil || in.At != row.at || in.Reason != row.reason || in.Since.Before(began) || !a.Connected {
		t.Fatalf("the incident is %+v, connected %t; want %s", in, a.Connected, row.reason)
	}
	if n := len(w.Google.Requests(fakegoogle.Filter{Method: "*"})); n > 200 {
		t.Errorf("%d calls in half an hour", n)
	}
	failed := 0
	for _, task := range tasks {
		work := taskWork(t, w, task)
		if work.Dirty == 0 || work.DueAt.IsZero() {
			t.Errorf("task %d is at rest: %+v", task, work)
		}
		if work.Failure != nil {
			failed++
		}
	}
	if failed > 0 && !row.repeated {
		t.Errorf("%d tasks have a failure of their own", failed)
	}
	t.Logf("%d calls; %d of %d tasks have a failure; incident %+v", len(w.Google.Requests(fakegoogle.Filter{})), failed, len(tasks), a.Incident)

	end()
	polls(w, 3)
	wantAfternoon(w, who, len(tasks))
	if w.Calendar(newcomer) == "" {
		t.Error("the newcomer has no calendar")
	}
	if n := len(w.Google.Calendars()); n != calendars+1 {
		t.Errorf("%d calendars, had %d", n, calendars)
	}
	polls(w, 1)
	row.told(t, w, 2) // its end
	if a, err := w.Store.Account(t.Context()); err != nil || a.Incident != nil || len(a.Suspected) > 0 {
		t.Errorf("left: %+v, %+v, %v", a.Incident, a.Suspected, err)
	}
	if n := refusals(t, w); n != 0 {
		t.Errorf("%d deliveries were refused", n)
	}
	for _, task := range tasks {
		wantAtRest(t, taskWork(t, w, task))
	}
}

// told counts the entries of the incident's alarm, and of no other.
func (row shutOut) told(t *testing.T, w *world.World, want int) {
	t.Helper()
	for _, kind := range []string{"account-refused", "client-refused", "grant-revoked", "quota-exhausted"} {
		expected := 0
		if kind == row.alarm || row.alarm == "" && kind == "account-refused" {
			expected = want
		}
		if n := alarms(w, kind); n != expected {
			t.Errorf("%d entries of %s, want %d", n, kind, expected)
		}
	}
}

// dailyLimitExceeded is Google's limit and nobody's fault: it pauses, and is no incident.
func TestADailyLimitIsALimitAndNoIncident(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{Env: short()}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena", "Petro", "Ivan")
		tasks := morning(w, who, 12)
		w.Idle()
		spell := w.Google.Begin(fakegoogle.AccountRefusal("dailyLimitExceeded"))
		moveToAfternoon(t, w, tasks)
		newcomer := w.Employee("Roman")
		w.Idle()
		polls(w, 6)
		a, err := w.Store.Account(t.Context())
		must(t, err)
		if a.Incident != nil || !a.PausedUntil.After(time.Now()) || !a.CreationsResume().After(time.Now()) {
			t.Errorf("incident %+v, paused until %v", a.Incident, a.PausedUntil)
		}
		if a.PauseReason != "dailyLimitExceeded" || a.CreationsPauseReason != "dailyLimitExceeded" {
			t.Errorf("the pauses are recorded as %q and %q", a.PauseReason, a.CreationsPauseReason)
		}
		spell.Remove()
		polls(w, 12) // the longest of the pauses
		wantAfternoon(w, who, len(tasks))
		if w.Calendar(newcomer) == "" {
			t.Error("the newcomer has no calendar")
		}
		if alarms(w, "quota-exhausted") == 0 || alarms(w, "account-refused") != 0 || refusals(t, w) != 0 {
			t.Errorf("%d alarms of a pause, %d of an incident, %d deliveries refused", alarms(w, "quota-exhausted"), alarms(w, "account-refused"), refusals(t, w))
		}
	})
}
