package main

import (
	"strings"
	"testing"

	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// The doctor finds out, by reading only, which way the ERP has of E1, E2, E4 and E5, and says
// what to set or to mend.
func TestTheWaysOfAnERPAreFoundOut(t *testing.T) {
	for name, row := range map[string]struct {
		change func(r *world, w *fakeerp.Ways)
		states states
		words  []string
	}{
		"as assumed": {func(*world, *fakeerp.Ways) {}, nil, []string{"read in the URL and in the form", `"9999-99-99 99:99:99"`}},
		"E1 query only": {func(_ *world, w *fakeerp.Ways) { w.Parameters = fakeerp.ParametersInQuery },
			states{"erp.key": fault}, []string{"ERP_KEY_IN_QUERY=true"}},
		"E1 query only, set so": {func(r *world, w *fakeerp.Ways) {
			w.Parameters, r.env["ERP_KEY_IN_QUERY"] = fakeerp.ParametersInQuery, "true"
		}, nil, []string{"read in the URL only"}},
		"E1 body only": {func(_ *world, w *fakeerp.Ways) { w.Parameters = fakeerp.ParametersInBody }, nil, []string{"read in the form only"}},
		"E2 bad task": {func(_ *world, w *fakeerp.Ways) { w.BadTasks = []int64{100} },
			states{"erp.tasks": warning}, []string{"gives no usable answer that includes it"}},
		"E2 bad employee": {func(_ *world, w *fakeerp.Ways) { w.BadEmployees = []int64{firstAnn} },
			states{"employees.read": warning}, []string{"gives no usable answer that includes it"}},
		"E4 filter ignored": {func(_ *world, w *fakeerp.Ways) { w.UnassignedIgnored = true },
			states{"erp.unassigned": warning}, []string{"is the list of all"}},
		"E5 other dates": {func(_ *world, w *fakeerp.Ways) { w.Dates = "02.01.2006, 15:04" }, nil, []string{`"99.99.9999, 99:99"`}},
		"E5 odd dates": {func(_ *world, w *fakeerp.Ways) { w.Dates = "Jan 2 2006" },
			states{"erp.dates": warning, "erp.tasks": warning}, []string{"a date cannot be read: "}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newWorld(t, setup{})
			r.erp.ChangeWays(func(w *fakeerp.Ways) { row.change(r, w) })
			e := r.examine()
			for id, want := range row.states {
				if f := e.finding(id); f.State != want {
					t.Errorf("%s is %s, want %s: %s", id, f.State, want, f.Text)
				}
			}
			for _, words := range row.words {
				if !strings.Contains(e.people, words) {
					t.Errorf("%q is not said:\n%s", words, e.people)
				}
			}
		})
	}
}
