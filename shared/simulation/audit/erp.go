package audit

import (
	"slices"
	"strconv"
	"strings"
	"time"

	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// timeline is what an object of the ERP was over time, as its API showed it, and when
// it was read.
type timeline[T any] struct {
	versions []version[T]
	reads    []reading
}

// version is what was shown from a time until the next version's; nil: not there.
type version[T any] struct {
	from time.Time
	v    *T
}

// commit adds a version that shows after a delay. A commit made while an earlier
// one is still hidden shows with it, or instead of it.
func (s *timeline[T]) commit(now time.Time, v *T, delay time.Duration) {
	at := now.Add(delay)
	for len(s.versions) > 0 && s.versions[len(s.versions)-1].from.After(now) {
		if last := s.versions[len(s.versions)-1].from; delay == 0 && last.After(at) {
			at = last
		}
		s.versions = s.versions[:len(s.versions)-1]
	}
	s.versions = append(s.versions, version[T]{at, v})
}

// at is the version shown at a time.
func (s *timeline[T]) at(t time.Time) *T {
	if s == nil {
		return nil
	}
	for i := len(s.versions) - 1; i >= 0; i-- {
		if !s.versions[i].from.After(t) {
			return s.versions[i].v
		}
	}
	return nil
}

// since are the versions shown at some time since then, the newest first.
func (s *timeline[T]) since(t time.Time) []*T {
	if s == nil {
		return nil
	}
	var out []*T
	for i := len(s.versions) - 1; i >= 0; i-- {
		out = append(out, s.versions[i].v)
		if !s.versions[i].from.After(t) {
			break
		}
	}
	return out
}

// lastSince is like since, without the times in which it was not there: then the
// version before counts.
func (s *timeline[T]) lastSince(t time.Time) []*T {
	if s == nil {
		return nil
	}
	var out []*T
	for i := len(s.versions) - 1; i >= 0; i-- {
		if s.versions[i].v == nil {
			continue
		}
		out = append(out, s.versions[i].v)
		if !s.versions[i].from.After(t) {
			break
		}
	}
	return out
}

// reading is one reading of one key.
type reading struct {
	at time.Time
	// v is the version that was shown; nil: the key was missing from the answer.
	v any
	// unassigned: a list of the tasks without executors named it.
	unassigned bool
	// complete: something else came back in the same answer.
	complete bool
	// faulty is set where a fault was injected: then it holds what was shown.
	faulty *faultyAnswer
}

// catalogue are the roles of the states from a time on.
type catalogue struct {
	from  time.Time
	roles map[int64]int64
}

// faultyCatalogue is a reading of the catalogue in which there was a fault.
type faultyCatalogue struct {
	at     time.Time
	faulty *faultyAnswer
}

// erpObserver listens to the ERP stand-in.
type erpObserver struct{ a *Auditor }

func (s erpObserver) TaskCommitted(id int64, t *fakeerp.Task, delay time.Duration) {
	a := s.a
	a.mu.Lock()
	defer a.mu.Unlock()
	timelineOf(a.tasks, id).commit(a.w.Now(), t, delay)
	a.checkQuiet()
}

func (s erpObserver) EmployeeCommitted(id int64, e *fakeerp.Employee, delay time.Duration) {
	a := s.a
	a.mu.Lock()
	defer a.mu.Unlock()
	timelineOf(a.people, id).commit(a.w.Now(), e, delay)
	a.checkQuiet()
}

// checkQuiet reports a change of the ERP while nothing ought to be written.
func (a *Auditor) checkQuiet() {
	if a.quiet {
		a.report(Violation{Rule: RuleRest}, "the ERP was written to although nothing had changed")
	}
}

func timelineOf[T any](m map[int64]*timeline[T], id int64) *timeline[T] {
	s := m[id]
	if s == nil {
		s = &timeline[T]{}
		m[id] = s
	}
	return s
}

func (s erpObserver) CatalogueCommitted(states map[int64]fakeerp.TaskState, _ map[int64]fakeerp.TaskType) {
	a := s.a
	a.mu.Lock()
	defer a.mu.Unlock()
	c := catalogue{from: a.w.Now(), roles: make(map[int64]int64, len(states))}
	for id, st := range states {
		c.roles[id] = st.Role
	}
	a.catalogues = append(a.catalogues, c)
}

func (s erpObserver) Read(r fakeerp.Read) {
	a := s.a
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.w.Now()
	var faulty *faultyAnswer
	if r.Faulty {
		faulty = &faultyAnswer{}
	}
	switch r.Cat + "/" + r.Action {
	case "task/show":
		ids := idsOf(r.Params["id"])
		there := 0
		for _, id := range ids {
			if a.tasks[id].at(now) != nil {
				there++
			}
		}
		for _, id := range ids {
			t := timelineOf(a.tasks, id)
			t.reads = append(t.reads, newReading(now, t.at(now), there > 0, faulty))
		}
	case "employee/get_data":
		if r.Params["id"] == "" {
			a.allReads = append(a.allReads, reading{at: now, faulty: faulty, complete: true})
			break
		}
		for _, id := range idsOf(r.Params["id"]) {
			// The product looks for those who do not come back among all employees
			// (shared/userside/README.md), so this answer is never complete.
			e := timelineOf(a.people, id)
			e.reads = append(e.reads, newReading(now, e.at(now), false, faulty))
		}
	case "task/get_catalog_state":
		if faulty == nil {
			a.soundCatalogues = append(a.soundCatalogues, now)
			break
		}
		a.faultyCatalogues = append(a.faultyCatalogues, faultyCatalogue{now, faulty})
	case "task/get_list":
		if r.Params["employee_id"] != unassigned || a.w.UnassignedIgnored {
			return
		}
		if faulty == nil {
			a.readUnassigned(now, a.withoutExecutors(now))
			return
		}
		faulty.list = true
	default:
		return
	}
	if faulty != nil {
		a.faulty[r.Number] = faulty
	}
}

// unassigned is the employee by whom the ERP lists tasks without executors.
const unassigned = "-1"

func (a *Auditor) withoutExecutors(now time.Time) []int64 {
	var ids []int64
	for id, t := range a.tasks {
		if v := t.at(now); v != nil && len(v.Executors) == 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// readUnassigned notes that a list said explicitly of tasks that nobody has them (rule 4.1).
func (a *Auditor) readUnassigned(now time.Time, ids []int64) {
	for _, id := range ids {
		if v := a.tasks[id].at(now); v != nil {
			nobodys := *v
			nobodys.Executors = nil
			r := newReading(now, &nobodys, true, nil)
			r.unassigned = true
			a.tasks[id].reads = append(a.tasks[id].reads, r)
		}
	}
}

func newReading[T any](at time.Time, v *T, complete bool, faulty *faultyAnswer) reading {
	r := reading{at: at, complete: complete, faulty: faulty}
	if v != nil {
		r.v = v
	}
	return r
}

func (s erpObserver) FaultyAnswer(number, status int, body []byte) {
	a := s.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if b := a.faulty[number]; b != nil {
		b.status, b.body = status, slices.Clone(body)
		delete(a.faulty, number)
		if b.list {
			a.readUnassigned(a.w.Now(), b.listed())
		}
	}
}

func idsOf(list string) []int64 {
	var out []int64
	for part := range strings.SplitSeq(list, ",") {
		if id, err := strconv.ParseInt(strings.TrimSpace(part), 10, 64); err == nil {
			out = append(out, id)
		}
	}
	return out
}
