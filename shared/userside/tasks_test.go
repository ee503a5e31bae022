package userside

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
)

type (
	taskIDs     = []calendarsync.TaskID
	employeeIDs = []calendarsync.EmployeeID
	divisionIDs = []calendarsync.DivisionID
)

func at(s string) calendarsync.LocalTime {
	for _, f := range []string{"2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(f, s); err == nil {
			return calendarsync.LocalTime{Wall: t, DateOnly: f == "2006-01-02"}
		}
	}
	panic("bad date in a test: " + s)
}

var givens = cmp.AllowUnexported(
	calendarsync.Given[calendarsync.StateID]{}, calendarsync.Given[calendarsync.LocalTime]{},
	calendarsync.Given[employeeIDs]{}, calendarsync.Given[divisionIDs]{}, calendarsync.Given[bool]{},
	calendarsync.Given[string]{}, calendarsync.Given[map[calendarsync.FieldID]string]{})

func TestTaskOfEitherGeneration(t *testing.T) {
	newer := `{"result":"OK","data":{"id":5,"parentTaskId":2,"priority":3,"type":{"id":4,"name":"Repair &amp; check"},
		"date":{"create":"2026-11-01 08:00:00","todo":"2026-11-22 10:30:00","update":"2026-11-21 09:00:00","complete":null,
			"runtime_individual_hour":2,"deadline_individual_hour":72},
		"state":{"id":11,"name":"New","system_role":1,"system_role_text":"Not completed"},
		"customer":{"77":77},"optional_customer_name":"J. Doe","address":{"text":"Main st&#047;rd 5","addressId":9,"apartament":"12"},
		"description":"a &lt; b<br />\nnext","description_short":"a","author_employee_id":1,
		"staff":{"employee":{"8":8,"7":7},"division":{"3":3}},"comments":[],"additional_data":[],"history":[]}}`
	older := `{"Result":"OK","Data":{"id":"5","parentTaskId":"2","priority":"3","type":{"id":"4","name":"Repair &amp; check"},
		"date":{"todo":"22.11.2026 10:30","update":"2026-11-21 09:00:00","runtime_individual_hour":"2"},
		"state":{"id":"11","name":"New","systemRole":"1"},"customer":{"id":"77","fullName":"J. Doe","login":"jd"},
		"address":{"text":"Main st&#047;rd 5, 12","addressId":"9","apartament":"12"},
		"description":"a &amp;lt; b&lt;br /&gt;next","authorId":"1","staff":{"worker":["7","8"],"division":["3"]},"additional_fields":[]}}`
	want := &calendarsync.Task{ID: 5, ParentID: 2, Type: 4, TypeName: "Repair & check", Priority: 3,
		State: calendarsync.Say(calendarsync.StateID(11)), StateName: "New",
		Start: calendarsync.Say(at("2026-11-22 10:30:00")), Updated: "2026-11-21 09:00:00", RuntimeHours: 2,
		Customer: "J. Doe", Address: "Main st/rd 5, 12", Description: "a < b\nnext",
		Executors: calendarsync.Say(employeeIDs{7, 8}), Divisions: calendarsync.Say(divisionIDs{3})}
	for name, body := range map[string]string{"newer": newer, "older": older} {
		e := saying(map[string]string{"show": body})
		got, err := clientFor(t, e).Tasks(t.Context(), taskIDs{5})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[calendarsync.TaskID]calendarsync.TaskReading{5: {Task: want}}, got, givens); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		f := e.seen[0]
		if f.Get("is_without_comments") != "1" || f.Has("employee_id") || f.Get("id") != "5" || f.Get("cat") != "task" {
			t.Errorf("asked %v", f)
		}
	}
}

