package calendarsync_test

import (
	"encoding/base64"
	"errors"
	"html"
	"strings"
	"testing"
	"time"

	. "github.com/erp-calendar/erp-calendar/shared/calendarsync" //nolint:revive // the package under test, seen from outside
)

const checkbox FieldID = 17

func TestEmployeeIsJudgedByEvidence(t *testing.T) {
	bound := func(s *Settings) { s.BindingField = checkbox }
	works := func(change ...func(*Employee)) EmployeeReading {
		e := Employee{ID: olena, Name: "Olena", Working: Say(true), Email: Say("olena@example.com"), Fields: Say(map[FieldID]string{checkbox: "1"})}
		for _, c := range change {
			c(&e)
		}
		return EmployeeReading{Employee: &e}
	}
	email := func(s string) func(*Employee) { return func(e *Employee) { e.Email = Say(s) } }
	field := func(s string) func(*Employee) {
		return func(e *Employee) { e.Fields = Say(map[FieldID]string{checkbox: s}) }
	}
	for _, row := range []struct {
		name     string
		settings func(*Settings)
		reading  EmployeeReading
		vouched  bool
		verdict  Verdict
		reason   Reason
	}{
		{name: "works and has an address", reading: works(), verdict: Keep},
		{name: "a notification of deletion does not outweigh somebody who is there", reading: works(), vouched: true, verdict: Keep},
		{name: "bound", settings: bound, reading: works(), verdict: Keep},

		{name: "missing from a complete reading is absence", reading: EmployeeReading{Absent: ProofKnownID}, verdict: Absent, reason: ReasonMissing},
		{name: "missing and vouched for is evidence", reading: EmployeeReading{Absent: ProofKnownID}, vouched: true, verdict: Remove, reason: ReasonDeleted},
		{name: "an ERP without employees proves nothing", reading: EmployeeReading{Absent: ProofEmptyList}, verdict: Unknown, reason: ReasonMissing},
		{name: "an ERP without employees confirms a signed deletion", reading: EmployeeReading{Absent: ProofEmptyList}, vouched: true, verdict: Remove, reason: ReasonDeleted},
		{name: "no reading at all leaves everything", verdict: Unknown, reason: ReasonMissing},
		{name: "no reading at all does not confirm a deletion", vouched: true, verdict: Unknown, reason: ReasonMissing},
		{name: "untrusted data changes nothing", reading: EmployeeReading{Invalid: errors.New("no employee")}, vouched: true, verdict: Unknown, reason: ReasonInvalid},

		{name: "dismissed is evidence", reading: works(func(e *Employee) { e.Working = Say(false) }), verdict: Remove, reason: ReasonDismissed},
		{name: "dismissed is evidence whatever else is missing",
			reading: works(func(e *Employee) { *e = Employee{ID: olena, Working: Say(false)} }), verdict: Remove, reason: ReasonDismissed},
		{name: "no word of working is absence", reading: works(func(e *Employee) { e.Working = Given[bool]{} }), verdict: Absent, reason: ReasonWorkMissing},

		{name: "an empty address is evidence", reading: works(email("")), verdict: Remove, reason: ReasonNoAddress},
		{name: "a blank address is an empty one", reading: works(email(" \t")), verdict: Remove, reason: ReasonNoAddress},
		{name: "no word of an address is absence", reading: works(func(e *Employee) { e.Email = Given[string]{} }), verdict: Absent, reason: ReasonAddressMissing},
		{name: "a mistyped address costs no calendar at once", reading: works(email("olena@example")), verdict: Absent, reason: ReasonInvalidAddress},

		{name: "an unticked checkbox is evidence", settings: bound, reading: works(field("0")), verdict: Remove, reason: ReasonUnbound},
		{name: "an empty checkbox is evidence", settings: bound, reading: works(field("")), verdict: Remove, reason: ReasonUnbound},
		{name: "a checkbox that is not there is absence", settings: bound,
			reading: works(func(e *Employee) { e.Fields = Say(map[FieldID]string{99: "1"}) }), verdict: Absent, reason: ReasonBindingMissing},
		{name: "fields that are not there are absence", settings: bound,
			reading: works(func(e *Employee) { e.Fields = Given[map[FieldID]string]{} }), verdict: Absent, reason: ReasonBindingMissing},
		{name: "without a binding field everybody is bound", reading: works(field("0")), verdict: Keep},
		{name: "unbound is evidence before a missing address is looked at", settings: bound,
			reading: works(field("off"), func(e *Employee) { e.Email = Given[string]{} }), verdict: Remove, reason: ReasonUnbound},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := settings()
			if row.settings != nil {
				row.settings(&s)
			}
			if verdict, reason := DecideEmployee(s, row.reading, row.vouched); verdict != row.verdict || reason != row.reason {
				t.Errorf("verdict %v, reason %q; want %v, %q", verdict, reason, row.verdict, row.reason)
			}
		})
	}
}

