package functions_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// The lives of a calendar (section 5 of shared/README.md): one transition a
// test, judged from what the stand-ins hold afterwards and from the order in
// which Google was asked.

func TestANewAddressCostsTheOldShareAtOnceAndTheOldCalendarLast(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		starts := tasksOf(w, who, 9, 10)
		w.Idle()
		before := w.Calendar(who)
		w.Google.ResetRequests()
		setAddress(t, w, who, "olena.new@provider.example")
		w.Idle()
		after := w.Calendar(who)
		wantOrder(t, w, done{"calendar.acl.delete", before}, done{"calendar.calendars.insert", ""}, done{"calendar.acl.insert", after},
			done{"calendar.events.insert", after}, done{"calendar.calendars.delete", before})
		if n := filledBefore(w, after, done{"calendar.calendars.delete", before}); n != len(starts) {
			t.Errorf("the new calendar held %d of %d events when the old one went", n, len(starts))
		}
		wantReaders(t, w, before)
		wantReaders(t, w, after, "olena.new@provider.example")
		w.WantStarts(who, starts...)
	})
}

func TestASecondNewAddressRetargetsTheCreationThatGoogleRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		starts := tasksOf(w, who, 9)
		w.Idle()
		before := w.Calendar(who)
		refusal := w.Google.Inject(fakegoogle.Fault{Method: "calendar.calendars.insert", Count: -1, Status: http.StatusForbidden, Reason: "forbidden"})
		setAddress(t, w, who, "slip@provider.example")
		w.Idle()
		// Whoever reads the old address sees nothing more, though nothing replaced it.
		wantReaders(t, w, before)
		if got := w.Calendar(who); got != before {
			t.Fatalf("the calendar is %q, want the old one %q until the new one is filled", got, before)
		}
		refusal.Remove()
		setAddress(t, w, who, "olena.new@provider.example")
		w.Idle()
		after := w.Calendar(who)
		if after == "" || after == before {
			t.Fatalf("calendar %q after %q", after, before)
		}
		wantReaders(t, w, after, "olena.new@provider.example")
		w.WantStarts(who, starts...)
		for _, m := range w.Google.Mails() {
			if m.To == "slip@provider.example" {
				t.Error("the address in between was invited")
			}
		}
	})
}

func TestARemovedAddressCostsTheShareThenTheCalendar(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		starts := tasksOf(w, who, 9)
		w.Idle()
		before := w.Calendar(who)
		w.Google.ResetRequests()
		setAddress(t, w, who, "  ")
		w.Idle()
		wantTakenDown(t, w, who, before)
		wantReason(t, w, who, store.StateNone, calendarsync.ReasonNoAddress)
		setAddress(t, w, who, "olena@provider.example")
		w.Idle()
		w.WantStarts(who, starts...)
	})
}

func TestTheSameAddressInOtherLettersIsNoNewAddress(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		before := w.Calendar(who)
		setAddress(t, w, who, " Olena@Provider.Example ")
		w.Idle()
		if after := w.Calendar(who); after != before {
			t.Errorf("calendar %q after %q", after, before)
		}
		if n := len(w.Google.Requests(fakegoogle.Filter{Method: "calendar.*", Writes: true})); n != 0 {
			t.Errorf("%d writes", n)
		}
	})
}

func TestAnInvalidAddressCostsTheCalendarOnlyAfterTheSecondReading(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{Env: map[string]string{"ABSENCE_SECONDS": "1"}}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		starts := tasksOf(w, who, 9)
		w.Idle()
		before := w.Calendar(who)
		w.Google.ResetRequests()
		setAddress(t, w, who, "olena at provider.example")
		w.Idle()
		if got := w.Calendar(who); got != before {
			t.Fatalf("one reading of an invalid address left calendar %q of %q", got, before)
		}
		wantReaders(t, w, before, "olena@provider.example")
		eventually(t, func() bool {
			w.Poll()
			return w.Calendar(who) == ""
		})
		wantTakenDown(t, w, who, before)
		wantReason(t, w, who, store.StateNone, calendarsync.ReasonInvalidAddress)
		setAddress(t, w, who, "olena@provider.example")
		w.Idle()
		w.WantStarts(who, starts...)
		wantReason(t, w, who, store.StateActive, "")
	})
}

