package userside

// Generation chooses the preset of spellings a Server starts with.
type Generation int

// The two generations of shared/userside/README.md.
const (
	// GenerationNew is 3.21 and later; the zero value.
	GenerationNew Generation = iota
	// GenerationOld is what was before about 3.18.
	GenerationOld
)

// CustomerForm is the way a task's `customer` is written.
type CustomerForm int

// The forms of `customer` that were met.
const (
	CustomerMap     CustomerForm = iota // {"12":12}
	CustomerList                        // [12]
	CustomerObject                      // {"id":12,"fullName":"...","login":"..."}; absent when there is none
	CustomerOmitted                     // the key is never there
)

// UnknownTaskForm is the reply of `show` to one unknown id, which is documented
// only as "no data".
type UnknownTaskForm int

// The possible replies to a single unknown id.
const (
	UnknownTaskOK    UnknownTaskForm = iota // 200 and OK, without data
	UnknownTaskError                        // an error reply
)

// NoDateNull as Spelling.NoDate writes a missing date as null.
const NoDateNull = "null"

// Spelling is how the ERP writes what it says. Field names differ between
// versions and are sometimes mixed within one, so each can be chosen alone.
type Spelling struct {
	ActionParam string // the only parameter understood: "action" or "subcat"
	GETWrites   bool   // writes by GET are obeyed (before 3.21)
	StaffFilter string // get_list's filter by executor: "employee_id" or "staff_id"

	ResultKey, DataKey, ErrorKey string
	// MixedKeys ignores the three above and goes through every combination, one
	// reply after the other.
	MixedKeys bool

	RoleKey        string // in a task's state: "system_role" or "systemRole"
	RoleText       bool   // system_role_text besides
	CatalogRoleKey string // in get_catalog_state: "system_role" or "sysrole"
	ExecutorsKey   string // in staff: "employee" or "worker"
	OmitEmptyStaff bool   // empty staff maps are left out, and staff itself if both are
	AuthorKey      string // "author_employee_id" or "authorId"
	Customer       CustomerForm

	TaskFieldsKey       string // "additional_data" or "additional_fields"
	PlainTaskFields     bool   // plain value instead of {id, caption, value}
	EmployeeFieldsKey   string
	PlainEmployeeFields bool // plain value instead of {value}
	ApartmentKey        string
	DivisionsAsList     bool   // an employee's `division` as a list
	VersionKey          string // "erp_version" or "userside_version"

	IDsAsStrings  bool // ids, flags and roles as numeric strings
	CountAsString bool // get_list's count

	DateLayout  string // Go layout of every date but the clock
	ClockLayout string // Go layout of date_time_string
	NoDate      string // "", "-" or NoDateNull

	EscapeHTML bool // &quot;, &#047; and so on
	BreakTags  bool // a line break in a description is "<br />"

	// ErrorStatus is the HTTP status of every error reply; 0 picks one by kind
	// (400, 403, 404, 405).
	ErrorStatus int
	UnknownTask UnknownTaskForm
}

// NewSpelling is the spelling of 3.21 and later.
func NewSpelling() Spelling {
	return Spelling{
		ActionParam: "action",
		StaffFilter: "employee_id",
		ResultKey:   "result", DataKey: "data", ErrorKey: "error",
		RoleKey: "system_role", RoleText: true, CatalogRoleKey: "system_role",
		ExecutorsKey: "employee", AuthorKey: "author_employee_id",
		Customer:      CustomerMap,
		TaskFieldsKey: "additional_data", EmployeeFieldsKey: "additional_data",
		ApartmentKey: "apartament", VersionKey: "erp_version",
		DateLayout: WallLayout, ClockLayout: WallLayout, NoDate: NoDateNull,
		EscapeHTML: true,
	}
}

// OldSpelling is the spelling of the releases before about 3.18.
func OldSpelling() Spelling {
	return Spelling{
		ActionParam: "subcat", GETWrites: true,
		StaffFilter: "staff_id",
		ResultKey:   "Result", DataKey: "Data", ErrorKey: "ErrorText",
		RoleKey: "systemRole", CatalogRoleKey: "sysrole",
		ExecutorsKey: "worker", OmitEmptyStaff: true, AuthorKey: "authorId",
		Customer:      CustomerObject,
		TaskFieldsKey: "additional_fields", EmployeeFieldsKey: "additional_data",
		PlainEmployeeFields: true,
		ApartmentKey:        "apartament", VersionKey: "userside_version",
		DivisionsAsList: true,
		IDsAsStrings:    true, CountAsString: true,
		DateLayout: WallLayout, ClockLayout: WallLayout, NoDate: "",
		EscapeHTML: true, BreakTags: true,
	}
}

// presetOf is the spelling and the version number a generation stands for.
func presetOf(g Generation) (Spelling, string) {
	if g == GenerationOld {
		return OldSpelling(), "3.12"
	}
	return NewSpelling(), "3.21"
}