func TestCheckboxValues(t *testing.T) {
	for value, on := range map[string]bool{
		"": false, " ": false, "0": false, " 0 ": false, "false": false, "FALSE": false, "No": false, "off": false,
		"Нет": false, "нет ": false, "Ні": false, "НІ": false, "N": false, "n": false, "н": false,
		"0.0": false, "0,0": false, "0.00": false, "00": false, "-0": false, "+0": false, "0.": false, ".0": false,
		"выкл": false, "Выключено": false, "отключено": false, "вимк": false, "Вимкнено": false, "disabled": false,
		"\u200b0": false, "no\u200e": false, "н\u00adет": false, "\u200b": false, "\u00a0": false,
		"1": true, "true": true, "yes": true, "on": true, "2": true, "так": true, "да": true, "Y": true, "0.1": true,
		"10": true, ".": true, "нетто": true, "+": true, "✓": true, "[\"0\"]": true,
	} {
		if On(value) != on {
			t.Errorf("On(%q) = %v", value, !on)
		}
	}
}

func TestAddresses(t *testing.T) {
	long := strings.Repeat("a", 64) + "@" + strings.Repeat("b.", 94) + "c"
	for address, valid := range map[string]bool{
		"olena@example.com":                      true,
		"  olena@example.com\t":                  true,
		"o.kovalenko+erp@sub.example.co":         true,
		"o'neil@example.com":                     true,
		long:                                     true,  // 254 characters
		"x" + long:                               false, // and one more, in the local part
		strings.Repeat("a", 65) + "@example.com": false,
		"a@" + strings.Repeat("b.", 127) + "c":   false,
		"":                                       false,
		"olena":                                  false,
		"olena@":                                 false,
		"@example.com":                           false,
		"olena@example":                          false,
		"olena@example..com":                     false,
		"olena@-example.com":                     false,
		"olena@example.com.":                     false,
		"olena@[10.0.0.1]":                       false,
		"Olena <olena@example.com>":              false,
		"<olena@example.com>":                    false,
		"olena@example.com, p@example.com":       false,
		"olena @example.com":                     false,
		"(work)olena@example.com":                false, // a comment, which mail allows
		`"olena k"@example.com`:                  false,
		"olena@exam ple.com":                     false,
		"olena@example.com\r\nBcc: x@y.zz":       false,
		"olena@приклад.укр":                      false,
		"a@b@example.com":                        false,
		"olen\u0430@example.com":                 false, // Cyrillic а
		"ölena@example.com":                      false,
		"olena@example.com\u200b":                true,
		"\u200eole\u00adna@exam\ufeffple.com":    true,
	} {
		if ValidAddress(address) != valid {
			t.Errorf("ValidAddress(%q) = %v", address, !valid)
		}
	}
	if NormalAddress("  Olena@Example.COM \n") != NormalAddress("olena@example.com") {
		t.Error("addresses are compared with case or blanks (rule 5.1)")
	}
	// The whole kind: what has no shape of its own makes no other address.
	for _, r := range "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2060\u2064\u2066\u2069\u3164\ufe0f\ufeff\U000e0041" {
		for _, hidden := range []string{"olena" + string(r) + "@example.com", string(r) + "olena@example.com", "olena@example.com" + string(r), " " + string(r) + " olena@example.com"} {
			if NormalAddress(hidden) != "olena@example.com" || !ValidAddress(hidden) || AddressDigest("t", hidden) != AddressDigest("t", "olena@example.com") {
				t.Errorf("%q is another address than olena@example.com: %q", hidden, NormalAddress(hidden))
			}
		}
	}
	if NormalAddress("olena@example.com") == NormalAddress("petro@example.com") {
		t.Error("two addresses are one")
	}
}

