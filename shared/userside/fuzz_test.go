package userside

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// oneBody is an ERP that answers everything with the same body.
func oneBody(body string) *erp {
	return &erp{answer: func(int, url.Values) (int, string) { return http.StatusOK, body }}
}

// kindIsSaid fails where an error is not one of the ERP's two kinds: everything
// that a 200 can hold is the ERP's doing.
func kindIsSaid(t *testing.T, err error) {
	if k := failure.KindOf(err); err != nil && k != failure.Source && k != failure.SourceInvalid {
		t.Errorf("kind %s: %v", k, err)
	}
}

// notJSON tells bodies that no reading may come from.
func notJSON(body string) bool {
	return !json.Valid([]byte(strings.TrimPrefix(strings.TrimSpace(body), "\xef\xbb\xbf")))
}

func FuzzTasks(f *testing.F) {
	for _, s := range []string{
		`{"result":"OK","data":{"5":{"id":5,"date":{"todo":"2026-11-22 10:00:00"},"staff":{"employee":{"7":7}}},"6":"error"}}`,
		`{"Result":"OK","Data":{"id":"5","state":{"id":"1"},"staff":{"worker":["7"]}}}`,
		`{"result":"OK","data":[{"id":5},{"id":6}]}`, `{"result":"OK","count":0,"list":""}`, `{"result":"OK","count":"1","list":"5"}`,
		`{"result":"OK","count":1,"list":"9","data":{"9":{"id":9}}}`, `{"result":"ERROR"}`, `<html>`, `{"result":"OK"}`, `[]`, ``,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		ids := taskIDs{5, 6}
		got, err := clientFor(t, oneBody(body)).Tasks(shortly(t), ids)
		kindIsSaid(t, err)
		if err != nil {
			if got != nil {
				t.Error("readings beside an error")
			}
			return
		}
		if notJSON(body) {
			t.Error("a reading out of something that is no JSON")
		}
		for _, id := range ids {
			r, there := got[id]
			set := 0
			for _, is := range []bool{r.Task != nil, r.Absent != 0, r.Invalid != nil} {
				if is {
					set++
				}
			}
			if !there || set != 1 {
				t.Errorf("task %d: %+v", id, r)
			}
			if r.Task != nil {
				if r.Task.ID != id {
					t.Errorf("task %d has id %d", id, r.Task.ID)
				}
				plainEnough(t, r.Task.Description)
				if strings.Contains(r.Task.Address+r.Task.Customer+r.Task.TypeName, "\n") {
					t.Error("a newline in a line")
				}
				for _, e := range r.Task.Executors.Or(nil) {
					if e <= 0 {
						t.Errorf("executor %d", e)
					}
				}
			}
			// Whoever is absent by a known id has a present task in the body.
			if r.Absent == calendarsync.ProofKnownID && !strings.Contains(body, "id") {
				t.Errorf("task %d is absent without a known one", id)
			}
		}
		if len(got) != len(ids) {
			t.Errorf("%d readings", len(got))
		}
	})
}

func FuzzEmployees(f *testing.F) {
	for _, s := range []string{
		`{"result":"OK","data":{"7":{"id":7,"name":"a","is_work":1,"email":"a@b.example","division":[{"division_id":3,"is_work":1}],"additional_data":{"12":"1"}}}}`,
		`{"Result":"OK","Data":{"7":{"id":"7","is_work":"0","additional_fields":{"12":{"value":null}}},"8":"error"}}`,
		`{"result":"OK","data":[]}`, `{"result":"OK","data":{"id":7}}`, `{"result":"OK","data":[{"id":7}]}`, `{"result":"ERROR"}`, `x`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		ids := employeeIDs{7, 8}
		c := clientFor(t, oneBody(body))
		got, err := c.Employees(shortly(t), ids)
		all, allErr := c.AllEmployees(shortly(t), nil)
		kindIsSaid(t, err)
		kindIsSaid(t, allErr)
		if allErr == nil && len(all) == 0 {
			t.Error("nobody, and no error")
		}
		if notJSON(body) && (err == nil || allErr == nil) {
			t.Error("a reading out of something that is no JSON")
		}
		if err == nil && len(got) != len(ids) {
			t.Errorf("%d readings", len(got))
		}
		for _, readings := range []employeeReadings{got, all} {
			for id, r := range readings {
				set := 0
				for _, is := range []bool{r.Employee != nil, r.Absent != 0, r.Invalid != nil} {
					if is {
						set++
					}
				}
				if set != 1 || r.Employee != nil && r.Employee.ID != id {
					t.Errorf("employee %d: %+v", id, r)
				}
				// Nobody may be absent where the complete list failed.
				if r.Absent != 0 && allErr != nil {
					t.Errorf("employee %d is absent although the list failed: %v", id, allErr)
				}
			}
		}
	})
}