func TestASlipInTheAddressThatIsMendedCostsNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		before := w.Calendar(who)
		setAddress(t, w, who, "olena@provider")
		w.Idle()
		setAddress(t, w, who, "olena@provider.example")
		w.Idle()
		w.Poll()
		if got := w.Calendar(who); got != before {
			t.Errorf("calendar %q after %q", got, before)
		}
		if n := len(w.Google.Requests(fakegoogle.Filter{Method: "calendar.*", Writes: true})); n != 0 {
			t.Errorf("%d writes", n)
		}
		rec, _, err := w.Store.Employee(t.Context(), who)
		must(t, err)
		if !rec.AbsentSince.IsZero() {
			t.Error("the doubt outlived its cause")
		}
	})
}

func TestTwoPeopleWithOneAddressHaveTwoCalendars(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro")
		mine, theirs := tasksOf(w, ids[0], 9), tasksOf(w, ids[1], 10)
		w.Idle()
		setAddress(t, w, ids[1], "Olena@provider.example")
		w.Idle()
		if w.Calendar(ids[0]) == w.Calendar(ids[1]) {
			t.Fatal("they share a calendar")
		}
		for i, id := range ids {
			wantReaders(t, w, w.Calendar(id), "olena@provider.example")
			w.WantStarts(id, [][]time.Time{mine, theirs}[i]...)
		}
		w.Google.ResetRequests()
		w.Reconcile()
		if n := len(w.Google.Requests(fakegoogle.Filter{Method: "calendar.*", Writes: true})); n != 0 {
			t.Errorf("a full run over them made %d writes", n)
		}
	})
}

func TestBoundAgainIsANewCalendarWithABeginningOfItsOwn(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro")
		starts := tasksOf(w, ids[0], 9)
		w.Idle()
		before, others := w.Calendar(ids[0]), w.Calendar(ids[1])
		kept := beginning(t, w, others)
		w.Google.ResetRequests()
		must(t, w.ERP.SetField(ids[0], world.Binding, "0"))
		w.Idle()
		wantTakenDown(t, w, ids[0], before)
		wantReason(t, w, ids[0], store.StateNone, calendarsync.ReasonUnbound)

		// Three days instead of one, so that the new beginning differs for certain.
		configure(t, w, func(s *calendarsync.Settings) { s.BackfillHours = 72 })
		must(t, w.ERP.SetField(ids[0], world.Binding, "1"))
		w.Idle()
		after := w.Calendar(ids[0])
		if after == "" || after == before {
			t.Fatalf("calendar %q after %q", after, before)
		}
		if gap := time.Since(beginning(t, w, after)); gap < 71*time.Hour || gap > 73*time.Hour {
			t.Errorf("the new calendar begins %s ago, want 72h", gap)
		}
		if got := beginning(t, w, others); !got.Equal(kept) || w.Calendar(ids[1]) != others {
			t.Errorf("the other's calendar begins at %s, began at %s", got, kept)
		}
		w.WantStarts(ids[0], starts...)
	})
}

func TestADismissalCostsTheShareThenTheCalendarAndTakenBackIsANewOne(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro")
		starts := tasksOf(w, ids[0], 9)
		w.Idle()
		before := w.Calendar(ids[0])
		w.Google.ResetRequests()
		must(t, w.ERP.DismissEmployee(ids[0]))
		w.Idle()
		wantTakenDown(t, w, ids[0], before)
		wantReason(t, w, ids[0], store.StateNone, calendarsync.ReasonDismissed)
		must(t, w.ERP.RehireEmployee(ids[0]))
		w.Idle()
		if after := w.Calendar(ids[0]); after == "" || after == before {
			t.Fatalf("calendar %q after %q", after, before)
		}
		wantReaders(t, w, w.Calendar(ids[0]), "olena@provider.example")
		w.WantStarts(ids[0], starts...)
	})
}

func TestASignedDeletionFromTheERPCostsTheCalendarAtOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro")
		tasksOf(w, ids[0], 9)
		w.Idle()
		before := w.Calendar(ids[0])
		w.Google.ResetRequests()
		must(t, w.ERP.DeleteEmployee(ids[0])) // its hook sends employee.deleted
		w.Idle()
		wantTakenDown(t, w, ids[0], before)
		if status, _ := card(t, w, ids[0]); status != http.StatusNotFound {
			t.Errorf("the card of somebody who is gone: status %d", status)
		}
		if w.Calendar(ids[1]) == "" {
			t.Error("the other's calendar went too")
		}
	})
}

