package functions_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	howis "github.com/erp-calendar/erp-calendar/shared/status"
)

// problems are those that GET /api/status tells, of a world with settings.
func problems(t *testing.T, w *world.World, with string) []howis.Trouble {
	t.Helper()
	defaults := w.Environment(world.Options{Settings: with})["DEFAULT_SETTINGS"]
	read := howis.Reader(w.Store, settings.NewSource(w.Store, defaults, w.URL, time.Now), time.Now)
	answer, err := read(t.Context())
	must(t, err)
	return answer.Problems
}

const north = 3

// unreadableCatalogues are the catalogues that workers read, by the ERP's call, and the ways in
// which one cannot be read as a whole.
var (
	unreadableCatalogues = map[string]fakeerp.Rule{
		"states":    {Cat: "task", Action: "get_catalog_state"},
		"types":     {Cat: "task", Action: "get_catalog_type"},
		"divisions": {Cat: "employee", Action: "get_division_list"},
	}
	unreadableAnswers = map[string]fakeerp.Fault{
		"a page":        fakeerp.HTMLPage(http.StatusOK),
		"an error":      fakeerp.ErrorResult("no", http.StatusOK),
		"500":           fakeerp.Status(http.StatusInternalServerError),
		"cut":           fakeerp.Truncated(),
		"no permission": fakeerp.Status(http.StatusForbidden),
		"to log in":     fakeerp.RedirectToLogin(),
		"no data":       fakeerp.Missing("data"),
		"another shape": fakeerp.Replace("data", "none"),
	}
)

// Rule 4.15: a catalogue that cannot be read as a whole costs only what needs it. Events are
// made, moved and taken away, calendars made, renamed and deleted, polls and full runs come to
// their ends; only a state that is not shown waits. It is told within an hour, nothing is deleted
// by it, and it is over by itself.
func TestAnUnreadableCatalogueCostsOnlyWhatNeedsIt(t *testing.T) {
	t.Parallel()
	for which, rule := range unreadableCatalogues {
		for how, fault := range unreadableAnswers {
			t.Run(which+", "+how, func(t *testing.T) {
				t.Parallel()
				inBubble(t, world.Options{Settings: `{"event_title": "{{.Task.Type}} {{.Task.Division}}"}`}, func(t *testing.T, w *world.World) {
					w.ERP.AddDivision(fakeerp.Division{ID: north, Name: "North"})
					ids := withCalendars(t, w, "Anna", "Bohdan", "Vira")
					anna, bohdan, vira := ids[0], ids[1], ids[2]
					task := func(hour int, who ...int64) int64 {
						id := w.Task(w.Tomorrow(hour), who...)
						must(t, w.ERP.UpdateTask(id, func(t *fakeerp.Task) { t.Divisions = []int64{north} }))
						return id
					}
					task(9, anna)
					moved, taken, closed := task(10, anna), task(11, anna), task(12, anna)
					w.Idle()
					w.WantStarts(anna, w.Tomorrow(9), w.Tomorrow(10), w.Tomorrow(11), w.Tomorrow(12))
					titles := func() (out string) {
						for _, e := range w.Events(anna) {
							out += e.Summary + ";"
						}
						return out
					}
					title := titles()[:strings.Index(titles(), ";")]

					rule := rule // several at once spoil the same catalogue
					rule.Count, rule.Fault = -1, fault
					mended := w.ERP.Inject(rule)
					<-time.After(5 * time.Minute)
					must(t, w.ERP.MoveTask(moved, w.Tomorrow(14)))
					must(t, w.ERP.UpdateTask(taken, func(t *fakeerp.Task) { t.Executors = []int64{bohdan} }))
					must(t, w.ERP.CloseTask(closed))
					task(15, anna)
					must(t, w.ERP.UpdateEmployee(bohdan, func(e *fakeerp.Employee) { e.Name = "Bohdan Koval" }))
					must(t, w.ERP.DismissEmployee(vira))
					hired := w.Employee("Hanna")
					task(16, hired)
					w.Idle()
					for range 13 {
						w.Poll()
						<-time.After(5 * time.Minute)
					}
					w.Reconcile()
					open := []time.Time{w.Tomorrow(9), w.Tomorrow(14), w.Tomorrow(15)}
					if which == "states" {
						w.WantStarts(anna, w.Tomorrow(9), w.Tomorrow(12), w.Tomorrow(14), w.Tomorrow(15))
					} else {
						w.WantStarts(anna, open...)
					}
					w.WantStarts(bohdan, w.Tomorrow(11))
					w.WantStarts(hired, w.Tomorrow(16))
					for _, e := range w.Events(anna) {
						if e.Summary != title {
							t.Errorf("a title became %q, and was %q", e.Summary, title)
						}
					}
					if w.Calendar(vira) != "" {
						t.Error("who was dismissed has a calendar")
					}
					if run, found, err := w.Store.LastRun(t.Context(), "reconcile"); err != nil || !found || run.Ended.IsZero() {
						t.Errorf("the full run: %+v, %v", run, err)
					}
					if !strings.Contains(w.Log.String(), `"alarm":"erp-unreadable"`) {
						t.Error("it is not told")
					}

					mended()
					for range 15 {
						w.Poll()
						<-time.After(5 * time.Minute)
					}
					w.WantStarts(anna, open...)
					rec, _, err := w.Store.Task(t.Context(), closed)
					if must(t, err); rec.Failure != nil {
						t.Errorf("the closed task fails still: %+v", rec.Failure)
					}
					if !strings.Contains(w.Log.String(), `"ended":true`) {
						t.Error("the end is not told")
					}
				})
			})
		}
	}
}

