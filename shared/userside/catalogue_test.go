package userside

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
)

func TestCatalogue(t *testing.T) {
	const okTypes = `{"4":{"id":4,"name":"Repair","timescale":{"hour_on_doing":2}}}`
	const okStates = `{"11":{"id":11,"name":"New","system_role":1}}`
	state := func(id calendarsync.StateID, name string, role calendarsync.RoleID) calendarsync.State {
		return calendarsync.State{ID: id, Name: name, Role: role}
	}
	typ := func(hours float64) map[calendarsync.TypeID]calendarsync.TaskType {
		return map[calendarsync.TypeID]calendarsync.TaskType{4: {ID: 4, Name: "Repair", HourOnDoing: hours}}
	}
	one := map[calendarsync.StateID]calendarsync.State{11: state(11, "New", 1)}
	for _, tc := range []struct {
		name, states, types string
		wantStates          map[calendarsync.StateID]calendarsync.State
		wantTypes           map[calendarsync.TypeID]calendarsync.TaskType
		kind                failure.Kind
	}{
		{"newer", okStates, okTypes, one, typ(2), ""},
		{"older", `{"11":{"id":"11","name":"New","sysrole":"1"}}`, `{"4":{"id":"4","name":"Repair","timescale":{"hour_on_doing":"2"}}}`, one, typ(2), ""},
		{"third spelling, role with a name", `{"11":{"id":11,"name":"New","systemRole":{"id":1,"name":"x"}}}`, okTypes,
			map[calendarsync.StateID]calendarsync.State{11: {ID: 11, Name: "New", Role: 1, RoleName: "x"}}, typ(2), ""},
		{"lists", `[{"id":11,"name":"New","system_role":1}]`, `[{"id":4,"name":"Repair","timescale":{"hour_on_doing":2}}]`, one, typ(2), ""},
		{"escaped name", `{"11":{"id":11,"name":"New &amp; hot","system_role":1}}`, okTypes,
			map[calendarsync.StateID]calendarsync.State{11: state(11, "New & hot", 1)}, typ(2), ""},
		{"half an hour", okStates, `{"4":{"id":4,"name":"Repair","timescale":{"hour_on_doing":"0.5"}}}`, one, typ(0.5), ""},
		{"no timescale", okStates, `{"4":{"id":4,"name":"Repair","timescale":[]}}`, one, typ(0), ""},
		{"empty duration", okStates, `{"4":{"id":4,"name":"Repair","timescale":{"hour_on_doing":""}}}`, one, typ(0), ""},
		{"a state without role is unknown", `{"11":{"id":11,"name":"New","system_role":1},"12":{"id":12,"name":"Odd","system_role":null},"13":{"id":13,"name":"Odder"}}`, okTypes, one, typ(2), ""},

		{"no states", `[]`, okTypes, nil, nil, failure.SourceInvalid},
		{"no types", okStates, `[]`, nil, nil, failure.SourceInvalid},
		{"states null", `null`, okTypes, nil, nil, failure.SourceInvalid},
		{"no state has a role", `{"11":{"id":11,"name":"New"}}`, okTypes, nil, nil, failure.SourceInvalid},
		{"every role is odd", `{"11":{"id":11,"name":"New","system_role":"-"}}`, okTypes, nil, nil, failure.SourceInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := clientFor(t, saying(map[string]string{
				"get_catalog_state": `{"result":"OK","data":` + tc.states + `}`,
				"get_catalog_type":  `{"Result":"OK","Data":` + tc.types + `}`,
			})).Catalogue(t.Context())
			if tc.kind != "" {
				if !failure.Is(err, tc.kind) {
					t.Fatalf("got %v, %v", got, err)
				}
				return
			}
			if diff := cmp.Diff(calendarsync.Catalogue{States: tc.wantStates, Types: tc.wantTypes}, got); err != nil || diff != "" {
				t.Fatalf("%v\n%s", err, diff)
			}
		})
	}
}