func TestCalendarMarkIsFoundInItsDescription(t *testing.T) {
	from := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	mark := CalendarMark{Tenant: "6f1d3a52-5a0c-4a0e-9d5b-0f6c3a1b2c3d", Employee: 42, Epoch: "n0nce_-A", From: from}
	line := "erp-calendar/1 tenant=6f1d3a52-5a0c-4a0e-9d5b-0f6c3a1b2c3d employee=42 epoch=n0nce_-A from=2026-11-21T10:00:00Z"
	if mark.Line() != line {
		t.Fatalf("line %q", mark.Line())
	}
	inKyiv := mark
	inKyiv.From = from.In(time.FixedZone("", 7200))
	if inKyiv.Line() != line {
		t.Errorf("the line depends on the zone of from: %q", inKyiv.Line())
	}
	other := strings.Replace(line, "employee=42", "employee=41", 1)
	for _, row := range []struct {
		name, description string
		found             bool
	}{
		{"alone", line, true},
		{"last after a text", "The tasks of Olena.\n\n" + line, true},
		{"with line ends of another system", "The tasks of Olena.\r\n" + line + "\r\n", true},
		{"with blanks after it", line + " \n\n", true},
		{"the last of two", other + "\n" + line, true},
		{"none", "The tasks of Olena.", false},
		{"nothing", "", false},
		{"in the middle of a line", "see " + line, true},
		{"another version", strings.Replace(line, "/1 ", "/2 ", 1), false},
		{"no employee", strings.Replace(line, "employee=42", "employee=0", 1), false},
		{"an employee beyond all numbers", strings.Replace(line, "employee=42", "employee=99999999999999999999", 1), false},
		{"no time", strings.Replace(line, "2026-11-21T10:00:00Z", "yesterday", 1), false},
		{"without its end", line[:len(line)-30], false},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, found := ReadCalendarMark(row.description)
			if found != row.found {
				t.Fatalf("found %v, want %v", found, row.found)
			}
			if found && (got.Tenant != mark.Tenant || got.Employee != mark.Employee || got.Epoch != mark.Epoch || !got.From.Equal(from)) {
				t.Errorf("read %+v", got)
			}
			if !found && got != (CalendarMark{}) {
				t.Errorf("read %+v where there is no mark", got)
			}
		})
	}
}

// Rule 2.8: Google may fold a description, and people write behind the mark.
func TestTheMarkIsReadWhateverStandsAroundIt(t *testing.T) {
	t.Parallel()
	mark := CalendarMark{Tenant: "6f1d3a52", Employee: 42, Epoch: "n0nce", From: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC), For: "00ff"}
	former := mark
	former.Epoch = "former"
	text := "Ours & theirs.\n" + former.Line() + "\n" + mark.Text()
	for name, description := range map[string]string{
		"as written":          text,
		"blanks":              strings.ReplaceAll(text, "\n", " "),
		"CRLF":                strings.ReplaceAll(text, "\n", "\r\n"),
		"escaped":             html.EscapeString(text),
		"text behind it":      text + " and more",
		"a tag behind it":     text + "<br>",
		"all in one, escaped": html.EscapeString(strings.ReplaceAll(text, "\n", " ")) + " more",
	} {
		if got, found := ReadCalendarMark(description); !found || got != mark {
			t.Errorf("%s: read %+v, found %v", name, got, found)
		}
		if left := WithoutMarks(description); !strings.HasPrefix(left, "Ours &") || strings.Contains(left, "erp-calendar/1") {
			t.Errorf("%s: without marks %q", name, left)
		}
	}
	for _, description := range []string{"x" + mark.Line(), strings.Replace(mark.Line(), " epoch", " x epoch", 1), mark.Line() + "9"} {
		if got, found := ReadCalendarMark(description); found {
			t.Errorf("%q is taken for the mark %+v", description, got)
		}
	}
}

// TestTheMarkTellsForWhomTheCalendarIs shows rule 3.8.
func TestTheMarkTellsForWhomTheCalendarIs(t *testing.T) {
	mark := CalendarMark{Tenant: "6f1d3a52", Employee: 42, Epoch: "n0nce", From: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC),
		For: AddressDigest("6f1d3a52", " Olena@Example.com")}
	if mark.For != AddressDigest("6f1d3a52", "olena@example.com") || mark.For == AddressDigest("6f1d3a52", "petro@example.com") ||
		mark.For == AddressDigest("another", "olena@example.com") {
		t.Error("the digest is not of one address in one installation")
	}
	if strings.Contains(mark.Text(), "olena") || !strings.HasSuffix(mark.Text(), "\n"+mark.Line()) {
		t.Errorf("written as %q", mark.Text())
	}
	description := "Ours.\n" + strings.Replace(mark.Text(), mark.For, "00", 1) + "\nPetro's.\n" + mark.Text()
	if got, found := ReadCalendarMark(description); !found || got != mark {
		t.Errorf("read %+v, want %+v", got, mark)
	}
	if got := WithoutMarks(description); got != "Ours.\nPetro's." {
		t.Errorf("without marks %q", got)
	}
	if got, _ := ReadCalendarMark(mark.Line()); got.For != "" {
		t.Errorf("read %+v of a mark that does not tell for whom", got)
	}
}

