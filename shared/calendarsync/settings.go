package calendarsync

import (
	"cmp"
	"slices"
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
	CalendarIDField        FieldID        `json:"calendar_id_field"`
	BackfillHours          int            `json:"backfill_hours"`
	DefaultDurationMinutes int            `json:"default_duration_minutes"`
	MidnightIsAllDay       bool           `json:"midnight_is_all_day"`
	CalendarName           string         `json:"calendar_name"`
	EventTitle             string         `json:"event_title"`
	EventDescription       string         `json:"event_description"`
	TaskURL                string         `json:"task_url"`
	Colors                 map[string]int `json:"colors"`
	Language               string         `json:"language"`
	DeleteGuardPercent     int            `json:"delete_guard_percent"`
}

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
