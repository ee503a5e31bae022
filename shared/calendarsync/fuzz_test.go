package calendarsync_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	. "github.com/erp-calendar/erp-calendar/shared/calendarsync" //nolint:revive // the package under test, seen from outside
)

// What is read as a mark is whole and says the same when it is written again.
func FuzzReadCalendarMark(f *testing.F) {
	line := "erp-calendar/1 tenant=6f1d3a52 employee=42 epoch=n0nce from=2026-11-21T10:00:00Z"
	for _, seed := range []string{"", line, "text\n" + line + "\n", line + "\r\n" + line, strings.Replace(line, "Z", "+02:00", 1), strings.Replace(line, "42", "00042", 1)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, description string) {
		m, ok := ReadCalendarMark(description)
		if !ok {
			if m != (CalendarMark{}) {
				t.Fatalf("no mark, but %+v", m)
			}
			return
		}
		if m.Tenant == "" || m.Employee <= 0 || m.Epoch == "" || m.From.IsZero() && !strings.Contains(description, "0001-01-01") {
			t.Fatalf("a mark that is not whole: %+v", m)
		}
		if year := m.From.UTC().Year(); year < 0 || year > 9999 {
			return // beyond what RFC 3339 can write
		}
		again, ok := ReadCalendarMark(m.Line())
		if !ok || again.Tenant != m.Tenant || again.Employee != m.Employee || again.Epoch != m.Epoch || again.From.Unix() != m.From.Unix() {
			t.Fatalf("%+v, written and read again, is %+v, %v", m, again, ok)
		}
	})
}

// No text of the ERP makes an event that Google would refuse or show broken.
func FuzzRender(f *testing.F) {
	f.Add("Repair", "Main St 1, 4", "Ivan <ivan@example.com>", "Call & ask\r\n\r\n\r\nthen go", "Olena")
	f.Add("", " ", "\x00", "https://erp.example/task/123", "")
	f.Add(", ", "\xff\xfe", "&amp;&lt;", strings.Repeat("&", 9000), "\u2028")
	f.Add("a\u00a0", "\u3000", "{{.Task.ID}}", strings.Repeat("🛠", 9000), "{id}")
	s := settings()
	texts, err := NewTexts(s)
	if err != nil {
		f.Fatal(err)
	}
	r := rulesOf(f, s)
	f.Fuzz(func(t *testing.T, kind, address, customer, description, name string) {
		x := task(func(x *Task) { x.TypeName, x.Address, x.Customer, x.Description = kind, address, customer, description })
		d := r.Decide(read(x), recipient(func(e *Recipient) { e.Name = name }), false)
		if d.Verdict != Keep {
			t.Fatalf("verdict %v, %q: %v", d.Verdict, d.Reason, d.Err)
		}
		checkEvent(t, d.Event, "https://erp.example/task/123")
		n, err := texts.CalendarName(TemplateEmployee{ID: olena, Name: name})
		if len(name) > 64<<10 {
			return // more than a template may give
		}
		if err != nil || n == "" || utf8.RuneCountInString(n) > MaxName {
			t.Fatalf("name %q, %v", n, err)
		}
	})
}
