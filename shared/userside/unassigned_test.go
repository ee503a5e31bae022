package userside

import (
	"fmt"
	"net/url"
	"slices"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// That show leaves the executors out proves nothing; that the ERP lists the task among
// those without executors does (rule 4.1).
func TestATaskWithoutExecutorsIsSaidToHaveNone(t *testing.T) {
	const unassigned, everything, failed = `{"result":"OK","count":2,"list":"5,8"}`, `{"result":"OK","count":4,"list":"4,5,8,9"}`, `{"result":"ERROR"}`
	for _, row := range []struct {
		name, staff string
		unassigned  string // employee_id=-1
		all         string // without a filter by executor
		none        bool   // said and empty
		said        bool
		lists       int
	}{
		{"staff is missing", ``, unassigned, everything, true, true, 2},
		{"the map is missing", `,"staff":{"division":{"3":3}}`, unassigned, everything, true, true, 2},
		{"staff is empty", `,"staff":[]`, unassigned, everything, true, true, 2},
		{"staff is null", `,"staff":null`, unassigned, everything, true, true, 2},
		{"the map is there and empty", `,"staff":{"employee":[]}`, failed, failed, true, true, 0},
		{"the map is there", `,"staff":{"employee":{"7":7}}`, failed, failed, false, true, 0},
		{"not on the list", ``, `{"result":"OK","count":1,"list":"8"}`, everything, false, false, 2},
		{"the list is empty", ``, `{"result":"OK","count":0,"list":""}`, everything, false, false, 1},
		{"the list fails", ``, failed, everything, false, false, 1},
		{"half a list", ``, `{"result":"OK","count":7,"list":"5,8"}`, everything, false, false, 1},
		{"an ERP that ignores the filter", ``, everything, everything, false, false, 2},
		{"an ERP that may ignore it", ``, unassigned, failed, false, false, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			lists := 0
			e := &erp{answer: func(_ int, f url.Values) (int, string) {
				switch {
				case f.Get("action") == "show":
					return 200, fmt.Sprintf(`{"result":"OK","data":{"id":5,"state":{"id":11}%s}}`, row.staff)
				case f.Get("state_id") != "11":
					return 200, failed
				}
				lists++
				if f.Get("employee_id") == "-1" && f.Get("staff_id") == "-1" {
					return 200, row.unassigned
				}
				return 200, row.all
			}}
			c := clientFor(t, e)
			got, err := c.Tasks(t.Context(), taskIDs{5})
			if err != nil || got[5].Task == nil {
				t.Fatalf("%+v, %v", got, err)
			}
			executors, said := got[5].Task.Executors.Get()
			if said != row.said || said && (len(executors) == 0) != row.none {
				t.Errorf("executors %v, said %v", executors, said)
			}
			if lists != row.lists {
				t.Errorf("%d lists, want %d", lists, row.lists)
			}
		})
	}
}

// That the ERP heeds the filter is found out once; a task whose map is there costs no call.
func TestWhatTheListOfTasksWithoutExecutorsCosts(t *testing.T) {
	e := saying(map[string]string{"show": `{"result":"OK","data":{"5":{"id":5,"state":{"id":11}},"6":{"id":6,"state":{"id":12}},"7":{"id":7,"state":{"id":11},"staff":{"employee":{"7":7}}}}}`})
	answer := e.answer
	e.answer = func(n int, f url.Values) (int, string) {
		if f.Get("employee_id") == "-1" {
			return 200, `{"result":"OK","count":1,"list":"5"}`
		} else if f.Get("action") == "get_list" {
			return 200, `{"result":"OK","count":3,"list":"5,6,7"}`
		}
		return answer(n, f)
	}
	c := clientFor(t, e)
	for round, want := range [][]string{{"show 5,6,7", "get_list", "get_list"}, {"show 5,6,7", "get_list"}} {
		e.seen = nil
		got, err := c.Tasks(t.Context(), taskIDs{5, 6, 7})
		if err != nil || !slices.Equal(e.asked(), want) {
			t.Errorf("round %d: asked %q, %v", round, e.asked(), err)
		}
		if five, said := got[5].Task.Executors.Get(); !said || len(five) != 0 {
			t.Errorf("task 5: %v, %v", five, said)
		}
		if _, said := got[6].Task.Executors.Get(); said {
			t.Error("task 6 is on no list and has no executors")
		}
		if seven := got[7].Task.Executors.Or(nil); !slices.Equal(seven, []calendarsync.EmployeeID{7}) {
			t.Errorf("task 7: %v", seven)
		}
	}
}
