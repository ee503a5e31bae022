package calendarsync

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// The reasons for which an employee has no calendar.
const (
	ReasonDismissed      Reason = "dismissed"
	ReasonNoAddress      Reason = "no-address"
	ReasonInvalidAddress Reason = "invalid-address"
	ReasonUnbound        Reason = "unbound"
	ReasonWorkMissing    Reason = "work-missing"    // is_work is not there
	ReasonAddressMissing Reason = "address-missing" // the e-mail key is not there
	ReasonBindingMissing Reason = "binding-missing" // the binding field is not there
	ReasonUnconfirmed    Reason = "unconfirmed"     // settings are not confirmed yet
	ReasonPaused         Reason = "paused"          // enabled is off
	ReasonNotConnected   Reason = "not-connected"   // no Google account
	ReasonPurged         Reason = "purged"          // an admin deleted everything
	ReasonUndecided      Reason = "undecided"       // an admin has to say whose the calendars are that were found
	ReasonCalendarGone   Reason = "calendar-gone"   // Google says that the calendar does not exist
	// ReasonCalendarUnreachable: Google keeps the calendar from this client, though it exists.
	ReasonCalendarUnreachable Reason = "calendar-out-of-reach"
	ReasonShareLowered        Reason = "share-lowered"   // Google lets the employee see busy times only
	ReasonMarkUnreadable      Reason = "mark-unreadable" // Google does not give marks back
)

// DecideEmployee judges whether an employee is to have a calendar. vouched is whether a
// signed notification said that they were deleted.
func DecideEmployee(s Settings, reading EmployeeReading, vouched bool) (Verdict, Reason) {
	if reading.Invalid != nil {
		return Unknown, ReasonInvalid
	}
	if reading.Employee == nil {
		switch {
		case reading.Absent == 0:
			// No reading at all, as a map gives for an id that it lacks, proves nothing.
			return Unknown, ReasonMissing
		case vouched:
			return Remove, ReasonDeleted
		case reading.Absent == ProofEmptyList:
			return Unknown, ReasonMissing
		default:
			return Absent, ReasonMissing
		}
	}
	e := *reading.Employee
	working, said := e.Working.Get()
	switch {
	case !said:
		return Absent, ReasonWorkMissing
	case !working:
		return Remove, ReasonDismissed
	}
	if s.BindingField != 0 {
		fields, _ := e.Fields.Get()
		value, there := fields[s.BindingField]
		switch {
		case !there:
			return Absent, ReasonBindingMissing
		case !On(value):
			return Remove, ReasonUnbound
		}
	}
	return DecideAddress(e)
}

// DecideAddress judges an employee who is to have a calendar by the address alone.
func DecideAddress(e Employee) (Verdict, Reason) {
	address, said := e.Email.Get()
	switch {
	case !said:
		return Absent, ReasonAddressMissing
	case strings.TrimSpace(address) == "":
		return Remove, ReasonNoAddress
	case !ValidAddress(address):
		// Not explicit evidence (rule 4.1): a typing mistake must not cost a calendar at once.
		return Absent, ReasonInvalidAddress
	}
	return Keep, ReasonNone
}

// offWords are what stands in a checkbox field that is not ticked, in the languages in
// which UserSide is sold (rule 4.1).
var offWords = []string{
	"", "false", "no", "n", "off", "disabled",
	"ні", "н", "вимк", "вимкнено", "відключено",
	"нет", "выкл", "выключено", "отключено",
}

// zeroForm is a zero as a number field may print it: 0, 00, 0.0, 0,00, -0.
var zeroForm = regexp.MustCompile(`^[+-]?(0+[.,]?0*|[.,]0+)$`)

// On reads the value of a checkbox field: empty, a zero, false and the words for no and
// off are off.
func On(value string) bool {
	value = strings.ToLower(strings.TrimSpace(Visible(value)))
	return !slices.Contains(offWords, value) && !zeroForm.MatchString(value)
}

// onWords are what stands in a checkbox field that is ticked, beside a number.
var onWords = []string{
	"true", "yes", "y", "on", "enabled", "+", "x", "✓",
	"так", "т", "увімк", "увімкнено",
	"да", "д", "вкл", "включено",
}

// oneForm is a one as a number field may print it.
var oneForm = regexp.MustCompile(`^[+]?0*1([.,]0*)?$`)

// IsCheckbox reports whether a value can be that of a checkbox field. Whatever else stands in
// a field counts as on (rule 4.1), so that an admin is asked before one is used as a checkbox.
func IsCheckbox(value string) bool {
	if !On(value) {
		return true
	}
	value = strings.ToLower(strings.TrimSpace(Visible(value)))
	return slices.Contains(onWords, value) || oneForm.MatchString(value)
}

var domainForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$`)

// ValidAddress reports whether a text is one plain e-mail address that Google can
// share with: no display name, a domain with a dot, at most 254 characters. A local part
// beyond ASCII is none: a Cyrillic а among Latin letters is a slip of the keyboard, and to
// Google it would be somebody else.
func ValidAddress(s string) bool {
	s = strings.TrimSpace(Visible(s))
	if len(s) > 254 || strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) {
		return false
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s {
		return false
	}
	at := strings.LastIndexByte(s, '@')
	return at > 0 && at <= 64 && !strings.ContainsAny(s, " \t\"<>") && domainForm.MatchString(s[at+1:])
}

// CalendarMark is the last line of a calendar's description (rule 3.5), after a line
// that says with whom the calendar is shared (rule 3.8) and which ERP its tasks are from
// (rule 3.12).
type CalendarMark struct {
	Tenant   string
	Employee EmployeeID
	Epoch    string
	From     time.Time
	// For is AddressDigest of the address that the calendar is shared with; "" where it is
	// not known. After a lost database nothing else distinguishes the product's own share
	// from one that the account's owner gave to somebody.
	For string
	// ERP is ERPDigest of the ERP's address; "" in marks of before there was one.
	ERP string
}

var (
	// Whatever stands around a mark, it is one: Google may fold the line breaks of a
	// description, and people write behind it (rule 3.5).
	markForm = regexp.MustCompile(`(?:^|\s)erp-calendar/1\s+tenant=(\S+)\s+employee=(\d+)\s+epoch=(\S+)\s+from=(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\b`)
	// The line before it has one digest or both.
	digestsForm = regexp.MustCompile(`(?:^|\s)erp-calendar/1\s+(?:for=([0-9a-f]+)(?:\s+erp=([0-9a-f]+))?|erp=([0-9a-f]+))\b`)
)

// AddressDigest identifies an address without disclosing it. It is the same for the same
// address only within one installation.
func AddressDigest(tenant, address string) string {
	sum := sha256.Sum256([]byte(tenant + "/" + NormalAddress(address)))
	return hex.EncodeToString(sum[:10])
}

// ERPDigest identifies the ERP's address without disclosing it; "" for none. Scheme,
// user and query do not count, nor do the host's case and a port that goes unsaid. It is
// the same for the same address only within one installation.
func ERPDigest(tenant, address string) string {
	if address == "" {
		return ""
	}
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		host := strings.ToLower(u.Hostname())
		if port := u.Port(); port != "" && (u.Scheme != "https" || port != "443") && (u.Scheme != "http" || port != "80") {
			host += ":" + port
		}
		address = host + "/" + strings.Trim(u.Path, "/")
	}
	sum := sha256.Sum256([]byte(tenant + "/erp/" + address))
	return hex.EncodeToString(sum[:10])
}

// Line is the mark's last line.
func (m CalendarMark) Line() string {
	return fmt.Sprintf("erp-calendar/1 tenant=%s employee=%d epoch=%s from=%s", m.Tenant, m.Employee, m.Epoch, m.From.UTC().Format(time.RFC3339))
}

// Text is the mark as it is written.
func (m CalendarMark) Text() string {
	var digests string
	if m.For != "" {
		digests += " for=" + m.For
	}
	if m.ERP != "" {
		digests += " erp=" + m.ERP
	}
	if digests == "" {
		return m.Line()
	}
	return "erp-calendar/1" + digests + "\n" + m.Line()
}

// ReadCalendarMark finds the mark in a description; ok is false without one.
func ReadCalendarMark(description string) (CalendarMark, bool) {
	places := markForm.FindAllStringIndex(description, -1)
	if len(places) == 0 {
		return CalendarMark{}, false
	}
	last := markForm.FindStringSubmatch(description[places[len(places)-1][0]:])
	id, err1 := strconv.ParseInt(last[2], 10, 64)
	from, err2 := time.Parse(time.RFC3339, last[4])
	if err1 != nil || err2 != nil || id <= 0 {
		return CalendarMark{}, false
	}
	mark := CalendarMark{Tenant: last[1], Employee: EmployeeID(id), Epoch: last[3], From: from}
	if len(places) > 1 {
		description = description[places[len(places)-2][1]:] // what is said of another mark is not of this one
	}
	if digests := digestsForm.FindAllStringSubmatch(description, -1); len(digests) > 0 {
		d := digests[len(digests)-1]
		mark.For, mark.ERP = d[1], cmp.Or(d[2], d[3])
	}
	return mark, true
}

// WithoutMarks leaves out what of a description is a mark.
func WithoutMarks(description string) string {
	return strings.TrimSpace(digestsForm.ReplaceAllString(markForm.ReplaceAllString(description, ""), ""))
}

// AddURL is the link that adds a shared calendar to its reader's list; it holds the
// calendar's id in base64 (shared/googlecalendar/README.md).
func AddURL(calendarID string) string {
	return "https://calendar.google.com/calendar/r?cid=" + base64.RawURLEncoding.EncodeToString([]byte(calendarID))
}

// NoCard is the digest of an employee who is not in the ERP.
const NoCard = "missing"

// Digest is a hash of what the product uses of an employee's card, to compare readings
// by. A value that the ERP left out differs from an empty one (rule 4.1). The field that
// the calendar's id is written into is not in it, or each write of it would look like a
// change. binding is the settings' BindingField; 0: none.
func (e Employee) Digest(binding FieldID) string {
	working, workingSaid := e.Working.Get()
	email, emailSaid := e.Email.Get()
	divisions, divisionsSaid := e.Divisions.Get()
	divisions = slices.Sorted(slices.Values(divisions))
	var bound string
	boundSaid, fieldsSaid := false, false
	if binding != 0 {
		var fields map[FieldID]string
		fields, fieldsSaid = e.Fields.Get()
		bound, boundSaid = fields[binding]
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %t %t %q %t %q %t %t %d %t", e.Name, working, workingSaid, email, emailSaid,
		bound, boundSaid, fieldsSaid, divisions, divisionsSaid))
	return hex.EncodeToString(sum[:12])
}
