package userside

import (
	"maps"
	"slices"
	"time"
)

// System roles of task states in this stand-in. The real values are documented
// nowhere (shared/userside/README.md), which is why they are deliberately not 1 and 2: a
// client that guesses instead of reading its configuration fails here.
const (
	// RoleNotCompleted is called "Not completed" in the sample data; it is shown in calendars.
	RoleNotCompleted int64 = 11
	// RoleInProgress is called "In progress" in the sample data; it is shown in calendars.
	RoleInProgress int64 = 14
	// RoleCompleted closes a task: date.complete is set.
	RoleCompleted int64 = 12
	// RoleCancelled closes a task without its work being done.
	RoleCancelled int64 = 13
	// RolePostponed keeps a task open, but it is shown in no calendar.
	RolePostponed int64 = 15
)

// WallLayout is the form of wall-clock times in this package: the ERP's local
// time without a zone.
const WallLayout = "2006-01-02 15:04:05"

// Task is one task of the ERP.
type Task struct {
	ID       int64
	ParentID int64
	Priority int64
	TypeID   int64
	StateID  int64

	// Todo is the scheduled start; zero means none. TodoWall is the same as the
	// wall clock the ERP stores (WallLayout). Whichever of the two a caller
	// changes decides; TodoWall can name a time that a DST change skips.
	Todo     time.Time
	TodoWall string

	Created   time.Time // zero in AddTask: now
	Updated   time.Time // set by every change
	Completed time.Time // zero: not completed

	RuntimeHours  int64 // planned duration, 0 = not set
	DeadlineHours int64 // due-by allowance, not a duration

	Customers            []Customer
	OptionalCustomerName string
	Address              Address

	// Description is plain text and is escaped on its way out. With
	// RawDescription it is sent as it stands, entities and tags included.
	Description    string
	RawDescription bool

	AuthorID  int64
	Executors []int64
	Divisions []int64
	Comments  []Comment
	Fields    map[int64]string
	History   []HistoryEntry
}

// Customer is a customer a task is for.
type Customer struct {
	ID       int64
	FullName string
	Login    string
}

// Address is where a task happens.
type Address struct {
	ID        int64
	Text      string
	Apartment string
}

// Comment is a remark on a task.
type Comment struct {
	ID         int64
	Added      time.Time
	EmployeeID int64
	Text       string
}

// HistoryViewed is the kind of the entry that `show` writes when it is given an
// employee_id (shared/userside/README.md: never to be sent).
const HistoryViewed = "viewed"

// HistoryEntry is a line of a task's history.
type HistoryEntry struct {
	Time       time.Time
	EmployeeID int64
	Kind       string
}

// Employee is a person on the company's list.
type Employee struct {
	ID          int64
	Name        string
	ShortName   string
	Login       string
	Email       string
	Phone       string
	Position    string
	Dismissed   bool // is_work = 0
	Blocked     bool // is_blocked: only the login
	Hired       time.Time
	ProfileID   int64
	Memberships []Membership
	// Fields are the additional fields by field id. A field that is not in the
	// map is not sent; an empty one is sent empty.
	Fields map[int64]string
}

// Membership is an employee's place in a division, now or in the past.
type Membership struct {
	DivisionID int64
	Position   string
	Current    bool // is_work = 1
	Added      time.Time
	Left       time.Time
}

// Division is a department.
type Division struct {
	ID       int64
	Name     string
	ParentID int64 // 0 = root
	Comment  string
}

// TaskType is an entry of the catalogue of task types.
type TaskType struct {
	ID          int64
	Name        string
	HourOnDoing int64
}

// TaskState is an entry of the catalogue of states.
type TaskState struct {
	ID   int64
	Name string
	Role int64
}

// Kinds of additional fields.
const (
	FieldCheckbox = "checkbox"
	FieldText     = "text"
)

// Field describes an additional field of the employee card or of the task.
type Field struct {
	ID      int64
	Caption string
	Kind    string
}

// Data is the whole content of a Server, for Load.
type Data struct {
	Divisions      []Division
	Employees      []Employee
	Types          []TaskType
	States         []TaskState
	EmployeeFields []Field
	TaskFields     []Field
	Tasks          []Task
}

func (t *Task) clone() *Task {
	c := *t
	c.Customers = slices.Clone(t.Customers)
	c.Executors = slices.Clone(t.Executors)
	c.Divisions = slices.Clone(t.Divisions)
	c.Comments = slices.Clone(t.Comments)
	c.History = slices.Clone(t.History)
	c.Fields = maps.Clone(t.Fields)
	return &c
}

func (e *Employee) clone() *Employee {
	c := *e
	c.Memberships = slices.Clone(e.Memberships)
	c.Fields = maps.Clone(e.Fields)
	return &c
}

// isMember reports whether the employee is in the division now.
func (e *Employee) isMember(division int64) bool {
	return slices.ContainsFunc(e.Memberships, func(m Membership) bool {
		return m.Current && m.DivisionID == division
	})
}