func FuzzCatalogue(f *testing.F) {
	f.Add(`{"result":"OK","data":{"4":{"id":4,"name":"a","system_role":1,"timescale":{"hour_on_doing":2}}}}`)
	f.Add(`{"Result":"OK","Data":[{"id":"4","name":"a","sysrole":"1"}]}`)
	f.Add(`{"result":"OK","data":[]}`)
	f.Add(`{"result":"OK","data":{"date_time_unix":1795341600,"date_time_string":"2026-11-22 12:00:00"}}`)
	f.Fuzz(func(t *testing.T, body string) {
		c := clientFor(t, oneBody(body))
		got, err := c.Catalogue(shortly(t))
		kindIsSaid(t, err)
		if err == nil && (len(got.States) == 0 || len(got.Types) == 0 || notJSON(body)) {
			t.Errorf("an empty catalogue and no error: %+v", got)
		}
		for id, s := range got.States {
			if s.ID != id {
				t.Errorf("state %d has id %d", id, s.ID)
			}
		}
		for id, typ := range got.Types {
			if typ.ID != id || typ.HourOnDoing < 0 || typ.HourOnDoing > maxHours {
				t.Errorf("type %d: %+v", id, typ)
			}
		}
		divisions, err := c.Divisions(shortly(t))
		kindIsSaid(t, err)
		if err == nil && (divisions == nil || notJSON(body)) {
			t.Error("no divisions and no error")
		}
		clock, err := c.Clock(shortly(t))
		kindIsSaid(t, err)
		if err == nil && (clock.Unix.IsZero() || clock.Local.IsZero() || clock.Local.DateOnly) {
			t.Errorf("no clock and no error: %+v", clock)
		}
	})
}

func FuzzList(f *testing.F) {
	for _, s := range []string{`{"result":"OK","count":2,"list":"5,6"}`, `{"count":"0","list":""}`, `{"result":"OK","data":{"list":[1],"count":1}}`, `{"result":"OK"}`} {
		f.Add(s, 0)
		f.Add(s, 1)
	}
	f.Fuzz(func(t *testing.T, body string, limit int) {
		got, err := clientFor(t, oneBody(body)).ListTasks(shortly(t), TaskFilter{Limit: limit})
		kindIsSaid(t, err)
		if err != nil {
			return
		}
		if got == nil || notJSON(body) {
			t.Errorf("no list and no error: %q", body)
		}
		if len(got) == 0 && !strings.Contains(body, "0") {
			t.Errorf("an empty list without a count of 0: %q", body)
		}
		for i, id := range got {
			if id <= 0 {
				t.Errorf("id %d", id)
			}
			for _, other := range got[:i] {
				if other == id {
					t.Errorf("id %d twice", id)
				}
			}
		}
	})
}

func FuzzDate(f *testing.F) {
	for _, s := range []string{"2026-11-22 10:30:00", "2026-11-22 10:30", "22.11.2026 10:30", "22.11.2026", "2026-11-22", "", "-", "0000-00-00 00:00:00", "0001-01-01", "\u1680-",
		"-0001-11-30 00:00:00", "30.11.-0001 00:00", "2030-11-22T10:00:00Z", "2030-11-22T10:00:00.5+02:00", "22.11.2030, 10:00", "2030-11-22 24:00", "9999-12-31 24:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseDate(s)
		if !ok {
			if !got.IsZero() {
				t.Errorf("%q: a date and not ok", s)
			}
			return
		}
		if got.IsZero() {
			if strings.Trim(strings.Join(strings.Fields(calendarsync.Visible(s)), ""), "0123456789-:.,+TZ") != "" {
				t.Errorf("%q is taken for no date", s)
			}
			return
		}
		if y := got.Wall.Year(); y < 1900 || y > 9999 || got.Wall.Nanosecond() != 0 {
			t.Errorf("%q: %v", s, got.Wall)
		}
		// What the client writes, it reads back the same.
		again, ok := parseDate(dateParameter(got))
		if !ok || !again.Wall.Equal(got.Wall) {
			t.Errorf("%q: %v, then %v", s, got, again)
		}
		if got.DateOnly && (got.Wall.Hour() != 0 || got.Wall.Minute() != 0 || strings.Contains(s, ":")) {
			t.Errorf("%q: %v has no time of day", s, got)
		}
	})
}

// plainEnough checks what plainText promises of its result.
func plainEnough(t *testing.T, s string) {
	if !utf8.ValidString(s) || s != strings.TrimSpace(s) || strings.Contains(s, "\n\n\n") {
		t.Errorf("not tidy: %q", s)
	}
	for _, r := range s {
		if r != '\n' && unicode.IsControl(r) {
			t.Errorf("control character %U in %q", r, s)
		}
	}
}

func FuzzPlainText(f *testing.F) {
	for _, s := range []string{"a<br />\nb", "&amp;lt;b&amp;gt;", "<script>x</script>", "<p>a</p>", "\xff&#7;", "<plaintext>a", "<!--", "<a href='", "&lt;br&gt;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := plainText(s)
		plainEnough(t, got)
		if !strings.ContainsAny(s, "<&") && utf8.ValidString(s) {
			// Nothing to decode: no visible character is lost.
			keep := func(s string) string {
				return strings.Map(func(r rune) rune {
					if unicode.IsSpace(r) || !unicode.IsGraphic(r) {
						return -1
					}
					return r
				}, s)
			}
			if keep(got) != keep(s) {
				t.Errorf("%q became %q", s, got)
			}
		}
		if strings.Contains(plainLine(s), "\n") {
			t.Errorf("a newline in a line: %q", s)
		}
	})
}