// Where a catalogue cannot be read from the beginning, or for longer than a day, calendars live on
// all the same, and no event goes for it.
func TestWithoutAnyCatalogueCalendarsLiveOn(t *testing.T) {
	t.Parallel()
	for which, rule := range unreadableCatalogues {
		for _, late := range []bool{false, true} {
			name := which + ", from the beginning"
			if late {
				name = which + ", for more than a day"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				inBubble(t, world.Options{Settings: `{"event_title": "{{.Task.Type}} {{.Task.Division}}"}`, Quiet: true}, func(t *testing.T, w *world.World) {
					w.ERP.AddDivision(fakeerp.Division{ID: north, Name: "North"})
					anna := w.Employee("Anna")
					start := time.Now().Add(14 * 24 * time.Hour).Truncate(time.Hour)
					of := func(id int64, at time.Time) int64 {
						task := w.Task(at, id)
						must(t, w.ERP.UpdateTask(task, func(t *fakeerp.Task) { t.Divisions = []int64{north} }))
						return task
					}
					closed := of(anna, start)
					rule := rule // several at once spoil the same catalogue
					rule.Count, rule.Fault = -1, fakeerp.HTMLPage(http.StatusOK)
					var before []time.Time
					if late {
						w.Reconcile()
						before = w.Starts(anna)
					}
					mended := w.ERP.Inject(rule)
					if late {
						<-time.After(26 * time.Hour)
					}
					bohdan := w.Employee("Bohdan")
					of(bohdan, start.Add(time.Hour))
					w.Reconcile()
					for range 4 {
						w.Poll()
						<-time.After(5 * time.Minute)
					}
					if w.Calendar(anna) == "" || w.Calendar(bohdan) == "" {
						t.Fatalf("calendars %q and %q", w.Calendar(anna), w.Calendar(bohdan))
					}
					w.WantStarts(anna, before...)
					must(t, w.ERP.UpdateEmployee(anna, func(e *fakeerp.Employee) { e.Email = "" }))
					for range 4 {
						w.Poll()
						<-time.After(5 * time.Minute)
					}
					if w.Calendar(anna) != "" {
						t.Error("who lost the address has a calendar")
					}
					must(t, w.ERP.UpdateEmployee(anna, func(e *fakeerp.Employee) { e.Email = "anna@provider.example" }))
					must(t, w.ERP.CloseTask(closed))
					mended()
					for range 30 {
						w.Poll()
						<-time.After(5 * time.Minute)
					}
					w.WantStarts(anna)
					w.WantStarts(bohdan, start.Add(time.Hour))
				})
			})
		}
	}
}

// Rule 5.9: where the ERP does not know the cards' field, everybody has their calendar all the same,
// it is told once, and mended it heals by itself within a day.
func TestAFieldThatTheERPDoesNotKnowCostsNoCalendar(t *testing.T) {
	t.Parallel()
	const field = 99
	inBubble(t, world.Options{Settings: `{"calendar_id_field": 99}`}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Anna", "Bohdan", "Vira", "Hanna")
		w.Task(w.Tomorrow(9), ids...)
		w.Idle()
		for range 13 {
			w.Poll()
			<-time.After(5 * time.Minute)
		}
		w.Reconcile()
		for _, id := range ids {
			w.WantStarts(id, w.Tomorrow(9))
			rec, _, err := w.Store.Employee(t.Context(), id)
			if must(t, err); rec.Failure != nil || rec.Dirty != 0 || rec.CardFailure == nil {
				t.Errorf("employee %d: %+v, dirty %d, the card %+v", id, rec.Failure, rec.Dirty, rec.CardFailure)
			}
		}
		if n := strings.Count(w.Log.String(), `"alarm":"cards-refused"`); n != 1 {
			t.Errorf("told %d times", n)
		}
		told := problems(t, w, `{"calendar_id_field": 99}`)
		if len(told) != 1 || told[0].Kind != howis.CardsRefused || told[0].Count != len(ids) || told[0].Cause == "" ||
			told[0].Since == nil || time.Since(*told[0].Since) < time.Hour {
			t.Errorf("the status says %+v", told)
		}
		w.ERP.AddEmployeeField(fakeerp.Field{ID: field, Caption: "Calendar id", Kind: fakeerp.FieldText})
		for range 24 {
			w.Poll()
			<-time.After(time.Hour)
		}
		for _, id := range ids {
			if e, _ := w.ERP.Employee(id); e.Fields[field] != w.Calendar(id) {
				t.Errorf("employee %d: the card has %q", id, e.Fields[field])
			}
		}
		if n := strings.Count(w.Log.String(), `"alarm":"cards-refused"`); n != 2 {
			t.Errorf("told %d times, its end too", n)
		}
		w.Poll()
		if told := problems(t, w, `{"calendar_id_field": 99}`); len(told) > 0 {
			t.Errorf("mended, the status says %+v", told)
		}
	})
}