// TestTheMarkTellsWhoseERPItIs: rule 3.12, a digest tells the ERP's address from another,
// in a line that marks of before do not have.
func TestTheMarkTellsWhoseERPItIs(t *testing.T) {
	t.Parallel()
	const tenant, base = "6f1d3a52", "https://erp.example.com/billing"
	for name, row := range map[string]struct {
		url  string
		same bool
	}{
		"the same":                   {base, true},
		"a slash at its end":         {base + "/", true},
		"other letters of the host":  {"https://ERP.example.com/billing", true},
		"the port that goes unsaid":  {"https://erp.example.com:443/billing", true},
		"by plain http":              {"http://erp.example.com/billing", true},
		"by plain http, port":        {"http://erp.example.com:80/billing", true},
		"a query":                    {base + "?x=1", true},
		"a user":                     {"https://somebody@erp.example.com/billing", true},
		"another host":               {"https://test.example.com/billing", false},
		"another port":               {"https://erp.example.com:8443/billing", false},
		"another path":               {"https://erp.example.com/test", false},
		"other letters of the path":  {"https://erp.example.com/Billing", false},
		"nothing that can be parsed": {"https://erp.example.com/%zz", false},
	} {
		if same := ERPDigest(tenant, row.url) == ERPDigest(tenant, base); same != row.same {
			t.Errorf("%s: the same address is %v, want %v", name, same, row.same)
		}
	}
	if ERPDigest("another", base) == ERPDigest(tenant, base) || ERPDigest(tenant, "") != "" {
		t.Error("the digest is not of one address in one installation")
	}
	from := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	for name, mark := range map[string]CalendarMark{
		"for and erp": {Tenant: tenant, Employee: 42, Epoch: "n0nce", From: from, For: "00ff", ERP: ERPDigest(tenant, base)},
		"erp alone":   {Tenant: tenant, Employee: 42, Epoch: "n0nce", From: from, ERP: ERPDigest(tenant, base)},
		"for alone":   {Tenant: tenant, Employee: 42, Epoch: "n0nce", From: from, For: "00ff"},
		"neither":     {Tenant: tenant, Employee: 42, Epoch: "n0nce", From: from},
	} {
		for form, text := range map[string]string{
			"as written": mark.Text(), "folded": strings.ReplaceAll(mark.Text(), "\n", " "), "after text": "Ours.\n" + mark.Text() + "\nmore",
		} {
			if got, found := ReadCalendarMark(text); !found || got != mark {
				t.Errorf("%s, %s: read %+v, want %+v", name, form, got, mark)
			}
			if left := WithoutMarks(text); strings.Contains(left, "erp-calendar") || strings.Contains(left, "=") {
				t.Errorf("%s, %s: without marks %q", name, form, left)
			}
		}
		if strings.Contains(mark.Text(), "example.com") || !strings.HasSuffix(mark.Text(), mark.Line()) {
			t.Errorf("%s: written as %q", name, mark.Text())
		}
	}
	// Of two marks in one description the last is whole: nothing of the first gets into it.
	first := CalendarMark{Tenant: tenant, Employee: 41, Epoch: "former", From: from, For: "11", ERP: "22"}
	last := CalendarMark{Tenant: tenant, Employee: 42, Epoch: "n0nce", From: from, ERP: "33"}
	if got, _ := ReadCalendarMark(first.Text() + "\n" + last.Text()); got != last {
		t.Errorf("read %+v, want %+v", got, last)
	}
}

func TestAddURLCarriesTheCalendarsID(t *testing.T) {
	// printf '%s' abc123@group.calendar.google.com | base64, without its padding.
	want := "https://calendar.google.com/calendar/r?cid=YWJjMTIzQGdyb3VwLmNhbGVuZGFyLmdvb2dsZS5jb20"
	if got := AddURL("abc123@group.calendar.google.com"); got != want {
		t.Errorf("link %q, want %q", got, want)
	}
	// Whatever the id, nothing in the link needs escaping and the id comes back.
	id := "c_~\xff\xfe?>@group.calendar.google.com"
	value := strings.TrimPrefix(AddURL(id), "https://calendar.google.com/calendar/r?cid=")
	if strings.ContainsAny(value, "+/=&?# ") {
		t.Errorf("the link's value %q means something else in a URL", value)
	}
	if back, err := base64.RawURLEncoding.DecodeString(value); err != nil || string(back) != id {
		t.Errorf("the link gives %q, %v", back, err)
	}
}