func TestADeletionThatNobodyToldCostsTheCalendarAfterTwoReadings(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{Env: map[string]string{"ABSENCE_SECONDS": "1"}}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro")
		tasksOf(w, ids[0], 9)
		w.Idle()
		w.Poll()
		before := w.Calendar(ids[0])
		w.SetQuiet(true)
		must(t, w.ERP.DeleteEmployee(ids[0]))
		w.Google.ResetRequests()
		w.Poll()
		if got := w.Calendar(ids[0]); got != before {
			t.Fatalf("one reading left calendar %q of %q", got, before)
		}
		wantReaders(t, w, before, "olena@provider.example")
		eventually(t, func() bool {
			w.Poll()
			return w.Calendar(ids[0]) == ""
		})
		wantTakenDown(t, w, ids[0], before)
		if w.Calendar(ids[1]) == "" {
			t.Error("the other's calendar went too")
		}
	})
}

// TestWhileSyncingIsOffNothingIsWrittenAndAfterwardsItFollows shows rule 4.6.
func TestWhileSyncingIsOffNothingIsWrittenAndAfterwardsItFollows(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro")
		moved, closed := w.Task(w.Tomorrow(9), ids[0]), w.Task(w.Tomorrow(10), ids[0])
		unheard := w.Task(w.Tomorrow(11), ids[0])
		w.Idle()
		w.Poll()
		calendars := []string{w.Calendar(ids[0]), w.Calendar(ids[1])}

		configure(t, w, func(s *calendarsync.Settings) { s.Enabled = false })
		w.Google.ResetRequests()
		must(t, w.ERP.MoveTask(moved, w.Tomorrow(15)))
		must(t, w.ERP.CloseTask(closed))
		must(t, w.ERP.DismissEmployee(ids[1]))
		newcomer := w.Employee("Ivan")
		w.SetQuiet(true)
		must(t, w.ERP.MoveTask(unheard, w.Tomorrow(16)))
		w.SetQuiet(false)
		w.Idle()
		w.Poll()
		w.Reconcile()
		if n := len(w.Google.Requests(fakegoogle.Filter{Method: "calendar.*", Writes: true})); n != 0 {
			t.Errorf("%d writes while syncing is off", n)
		}
		w.WantStarts(ids[0], w.Tomorrow(9), w.Tomorrow(10), w.Tomorrow(11))
		wantReaders(t, w, calendars[1], "petro@provider.example")
		wantReason(t, w, newcomer, store.StatePending, calendarsync.ReasonPaused)

		configure(t, w, func(s *calendarsync.Settings) { s.Enabled = true })
		w.Poll()
		w.WantStarts(ids[0], w.Tomorrow(15), w.Tomorrow(16))
		wantTakenDown(t, w, ids[1], calendars[1])
		if w.Calendar(ids[0]) != calendars[0] || w.Calendar(newcomer) == "" {
			t.Errorf("calendars %q (was %q) and %q", w.Calendar(ids[0]), calendars[0], w.Calendar(newcomer))
		}
		if pending, err := w.Store.PendingTasks(t.Context(), 10); err != nil || len(pending) != 0 {
			t.Errorf("still pending: %+v, %v", pending, err)
		}
	})
}

// TestDepartmentsComeAndGoWithTheSettingAndTheMembership shows rule 5.4.
func TestDepartmentsComeAndGoWithTheSettingAndTheMembership(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		crew := w.ERP.AddDivision(fakeerp.Division{Name: "Crew"})
		ids := withCalendars(t, w, "Olena", "Petro", "Ivan")
		must(t, w.ERP.SetMembership(ids[0], crew, true))
		must(t, w.ERP.SetMembership(ids[1], crew, true))
		shared := w.ERP.AddTask(fakeerp.Task{TypeID: world.Type, StateID: world.Open, Todo: w.Tomorrow(9), Divisions: []int64{crew}})
		w.ERP.AddTask(fakeerp.Task{TypeID: world.Type, StateID: world.Open, Todo: w.Tomorrow(10), Executors: ids[:1], Divisions: []int64{crew}})
		w.Task(w.Tomorrow(11), ids[1])
		w.Idle()
		w.WantStarts(ids[0], w.Tomorrow(10))
		w.WantStarts(ids[1], w.Tomorrow(11))

		configure(t, w, func(s *calendarsync.Settings) { s.IncludeDepartments = true })
		// Own and the department's together, the one that is both once.
		w.WantStarts(ids[0], w.Tomorrow(9), w.Tomorrow(10))
		w.WantStarts(ids[1], w.Tomorrow(9), w.Tomorrow(10), w.Tomorrow(11))
		w.WantStarts(ids[2])

		must(t, w.ERP.SetMembership(ids[1], crew, false))
		must(t, w.ERP.SetMembership(ids[2], crew, true))
		w.Idle()
		w.WantStarts(ids[0], w.Tomorrow(9), w.Tomorrow(10))
		w.WantStarts(ids[1], w.Tomorrow(11))
		w.WantStarts(ids[2], w.Tomorrow(9), w.Tomorrow(10))

		must(t, w.ERP.MoveTask(shared, w.Tomorrow(14)))
		w.Idle()
		w.WantStarts(ids[0], w.Tomorrow(10), w.Tomorrow(14))
		w.WantStarts(ids[2], w.Tomorrow(10), w.Tomorrow(14))

		configure(t, w, func(s *calendarsync.Settings) { s.IncludeDepartments = false })
		w.WantStarts(ids[0], w.Tomorrow(10))
		w.WantStarts(ids[1], w.Tomorrow(11))
		w.WantStarts(ids[2])
	})
}

