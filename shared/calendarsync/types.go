// Package calendarsync is the domain: it decides from the settings and from the ERP's
// employees and tasks which calendars and events ought to exist, and with what content.
// It is pure: it must never do I/O, read a clock or import a cloud library, so that each
// rule of shared/README.md can be tested by a table and a property.
package calendarsync

import (
	"errors"
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

// RoleID is the ERP's number of a system role, or one of its own for a role that the ERP has
// only ever named by a text.
type RoleID int64

// FirstTextRole is the least number of a role that is known by text only.
const FirstTextRole RoleID = 1 << 48

// IsText reports whether a role was first met as a text.
func (r RoleID) IsText() bool { return r >= FirstTextRole }

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

// LocalTime is a date and time of day as the ERP gives it: on its wall clock and without a
// zone, unless Absolute.
type LocalTime struct {
	// Wall holds the wall clock's reading labelled UTC; the zero value means none.
	Wall time.Time
	// Absolute is set when the ERP gave an offset too. Wall then is the instant in UTC.
	Absolute bool
	// DateOnly is set when the ERP gave no time of day at all.
	DateOnly bool
}

// IsZero reports whether there is no date.
func (l LocalTime) IsZero() bool { return l.Wall.IsZero() }

// In gives the reading on the wall clock of a zone, labelled UTC.
func (l LocalTime) In(zone *time.Location) time.Time {
	if !l.Absolute {
		return l.Wall
	}
	return l.Wall.Add(offsetAt(l.Wall, zone))
}

// Instant gives the instant in a zone.
func (l LocalTime) Instant(zone *time.Location) time.Time {
	if !l.Absolute {
		return Resolve(l.Wall, zone)
	}
	return l.Wall.In(zone)
}

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
	// Fields are the additional fields in ascending order of id, and Comment is the latest
	// one: as far as Extras asked for them.
	Fields  []TaskField
	Comment string
}

// TaskField is an additional field of a task.
type TaskField struct {
	ID             FieldID
	Caption, Value string
}

// Extras are what is read of a task only because a template shows it.
type Extras struct {
	// Fields asks for all additional fields, Field for one (0: none).
	Fields bool
	Field  FieldID
	// Comment asks for the latest comment.
	Comment bool
}

// Cover reports whether what was read holds what is shown.
func (e Extras) Cover(shown Extras) bool {
	return (e.Fields || !shown.Fields) && (e.Fields || shown.Field == 0 || e.Field == shown.Field) && (e.Comment || !shown.Comment)
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
	// RoleName is what the ERP calls the role; "" where it does not say.
	RoleName string
}

// TaskType is an entry of the ERP's catalogue of task types.
type TaskType struct {
	ID   TypeID
	Name string
	// HourOnDoing is the type's usual duration in hours; 0: not set.
	HourOnDoing float64
}

// ErrCatalogueUnread says that the ERP's catalogue cannot be read, nor could be lately: nothing
// can be said of tasks (rule 4.15).
var ErrCatalogueUnread = errors.New("the ERP's catalogue cannot be read")

// Catalogue holds the ERP's states and types, each entry read by itself (rule 4.13).
type Catalogue struct {
	States map[StateID]State
	Types  map[TypeID]TaskType
	// OddStates are the states whose entry could not be read, with why (kind
	// source-invalid). They are not in States.
	OddStates map[StateID]error
	// Incomplete is set when an entry did not even say of which state it is. Then a
	// state that is in neither map need not be unknown to the ERP.
	Incomplete bool
	// Odd says of each entry, of states and types, why it could not be read.
	Odd []error
	// StatesUnread is why the states are those of an earlier reading: their roles show tasks,
	// and are no evidence against any (rule 4.15). TypesUnread is why no types are known, not
	// even earlier ones.
	StatesUnread, TypesUnread error
}

// Knows reports whether the catalogue has an entry of the state, readable or not.
func (c Catalogue) Knows(id StateID) bool {
	_, sound := c.States[id]
	_, odd := c.OddStates[id]
	return sound || odd
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
