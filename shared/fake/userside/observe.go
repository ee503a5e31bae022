package userside

import (
	"maps"
	"time"
)

// Observer is called at every commit and every read, in the order in which they happen
// and with the Server's lock held: it must be quick, must not call the Server and must
// not change what it gets, though it may keep it.
type Observer interface {
	// TaskCommitted is the new state of a task, nil when it is deleted, and how long
	// api.php still shows the old one.
	TaskCommitted(id int64, t *Task, delay time.Duration)
	// EmployeeCommitted is the same for an employee.
	EmployeeCommitted(id int64, e *Employee, delay time.Duration)
	// CatalogueCommitted are the states and types as they are from now on.
	CatalogueCommitted(states map[int64]TaskState, types map[int64]TaskType)
	// Read is a read at the moment at which it sees the state.
	Read(Read)
	// FaultyAnswer is the answer of a read with an injected fault, just before it is sent.
	// A faulty read for which it is never called had no readable answer.
	FaultyAnswer(number, status int, body []byte)
}

// Read is one reading call of api.php.
type Read struct {
	Number      int // from 1
	Time        time.Time
	Cat, Action string
	Params      map[string]string // without the key
	// Faulty is set where a fault was injected: only FaultyAnswer says what was sent.
	Faulty bool
}

// Observe has o called from now on, first for everything that exists. There is one
// observer; nil ends it.
func (s *Server) Observe(o Observer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observer = o
	s.observeAll()
}

// observeAll calls the observer for everything that exists. The lock is held.
func (s *Server) observeAll() {
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

// numberRead numbers a call for the observer and notes whether faults alter its answer.
func (s *Server) numberRead(c *call, faults []*Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	c.read = s.reads
	for _, f := range faults {
		c.faulty = c.faulty || f.Fault.kind != faultDelay
	}
}

// observeRead calls the observer for a read that sees the state now. The lock is held.
func (s *Server) observeRead(c call) {
	if s.observer != nil {
		s.observer.Read(Read{Number: c.read, Time: s.opt.Now(), Cat: c.cat, Action: c.action, Params: c.params, Faulty: c.faulty})
	}
}

func (s *Server) observeFaultyAnswer(number, status int, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.observer != nil && number > 0 {
		s.observer.FaultyAnswer(number, status, body)
	}
}