func TestANewZoneMovesEveryEventOnceTheERPAgrees(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro")
		for _, id := range ids {
			tasksOf(w, id, 9, 10)
		}
		w.Idle()
		w.Google.ResetRequests()
		// The ERP still keeps Kyiv's time: moved now, every event would be at a wrong
		// hour (rule 9.4).
		configure(t, w, func(s *calendarsync.Settings) { s.TimeZone = "Europe/Warsaw" })
		if n := len(w.Google.Requests(fakegoogle.Filter{Method: "calendar.*", Writes: true})); n != 0 {
			t.Errorf("%d writes while the ERP's clock disagrees", n)
		}
		w.ERP.Inject(fakeerp.Rule{Count: -1, Fault: fakeerp.ClockOffset(-time.Hour)})
		configure(t, w, func(*calendarsync.Settings) {})
		for _, id := range ids {
			var want []time.Time
			for _, hour := range []int{9, 10} {
				want = append(want, w.Tomorrow(hour).Add(time.Hour))
			}
			w.WantStarts(id, want...)
			for _, e := range w.Events(id) {
				if e.Start.TimeZone != "Europe/Warsaw" || e.End.TimeZone != "Europe/Warsaw" {
					t.Errorf("event in zones %s and %s", e.Start.TimeZone, e.End.TimeZone)
				}
			}
		}
		wantOneUpdateEach(t, w, ids)
	})
}

func TestNewTextsAndColoursReachEveryEvent(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro")
		for _, id := range ids {
			tasksOf(w, id, 9, 10)
		}
		w.Idle()
		w.Google.ResetRequests()
		configure(t, w, func(s *calendarsync.Settings) {
			s.EventTitle, s.EventDescription = "No. {{.Task.ID}}", "For {{.Employee.Name}}\n{{.Task.URL}}"
			s.Colors = map[string]int{itoa(world.Type): 11}
		})
		for i, id := range ids {
			for _, e := range w.Events(id) {
				if !strings.HasPrefix(e.Summary, "No. ") || !strings.HasPrefix(e.Description, "For "+[]string{"Olena", "Petro"}[i]) || e.ColorId != "11" {
					t.Errorf("event %q, %q, colour %q", e.Summary, e.Description, e.ColorId)
				}
			}
		}
		wantOneUpdateEach(t, w, ids)

		w.Google.ResetRequests()
		configure(t, w, func(s *calendarsync.Settings) {
			s.Colors = map[string]int{}
			s.CalendarName = "Tasks of {{.Employee.Name}}"
		})
		for i, id := range ids {
			if got, want := calendarNamed(t, w, w.Calendar(id)).Summary, "Tasks of "+[]string{"Olena", "Petro"}[i]; got != want {
				t.Errorf("calendar is called %q, want %q", got, want)
			}
			for _, e := range w.Events(id) {
				if e.ColorId != "" {
					t.Errorf("colour %q stayed", e.ColorId)
				}
			}
		}
		wantOneUpdateEach(t, w, ids)
	})
}

func TestNewRolesAndAnotherBindingChangeWhatAndWhoIsShown(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		unbound := w.ERP.AddEmployee(fakeerp.Employee{Name: "Petro", Email: "petro@provider.example", Fields: map[int64]string{world.Binding: "0"}})
		w.Task(w.Tomorrow(9), who)
		w.ERP.AddTask(fakeerp.Task{TypeID: world.Type, StateID: world.Working, Todo: w.Tomorrow(10), Executors: []int64{who, unbound}})
		w.Idle()
		w.WantStarts(who, w.Tomorrow(9), w.Tomorrow(10))
		wantReason(t, w, unbound, store.StateNone, calendarsync.ReasonUnbound)

		configure(t, w, func(s *calendarsync.Settings) {
			s.ShownRoles, s.BindingField = []calendarsync.RoleID{calendarsync.RoleID(fakeerp.RoleInProgress)}, 0
		})
		w.WantStarts(who, w.Tomorrow(10))
		w.WantStarts(unbound, w.Tomorrow(10))

		configure(t, w, func(s *calendarsync.Settings) {
			s.ShownRoles, s.BindingField = append(s.ShownRoles, calendarsync.RoleID(fakeerp.RoleNotCompleted)), world.Binding
		})
		w.WantStarts(who, w.Tomorrow(9), w.Tomorrow(10))
		if c := w.Calendar(unbound); c != "" {
			t.Errorf("calendar %s of somebody who is not bound", c)
		}
	})
}