// An entry that somebody spoiled says nothing of the others, least of all where no task
// uses it (rule 4.13).
func TestAnOddEntryOfACatalogueConcernsItselfAlone(t *testing.T) {
	const okTypes, okStates = `"4":{"id":4,"name":"Repair","timescale":{"hour_on_doing":2}}`, `"11":{"id":11,"name":"New","system_role":1}`
	read := func(t *testing.T, states, types string) calendarsync.Catalogue {
		t.Helper()
		got, err := clientFor(t, saying(map[string]string{
			"get_catalog_state": `{"result":"OK","data":` + states + `}`, "get_catalog_type": `{"result":"OK","data":` + types + `}`,
		})).Catalogue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.States[11].Role != 1 || got.Types[4].HourOnDoing != 2 {
			t.Errorf("the sound entries are %+v and %+v", got.States[11], got.Types[4])
		}
		return got
	}
	for _, hours := range []string{`"1,5"`, `-1`, `"1:30"`, `false`, `true`, `"NaN"`, `1e18`, `"two"`, `[1]`, `{"x":1}`, `"-"`} {
		got := read(t, `{`+okStates+`}`, `{`+okTypes+`,"5":{"id":5,"name":"Odd","timescale":{"hour_on_doing":`+hours+`}}}`)
		if typ := got.Types[5]; typ.Name != "Odd" || typ.HourOnDoing != 0 || len(got.Odd) != 1 {
			t.Errorf("hour_on_doing %s: %+v, odd %v", hours, typ, got.Odd)
		}
	}
	for _, entry := range []string{`"5":"Odd"`, `"5":{"id":6,"name":"Odd"}`, `"5":{"id":5,"name":[1]}`, `"5":null`, `"x":{"name":"Odd"}`, `"5":{"id":5,"name":"Odd","timescale":"2"}`} {
		if got := read(t, `{`+okStates+`}`, `{`+okTypes+`,`+entry+`}`); got.Types[5].HourOnDoing != 0 || len(got.Odd) != 1 {
			t.Errorf("type %s: %+v, odd %v", entry, got.Types, got.Odd)
		}
	}
	for _, role := range []string{`"-"`, `-1`, `"-1"`, `"abc"`, `[]`, `[1]`, `{}`, `1.5`, `true`, `"1:30"`, `{"id":"abc"}`} {
		got := read(t, `{`+okStates+`,"12":{"id":12,"name":"Odd","system_role":`+role+`}}`, `{`+okTypes+`}`)
		_, known := got.States[12]
		if why := got.OddStates[12]; known || !failure.Is(why, failure.SourceInvalid) || len(got.Odd) != 1 || got.Incomplete {
			t.Errorf("role %s: known %v, odd %v", role, known, got.OddStates)
		}
	}
	for _, entry := range []string{`"12":"Odd"`, `"12":{"id":13,"name":"Odd","system_role":2}`, `"12":{"id":12,"name":[1],"system_role":2}`, `"12":null`} {
		if got := read(t, `{`+okStates+`,`+entry+`}`, `{`+okTypes+`}`); got.OddStates[12] == nil || len(got.States) != 1 {
			t.Errorf("state %s: %+v, odd %v", entry, got.States, got.OddStates)
		}
	}
	// Of which state it is cannot be known: then no state is known to be unknown.
	for _, states := range []string{`{` + okStates + `,"x":{"name":"Odd","system_role":2}}`,
		`[{"id":11,"name":"New","system_role":1},{"name":"Odd","system_role":2},7]`} {
		if got := read(t, states, `{`+okTypes+`}`); !got.Incomplete || len(got.Odd) == 0 {
			t.Errorf("states %s: %+v", states, got)
		}
	}
}

