package calendarsync

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
)

// EventTime is a start or an end: an instant in a zone, or a date.
type EventTime struct {
	// Date is "2006-01-02" for all-day events; then the rest is empty.
	Date    string    `json:"date,omitempty"`
	Instant time.Time `json:"instant,omitzero"`
	Zone    string    `json:"zone,omitempty"`
}

// Event is the content of an event that ought to be: the owned fields.
type Event struct {
	Title       string    `json:"title"`
	Location    string    `json:"location"`
	Description string    `json:"description"` // Google's HTML
	Color       string    `json:"color"`       // colorId 1–11 or empty
	Start       EventTime `json:"start"`
	End         EventTime `json:"end"` // exclusive when a date
}

// Hash fingerprints the content as sent.
func (e Event) Hash() string {
	e.Start.Instant, e.End.Instant = e.Start.Instant.UTC(), e.End.Instant.UTC()
	return hashOf(e)
}

// Fields are the owned fields of an event as Google gives them back, and those that
// could hide it from its reader or move it.
type Fields struct {
	Title        string    `json:"title"`
	Location     string    `json:"location"`
	Description  string    `json:"description"`
	Color        string    `json:"color"`
	Start        EventTime `json:"start"`
	End          EventTime `json:"end"`
	Visibility   string    `json:"visibility"`
	Transparency string    `json:"transparency"`
	Recurrence   []string  `json:"recurrence,omitempty"`
	Attendees    int       `json:"attendees,omitempty"`
}

// hashOf hashes the JSON form of a struct without maps, whose order is fixed.
func hashOf(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		// Only a type that JSON cannot encode could fail here, and there is none.
		b = fmt.Appendf(nil, "%#v", v)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// EventID is the id of a task's event in an employee's calendar (rule 3.2):
// 41 characters of 0–9 and a–f, within Google's 0–9a–v.
func EventID(tenant string, task TaskID, employee EmployeeID, generation int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d/%d/%d", tenant, task, employee, generation))
	return "e" + hex.EncodeToString(sum[:])[:40]
}

// eventID is what the ids of the product's events look like.
var eventID = regexp.MustCompile(`^e[0-9a-f]{40}$`)

// LooksOwn reports whether an id is one that the product may have given: all that tells its
// events while Google gives no marks back (rule 3.14).
func LooksOwn(id string) bool { return eventID.MatchString(id) }

// Mark identifies an event as the product's, in its private extended properties.
type Mark struct {
	Tenant     string
	Task       TaskID
	Employee   EmployeeID
	Generation int
	Hash       string
}

// The names of the private extended properties of rule 3.2.
const (
	MarkTenant     = "erpTenant"
	MarkTask       = "erpTask"
	MarkEmployee   = "erpEmployee"
	MarkGeneration = "erpGeneration"
	MarkHash       = "erpHash"
)

// Properties is the mark as private extended properties.
func (m Mark) Properties() map[string]string {
	return map[string]string{
		MarkTenant:     m.Tenant,
		MarkTask:       strconv.FormatInt(int64(m.Task), 10),
		MarkEmployee:   strconv.FormatInt(int64(m.Employee), 10),
		MarkGeneration: strconv.Itoa(m.Generation),
		MarkHash:       m.Hash,
	}
}

// ReadMark reads a mark; ok is false where there is none or it is incomplete.
func ReadMark(p map[string]string) (Mark, bool) {
	task, err1 := strconv.ParseInt(p[MarkTask], 10, 64)
	employee, err2 := strconv.ParseInt(p[MarkEmployee], 10, 64)
	generation, err3 := strconv.Atoi(p[MarkGeneration])
	if err1 != nil || err2 != nil || err3 != nil || p[MarkTenant] == "" || task <= 0 || employee <= 0 || generation < 0 {
		return Mark{}, false
	}
	return Mark{p[MarkTenant], TaskID(task), EmployeeID(employee), generation, p[MarkHash]}, true
}

// Owns reports whether an event id is the hash of what its mark says; a marked
// event with another id is a copy and is never touched (rule 3.2).
func (m Mark) Owns(eventID string) bool {
	return EventID(m.Tenant, m.Task, m.Employee, m.Generation) == eventID
}

// span computes start and end of a task's event (rules 9.1 and 9.3). It lasts
// the task's own hours, else the type's, else the setting's minutes.
func span(t Task, start LocalTime, typ TaskType, s Settings, zone *time.Location) (EventTime, EventTime) {
	wall := start.In(zone)
	midnight := wall.Hour() == 0 && wall.Minute() == 0 && wall.Second() == 0
	if start.DateOnly || (s.MidnightIsAllDay && midnight) {
		days := 1
		if t.RuntimeHours > 24 {
			// A task of several days fills each of them.
			days = int((min(t.RuntimeHours, maxHours) + 23) / 24)
		}
		end := wall.AddDate(0, 0, days)
		return EventTime{Date: wall.Format(time.DateOnly)}, EventTime{Date: end.Format(time.DateOnly)}
	}
	from := start.Instant(zone)
	to := from.Add(duration(t, typ, s))
	return EventTime{Instant: from, Zone: s.TimeZone}, EventTime{Instant: to, Zone: s.TimeZone}
}

// maxHours bounds a duration: a year.
const maxHours = 24 * 366

func duration(t Task, typ TaskType, s Settings) time.Duration {
	switch {
	case t.RuntimeHours > 0:
		return time.Duration(min(t.RuntimeHours, maxHours)) * time.Hour
	case typ.HourOnDoing > 0 && !math.IsInf(typ.HourOnDoing, 0) && !math.IsNaN(typ.HourOnDoing):
		hours := min(typ.HourOnDoing, maxHours)
		return max(time.Minute, time.Duration(hours*float64(time.Hour)).Round(time.Minute))
	default:
		return time.Duration(s.DefaultDurationMinutes) * time.Minute
	}
}