// Each row is one field of a task of id 5 and what the domain is told.
func TestTaskFields(t *testing.T) {
	type task = calendarsync.Task
	say := func(s string) task { return task{Start: calendarsync.Say(at(s))} }
	absolute := func(s string) task {
		utc := at(s)
		utc.Absolute = true
		return task{Start: calendarsync.Say(utc)}
	}
	none := task{Start: calendarsync.Say(calendarsync.LocalTime{})}
	for _, tc := range []struct {
		field string
		want  task
		bad   string // the field an Invalid reading names
	}{
		{`"x":1`, task{}, ""},
		{`"date":{"todo":null}`, none, ""},
		{`"date":{"todo":""}`, none, ""},
		{`"date":{"todo":"-"}`, none, ""},
		{`"date":{"todo":"0000-00-00 00:00:00"}`, none, ""},
		{`"date":{"todo":"0000-00-00"}`, none, ""},
		{`"date":{"todo":"00.00.0000 00:00"}`, none, ""},
		{`"date":{"todo":"-0001-11-30 00:00:00"}`, none, ""},
		{`"date":{"todo":"-0001-11-30"}`, none, ""},
		{`"date":{"todo":"-0001-11-30T00:00:00+02:00"}`, none, ""},
		{`"date":{"todo":"-0001-11-30 02:02:04"}`, none, ""},
		{`"date":{"todo":"30.11.-0001 00:00"}`, none, ""},
		{`"date":{"todo":"30.11.-0001"}`, none, ""},
		{`"date":{"todo":"30.11.-0001, 00:00:00"}`, none, ""},
		{`"date":{"todo":"0000-00-00T00:00:00Z"}`, none, ""},
		{`"date":{"todo":"00.00.0000, 00:00"}`, none, ""},
		{`"date":{"todo":"\u200b"}`, none, ""},
		{`"date":{}`, task{}, ""},
		{`"date":[]`, task{}, ""},
		{`"date":null`, task{}, ""},
		{`"date":{"todo":"2026-11-22 10:30"}`, say("2026-11-22 10:30:00"), ""},
		{`"date":{"todo":"22.11.2026 10:30:15"}`, say("2026-11-22 10:30:15"), ""},
		{`"date":{"todo":"22.11.2026"}`, say("2026-11-22"), ""},
		{`"date":{"todo":"2026-11-22"}`, say("2026-11-22"), ""},
		{`"date":{"todo":"2026-11-22 00:00:00"}`, say("2026-11-22 00:00:00"), ""},
		{`"date":{"todo":"2030-11-22T10:00:00"}`, say("2030-11-22 10:00:00"), ""},
		{`"date":{"todo":"2030-11-22T10:00"}`, say("2030-11-22 10:00:00"), ""},
		{`"date":{"todo":"2030-11-22T10:00:00.123456"}`, say("2030-11-22 10:00:00"), ""},
		{`"date":{"todo":"2030-11-22T10:00:00Z"}`, absolute("2030-11-22 10:00:00"), ""},
		{`"date":{"todo":"2030-11-22T10:00:00.000Z"}`, absolute("2030-11-22 10:00:00"), ""},
		{`"date":{"todo":"2030-11-22T10:00:00+02:00"}`, absolute("2030-11-22 08:00:00"), ""},
		{`"date":{"todo":"2030-11-22 10:00:00+0200"}`, absolute("2030-11-22 08:00:00"), ""},
		{`"date":{"todo":"2030-11-22 10:00:00 +02:00"}`, absolute("2030-11-22 08:00:00"), ""},
		{`"date":{"todo":"2030-11-22T10:00:00+02"}`, absolute("2030-11-22 08:00:00"), ""},
		{`"date":{"todo":"2030-11-22T10:00-05:00"}`, absolute("2030-11-22 15:00:00"), ""},
		{`"date":{"todo":"22.11.2030, 10:00"}`, say("2030-11-22 10:00:00"), ""},
		{`"date":{"todo":"22.11.2030, 10:00:30"}`, say("2030-11-22 10:00:30"), ""},
		{`"date":{"todo":"22.11.2030,10:00"}`, say("2030-11-22 10:00:00"), ""},
		{`"date":{"todo":"22.11.2030\u00a010:00"}`, say("2030-11-22 10:00:00"), ""},
		{`"date":{"todo":"\u200e22.11.2030\u200e 10:00"}`, say("2030-11-22 10:00:00"), ""},
		{`"date":{"todo":"2030-11-22 24:00:00"}`, say("2030-11-23 00:00:00"), ""},
		{`"date":{"todo":"2030-12-31T24:00"}`, say("2031-01-01 00:00:00"), ""},
		{`"date":{"todo":"22.11.2030 24:00"}`, say("2030-11-23 00:00:00"), ""},
		{`"date":{"todo":"22.11.2030, 24:00"}`, say("2030-11-23 00:00:00"), ""},
		{`"date":{"todo":"2030-11-22T24:00:00+02:00"}`, absolute("2030-11-22 22:00:00"), ""},
		{`"date":{"todo":"2030-11-22 24:01"}`, task{}, "date.todo"},
		{`"date":{"todo":"2030-11-22 25:00"}`, task{}, "date.todo"},
		{`"date":{"todo":"2030-11-22T10:00:00+25:00"}`, task{}, "date.todo"},
		{`"date":{"todo":"30.11.-0002 00:00"}`, task{}, "date.todo"},
		{`"date":{"todo":"2026-02-30 10:00:00"}`, task{}, "date.todo"},
		{`"date":{"todo":"0001-01-01 00:00:00"}`, task{}, "date.todo"},
		{`"date":{"todo":"tomorrow"}`, task{}, "date.todo"},
		{`"date":{"todo":false}`, task{}, "date.todo"},
		{`"date":{"todo":1763800000}`, task{}, "date.todo"},
		{`"date":"2026-11-22"`, task{}, "date"},
		{`"date":{"update":null}`, task{}, ""},
		{`"date":{"update":1763800000}`, task{Updated: "1763800000"}, ""},
		{`"date":{"runtime_individual_hour":0}`, task{}, ""},
		{`"date":{"runtime_individual_hour":""}`, task{}, ""},
		{`"date":{"runtime_individual_hour":"1.5"}`, task{RuntimeHours: 2}, ""},
		{`"date":{"runtime_individual_hour":-1}`, task{}, "date.runtime_individual_hour"},
		{`"date":{"runtime_individual_hour":1e300}`, task{}, "date.runtime_individual_hour"},
		{`"date":{"runtime_individual_hour":"two"}`, task{}, "date.runtime_individual_hour"},
		{`"date":{"deadline_individual_hour":72}`, task{}, ""},

		{`"staff":null`, task{}, ""},
		{`"staff":[]`, task{}, ""},
		{`"staff":{}`, task{}, ""},
		{`"staff":{"employee":null}`, task{}, ""},
		{`"staff":{"employee":[]}`, task{Executors: calendarsync.Say(employeeIDs{})}, ""},
		{`"staff":{"employee":{}}`, task{Executors: calendarsync.Say(employeeIDs{})}, ""},
		{`"staff":{"employee":{"7":"7"}}`, task{Executors: calendarsync.Say(employeeIDs{7})}, ""},
		{`"staff":{"employee":[8,"7",7]}`, task{Executors: calendarsync.Say(employeeIDs{7, 8})}, ""},
		{`"staff":{"employee":{"7":{"employee_id":7}}}`, task{Executors: calendarsync.Say(employeeIDs{7})}, ""},
		{`"staff":{"worker":{"7":7}}`, task{Executors: calendarsync.Say(employeeIDs{7})}, ""},
		{`"staff":{"employee":{"8":8},"worker":{"7":7}}`, task{Executors: calendarsync.Say(employeeIDs{8})}, ""},
		{`"staff":{"division":[]}`, task{Divisions: calendarsync.Say(divisionIDs{})}, ""},
		{`"staff":{"division":{"3":3}}`, task{Divisions: calendarsync.Say(divisionIDs{3})}, ""},
		{`"staff":{"employee":{"0":7}}`, task{}, "staff.employee"},
		{`"staff":{"employee":{"7":8}}`, task{}, "staff.employee"},
		{`"staff":{"employee":["seven"]}`, task{}, "staff.employee"},
		{`"staff":{"employee":[null]}`, task{}, "staff.employee"},
		{`"staff":{"employee":"7,8"}`, task{}, "staff.employee"},
		{`"staff":{"worker":{"x":7}}`, task{}, "staff.worker"},
		{`"staff":{"division":[-3]}`, task{}, "staff.division"},
		{`"staff":"none"`, task{}, "staff"},

		{`"state":11`, task{State: calendarsync.Say(calendarsync.StateID(11))}, ""},
		{`"state":"11"`, task{State: calendarsync.Say(calendarsync.StateID(11))}, ""},
		{`"state":{"id":"11"}`, task{State: calendarsync.Say(calendarsync.StateID(11))}, ""},
		{`"state":{"id":null,"name":"New"}`, task{StateName: "New"}, ""},
		{`"state":null`, task{}, ""},
		{`"state":[]`, task{}, ""},
		{`"state":{"id":"new"}`, task{}, "state.id"},
		{`"state":[11]`, task{}, "state"},

		{`"type":4`, task{Type: 4}, ""},
		{`"type":{"id":"4"}`, task{Type: 4}, ""},
		{`"type":null`, task{}, ""},
		{`"type":{"id":"x"}`, task{}, "type.id"},
		{`"type":{"id":4,"name":["x"]}`, task{}, "type.name"},

		{`"priority":"high","parentTaskId":[1]`, task{}, ""},
		{`"priority":{"id":2,"name":"high"}`, task{Priority: 2}, ""},
		{`"customer":[77]`, task{}, ""},
		{`"customer":{"id":77,"fullName":" J.\u0000 <b>Doe</b> "}`, task{Customer: "J. Doe"}, ""},
		{`"customer":{"id":77,"fullName":""},"optional_customer_name":"Bob"`, task{Customer: "Bob"}, ""},
		{`"address":"Main 5"`, task{Address: "Main 5"}, ""},
		{`"address":{"text":"Main 5","apartment":7}`, task{Address: "Main 5, 7"}, ""},
		{`"address":{"text":"Main 5","apartament":""}`, task{Address: "Main 5"}, ""},
		{`"address":{"text":"Main 5","apartament":"5"}`, task{Address: "Main 5"}, ""},
		{`"address":[]`, task{}, ""},
		{`"address":{"text":{}}`, task{}, "address.text"},
		{`"description":"","description_short":"short"`, task{Description: "short"}, ""},
		{`"description":["x"]`, task{}, "description"},
	} {
		t.Run(tc.field, func(t *testing.T) {
			// Together with a good task: it must come through whatever the other is like.
			body := `{"result":"OK","data":{"5":{"id":5,` + tc.field + `},"6":{"id":6}}}`
			got, err := clientFor(t, saying(map[string]string{"show": body})).Tasks(t.Context(), taskIDs{5, 6})
			if err != nil || len(got) != 2 || got[6].Task == nil || got[6].Task.ID != 6 {
				t.Fatalf("got %v, %v", got, err)
			}
			if tc.bad != "" {
				r := got[5]
				if r.Task != nil || r.Absent != 0 || !failure.Is(r.Invalid, failure.SourceInvalid) || !strings.HasSuffix(r.Invalid.Error(), "unreadable field "+tc.bad) {
					t.Fatalf("got %+v, want Invalid because of %s", r, tc.bad)
				}
				return
			}
			tc.want.ID = 5
			if diff := cmp.Diff(calendarsync.TaskReading{Task: &tc.want}, got[5], givens, cmp.AllowUnexported(failure.Error{})); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// known is the ERP of the absence tests: tasks that it has, lies that it tells.
type knownERP struct {
	have      taskIDs
	listed    string // get_list's body; "" lists the last task it has
	single    bool   // one task found among several is answered without a key
	firstOnly bool   // reads the first id of a list only
	multi     bool   // keyed answer even for one id
	unknown   string // the body for nothing found; "" is {"result":"OK"}
	status    int
	omit      bool // unknown ids among several are left out instead of "error"
}

func (k *knownERP) rt() *erp {
	return &erp{answer: func(_ int, f url.Values) (int, string) {
		if f.Get("action") == "get_list" {
			switch {
			case k.listed != "":
				return 200, k.listed
			case len(k.have) == 0:
				return 200, `{"result":"OK","count":"0","list":""}`
			}
			return 200, fmt.Sprintf(`{"result":"OK","count":%d,"list":"%d"}`, len(k.have), k.have[len(k.have)-1])
		}
		asked := strings.Split(f.Get("id"), ",")
		if k.firstOnly {
			asked = asked[:1]
		}
		var found, members []string
		for _, s := range asked {
			id, _ := strconv.ParseInt(s, 10, 64)
			switch {
			case slices.Contains(k.have, calendarsync.TaskID(id)):
				found = append(found, fmt.Sprintf(`{"id":%s}`, s))
				members = append(members, fmt.Sprintf(`"%s":{"id":%s}`, s, s))
			case !k.omit:
				members = append(members, fmt.Sprintf(`"%s":"error"`, s))
			}
		}
		switch {
		case len(found) == 1 && (len(asked) == 1 && !k.multi || k.single):
			return 200, `{"result":"OK","data":` + found[0] + `}`
		case len(found) == 0 && len(asked) == 1 || len(members) == 0:
			if k.unknown != "" {
				return max(k.status, 200), k.unknown
			}
			return 200, `{"result":"OK"}`
		}
		return 200, `{"result":"OK","data":{` + strings.Join(members, ",") + `}}`
	}}
}

func TestAbsenceNeedsAProof(t *testing.T) {
	for _, tc := range []struct {
		name   string
		erp    knownERP
		ask    taskIDs
		absent map[calendarsync.TaskID]calendarsync.Proof
		kind   failure.Kind // the whole call's error
		asked  []string
	}{
		{"a neighbour came back", knownERP{have: taskIDs{1, 9}}, taskIDs{2, 1}, map[calendarsync.TaskID]calendarsync.Proof{2: calendarsync.ProofKnownID}, "",
			[]string{"show 1,2"}},
		{"left out instead of error", knownERP{have: taskIDs{1, 9}, omit: true}, taskIDs{2, 1}, map[calendarsync.TaskID]calendarsync.Proof{2: calendarsync.ProofKnownID}, "",
			[]string{"show 1,2"}},
		{"alone, no data", knownERP{have: taskIDs{1, 9}}, taskIDs{2}, map[calendarsync.TaskID]calendarsync.Proof{2: calendarsync.ProofKnownID}, "",
			[]string{"show 2", "get_list", "show 2,9"}},
		{"alone, ERROR", knownERP{have: taskIDs{9}, unknown: `{"Result":"ERROR","ErrorText":"x"}`}, taskIDs{2}, map[calendarsync.TaskID]calendarsync.Proof{2: calendarsync.ProofKnownID}, "",
			[]string{"show 2", "get_list", "show 2,9"}},
		{"alone, ERROR with 404", knownERP{have: taskIDs{9}, unknown: `{"result":"ERROR","error":"x"}`, status: 404}, taskIDs{2}, map[calendarsync.TaskID]calendarsync.Proof{2: calendarsync.ProofKnownID}, "",
			[]string{"show 2", "get_list", "show 2,9"}},
		{"alone, data is an error text", knownERP{have: taskIDs{9}, unknown: `{"result":"OK","data":"error"}`}, taskIDs{2}, map[calendarsync.TaskID]calendarsync.Proof{2: calendarsync.ProofKnownID}, "",
			[]string{"show 2", "get_list", "show 2,9"}},
		{"alone, data is empty", knownERP{have: taskIDs{9}, unknown: `{"result":"OK","data":[]}`}, taskIDs{2}, map[calendarsync.TaskID]calendarsync.Proof{2: calendarsync.ProofKnownID}, "",
			[]string{"show 2", "get_list", "show 2,9"}},
		{"several, none there", knownERP{have: taskIDs{9}}, taskIDs{2, 3}, map[calendarsync.TaskID]calendarsync.Proof{2: calendarsync.ProofKnownID, 3: calendarsync.ProofKnownID}, "",
			[]string{"show 2,3", "get_list", "show 2,3,9"}},
		{"keyed answer to one id", knownERP{have: taskIDs{9}, multi: true}, taskIDs{9}, nil, "", []string{"show 9"}},
		{"no task at all", knownERP{}, taskIDs{2, 3}, map[calendarsync.TaskID]calendarsync.Proof{2: calendarsync.ProofEmptyList, 3: calendarsync.ProofEmptyList}, "",
			[]string{"show 2,3", "get_list"}},
		{"nothing shown, and a list that is no list", knownERP{listed: `{"result":"OK"}`}, taskIDs{2}, nil, failure.SourceInvalid,
			[]string{"show 2", "get_list"}},
		{"an empty list with a count", knownERP{listed: `{"result":"OK","count":7,"list":""}`}, taskIDs{2}, nil, failure.SourceInvalid,
			[]string{"show 2", "get_list"}},
		{"an empty list without a count", knownERP{listed: `{"result":"OK","list":""}`}, taskIDs{2}, nil, failure.SourceInvalid,
			[]string{"show 2", "get_list"}},
		{"the listed task does not come back", knownERP{listed: `{"result":"OK","count":1,"list":"9"}`}, taskIDs{2}, nil, failure.SourceInvalid,
			[]string{"show 2", "get_list", "show 2,9"}},
		{"the missing one itself is listed", knownERP{listed: `{"result":"OK","count":1,"list":"2"}`}, taskIDs{2}, nil, failure.SourceInvalid,
			[]string{"show 2", "get_list", "show 2"}},
		{"a list that fails", knownERP{listed: `{"result":"ERROR"}`}, taskIDs{2}, nil, failure.Source,
			[]string{"show 2", "get_list"}},
		{"everything ERROR but the list", knownERP{listed: `{"result":"OK","count":1,"list":"9"}`, unknown: `{"result":"ERROR"}`, omit: true}, taskIDs{2}, nil, failure.Source,
			[]string{"show 2", "get_list", "show 2,9"}},
		{"an ERP that unwraps one of several", knownERP{have: taskIDs{9}, single: true, omit: true}, taskIDs{2, 3}, map[calendarsync.TaskID]calendarsync.Proof{2: calendarsync.ProofKnownID, 3: calendarsync.ProofKnownID}, "",
			[]string{"show 2,3", "get_list", "show 2,3,9"}},
		{"an ERP that reads the first id only: all there", knownERP{have: taskIDs{1, 2, 3}, firstOnly: true}, taskIDs{1, 2, 3}, nil, "",
			[]string{"show 1,2,3", "show 2,3,1", "get_list", "show 3"}},
		{"an ERP that reads the first id only: one gone", knownERP{have: taskIDs{1, 3}, firstOnly: true}, taskIDs{1, 2}, nil, failure.SourceInvalid, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := tc.erp.rt()
			got, err := clientFor(t, e).Tasks(t.Context(), tc.ask)
			if tc.kind != "" {
				if !failure.Is(err, tc.kind) || got != nil {
					t.Fatalf("got %v, %v; want kind %s and no reading", got, err, tc.kind)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if tc.kind == "" {
				for _, id := range tc.ask {
					r := got[id]
					if r.Invalid != nil || r.Absent != tc.absent[id] || (r.Task == nil) != (r.Absent != 0) {
						t.Errorf("task %d: %+v, want absent %d", id, r, tc.absent[id])
					}
				}
			}
			if tc.asked != nil && !slices.Equal(e.asked(), tc.asked) {
				t.Errorf("asked %q, want %q", e.asked(), tc.asked)
			}
		})
	}
}

func TestTheKnownTaskIsRememberedAndDropped(t *testing.T) {
	k := &knownERP{have: taskIDs{1, 9}}
	e := k.rt()
	c := clientFor(t, e)
	for _, id := range []calendarsync.TaskID{9, 2} {
		if _, err := c.Tasks(t.Context(), taskIDs{id}); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"show 9", "show 2", "show 2,9"}; !slices.Equal(e.asked(), want) {
		t.Fatalf("asked %q, want %q: the list was not needed", e.asked(), want)
	}
	// The remembered one is deleted: it must not make others absent, nor fail the call.
	k.have, e.seen = taskIDs{1}, nil
	got, err := c.Tasks(t.Context(), taskIDs{2, 9})
	if err != nil || got[2].Absent != calendarsync.ProofKnownID || got[9].Absent != calendarsync.ProofKnownID {
		t.Fatalf("got %v, %v", got, err)
	}
	if want := []string{"show 2,9", "show 2,9", "get_list", "show 2,9,1"}; !slices.Equal(e.asked(), want) {
		t.Fatalf("asked %q, want %q", e.asked(), want)
	}
	e.seen = nil
	if _, err := c.Tasks(t.Context(), taskIDs{3}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"show 3", "show 3,1"}; !slices.Equal(e.asked(), want) {
		t.Fatalf("asked %q, want %q: the deleted one is still remembered", e.asked(), want)
	}
}

func TestTasksAreAskedInBatches(t *testing.T) {
	k := &knownERP{}
	for id := calendarsync.TaskID(1); id <= 250; id++ {
		k.have = append(k.have, id)
	}
	e := k.rt()
	got, err := clientFor(t, e).Tasks(t.Context(), append(slices.Clone(k.have), k.have...))
	if err != nil || len(got) != 250 || len(e.seen) != 3 {
		t.Fatalf("%d readings in %d calls, %v", len(got), len(e.seen), err)
	}
	for _, f := range e.seen {
		if n := len(strings.Split(f.Get("id"), ",")); n > 100 {
			t.Errorf("%d ids in one show", n)
		}
	}
	// A hundred missing ones and the known one must fit as well.
	k.have, e.seen = taskIDs{900}, nil
	ids := make(taskIDs, 100)
	for i := range ids {
		ids[i] = calendarsync.TaskID(i + 1)
	}
	got, err = clientFor(t, e).Tasks(t.Context(), ids)
	if err != nil || len(got) != 100 || got[100].Absent != calendarsync.ProofKnownID {
		t.Fatalf("%d readings, %v", len(got), err)
	}
	for _, f := range e.seen {
		if n := len(strings.Split(f.Get("id"), ",")); n > 100 {
			t.Errorf("%d ids in one show", n)
		}
	}
	// No ids, no call.
	e.seen = nil
	if got, err := clientFor(t, e).Tasks(t.Context(), nil); err != nil || len(got) != 0 || len(e.seen) != 0 {
		t.Errorf("no ids: %v, %v, %d calls", got, err, len(e.seen))
	}
	if _, err := clientFor(t, e).Tasks(t.Context(), taskIDs{0, 1}); !failure.Is(err, failure.Invalid) || len(e.seen) != 0 {
		t.Errorf("id 0: %v, %d calls", err, len(e.seen))
	}
}

func TestEntriesThatAreNoTask(t *testing.T) {
	for _, tc := range []struct{ name, data, bad string }{
		{"wrong inner id", `{"5":{"id":6},"6":{"id":6}}`, "id"},
		{"no inner id", `{"5":{"x":1},"6":{"id":6}}`, "id"},
		{"garbled inner id", `{"5":{"id":"five"},"6":{"id":6}}`, "id"},
		{"null", `{"5":null,"6":{"id":6}}`, "(the task itself)"},
		{"false", `{"5":false,"6":{"id":6}}`, "(the task itself)"},
		{"another text", `{"5":"gone","6":{"id":6}}`, "(the task itself)"},
		{"empty list", `{"5":[],"6":{"id":6}}`, "(the task itself)"},
		{"list of tasks, fine", `[{"id":5},{"id":6},{"id":99}]`, ""},
		{"not asked for, ignored", `{"5":{"id":5},"6":{"id":6},"99":{"id":"x"},"note":1}`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := clientFor(t, saying(map[string]string{"show": `{"result":"OK","data":` + tc.data + `}`})).Tasks(t.Context(), taskIDs{5, 6})
			if err != nil || len(got) != 2 || got[6].Task == nil {
				t.Fatalf("got %v, %v", got, err)
			}
			if tc.bad == "" {
				if got[5].Task == nil {
					t.Fatalf("got %+v", got[5])
				}
			} else if r := got[5]; r.Invalid == nil || !strings.HasSuffix(r.Invalid.Error(), " "+tc.bad) || r.Task != nil || r.Absent != 0 {
				t.Fatalf("got %+v", r)
			}
		})
	}
	// Members that belong to no id: what they are can not be missing.
	_, err := clientFor(t, saying(map[string]string{"show": `{"result":"OK","data":[{"id":5},{"x":1}]}`})).Tasks(t.Context(), taskIDs{5, 6})
	if !failure.Is(err, failure.SourceInvalid) {
		t.Fatalf("a member without id: %v", err)
	}
	// One id asked, another task answered.
	got, err := clientFor(t, saying(map[string]string{"show": `{"result":"OK","data":{"id":6}}`})).Tasks(t.Context(), taskIDs{5})
	if err != nil || got[5].Invalid == nil {
		t.Fatalf("another task: %v, %v", got, err)
	}
}

func TestAnErrorOfATaskHoldsNoContent(t *testing.T) {
	body := `{"result":"OK","data":{"id":5,"date":{"todo":"call +1 555 marker"},"customer":{"fullName":"marker"}}}`
	got, err := clientFor(t, saying(map[string]string{"show": body})).Tasks(t.Context(), taskIDs{5})
	if err != nil || got[5].Invalid == nil {
		t.Fatalf("got %v, %v", got, err)
	}
	for e := got[5].Invalid; e != nil; e = errors.Unwrap(e) {
		if strings.Contains(fmt.Sprintf("%#v %s", e, e), "marker") {
			t.Errorf("%#v", e)
		}
	}
}

func TestListTasks(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		limit      int
		want       taskIDs
		kind       failure.Kind
	}{
		{"text", `{"result":"OK","count":3,"list":"5,3, 4"}`, 0, taskIDs{5, 3, 4}, ""},
		{"count as text", `{"Result":"OK","count":"2","list":"5,3"}`, 0, taskIDs{5, 3}, ""},
		{"without result", `{"count":"2","list":"5,3"}`, 0, taskIDs{5, 3}, ""},
		{"under data", `{"result":"OK","data":{"count":2,"list":"5,3"}}`, 0, taskIDs{5, 3}, ""},
		{"list under data, count on top", `{"result":"OK","count":2,"data":{"list":"5,3"}}`, 0, taskIDs{5, 3}, ""},
		{"a JSON list", `{"result":"OK","count":2,"list":[5,"3"]}`, 0, taskIDs{5, 3}, ""},
		{"one number", `{"result":"OK","count":1,"list":5}`, 0, taskIDs{5}, ""},
		{"twice the same", `{"result":"OK","count":3,"list":"5,3,5"}`, 0, taskIDs{5, 3}, ""},
		{"empty", `{"result":"OK","count":0,"list":""}`, 0, taskIDs{}, ""},
		{"empty, count as text", `{"result":"OK","count":"0","list":""}`, 0, taskIDs{}, ""},
		{"empty list", `{"result":"OK","count":0,"list":[]}`, 0, taskIDs{}, ""},
		{"limited, count of all", `{"result":"OK","count":90,"list":"5,3"}`, 2, taskIDs{5, 3}, ""},
		{"limited, count of these", `{"result":"OK","count":2,"list":"5,3"}`, 2, taskIDs{5, 3}, ""},
		{"limit ignored", `{"result":"OK","count":3,"list":"5,3,4"}`, 2, taskIDs{5, 3, 4}, ""},
		{"half a list", `{"result":"OK","count":3,"list":"5,3"}`, 0, nil, failure.SourceInvalid},
		{"more than counted", `{"result":"OK","count":1,"list":"5,3"}`, 0, nil, failure.SourceInvalid},
		{"limited, half a list", `{"result":"OK","count":90,"list":"5"}`, 2, nil, failure.SourceInvalid},
		{"limited, empty with a count", `{"result":"OK","count":90,"list":""}`, 2, nil, failure.SourceInvalid},
		{"no count", `{"result":"OK","list":"5,3"}`, 0, nil, failure.SourceInvalid},
		{"empty, no count", `{"result":"OK","list":""}`, 0, nil, failure.SourceInvalid},
		{"null list", `{"result":"OK","count":0,"list":null}`, 0, nil, failure.SourceInvalid},
		{"no list", `{"result":"OK","count":0}`, 0, nil, failure.SourceInvalid},
		{"garbled id", `{"result":"OK","count":2,"list":"5,x"}`, 0, nil, failure.SourceInvalid},
		{"trailing comma", `{"result":"OK","count":2,"list":"5,"}`, 0, nil, failure.SourceInvalid},
		{"id 0", `{"result":"OK","count":2,"list":"5,0"}`, 0, nil, failure.SourceInvalid},
		{"ERROR", `{"result":"ERROR"}`, 0, nil, failure.Source},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := clientFor(t, saying(map[string]string{"get_list": tc.body})).ListTasks(t.Context(), TaskFilter{Limit: tc.limit})
			if tc.kind != "" {
				if !failure.Is(err, tc.kind) || got != nil {
					t.Fatalf("got %v, %v, want kind %s", got, err, tc.kind)
				}
				return
			}
			if err != nil || !slices.Equal(got, tc.want) {
				t.Fatalf("got %v, %v, want %v", got, err, tc.want)
			}
		})
	}
}

func TestListTasksFilters(t *testing.T) {
	e := saying(map[string]string{"get_list": `{"result":"OK","count":0,"list":""}`})
	c := clientFor(t, e)
	for _, tc := range []struct {
		filter TaskFilter
		want   url.Values
	}{
		{TaskFilter{}, url.Values{}},
		{TaskFilter{Employee: 7, Division: 3, States: []calendarsync.StateID{11, 12}, ChangedFrom: at("2026-11-22 10:00:00"), ChangedTo: at("2026-11-22 11:00:00"), Limit: 5},
			url.Values{"employee_id": {"7"}, "staff_id": {"7"}, "division_id": {"3"}, "state_id": {"11,12"},
				"date_change_from": {"2026-11-22 10:00:00"}, "date_change_to": {"2026-11-22 11:00:00"}, "limit": {"5"}}},
		{TaskFilter{DoFrom: at("2026-11-22"), DoTo: at("2026-11-23 23:59:59")},
			url.Values{"date_do_from": {"2026-11-22 00:00:00"}, "date_do_to": {"2026-11-23 23:59:59"}}},
	} {
		e.seen = nil
		if _, err := c.ListTasks(t.Context(), tc.filter); err != nil {
			t.Fatal(err)
		}
		for k, v := range map[string]string{"cat": "task", "action": "get_list", "subcat": "get_list", "key": testKey} {
			tc.want.Set(k, v)
		}
		if diff := cmp.Diff(tc.want, e.seen[0]); diff != "" {
			t.Error(diff)
		}
	}
}