// Some ERPs may spell a role as its text (E3).
func TestRolesAreUnderstoodByNumberOrText(t *testing.T) {
	read := func(states string) calendarsync.Catalogue {
		got, err := clientFor(t, saying(map[string]string{"get_catalog_state": `{"result":"OK","data":` + states + `}`})).States(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	numbers := read(`{"1":{"id":1,"name":"a","system_role":1,"system_role_text":"Not completed"},"2":{"id":2,"name":"b","system_role":"not completed "},
		"3":{"id":3,"name":"c","system_role":{"id":3,"name":"Completed"}},"4":{"id":4,"name":"d","system_role":"Completed"},"5":{"id":5,"name":"e","system_role":"Postponed"}}`)
	if numbers.States[2].Role != 1 || numbers.States[4].Role != 3 || numbers.States[1].RoleName != "Not completed" || numbers.OddStates[5] == nil {
		t.Errorf("among numbers: %+v, odd %v", numbers.States, numbers.OddStates)
	}
	texts := read(`{"1":{"id":1,"name":"a","system_role":"Not completed"},"2":{"id":2,"name":"b","system_role":"NOT COMPLETED"},
		"3":{"id":3,"name":"c","system_role":"Виконано"},"4":{"id":4,"name":"d","system_role":"-"}}`)
	one, three := texts.States[1].Role, texts.States[3].Role
	if one <= 0 || one != texts.States[2].Role || three <= 0 || one == three || texts.States[3].RoleName != "Виконано" || texts.OddStates[4] == nil {
		t.Errorf("texts alone: %+v, odd %v", texts.States, texts.OddStates)
	}
	if again := read(`{"9":{"id":9,"name":"z","system_role":"Not completed"}}`); again.States[9].Role != one {
		t.Errorf("the same text is role %d, and %d in another catalogue", one, again.States[9].Role)
	}
}

func TestDivisions(t *testing.T) {
	for _, tc := range []struct {
		name, data string
		want       map[calendarsync.DivisionID]string
		kind       failure.Kind
	}{
		{"two", `{"3":{"id":3,"name":"North &amp; East","parent_id":0},"4":{"id":"4","name":"South"}}`, map[calendarsync.DivisionID]string{3: "North & East", 4: "South"}, ""},
		{"none", `[]`, map[calendarsync.DivisionID]string{}, ""},
		{"missing", `null`, nil, failure.SourceInvalid},
		{"one odd", `{"3":"North","4":{"id":"4","name":"South"}}`, map[calendarsync.DivisionID]string{4: "South"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := clientFor(t, saying(map[string]string{"get_division_list": `{"result":"OK","data":` + tc.data + `}`})).Divisions(t.Context())
			if tc.kind != "" {
				if !failure.Is(err, tc.kind) {
					t.Fatalf("got %v, %v", got, err)
				}
				return
			}
			if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
				t.Fatalf("%v\n%s", err, diff)
			}
		})
	}
}

func TestClock(t *testing.T) {
	unix := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name, body string
		want       Clock
		kind       failure.Kind
	}{
		{"newer", `{"result":"OK","data":{"erp_version":"3.21","date_time_unix":1795341600,"date_time_string":"2026-11-22 12:00:00"}}`,
			Clock{Version: "3.21", Unix: unix, Local: at("2026-11-22 12:00:00"), Offset: 2 * time.Hour}, ""},
		{"older", `{"Result":"OK","Data":{"userside_version":"3.12","date_time_unix":"1795341600","date_time_string":"22.11.2026 15:30"}}`,
			Clock{Version: "3.12", Unix: unix, Local: at("2026-11-22 15:30:00"), Offset: 5*time.Hour + 30*time.Minute}, ""},
		{"without data, west, a second apart", `{"result":"OK","date_time_unix":1795341600,"date_time_string":"2026-11-22 06:59:59"}`,
			Clock{Unix: unix, Local: at("2026-11-22 06:59:59"), Offset: -3 * time.Hour}, ""},
		{"no instant", `{"result":"OK","data":{"date_time_string":"2026-11-22 12:00:00"}}`, Clock{}, failure.SourceInvalid},
		{"instant 0", `{"result":"OK","data":{"date_time_unix":0,"date_time_string":"1970-01-01 00:00:00"}}`, Clock{}, failure.SourceInvalid},
		{"no wall clock", `{"result":"OK","data":{"date_time_unix":1795341600,"date_time_string":""}}`, Clock{}, failure.SourceInvalid},
		{"a date only", `{"result":"OK","data":{"date_time_unix":1795341600,"date_time_string":"2026-11-22"}}`, Clock{}, failure.SourceInvalid},
		{"garbled", `{"result":"OK","data":{"date_time_unix":"now","date_time_string":"2026-11-22 12:00:00"}}`, Clock{}, failure.SourceInvalid},
		{"no zone is that far", `{"result":"OK","data":{"date_time_unix":1795341600,"date_time_string":"2026-11-24 12:00:00"}}`, Clock{}, failure.SourceInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := clientFor(t, saying(map[string]string{"get_system_info": tc.body})).Clock(t.Context())
			if tc.kind != "" {
				if !failure.Is(err, tc.kind) {
					t.Fatalf("got %+v, %v", got, err)
				}
				return
			}
			if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
				t.Fatalf("%v\n%s", err, diff)
			}
		})
	}
}
