package functions_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	howis "github.com/erp-calendar/erp-calendar/shared/status"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// anotherLanguage are the roles of the world's states in words that nobody knows.
func anotherLanguage() map[int64]any {
	return map[int64]any{world.Open: "Не виконано", world.Working: "Виконується", world.Closed: "Виконано"}
}

// Rule 4.16: an update of the ERP that spells roles otherwise, by text instead of by number or
// the other way round, or in another language, changes nothing: no write, no deletion, no
// failure, no alarm; and tasks come and go as before.
func TestRolesThatAreSpelledOtherwiseChangeNothing(t *testing.T) {
	t.Parallel()
	numbers := func(ways *fakeerp.Ways) { ways.RolesAsText, ways.OddRoles = false, nil }
	texts := func(ways *fakeerp.Ways) { ways.RolesAsText, ways.OddRoles = true, nil }
	strange := func(ways *fakeerp.Ways) { ways.RolesAsText, ways.OddRoles = false, anotherLanguage() }
	for name, spelled := range map[string][]func(*fakeerp.Ways){
		"numbers, then texts":                 {numbers, texts, numbers},
		"texts, then numbers":                 {texts, numbers, texts},
		"numbers, then texts nobody knows":    {numbers, strange, numbers, texts},
		"texts, then texts in another tongue": {texts, strange, texts, numbers},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The ERP spells roles so from the beginning, and the admin chose them as they were shown.
			settings := ""
			if strings.HasPrefix(name, "texts") {
				roles := []calendarsync.RoleID{userside.TextRole("Not completed"), userside.TextRole("In progress")}
				settings = `{"shown_roles": [` + itoa(int64(roles[0])) + `,` + itoa(int64(roles[1])) + `]}`
			}
			inBubble(t, world.Options{Settings: settings}, func(t *testing.T, w *world.World) {
				w.ERP.ChangeWays(spelled[0])
				<-time.After(time.Minute)
				anna := withCalendars(t, w, "Anna")[0]
				open := map[int64]time.Time{}
				for hour := 6; hour < 20; hour++ { // more than the guard lets go
					open[w.Task(w.Tomorrow(hour), anna)] = w.Tomorrow(hour)
				}
				w.Idle()
				var closed int64
				for n, respell := range spelled[1:] {
					w.Google.ResetRequests()
					w.ERP.ChangeWays(respell)
					<-time.After(time.Minute)
					w.Notify("task.changed", slices.Collect(maps.Keys(open))...)
					w.Idle()
					for range 4 {
						w.Poll()
						<-time.After(20 * time.Minute)
					}
					w.Reconcile()
					w.Idle()
					for _, c := range w.Calls() {
						if c.HTTPMethod != http.MethodGet {
							t.Errorf("spelled otherwise for time %d: %s", n+1, c.Method)
						}
					}
					rec, _, err := w.Store.Task(t.Context(), slices.Min(slices.Collect(maps.Keys(open))))
					if must(t, err); rec.Failure != nil || rec.Dirty != 0 {
						t.Errorf("spelled otherwise for time %d: a task is %+v, dirty %d", n+1, rec.Failure, rec.Dirty)
					}
					// What happens in the ERP happens in the calendar, what was closed before included.
					if closed != 0 {
						must(t, w.ERP.ReopenTask(closed))
						open[closed] = w.Tomorrow(6)
					}
					closed = slices.Min(slices.Collect(maps.Keys(open)))
					must(t, w.ERP.CloseTask(closed))
					delete(open, closed)
					at := w.Tomorrow(20 + n)
					open[w.Task(at, anna)] = at
					w.Idle()
					w.WantStarts(anna, slices.SortedFunc(maps.Values(open), time.Time.Compare)...)
				}
				if strings.Contains(w.Log.String(), `"alarm":`) {
					t.Error("an alarm was raised")
				}
			})
		})
	}
}

// Rule 4.13: a role text that nobody knows, among others that are known, concerns its state
// alone; what is in it stays as it is, and it is told.
func TestARoleTextThatNobodyKnowsConcernsItsStateAlone(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		anna := withCalendars(t, w, "Anna")[0]
		first, second := w.Task(w.Tomorrow(9), anna), w.Task(w.Tomorrow(10), anna)
		must(t, w.ERP.SetTaskState(second, world.Working))
		w.Idle()
		w.ERP.ChangeWays(func(ways *fakeerp.Ways) { ways.RolesAsText = true })
		<-time.After(time.Minute)
		w.Poll()
		w.Idle()
		w.ERP.ChangeWays(func(ways *fakeerp.Ways) { ways.OddRoles = map[int64]any{world.Working: "Whatever"} })
		<-time.After(time.Minute)
		must(t, w.ERP.MoveTask(first, w.Tomorrow(11)))
		must(t, w.ERP.MoveTask(second, w.Tomorrow(12)))
		for range 14 {
			w.Poll()
			<-time.After(10 * time.Minute)
		}
		w.Reconcile()
		w.WantStarts(anna, w.Tomorrow(10), w.Tomorrow(11))
		if !strings.Contains(w.Log.String(), `"alarm":"erp-unreadable"`) {
			t.Error("it is not told")
		}
		odd := func(p howis.Trouble) bool {
			return p.Kind == howis.ERPUnreadable && p.Since != nil && strings.Contains(p.Cause, "state 2")
		}
		if told := problems(t, w, ""); !slices.ContainsFunc(told, odd) {
			t.Errorf("the status says %+v", told)
		}
		w.ERP.ChangeWays(func(ways *fakeerp.Ways) { ways.OddRoles = nil })
		<-time.After(time.Minute)
		w.Reconcile()
		w.Poll()
		if told := problems(t, w, ""); len(told) > 0 {
			t.Errorf("mended, the status says %+v", told)
		}
		w.WantStarts(anna, w.Tomorrow(11), w.Tomorrow(12))
	})
}

// Rule 4.16: where nobody can know which role is which, because the database was lost while
// the ERP spelled them otherwise, nothing is deleted or written for it, and an admin chooses
// the roles anew.
func TestRolesThatNobodyCanTellDeleteNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		anna := withCalendars(t, w, "Anna")[0]
		task := w.Task(w.Tomorrow(9), anna)
		w.Idle()
		// The memory is lost, and the product with it.
		must(t, w.Backend().Transact(t.Context(), func(tx store.Tx) error {
			return tx.Delete(store.Ref{Collection: store.Polls, ID: "known-roles"})
		}))
		w.ERP.ChangeWays(func(ways *fakeerp.Ways) { ways.RolesAsText = true })
		again := w.Again(world.Options{Bubble: true, Backend: w.Backend()})
		again.Google.ResetRequests()
		for range 12 {
			again.Poll()
			again.Notify("task.changed", task)
			<-time.After(30 * time.Minute)
		}
		again.Reconcile()
		for _, c := range again.Calls() {
			if c.HTTPMethod != http.MethodGet {
				t.Errorf("called %s", c.Method)
			}
		}
		again.WantStarts(anna, again.Tomorrow(9))
		rec, _, err := again.Store.Task(t.Context(), task)
		if must(t, err); rec.Failure == nil {
			t.Error("it is not told")
		}
	})
}
