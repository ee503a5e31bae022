// Package calendarsync is the domain: it decides from the settings and from the ERP's
// employees and tasks which calendars and events ought to exist, and with what content.
// It is pure: it must never do I/O, read a clock or import a cloud library, so that each
// rule of shared/README.md can be tested by a table and a property.
package calendarsync

import (
	"time"
)

// TaskID is the ERP's number of a task.
type TaskID int64

// EmployeeID is the ERP's number of an employee.
type EmployeeID int64

// DivisionID is the ERP's number of a division (department).
type DivisionID int64

// StateID is the ERP's number of a task state; it differs between installations.
type StateID int64

// RoleID is the ERP's number of a system role.
type RoleID int64

// TypeID is the ERP's number of a task type.
type TypeID int64

// FieldID is the ERP's number of an additional field.
type FieldID int64

// IDs are the same ids as numbers of another type: records and messages know plain ones.
func IDs[To, From ~int64](ids []From) []To {
	out := make([]To, len(ids))
	for i, id := range ids {
		out[i] = To(id)
	}
	return out
}

// Given is a value that the ERP may have said or left out. The difference
// between "present and empty" and "missing" decides what may be deleted
// (rule 4.1), so it is kept in the type.
type Given[T any] struct {
	value   T
	present bool
}

// Say makes a value that the ERP has said.
func Say[T any](v T) Given[T] { return Given[T]{value: v, present: true} }

// Get gives the value and whether the ERP said it.
func (g Given[T]) Get() (T, bool) { return g.value, g.present }

// Or gives the value, or another one where the ERP said nothing.
func (g Given[T]) Or(other T) T {
	if g.present {
		return g.value
	}
	return other
}

// LocalTime is a date and time of day on the ERP's wall clock, without a zone.
type LocalTime struct {
	// Wall holds the wall clock's reading labelled UTC; the zero value means none.
	Wall time.Time
	// DateOnly is set when the ERP gave no time of day at all.
	DateOnly bool
}

// IsZero reports whether there is no date.
func (l LocalTime) IsZero() bool { return l.Wall.IsZero() }

// Task is one task as the ERP gave it, decoded to plain text (entities resolved,
// tags dropped) but otherwise not judged.
type Task struct {
	ID       TaskID
	ParentID TaskID
	Type     TypeID
	TypeName string
	Priority int64
	State    Given[StateID]
	// StateName is only for people; the catalogue decides which role a state has.
	StateName string
	// Start is date.todo; said and zero means "no date".
	Start Given[LocalTime]
	// Updated is date.update as the ERP spelled it; only whether it changed counts.
	Updated string
	// RuntimeHours is date.runtime_individual_hour in whole hours; 0: not set.
	RuntimeHours int64
	Customer     string
	Address      string
	Description  string
	Executors    Given[[]EmployeeID]
	Divisions    Given[[]DivisionID]
}

// Proof is by what a complete reading shows that an id is not in the ERP.
type Proof int

const (
	// ProofKnownID: a known id asked for in the same request did come back.
	ProofKnownID Proof = iota + 1
	// ProofEmptyList: a well-formed answer says that the ERP has nothing at all. Alone it
	// never deletes anything; it only confirms a signed deletion.
	ProofEmptyList
)

// TaskReading is what one complete read says of one task id: exactly one of
// Task, Absent and Invalid is set. A read that failed gives no readings at all.
type TaskReading struct {
	Task    *Task
	Absent  Proof
	Invalid error // the ERP's data could not be read (kind source-invalid)
}

// Employee is one employee as the ERP gave them.
type Employee struct {
	ID      EmployeeID
	Name    string
	Working Given[bool]
	Email   Given[string]
	// Fields are the additional fields by id; a missing map differs from a missing key.
	Fields Given[map[FieldID]string]
	// Divisions are those the employee belongs to now (is_work = 1), no parents.
	Divisions Given[[]DivisionID]
}

// EmployeeReading is what one complete read says of one employee id.
type EmployeeReading struct {
	Employee *Employee
	Absent   Proof
	Invalid  error
}

// State is an entry of the ERP's catalogue of task states.
type State struct {
	ID   StateID
	Name string
	Role RoleID
}

// TaskType is an entry of the ERP's catalogue of task types.
type TaskType struct {
	ID   TypeID
	Name string
	// HourOnDoing is the type's usual duration in hours; 0: not set.
	HourOnDoing float64
}

// Catalogue holds the ERP's states and types, read completely.
type Catalogue struct {
	States map[StateID]State
	Types  map[TypeID]TaskType
}

// StatesWithRoles lists, in ascending order, the ids of the states whose system
// role is one of the roles.
func (c Catalogue) StatesWithRoles(roles []RoleID) []StateID {
	var ids []StateID
	for id, s := range c.States {
		for _, r := range roles {
			if s.Role == r {
				ids = append(ids, id)
				break
			}
		}
	}
	sortIDs(ids)
	return ids
}
