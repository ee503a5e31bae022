package userside

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
)

func TestSampleCompany(t *testing.T) {
	f := setup(t, nil)
	now := f.clock.now()
	SampleCompany(f.Server, now)
	want(t, "divisions", len(f.Divisions()), 3)
	want(t, "employees", len(f.Employees()), 12)
	want(t, "states", len(f.States()), 7)
	want(t, "tasks", len(f.Tasks()), SampleTaskCount)

	people := map[int64]Employee{}
	bound := 0
	for _, e := range f.Employees() {
		people[e.ID] = e
		if e.Fields[SampleBindingField] == "1" {
			bound++
		}
	}
	if bound == 0 || bound == 12 || isOn(people[SampleUnbound].Fields[SampleBindingField]) {
		t.Errorf("%d bound", bound)
	}
	want(t, "no e-mail", people[SampleNoEmail].Email, "")
	want(t, "dismissed", people[SampleDismissed].Dismissed, true)
	want(t, "invalid", strings.Contains(people[SampleInvalidEmail].Email, "@"), false)
	want(t, "shared", strings.EqualFold(people[SampleSharedEmailA].Email, people[SampleSharedEmailB].Email), true)

	roles, open, undated, cyrillic, unassigned, raw, past, future := map[int64]bool{}, 0, 0, 0, 0, 0, 0, 0
	state := map[int64]int64{}
	for _, st := range f.States() {
		roles[st.Role], state[st.ID] = true, st.Role
	}
	for _, k := range f.Tasks() {
		if state[k.StateID] == 0 || k.Updated.After(now) || k.Created.After(k.Updated) {
			t.Errorf("task %d: %+v", k.ID, k)
		}
		open += b2i(!isClosed(state[k.StateID]))
		want(t, "completed", isClosed(state[k.StateID]), !k.Completed.IsZero())
		undated += b2i(k.TodoWall == "")
		past += b2i(!k.Todo.IsZero() && k.Todo.Before(now))
		future += b2i(k.Todo.After(now))
		raw += b2i(k.RawDescription)
		unassigned += b2i(len(k.Executors) == 0)
		cyrillic += b2i(strings.ContainsFunc(k.Description, func(r rune) bool { return unicode.Is(unicode.Cyrillic, r) }))
	}
	for _, r := range []int64{RoleNotCompleted, RoleInProgress, RoleCompleted, RoleCancelled, RolePostponed} {
		want(t, fmt.Sprint("role ", r), roles[r], true)
	}
	for name, n := range map[string]int{"open": open, "undated": undated, "past": past, "future": future, "raw": raw, "unassigned": unassigned, "cyrillic": cyrillic} {
		if n == 0 || n == SampleTaskCount {
			t.Errorf("%s: %d", name, n)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestSampleCompanyIsTheSameEveryTime(t *testing.T) {
	a, b := setup(t, nil), setup(t, nil)
	SampleCompany(a.Server, a.clock.now())
	SampleCompany(b.Server, b.clock.now())
	want(t, "tasks", fmt.Sprint(a.Tasks()) == fmt.Sprint(b.Tasks()), true)
	SampleCompanySeeded(b.Server, b.clock.now(), 7)
	want(t, "another seed", fmt.Sprint(a.Tasks()) == fmt.Sprint(b.Tasks()), false)
}

func TestSampleCompanyCanBeReadInBothGenerations(t *testing.T) {
	for name, gen := range map[string]func(*Options){"new": nil, "old": oldERP} {
		f := setup(t, gen)
		SampleCompany(f.Server, f.clock.now().Add(-time.Hour))
		list := f.list()
		a := f.ok("task", "show", "id", list)
		if got := len(a.data()); got != SampleTaskCount || strings.Contains(a.text, `:"error"`) {
			t.Errorf("%s: %d tasks", name, got)
		}
	}
}
