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
		{"third spelling, role with a name", `{"11":{"id":11,"name":"New","systemRole":{"id":1,"name":"x"}}}`, okTypes, one, typ(2), ""},
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
		{"garbled role", `{"11":{"id":11,"name":"New","system_role":"open"}}`, okTypes, nil, nil, failure.SourceInvalid},
		{"wrong inner id", `{"11":{"id":12,"name":"New","system_role":1}}`, okTypes, nil, nil, failure.SourceInvalid},
		{"entry is text", `{"11":"New"}`, okTypes, nil, nil, failure.SourceInvalid},
		{"garbled name", `{"11":{"id":11,"name":[1],"system_role":1}}`, okTypes, nil, nil, failure.SourceInvalid},
		{"garbled duration", okStates, `{"4":{"id":4,"name":"Repair","timescale":{"hour_on_doing":"NaN"}}}`, nil, nil, failure.SourceInvalid},
		{"negative duration", okStates, `{"4":{"id":4,"name":"Repair","timescale":{"hour_on_doing":-1}}}`, nil, nil, failure.SourceInvalid},
		{"endless duration", okStates, `{"4":{"id":4,"name":"Repair","timescale":{"hour_on_doing":1e18}}}`, nil, nil, failure.SourceInvalid},
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

func TestDivisions(t *testing.T) {
	for _, tc := range []struct {
		name, data string
		want       map[calendarsync.DivisionID]string
		kind       failure.Kind
	}{
		{"two", `{"3":{"id":3,"name":"North &amp; East","parent_id":0},"4":{"id":"4","name":"South"}}`, map[calendarsync.DivisionID]string{3: "North & East", 4: "South"}, ""},
		{"none", `[]`, map[calendarsync.DivisionID]string{}, ""},
		{"missing", `null`, nil, failure.SourceInvalid},
		{"text", `{"3":"North"}`, nil, failure.SourceInvalid},
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
