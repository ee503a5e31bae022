package calendarsync

import (
	"cmp"
	"slices"
	"time"
)

// Settings are what an admin decides (functions/README.md, Settings). The JSON names
// are the contract; shared/settings reads, checks and stores them.
type Settings struct {
	Enabled   bool `json:"enabled"`
	Confirmed bool `json:"confirmed"`
	// TimeZone is the IANA zone of the ERP's wall clock and of every event.
	TimeZone string `json:"time_zone"`
	// ShownRoles are the system roles whose tasks are shown.
	ShownRoles         []RoleID `json:"shown_roles"`
	IncludeDepartments bool     `json:"include_departments"`
	// BindingField is the checkbox field of the employee's card; 0: everybody.
	BindingField FieldID `json:"binding_field"`
	// CalendarIDField is the field the calendar's id is written into; 0: none.
	CalendarIDField FieldID `json:"calendar_id_field"`
	// PhoneField is the additional field of a task that .Task.Phone shows; 0: none.
	PhoneField             FieldID `json:"phone_field"`
	BackfillHours          int     `json:"backfill_hours"`
	DefaultDurationMinutes int     `json:"default_duration_minutes"`
	MidnightIsAllDay       bool    `json:"midnight_is_all_day"`
	CalendarName           string  `json:"calendar_name"`
	EventTitle             string  `json:"event_title"`
	EventDescription       string  `json:"event_description"`
	TaskURL                string  `json:"task_url"`
	// Colors are Calendar's colours by what they are for: the number of a task type, or
	// "state:" or "priority:" and its number. A priority's goes before a state's, and that
	// before a type's.
	Colors             map[string]int `json:"colors"`
	Language           string         `json:"language"`
	DeleteGuardPercent int            `json:"delete_guard_percent"`
	// Applied is what the admin who saved them had seen of their consequences; nil where
	// nobody was shown any. It is no setting.
	Applied *Applied `json:"-"`
}

// Acts reports whether anything is written under these settings (rules 4.6 and 4.7).
func (s Settings) Acts() bool { return s.Enabled && s.Confirmed }

// Applied is what an admin applied after a plan that named it (rule 4.14): what goes because
// of it is no accident, and the delete guard does not ask again.
type Applied struct {
	At time.Time
	// Employees lose their calendar, ascending.
	Employees []EmployeeID
	// States are those whose tasks are shown no more, ascending; Divisions tells that tasks
	// which only a division has are not.
	States    []StateID
	Divisions bool
}

// appliedFor is how long a plan is good for, like the confirmation of what is held
// (rule 4.5): what has not gone by then is asked about again.
const appliedFor = 24 * time.Hour

func (a *Applied) holds(now time.Time) bool {
	return a != nil && !a.At.IsZero() && now.Before(a.At.Add(appliedFor))
}

// Unbinds reports whether the plan named an employee among those who lose their calendar.
func (a *Applied) Unbinds(id EmployeeID, now time.Time) bool {
	return a.holds(now) && slices.Contains(a.Employees, id)
}

// Hides reports whether the plan named a state among those whose tasks are shown no more.
func (a *Applied) Hides(id StateID, now time.Time) bool {
	return a.holds(now) && id != 0 && slices.Contains(a.States, id)
}

// HidesDivisions reports whether the plan said that tasks which only a division has go.
func (a *Applied) HidesDivisions(now time.Time) bool { return a.holds(now) && a.Divisions }

// DefaultSettings are the values of fields that nobody set (functions/README.md). The
// zone and the shown roles have no default; an empty TaskURL means ERP_URL +
// "/task/{id}", which only the caller knows.
func DefaultSettings() Settings {
	return Settings{
		Enabled:                true,
		BackfillHours:          24,
		DefaultDurationMinutes: 60,
		CalendarName:           `{{.Employee.Name}}`,
		EventTitle:             `{{.Task.Type}}{{with .Task.Address}}, {{.}}{{end}}`,
		EventDescription:       `{{with .Task.Customer}}{{.}}` + "\n" + `{{end}}{{with .Task.Description}}{{.}}` + "\n" + `{{end}}{{.Task.URL}}`,
		Colors:                 map[string]int{},
		Language:               "en",
		DeleteGuardPercent:     20,
	}
}

func sortIDs[T cmp.Ordered](ids []T) { slices.Sort(ids) }
