package audit

import (
	"slices"
	"strconv"
	"strings"
	"time"

	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// story is what an object of the ERP was, as its API showed it, and when it was read.
type story[T any] struct {
	spans []span[T]
	reads []reading
}

// span is a version from its beginning to that of the next; nil: not there.
type span[T any] struct {
	from time.Time
	v    *T
}

// commit adds a version that shows after a delay. A commit made while an earlier
// one is still hidden shows with it, or instead of it.
func (s *story[T]) commit(now time.Time, v *T, delay time.Duration) {
	at := now.Add(delay)
	for len(s.spans) > 0 && s.spans[len(s.spans)-1].from.After(now) {
		if last := s.spans[len(s.spans)-1].from; delay == 0 && last.After(at) {
			at = last
		}
		s.spans = s.spans[:len(s.spans)-1]
	}
	s.spans = append(s.spans, span[T]{at, v})
}

// at is the version shown at a time.
func (s *story[T]) at(t time.Time) *T {
	if s == nil {
		return nil
	}
	for i := len(s.spans) - 1; i >= 0; i-- {
		if !s.spans[i].from.After(t) {
			return s.spans[i].v
		}
	}
	return nil
}

// since are the versions shown at some time from then on.
func (s *story[T]) since(t time.Time) []*T {
	if s == nil {
		return nil
	}
	var out []*T
	for i := len(s.spans) - 1; i >= 0; i-- {
		out = append(out, s.spans[i].v)
		if !s.spans[i].from.After(t) {
			break
		}
	}
	return out
}

// lastSince are the versions shown at some time from then on; instead of a time in
// which it was not there, that before.
func (s *story[T]) lastSince(t time.Time) []*T {
	if s == nil {
		return nil
	}
	var out []*T
	for i := len(s.spans) - 1; i >= 0; i-- {
		if s.spans[i].v == nil {
			continue
		}
		out = append(out, s.spans[i].v)
		if !s.spans[i].from.After(t) {
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
	// complete: something else came back in the same answer.
	complete bool
	// bent: what was shown is in there, if it was readable at all.
	bent *bentRead
}

// bentRead is a read that met faults.
type bentRead struct {
	status int
	body   []byte
	parsed *answer
}

// catalogue are the roles of the states from a time on.
type catalogue struct {
	from  time.Time
	roles map[int64]int64
}

// catalogueLie is a reading of the catalogue that met faults.
type catalogueLie struct {
	at   time.Time
	bent *bentRead
}

// source listens to the ERP stand-in.
type source struct{ a *Auditor }

func (s source) TaskCommitted(id int64, t *fakeerp.Task, delay time.Duration) {
	a := s.a
	a.mu.Lock()
	defer a.mu.Unlock()
	of(a.tasks, id).commit(a.w.Now(), t, delay)
	a.restless()
}

func (s source) EmployeeCommitted(id int64, e *fakeerp.Employee, delay time.Duration) {
	a := s.a
	a.mu.Lock()
	defer a.mu.Unlock()
	of(a.people, id).commit(a.w.Now(), e, delay)
	a.restless()
}

// restless reports a change of the ERP while nothing ought to be written.
func (a *Auditor) restless() {
	if a.quiet {
		a.report(Violation{Rule: RuleRest}, "the ERP was written to although nothing had changed")
	}
}

func of[T any](m map[int64]*story[T], id int64) *story[T] {
	s := m[id]
	if s == nil {
		s = &story[T]{}
		m[id] = s
	}
	return s
}

func (s source) CatalogueCommitted(states map[int64]fakeerp.TaskState, _ map[int64]fakeerp.TaskType) {
	a := s.a
	a.mu.Lock()
	defer a.mu.Unlock()
	c := catalogue{from: a.w.Now(), roles: make(map[int64]int64, len(states))}
	for id, st := range states {
		c.roles[id] = st.Role
	}
	a.catalogues = append(a.catalogues, c)
}

func (s source) Read(r fakeerp.Read) {
	a := s.a
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.w.Now()
	var bent *bentRead
	if r.Faulty {
		bent = &bentRead{}
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
			t := of(a.tasks, id)
			t.reads = append(t.reads, seen(now, t.at(now), there > 0, bent))
		}
	case "employee/get_data":
		if r.Params["id"] == "" {
			a.allReads = append(a.allReads, reading{at: now, bent: bent, complete: true})
			break
		}
		for _, id := range idsOf(r.Params["id"]) {
			// Who does not come back is then looked for among all (shared/userside/README.md).
			e := of(a.people, id)
			e.reads = append(e.reads, seen(now, e.at(now), false, bent))
		}
	case "task/get_catalog_state":
		if bent != nil {
			a.lies = append(a.lies, catalogueLie{now, bent})
		}
	default:
		return
	}
	if bent != nil {
		a.bent[r.Number] = bent
	}
}

func seen[T any](at time.Time, v *T, complete bool, bent *bentRead) reading {
	r := reading{at: at, complete: complete, bent: bent}
	if v != nil {
		r.v = v
	}
	return r
}

func (s source) Bent(number, status int, body []byte) {
	a := s.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if b := a.bent[number]; b != nil {
		b.status, b.body = status, slices.Clone(body)
		delete(a.bent, number)
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
