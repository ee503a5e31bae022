package userside

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// What a template shows is asked for and kept, in every spelling; what none shows is
// neither, and an odd one never costs the task.
func TestExtrasAreReadOnlyWhereATemplateShowsThem(t *testing.T) {
	type fields = []calendarsync.TaskField
	all := calendarsync.Extras{Fields: true, Comment: true}
	for _, row := range []struct {
		name, task string
		extras     calendarsync.Extras
		fields     fields
		comment    string
	}{
		{"fields", `"additional_data":{"12":{"id":12,"caption":"Ph&amp;one","value":"067 <br />1"},"3":{"id":"3","caption":"Key","value":7}}`, all,
			fields{{ID: 3, Caption: "Key", Value: "7"}, {ID: 12, Caption: "Ph&one", Value: "067\n1"}}, ""},
		{"old name, plain values", `"additional_fields":{"12":"x"}`, all, fields{{ID: 12, Value: "x"}}, ""},
		{"a list", `"additional_data":[{"id":12,"caption":"c","value":"x"}]`, all, fields{{ID: 12, Caption: "c", Value: "x"}}, ""},
		{"none", `"additional_data":[],"comments":[]`, all, nil, ""},
		{"several choices", `"additional_data":{"12":{"value":["a","b"]},"13":{"value":{"x":1}},"14":{"value":null},"15":{"value":[]}}`, all,
			fields{{ID: 12, Value: "a, b"}, {ID: 15}}, ""},
		{"odd ones", `"additional_data":{"x":{"value":"1"},"12":{"id":"y","value":"z"},"13":3.5}`, all, fields{{ID: 12, Value: "z"}, {ID: 13, Value: "3.5"}}, ""},
		{"odd as a whole", `"additional_data":"x","comments":7`, all, nil, ""},
		{"one field", `"additional_data":{"12":{"value":"a"},"13":{"value":"b"}}`, calendarsync.Extras{Field: 13}, fields{{ID: 13, Value: "b"}}, ""},
		{"nothing", `"additional_data":{"12":{"value":"a"}},"comments":{"5":{"id":5,"comment":"x"}}`, calendarsync.Extras{}, nil, ""},
		{"the latest comment", `"comments":{"7":{"id":7,"dateAdd":"2026-11-20 10:00:00","comment":"old"},"5":{"id":5,"dateAdd":"2026-11-21 09:00:00","comment":"new &lt;1&gt;"}}`,
			calendarsync.Extras{Comment: true}, nil, "new <1>"},
		{"without dates the highest", `"comments":[{"id":5,"comment":"old"},{"id":"12","comment":"new"},{"id":7}]`, calendarsync.Extras{Comment: true}, nil, "new"},
		{"other spellings", `"comments":{"7":{"id":7,"date_add":"21.11.2026 10:00","text":"new"},"9":{"id":9,"date_add":"20.11.2026 10:00","text":"old"}}`,
			calendarsync.Extras{Comment: true}, nil, "new"},
	} {
		t.Run(row.name, func(t *testing.T) {
			asked := ""
			e := &erp{answer: func(_ int, f url.Values) (int, string) {
				asked = f.Get("is_without_comments")
				return http.StatusOK, fmt.Sprintf(`{"result":"OK","data":{"7":{"id":7,%s},"8":{"id":8}}}`, row.task)
			}}
			got, err := clientFor(t, e).TasksWith(t.Context(), taskIDs{7, 8}, row.extras)
			if err != nil || got[7].Task == nil {
				t.Fatalf("%+v, %v", got[7], err)
			}
			if without := asked == "1"; without == row.extras.Comment {
				t.Errorf("is_without_comments=%q", asked)
			}
			if diff := cmp.Diff(row.fields, got[7].Task.Fields); diff != "" || got[7].Task.Comment != row.comment {
				t.Errorf("%s; comment %q", diff, got[7].Task.Comment)
			}
		})
	}
}
