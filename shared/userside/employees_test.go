package userside

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
)

type fieldValues = map[calendarsync.FieldID]string

func TestEmployeeOfEitherGeneration(t *testing.T) {
	newer := `{"result":"OK","data":{"7":{"id":7,"name":"Ann O&#039;Neil","short_name":"Ann","login":"ann","email":" ann@example.com ","phone":"1",
		"is_work":1,"is_blocked":1,"division":{"91":{"division_id":3,"is_work":1,"date_out":null},"92":{"division_id":4,"is_work":0,"date_out":"2020-01-01"}},
		"additional_data":{"12":{"value":"1"},"13":{"value":"a&amp;b"}}}}}`
	older := `{"Result":"OK","Data":{"7":{"id":"7","name":"Ann O&#039;Neil","email":"ann@example.com","is_work":"1",
		"division":[{"division_id":"3","is_work":"1"},{"division_id":"4","is_work":"0"}],"additional_fields":{"12":"1","13":"a&amp;b"}}}}`
	want := &calendarsync.Employee{ID: 7, Name: "Ann O'Neil", Working: calendarsync.Say(true), Email: calendarsync.Say("ann@example.com"),
		Fields: calendarsync.Say(fieldValues{12: "1", 13: "a&b"}), Divisions: calendarsync.Say(divisionIDs{3})}
	for name, body := range map[string]string{"newer": newer, "older": older} {
		got, err := clientFor(t, saying(map[string]string{"get_data": body})).Employees(t.Context(), employeeIDs{7})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(employeeReadings{7: {Employee: want}}, got, givens); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Each row is one field of employee 7 and what the domain is told.
func TestEmployeeFields(t *testing.T) {
	type employee = calendarsync.Employee
	fieldsOf := func(v fieldValues) employee { return employee{Fields: calendarsync.Say(v)} }
	divisions := func(ids ...calendarsync.DivisionID) employee {
		return employee{Divisions: calendarsync.Say(append(divisionIDs{}, ids...))}
	}
	yes, no := employee{Working: calendarsync.Say(true)}, employee{Working: calendarsync.Say(false)}
	for _, tc := range []struct {
		field string
		want  employee
		bad   string
	}{
		{`"x":1`, employee{}, ""},
		{`"name":"","short_name":"Ann"`, employee{Name: "Ann"}, ""},
		{`"name":{}`, employee{}, "name"},

		{`"is_work":1`, yes, ""}, {`"is_work":"1"`, yes, ""}, {`"is_work":true`, yes, ""}, {`"is_work":"true"`, yes, ""},
		{`"is_work":0`, no, ""}, {`"is_work":"0"`, no, ""}, {`"is_work":false`, no, ""},
		{`"is_work":null`, employee{}, ""},
		{`"is_work":""`, employee{}, "is_work"}, {`"is_work":2`, employee{}, "is_work"}, {`"is_work":-1`, employee{}, "is_work"}, {`"is_work":[]`, employee{}, "is_work"},
		{`"is_blocked":1`, employee{}, ""},

		{`"email":""`, employee{Email: calendarsync.Say("")}, ""},
		{`"email":" a@b.example\n"`, employee{Email: calendarsync.Say("a@b.example")}, ""},
		{`"email":"a\u200b@b.example"`, employee{Email: calendarsync.Say("a@b.example")}, ""},
		{`"email":"\u200ea@b.exa\u00admple"`, employee{Email: calendarsync.Say("a@b.example")}, ""},
		{`"email":"a@b.exam&shy;ple&#8203;"`, employee{Email: calendarsync.Say("a@b.example")}, ""},
		{`"email":"а@b.example"`, employee{Email: calendarsync.Say("а@b.example")}, ""}, // Cyrillic: invalid to the domain
		{`"email":null`, employee{}, ""},
		{`"email":false`, employee{}, "email"}, {`"email":["a@b.example"]`, employee{}, "email"},

		{`"additional_data":[]`, fieldsOf(fieldValues{}), ""},
		{`"additional_data":{}`, fieldsOf(fieldValues{}), ""},
		{`"additional_data":null`, employee{}, ""},
		{`"additional_data":{"12":"on"}`, fieldsOf(fieldValues{12: "on"}), ""},
		{`"additional_data":{"12":1,"13":0,"14":true,"15":false,"16":""}`, fieldsOf(fieldValues{12: "1", 13: "0", 14: "1", 15: "0", 16: ""}), ""},
		{`"additional_data":{"12":{"id":12,"caption":"x","value":"on"}}`, fieldsOf(fieldValues{12: "on"}), ""},
		{`"additional_data":{"12":null,"13":{"value":null}}`, fieldsOf(fieldValues{}), ""},
		{`"additional_data":{"12":{"value":[]}}`, fieldsOf(fieldValues{12: ""}), ""},
		{`"additional_data":{"12":{"value":["a","b"]},"13":{"file":1}}`, fieldsOf(fieldValues{12: `["a","b"]`, 13: `{"file":1}`}), ""},
		{`"additional_data":[{"id":"12","value":"on"}]`, fieldsOf(fieldValues{12: "on"}), ""},
		{`"additional_data":{"note":"x","12":"on"}`, fieldsOf(fieldValues{12: "on"}), ""},
		{`"additional_data":["on"]`, employee{}, "additional_data"},
		{`"additional_data":"on"`, employee{}, "additional_data"},

		{`"division":[]`, divisions(), ""},
		{`"division":{}`, divisions(), ""},
		{`"division":null`, employee{}, ""},
		{`"division":[{"division_id":4,"is_work":1},{"division_id":3,"is_work":1},{"division_id":4,"is_work":"1"}]`, divisions(3, 4), ""},
		{`"division":{"3":{"is_work":1},"4":{"is_work":0}}`, divisions(3), ""},
		{`"division":[{"division_id":3,"is_work":1,"date_out":"2020-01-01"}]`, divisions(3), ""},
		{`"division":[{"division_id":3},{"division_id":4,"date_out":""},{"division_id":5,"date_out":"-"},{"division_id":6,"date_out":"0000-00-00"},{"division_id":7,"date_out":"2020-01-01"},{"division_id":8,"date_out":null}]`, divisions(3, 4, 5, 6, 8), ""},
		{`"division":[null,{"division_id":3,"is_work":1}]`, divisions(3), ""},
		{`"division":{"3":3}`, divisions(3), ""},
		{`"division":[3,"4"]`, divisions(3, 4), ""},
		{`"division":[{"is_work":0}]`, divisions(), ""},
		{`"division":[{"is_work":1}]`, employee{}, "division"},
		{`"division":[{"division_id":"x","is_work":1}]`, employee{}, "division"},
		{`"division":[{"division_id":3,"is_work":"maybe"}]`, employee{}, "division"},
		{`"division":{"3":4}`, employee{}, "division"},
		{`"division":3`, employee{}, "division"},
	} {
		t.Run(tc.field, func(t *testing.T) {
			body := `{"result":"OK","data":{"7":{"id":7,` + tc.field + `},"8":{"id":8}}}`
			got, err := clientFor(t, saying(map[string]string{"get_data": body})).Employees(t.Context(), employeeIDs{7, 8})
			if err != nil || len(got) != 2 || got[8].Employee == nil {
				t.Fatalf("got %v, %v", got, err)
			}
			if tc.bad != "" {
				if r := got[7]; r.Employee != nil || r.Absent != 0 || !failure.Is(r.Invalid, failure.SourceInvalid) || !strings.HasSuffix(r.Invalid.Error(), "unreadable field "+tc.bad) {
					t.Fatalf("got %+v, want Invalid because of %s", r, tc.bad)
				}
				return
			}
			tc.want.ID = 7
			if diff := cmp.Diff(calendarsync.EmployeeReading{Employee: &tc.want}, got[7], givens); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestEmployeesAbsentOnlyFromTheCompleteList(t *testing.T) {
	for _, tc := range []struct {
		name      string
		some, all string // get_data with and without ids
		kind      failure.Kind
		absent    employeeIDs
		calls     int
	}{
		{"all asked are there", `{"7":{"id":7},"8":{"id":8}}`, `[]`, "", nil, 1},
		{"one is nowhere", `{"7":{"id":7}}`, `{"7":{"id":7},"9":{"id":9}}`, "", employeeIDs{8}, 2},
		{"one is an error", `{"7":{"id":7},"8":"error"}`, `{"7":{"id":7},"9":{"id":9}}`, "", employeeIDs{8}, 2},
		{"the short answer was half", `{"7":{"id":7}}`, `{"7":{"id":7},"8":{"id":8}}`, "", nil, 2},
		{"single shape", `{"id":7}`, `{"7":{"id":7},"8":{"id":8}}`, "", nil, 2},
		{"nobody came back", `[]`, `{"9":{"id":9}}`, "", employeeIDs{7, 8}, 2},
		{"nobody at all", `[]`, `[]`, failure.SourceInvalid, nil, 2},
		{"no data at all", `null`, `null`, failure.SourceInvalid, nil, 7},
		{"the long answer lacks who was just shown", `{"7":{"id":7}}`, `{"9":{"id":9}}`, failure.SourceInvalid, nil, 2},
		{"the long answer is one employee without key", `[]`, `{"id":9}`, failure.SourceInvalid, nil, 8},
		{"the long answer is garbled", `[]`, `{"9":{"id":"x"}}`, failure.SourceInvalid, nil, 2},
		{"an entry without id", `[{"x":1}]`, `{"9":{"id":9}}`, failure.SourceInvalid, nil, 7},
		{"keys that are no ids", `{"ann":{"id":7}}`, `{"9":{"id":9}}`, failure.SourceInvalid, nil, 7},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := &erp{answer: func(_ int, f url.Values) (int, string) {
				if f.Has("id") {
					return http.StatusOK, `{"result":"OK","data":` + tc.some + `}`
				}
				return http.StatusOK, `{"result":"OK","data":` + tc.all + `}`
			}}
			got, err := clientFor(t, e).Employees(t.Context(), employeeIDs{8, 7, 7})
			if len(e.seen) != tc.calls {
				t.Errorf("%d calls, want %d", len(e.seen), tc.calls)
			}
			if tc.kind != "" {
				if !failure.Is(err, tc.kind) || got != nil {
					t.Fatalf("got %v, %v", got, err)
				}
				return
			}
			if err != nil || len(got) != 2 {
				t.Fatalf("got %v, %v", got, err)
			}
			for id, r := range got {
				if gone := slices.Contains(tc.absent, id); gone != (r.Absent == calendarsync.ProofKnownID) || gone == (r.Employee != nil) {
					t.Errorf("employee %d: %+v", id, r)
				}
			}
		})
	}
}

func TestAllEmployees(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		want       int
		kind       failure.Kind
	}{
		{"two", `{"result":"OK","data":{"7":{"id":7},"8":{"id":"8"}}}`, 2, ""},
		{"one garbled, which is told", `{"result":"OK","data":{"7":{"id":7},"8":{"id":8,"is_work":"?"}}}`, 2, ""},
		{"pseudo-user 0", `{"result":"OK","data":{"0":{"id":0},"7":{"id":7}}}`, 1, ""},
		{"empty list", `{"result":"OK","data":[]}`, 0, failure.SourceInvalid},
		{"empty object", `{"result":"OK","data":{}}`, 0, failure.SourceInvalid},
		{"null", `{"result":"OK","data":null}`, 0, failure.SourceInvalid},
		{"missing", `{"result":"OK"}`, 0, failure.SourceInvalid},
		{"only garbage", `{"result":"OK","data":{"7":"error"}}`, 0, failure.SourceInvalid},
		{"one id twice", `{"result":"OK","data":{"7":{"id":7},"07":{"id":7}}}`, 0, failure.SourceInvalid},
		{"ERROR", `{"result":"ERROR"}`, 0, failure.Source},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := saying(map[string]string{"get_data": tc.body})
			got, err := clientFor(t, e).AllEmployees(t.Context(), nil)
			if e.seen[0].Has("id") {
				t.Error("everybody is asked for without id")
			}
			if tc.kind != "" {
				if !failure.Is(err, tc.kind) || got != nil {
					t.Fatalf("got %v, %v, want %s", got, err, tc.kind)
				}
				return
			}
			if err != nil || len(got) != tc.want || got[7].Employee == nil {
				t.Fatalf("got %v, %v", got, err)
			}
		})
	}
}
