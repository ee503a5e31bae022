package userside

import (
	"maps"
	"time"
)

// Observer is told of every commit and of every read, in the order in which they
// happen and inside the Server's lock: it must be quick, must not call the Server
// and must not change what it is shown, though it may keep it.
type Observer interface {
	// TaskCommitted is the newest state of a task, nil when it is deleted, and how
	// long api.php goes on without it.
	TaskCommitted(id int64, t *Task, delay time.Duration)
	// EmployeeCommitted is the same for an employee.
	EmployeeCommitted(id int64, e *Employee, delay time.Duration)
	// CatalogueCommitted are the states and types as they are from now on.
	CatalogueCommitted(states map[int64]TaskState, types map[int64]TaskType)
	// Read is a read at the moment at which it sees the state.
	Read(Read)
	// Bent is the answer of a read that met faults, as it is about to be sent. A read
	// that met faults and is never told of again had no readable answer.
	FaultyAnswer(number, status int, body []byte)
}

// Read is one reading call of api.php.
type Read struct {
	Number      int // from 1
	Time        time.Time
	Cat, Action string
	Params      map[string]string // without the key
	// Faulty: an injected fault befell it, so that what was sent is only known by Bent.
	Faulty bool
}

// Observe tells o of everything from now on, beginning with what is there. There
// is one observer; nil ends it.
func (s *Server) Observe(o Observer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observer = o
	s.tellAll()
}

// tellAll tells of everything there is. The lock is held.
func (s *Server) tellAll() {
	if s.observer == nil {
		return
	}
	s.tellCatalogue()
	for _, id := range keysOf(s.employees, map[int64]bool(nil)) {
		s.observer.EmployeeCommitted(id, s.employees[id], 0)
	}
	for _, id := range keysOf(s.tasks, map[int64]bool(nil)) {
		s.observer.TaskCommitted(id, s.tasks[id], 0)
	}
}

func (s *Server) tellCatalogue() {
	if s.observer != nil {
		s.observer.CatalogueCommitted(maps.Clone(s.states), maps.Clone(s.types))
	}
}

// number prepares a call for the observer.
func (s *Server) number(c *call, faults []*Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	c.read = s.reads
	for _, f := range faults {
		c.bent = c.bent || f.Fault.kind != faultDelay
	}
}

// tellRead tells of a read that sees the state now. The lock is held.
func (s *Server) tellRead(c call) {
	if s.observer != nil {
		s.observer.Read(Read{Number: c.read, Time: s.opt.Now(), Cat: c.cat, Action: c.action, Params: c.params, Faulty: c.bent})
	}
}

func (s *Server) observeFaultyAnswer(number, status int, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.observer != nil && number > 0 {
		s.observer.FaultyAnswer(number, status, body)
	}
}
