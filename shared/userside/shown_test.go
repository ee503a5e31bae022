package userside

import (
	"slices"
	"strings"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

func decoded(t *testing.T, text string) any {
	t.Helper()
	body := &boundedBody{body: strings.NewReader(text)}
	v, err := decodeJSON(body, body, false)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What a show proves missing decides what is deleted (rule 4.2).
func TestWhatOneShowSays(t *testing.T) {
	for _, row := range []struct {
		name, data string
		ids        taskIDs
		readable   taskIDs
		complete   bool
		distrusted bool
	}{
		{name: "nothing", data: `null`, ids: taskIDs{1}},
		{name: "a sentence", data: `"no such task"`, ids: taskIDs{1}},
		{name: "the only task asked for", data: `{"id":1}`, ids: taskIDs{1}, readable: taskIDs{1}, complete: true},
		{name: "the last of several, alone", data: `{"id":2}`, ids: taskIDs{1, 2}, readable: taskIDs{2}, complete: true},
		{name: "the first of several, alone", data: `{"id":1}`, ids: taskIDs{1, 2}, readable: taskIDs{1}},
		{name: "one that was not asked for", data: `{"id":3}`, ids: taskIDs{1, 2}},
		{name: "one by id", data: `{"1":{"id":1}}`, ids: taskIDs{1, 2}, readable: taskIDs{1}, complete: true},
		{name: "one by id and an error", data: `{"1":{"id":1},"2":"error"}`, ids: taskIDs{1, 2}, readable: taskIDs{1}, complete: true},
		{name: "only errors", data: `{"1":"error","2":"Error "}`, ids: taskIDs{1, 2}},
		{name: "one unreadable by id", data: `{"1":{"id":7}}`, ids: taskIDs{1, 2}},
		{name: "the same id twice", data: `{"1":{"id":1},"01":{"id":1}}`, ids: taskIDs{1}, distrusted: true},
		{name: "a list", data: `[{"id":2},{"id":9}]`, ids: taskIDs{1, 2}, readable: taskIDs{2}, complete: true},
		{name: "a list with a task without an id", data: `[{"id":2},{}]`, ids: taskIDs{1, 2}, distrusted: true},
		{name: "a number", data: `5`, ids: taskIDs{1}, distrusted: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := readShown("show", row.ids, decoded(t, row.data), calendarsync.Extras{})
			if (err != nil) != row.distrusted {
				t.Fatalf("distrusted: %v", err)
			}
			var readable taskIDs
			for id, r := range got.readings {
				if r.Task != nil {
					readable = append(readable, id)
				}
			}
			slices.Sort(readable)
			if !slices.Equal(readable, row.readable) || got.complete != row.complete {
				t.Errorf("tasks %v, complete %v; want %v, %v", readable, got.complete, row.readable, row.complete)
			}
		})
	}
}

func TestCurrentDivisions(t *testing.T) {
	for data, want := range map[string]string{
		`{}`: "", `[]`: "", `[3,null,1]`: "1,3", `{"3":3}`: "3", `{"3":4}`: "unreadable", `{"x":4}`: "4", `["x"]`: "unreadable",
		`{"8":{"division_id":3,"is_work":1}}`: "3", `{"8":{"division_id":3,"is_work":0}}`: "", `{"8":{"is_work":1}}`: "8",
		`[{"is_work":1}]`: "unreadable", `{"8":{"division_id":3,"is_work":"maybe"}}`: "unreadable", `{"8":{"division_id":"x","is_work":1}}`: "unreadable",
		`{"8":{"division_id":3}}`: "3", `{"8":{"division_id":3,"date_out":"2026-01-01"}}`: "", `{"8":{"division_id":3,"date_out":"0000-00-00"}}`: "3",
		`"3"`: "unreadable",
	} {
		ids, ok := currentDivisions(decoded(t, data))
		got := "unreadable"
		if ok {
			got = joined(ids)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", data, got, want)
		}
	}
}
