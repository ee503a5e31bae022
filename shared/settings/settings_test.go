package settings_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/settings"
)

func TestParseFillsInDefaults(t *testing.T) {
	got, err := settings.Parse([]byte(`{"time_zone":"Europe/Kyiv","shown_roles":[1,2],"backfill_hours":0,"colors":{"12":11},"confirmed":true}`), calendarsync.DefaultSettings())
	if err != nil {
		t.Fatal(err)
	}
	want := calendarsync.DefaultSettings()
	want.TimeZone, want.ShownRoles, want.BackfillHours = "Europe/Kyiv", []calendarsync.RoleID{1, 2}, 0
	want.Colors, want.Confirmed = map[string]int{"12": 11}, true
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestParseOfNothingLeavesTheRequiredOut(t *testing.T) {
	for _, text := range []string{"", "{}", " \n"} {
		got, err := settings.Parse([]byte(text), calendarsync.DefaultSettings())
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if missing := settings.Missing(got); !slices.Equal(missing, []string{"time_zone", "shown_roles"}) {
			t.Errorf("%q: missing are %v", text, missing)
		}
	}
}

func TestParseDoesNotTouchItsBase(t *testing.T) {
	base := calendarsync.DefaultSettings()
	if _, err := settings.Parse([]byte(`{"colors":{"3":4}}`), base); err != nil {
		t.Fatal(err)
	}
	if len(base.Colors) != 0 {
		t.Errorf("the base now has the colours %v", base.Colors)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, row := range []struct{ json, field, says string }{
		{`{"backfil_hours":1}`, "backfil_hours", "not a known setting"},
		{`{"Enabled":true}`, "Enabled", "not a known setting"},
		{`{"enabled":true,"enabled":false}`, "enabled", "given twice"},
		{`[]`, "", "one JSON object"},
		{`"x"`, "", "one JSON object"},
		{`{"enabled":true`, "", "well-formed"},
		{`{"enabled":true} {}`, "", "something after"},
		{`{"enabled":"true"}`, "enabled", "true or false"},
		{`{"enabled":null}`, "enabled", "not null"},
		{`{"enabled":1}`, "enabled", "true or false"},
		{`{"confirmed":"yes"}`, "confirmed", "true or false"},
		{`{"include_departments":0}`, "include_departments", "true or false"},
		{`{"midnight_is_all_day":"on"}`, "midnight_is_all_day", "true or false"},
		{`{"time_zone":""}`, "time_zone", "must be set"},
		{`{"time_zone":"Local"}`, "time_zone", "machine's own"},
		{`{"time_zone":"local"}`, "time_zone", "machine's own"},
		{`{"time_zone":"Kyiv"}`, "time_zone", "not the name"},
		{`{"time_zone":"+02:00"}`, "time_zone", "not the name"},
		{`{"time_zone":"../etc/passwd"}`, "time_zone", "not the name"},
		{`{"time_zone":3}`, "time_zone", "a text"},
		{`{"shown_roles":[]}`, "shown_roles", "at least one"},
		{`{"shown_roles":null}`, "shown_roles", "not null"},
		{`{"shown_roles":1}`, "shown_roles", "list"},
		{`{"shown_roles":["1"]}`, "shown_roles", "list"},
		{`{"shown_roles":[1.5]}`, "shown_roles", "list"},
		{`{"shown_roles":[-1]}`, "shown_roles", "not the number"},
		{`{"shown_roles":[1,1]}`, "shown_roles", "twice"},
		{`{"binding_field":-1}`, "binding_field", "number of a field"},
		{`{"binding_field":"7"}`, "binding_field", "whole number"},
		{`{"calendar_id_field":-4}`, "calendar_id_field", "number of a field"},
		{`{"binding_field":7,"calendar_id_field":7}`, "calendar_id_field", "another field"},
		{`{"backfill_hours":-1}`, "backfill_hours", "between 0 and 8760"},
		{`{"backfill_hours":8761}`, "backfill_hours", "between 0 and 8760"},
		{`{"backfill_hours":1.5}`, "backfill_hours", "whole number"},
		{`{"backfill_hours":99999999999999999999}`, "backfill_hours", "whole number"},
		{`{"default_duration_minutes":0}`, "default_duration_minutes", "between 1 and 10080"},
		{`{"default_duration_minutes":10081}`, "default_duration_minutes", "between 1 and 10080"},
		{`{"calendar_name":""}`, "calendar_name", "empty"},
		{`{"calendar_name":"{{.Task.ID"}`, "calendar_name", "unclosed"},
		{`{"event_title":"{{.Task.Nope}}"}`, "event_title", "Nope"},
		{`{"event_description":"{{template \"x\"}}"}`, "event_description", "x"},
		{`{"event_title":"` + strings.Repeat("x", 4001) + `"}`, "event_title", "longer"},
		{`{"task_url":"/task/{id}"}`, "task_url", "full address"},
		{`{"task_url":"ftp://erp/{id}"}`, "task_url", "full address"},
		{`{"task_url":"javascript:alert(1)//{id}"}`, "task_url", "full address"},
		{`{"task_url":"https:///{id}"}`, "task_url", "full address"},
		{`{"task_url":"https://u:p@erp/{id}"}`, "task_url", "full address"},
		{`{"task_url":"https://erp/a b/{id}"}`, "task_url", "full address"},
		{`{"task_url":"https://erp/task/"}`, "task_url", "{id}"},
		{`{"colors":[]}`, "colors", "object"},
		{`{"colors":{"red":1}}`, "colors", "not the number"},
		{`{"colors":{"01":1}}`, "colors", "not the number"},
		{`{"colors":{"-1":1}}`, "colors", "not the number"},
		{`{"colors":{"1":0}}`, "colors", "between 1 and 11"},
		{`{"colors":{"1":12}}`, "colors", "between 1 and 11"},
		{`{"colors":{"1":"11"}}`, "colors", "object"},
		{`{"language":"de"}`, "language", "one of"},
		{`{"language":"EN"}`, "language", "one of"},
		{`{"delete_guard_percent":0}`, "delete_guard_percent", "between 1 and 100"},
		{`{"delete_guard_percent":101}`, "delete_guard_percent", "between 1 and 100"},
	} {
		t.Run(row.json[:min(len(row.json), 60)], func(t *testing.T) {
			_, err := settings.Parse([]byte(row.json), calendarsync.DefaultSettings())
			faults, ok := settings.FaultsOf(err)
			if !ok || len(faults) != 1 {
				t.Fatalf("got %v, want one fault", err)
			}
			if faults[0].Field != row.field || !strings.Contains(faults[0].Problem, row.says) {
				t.Errorf("got %v, want %q of %q", err, row.says, row.field)
			}
		})
	}
}

func TestParseReportsAllFaultsInTheFormsOrder(t *testing.T) {
	_, err := settings.Parse([]byte(`{"zzz":1,"language":"de","enabled":3,"time_zone":"Mars/Olympus","delete_guard_percent":0,"backfill_hours":"x"}`), calendarsync.DefaultSettings())
	faults, ok := settings.FaultsOf(err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	var fields []string
	for _, f := range faults {
		fields = append(fields, f.Field)
	}
	want := []string{"enabled", "time_zone", "backfill_hours", "language", "delete_guard_percent", "zzz"}
	if !slices.Equal(fields, want) {
		t.Errorf("faults of %v, want %v", fields, want)
	}
}

func TestEveryFieldOfTheContractIsRead(t *testing.T) {
	data, err := json.Marshal(calendarsync.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	var names map[string]json.RawMessage
	if err := json.Unmarshal(data, &names); err != nil {
		t.Fatal(err)
	}
	var got []string
	for n := range names {
		got = append(got, n)
	}
	want := settings.Fields()
	sort.Strings(got)
	sort.Strings(want)
	if !slices.Equal(got, want) {
		t.Errorf("the domain has %v, the form %v", got, want)
	}
}

func TestEncodedSettingsReadBackTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := calendarsync.DefaultSettings()
		s.Enabled, s.Confirmed = rapid.Bool().Draw(t, "enabled"), rapid.Bool().Draw(t, "confirmed")
		s.TimeZone = rapid.SampledFrom([]string{"UTC", "Europe/Kyiv", "America/St_Johns", "Asia/Kathmandu"}).Draw(t, "zone")
		s.ShownRoles = rapid.SliceOfNDistinct(rapid.Map(rapid.Int64Range(0, 99), func(i int64) calendarsync.RoleID { return calendarsync.RoleID(i) }), 1, 5, rapid.ID).Draw(t, "roles")
		s.BackfillHours = rapid.IntRange(0, settings.MaxBackfillHours).Draw(t, "backfill")
		s.DefaultDurationMinutes = rapid.IntRange(1, settings.MaxDurationMinutes).Draw(t, "duration")
		s.TaskURL = rapid.SampledFrom([]string{"", "https://erp.example/oper/?core_section=task&action=show&id={id}", "http://10.0.0.1:8080/task/{id}"}).Draw(t, "url")
		s.EventTitle = rapid.SampledFrom([]string{"{{.Task.Type}}", "№ {{.Task.ID}} <b>"}).Draw(t, "title")
		if faults := settings.Check(s); len(faults) > 0 {
			t.Fatalf("refused: %v", faults)
		}
		data, err := settings.Encode(s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := settings.Parse(data, calendarsync.Settings{})
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Fatalf("got %+v, %v; want %+v", got, err, s)
		}
	})
}