func TestTheCardTellsEachStateOfACalendar(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{Disconnected: true}, func(t *testing.T, w *world.World) {
		expect := func(id int64, state store.EmployeeState, calendar string) {
			t.Helper()
			status, got := card(t, w, id)
			want := map[string]any{"employee_id": float64(id), "state": string(state)}
			if calendar != "" {
				want["calendar_id"] = calendar
				want["add_url"] = "https://calendar.google.com/calendar/r?cid=" + base64.RawURLEncoding.EncodeToString([]byte(calendar))
			}
			if status != http.StatusOK || !sameObject(got, want) {
				t.Errorf("card %v (status %d), want %v", got, status, want)
			}
		}
		if status, _ := card(t, w, 4711); status != http.StatusNotFound {
			t.Errorf("the card of nobody: status %d", status)
		}
		who := w.Employee("Olena")
		w.Idle()
		expect(who, store.StatePending, "")

		w.Connect()
		refusal := w.Google.Inject(fakegoogle.Fault{Method: "calendar.acl.insert", Count: -1, Status: http.StatusForbidden, Reason: "forbidden"})
		configure(t, w, func(*calendarsync.Settings) {})
		expect(who, store.StateError, "")

		refusal.Remove()
		w.Notify("employee.changed", who)
		w.Idle()
		expect(who, store.StateActive, w.Calendar(who))

		refusal = w.Google.Inject(fakegoogle.Fault{Method: "calendar.calendars.delete", Count: -1, Status: http.StatusForbidden, Reason: "forbidden"})
		must(t, w.ERP.SetField(who, world.Binding, ""))
		w.Idle()
		expect(who, store.StateDeleting, "")

		refusal.Remove()
		w.Notify("employee.changed", who)
		w.Idle()
		expect(who, store.StateNone, "")
		if w.Calendar(who) != "" {
			t.Error("the calendar is still there")
		}
	})
}

// TestTheCalendarsIDIsWrittenIntoTheCardOncePerChange shows rule 5.5.
func TestTheCalendarsIDIsWrittenIntoTheCardOncePerChange(t *testing.T) {
	t.Parallel()
	const field = 7
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		w.ERP.AddEmployeeField(fakeerp.Field{ID: field, Caption: "Calendar id", Kind: fakeerp.FieldText})
		who := withCalendars(t, w, "Olena")[0]
		expect := func(when, value string) {
			t.Helper()
			e, _ := w.ERP.Employee(who)
			if e.Fields[field] != value {
				t.Errorf("%s: the field holds %q, want %q", when, e.Fields[field], value)
			}
			writes := w.ERP.Requests(fakeerp.Writes)
			if len(writes) != 1 {
				t.Errorf("%s: %d writes to the ERP, want one", when, len(writes))
			}
			for _, r := range writes {
				if !r.Silent || r.Method != http.MethodPost || r.KeyIn != "body" {
					t.Errorf("%s: %s %s/%s, skip_internal_api %v, key in the %s", when, r.Method, r.Cat, r.Action, r.Silent, r.KeyIn)
				}
			}
			w.ERP.ResetRequests()
		}
		w.ERP.ResetRequests()
		configure(t, w, func(s *calendarsync.Settings) { s.CalendarIDField = field })
		expect("configured", w.Calendar(who))

		w.Notify("employee.changed", who)
		w.Idle()
		w.Poll()
		w.Reconcile()
		if n := len(w.ERP.Requests(fakeerp.Writes)); n != 0 {
			t.Errorf("%d writes to the ERP though nothing changed", n)
		}
		setAddress(t, w, who, "olena.new@provider.example")
		w.Idle()
		expect("new address", w.Calendar(who))
		must(t, w.ERP.SetField(who, world.Binding, ""))
		w.Idle()
		expect("unbound", "")
		must(t, w.ERP.SetField(who, world.Binding, "1"))
		w.Idle()
		expect("bound again", w.Calendar(who))
	})
}
