package audit_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/simulation/audit"
)

// TestWrong: each rule is found broken, and only that one.
func TestWrong(t *testing.T) {
	for _, row := range []struct {
		name string
		want audit.Rule
		live func(l *lab)
	}{
		{"no calendar", audit.RuleCalendar, func(l *lab) { check(l.t, l.google.DeleteCalendar(l.cals[petro])) }},
		{"a name", audit.RuleCalendar, func(l *lab) {
			check(l.t, l.erp.UpdateEmployee(petro, func(e *fakeerp.Employee) { e.Name = "Petro Petrenko" }))
		}},
		{"a zone", audit.RuleCalendar, func(l *lab) {
			l.writeCalendar(petro, func(c *calendar.Calendar) { c.TimeZone = "Europe/Paris" })
		}},
		{"a calendar for the unbound", audit.RuleCalendar, func(l *lab) {
			check(l.t, l.erp.SetField(petro, binding, "0"))
			check(l.t, l.google.RemoveShare(l.cals[petro], "petro@provider.example"))
		}},
		{"a share for the dismissed", audit.RuleShare, func(l *lab) {
			l.threeCalendarsGone()
			check(l.t, l.erp.DismissEmployee(petro))
		}},
		{"a share missing", audit.RuleShare, func(l *lab) {
			for range 2 {
				_, err := l.api.Acl.List(l.cals[petro]).Do()
				check(l.t, err)
			}
			check(l.t, l.google.RemoveShare(l.cals[petro], "petro@provider.example"))
		}},
		{"a share widened", audit.RuleShare, func(l *lab) { check(l.t, l.google.SetShare(l.cals[petro], "petro@provider.example", "writer")) }},
		{"many former addresses parted from at once", audit.RuleShare, func(l *lab) {
			many := []int64{51, 52, 53, 54}
			for _, id := range many {
				l.erp.AddEmployee(fakeerp.Employee{ID: id, Name: "X", Email: fmt.Sprintf("x%d@provider.example", id), Fields: map[int64]string{binding: "1"}})
				l.readEmployee(id)
				l.create(id)
				l.share(l.cals[id], fmt.Sprintf("x%d@provider.example", id))
			}
			old := maps.Clone(l.cals)
			for _, id := range many {
				check(l.t, l.erp.UpdateEmployee(id, func(e *fakeerp.Employee) { e.Email = fmt.Sprintf("x%d@new.example", id) }))
				l.readEmployee(id)
				l.unshare(l.cals[id], fmt.Sprintf("x%d@provider.example", id))
			}
			for _, id := range many {
				l.readEmployee(id)
				l.create(id)
				l.share(l.cals[id], fmt.Sprintf("x%d@new.example", id))
			}
			for _, id := range many[:3] { // what the guard lets go
				l.readEmployee(id)
				l.note("calendar.delete", old[id], "", 0, id)
				check(l.t, l.api.Calendars.Delete(old[id]).Do())
			}
		}},
		{"deleted while shared", audit.RuleShare, func(l *lab) {
			check(l.t, l.erp.DismissEmployee(petro))
			l.readEmployee(petro)
			l.removeCalendar(l.cals[petro])
		}},
		{"a stranger's share", audit.RuleShare, func(l *lab) {
			l.share(l.cals[petro], "stranger@provider.example")
		}},
		{"an event missing", audit.RuleMissing, func(l *lab) { check(l.t, l.google.DeleteEvent(l.cals[petro], l.content(later, petro, 0).Id)) }},
		{"an event too many", audit.RuleExtra, func(l *lab) { check(l.t, l.erp.CloseTask(early)) }},
		{"an event in a calendar that a purge gave up", audit.RuleExtra, func(l *lab) {
			l.giveUp(func(cleared string) {
				check(l.t, l.google.RestoreEvent(l.cals[petro], cleared))
				l.pass(time.Second)
				l.listEvents(l.cals[petro])
			}, "petro@provider.example")
		}},
		{"a former address that was read since the loss reads on", audit.RuleShare, func(l *lab) {
			l.giveUpHidden(func() { l.readEmployee(petro) })
		}},
		{"an event of a deleted task", audit.RuleExtra, func(l *lab) { check(l.t, l.erp.DeleteTask(early)) }},
		{"a title", audit.RuleField, func(l *lab) { l.edit(func(e *calendar.Event) { e.Summary = "Repair" }) }},
		{"a place", audit.RuleField, func(l *lab) { l.edit(func(e *calendar.Event) { e.Location = "" }) }},
		{"a description", audit.RuleField, func(l *lab) {
			l.edit(func(e *calendar.Event) { e.Description = strings.Replace(e.Description, "Ivan", "Ira", 1) })
		}},
		{"an unescaped description", audit.RuleField, func(l *lab) {
			l.edit(func(e *calendar.Event) { e.Description = strings.Replace(e.Description, "&amp;", "&", 1) })
		}},
		{"no link", audit.RuleField, func(l *lab) {
			l.edit(func(e *calendar.Event) { e.Description = strings.Replace(e.Description, "/21", "/2", 1) })
		}},
		{"the type's colour where the state has one", audit.RuleField, func(l *lab) {
			l.s.Colors = map[string]int{strconv.Itoa(repair): 7, "state:1": 4}
			l.audit.Settings(l.s)
		}},
		{"the state's colour where the priority has one", audit.RuleField, func(l *lab) {
			l.s.Colors = map[string]int{"state:1": 7, "priority:0": 4}
			l.audit.Settings(l.s)
		}},
		{"a colour", audit.RuleField, func(l *lab) { l.edit(func(e *calendar.Event) { e.ColorId = "8" }) }},
		{"an end", audit.RuleField, func(l *lab) { l.edit(func(e *calendar.Event) { e.End.DateTime = "2026-11-23T10:00:00+02:00" }) }},
		{"a hidden event", audit.RuleField, func(l *lab) { l.edit(func(e *calendar.Event) { e.Visibility = "private" }) }},
		{"404 believed at once", audit.RuleDouble, func(l *lab) {
			l.lookInVain(fakegoogle.BodyWithStatus)
			l.lookInVain(fakegoogle.BodyWithStatus)
			l.replaceCalendar()
		}},
		{"two pages believed", audit.RuleDouble, func(l *lab) {
			l.lookInVain(fakegoogle.BodyHTML)
			l.pass(10 * time.Minute)
			l.lookInVain(fakegoogle.BodyHTML)
			l.replaceCalendar()
		}},
		{"believed although it was shown in between", audit.RuleDouble, func(l *lab) {
			l.lookInVain(fakegoogle.BodyWithStatus)
			l.pass(10 * time.Minute)
			_, err := l.api.Events.List(l.cals[petro]).Do()
			check(l.t, err)
			l.lookInVain(fakegoogle.BodyWithStatus)
			l.replaceCalendar()
		}},
		{"a lost creation that a list has shown", audit.RuleDouble, func(l *lab) {
			const nina = 13
			l.erp.AddEmployee(fakeerp.Employee{ID: nina, Name: "Nina", Email: "nina@provider.example", Fields: map[int64]string{binding: "1"}})
			l.readEmployee(nina)
			l.create(nina)
			lost := l.cals[nina]
			_, err := l.api.CalendarList.List().Do()
			check(l.t, err)
			l.create(nina)
			l.share(l.cals[nina], "nina@provider.example")
			l.note("calendar.delete", lost, "", 0, nina)
			check(l.t, l.api.Calendars.Delete(lost).Do())
		}},
		{"two events", audit.RuleDouble, func(l *lab) {
			l.readTasks(early)
			l.insert(early, olena, 1)
			l.remove(early, olena, 0)
		}},
		{"the wrong one of two stays", audit.RuleDouble, func(l *lab) {
			check(l.t, l.google.DeleteEvent(l.cals[olena], l.content(early, olena, 0).Id))
			l.readTasks(early)
			l.insert(early, olena, 1)
			check(l.t, l.google.RestoreEvent(l.cals[olena], l.content(early, olena, 0).Id))
			l.remove(early, olena, 1)
		}},
		{"two calendars", audit.RuleDouble, func(l *lab) {
			before := l.cals[petro]
			l.readEmployee(petro)
			l.create(petro)
			check(l.t, l.google.DeleteCalendar(l.cals[petro]))
			l.cals[petro] = before
		}},
		{"an unmarked event changed", audit.RuleForeign, func(l *lab) {
			ev := l.content(early, olena, 0)
			ev.ExtendedProperties = nil
			id, err := l.google.CreateEvent(l.cals[olena], ev)
			check(l.t, err)
			ev.Id = id
			l.write(l.cals[olena], early, olena, ev, func(e *calendar.Event) { e.Summary = "Mine" })
		}},
		{"a copy deleted", audit.RuleForeign, func(l *lab) {
			id, err := l.google.CopyEvent(l.cals[olena], l.content(early, olena, 0).Id, l.cals[olena])
			check(l.t, err)
			l.note("event.delete", l.cals[olena], id, early, olena)
			c := l.api.Events.Delete(l.cals[olena], id).SendUpdates("none")
			c.Header().Set("If-Match", "*")
			check(l.t, c.Do())
		}},
		{"a stranger's rule", audit.RuleForeign, func(l *lab) {
			check(l.t, l.google.SetShare(l.cals[olena], "boss@provider.example", "reader"))
			l.unshare(l.cals[olena], "boss@provider.example")
		}},
		{"a calendar that lost its mark deleted", audit.RuleForeign, func(l *lab) {
			check(l.t, l.google.EditCalendar(l.cals[petro], func(c *calendar.Calendar) { c.Description = "" }))
			check(l.t, l.erp.DismissEmployee(petro))
			l.readEmployee(petro)
			l.removeCalendar(l.cals[petro])
		}},
		{"an event without a mark", audit.RuleMark, func(l *lab) {
			l.readTasks(early)
			ev := l.content(early, olena, 1)
			ev.ExtendedProperties = nil
			l.insertInto(l.cals[olena], 0, olena, ev)
		}},
		{"a calendar without a mark", audit.RuleMark, func(l *lab) {
			before := l.cals[petro]
			l.readEmployee(petro)
			l.note("calendar.create", "", "", 0, 0)
			l.createMarked(petro, "")
			l.cals[petro] = before
		}},
		{"a mark rewritten", audit.RuleMark, func(l *lab) {
			m := l.mark(petro)
			m.From = m.From.Add(-72 * time.Hour)
			l.writeCalendar(petro, func(c *calendar.Calendar) { c.Description = m.Line() })
		}},
		{"a beginning out of the air", audit.RuleMark, func(l *lab) {
			check(l.t, l.google.DeleteCalendar(l.cals[petro]))
			l.readEmployee(petro)
			m := l.mark(petro)
			m.From = m.From.Add(-72 * time.Hour)
			l.createMarked(petro, m.Line())
			l.share(l.cals[petro], "petro@provider.example")
			l.readTasks(later)
			l.insert(later, petro, 0)
		}},
		{"mail about an event", audit.RuleMail, func(l *lab) {
			check(l.t, l.google.DeleteEvent(l.cals[petro], l.content(later, petro, 0).Id))
			l.readTasks(later)
			ev := l.content(later, petro, 1)
			l.note("event.insert", l.cals[petro], ev.Id, later, petro)
			_, err := l.api.Events.Insert(l.cals[petro], ev).Do()
			check(l.t, err)
		}},
		{"a second invitation", audit.RuleMail, func(l *lab) { l.share(l.cals[petro], "petro@provider.example") }},
		{"over the budget", audit.RuleBudget, func(l *lab) {
			for range 601 {
				_, err := l.api.Calendars.Get(l.cals[petro]).Do()
				check(l.t, err)
				l.pass(50 * time.Millisecond)
			}
		}},
		{"too fast for one calendar", audit.RulePace, func(l *lab) {
			l.readTasks(later)
			for range 7 {
				l.update(later, petro, func(*calendar.Event) {})
				l.pass(-900 * time.Millisecond)
			}
			l.pass(time.Minute)
		}},
		{"a patch", audit.RulePatch, func(l *lab) {
			l.note("calendar.update", l.cals[petro], "", 0, petro)
			_, err := l.api.Calendars.Patch(l.cals[petro], &calendar.Calendar{Summary: "Petro"}).Do()
			check(l.t, err)
		}},
		{"a blind update", audit.RuleCondition, func(l *lab) {
			l.readTasks(later)
			ev := l.content(later, petro, 0)
			l.note("event.update", l.cals[petro], ev.Id, later, petro)
			_, err := l.api.Events.Update(l.cals[petro], ev.Id, ev).SendUpdates("none").Do()
			check(l.t, err)
		}},
		{"an event deleted for nothing", audit.RuleEvidence, func(l *lab) {
			l.readTasks(early)
			l.remove(early, olena, 0)
			l.write(l.cals[olena], early, olena, l.content(early, olena, 0), func(*calendar.Event) {})
		}},
		{"an event deleted unread", audit.RuleEvidence, func(l *lab) {
			l.pass(time.Hour)
			check(l.t, l.erp.CloseTask(early))
			l.remove(early, olena, 0)
		}},
		{"an event deleted while the ERP failed", audit.RuleEvidence, func(l *lab) {
			l.pass(time.Hour)
			check(l.t, l.erp.CloseTask(early))
			l.erp.Inject(fakeerp.Rule{Fault: fakeerp.Truncated()})
			l.readTasks(early)
			l.remove(early, olena, 0)
		}},
		{"an event missing once", audit.RuleEvidence, func(l *lab) {
			l.pass(time.Hour)
			check(l.t, l.erp.DeleteTask(early))
			l.readTasks(early, later)
			l.remove(early, olena, 0)
		}},
		{"an event missing twice in a short time", audit.RuleEvidence, func(l *lab) {
			check(l.t, l.erp.DeleteTask(early))
			l.readTasks(early, later)
			l.pass(5 * time.Minute)
			l.readTasks(early, later)
			l.remove(early, olena, 0)
		}},
		{"an event missing alone", audit.RuleEvidence, func(l *lab) {
			check(l.t, l.erp.DeleteTask(early))
			l.readTasks(early)
			l.pass(10 * time.Minute)
			l.readTasks(early)
			l.remove(early, olena, 0)
		}},
		{"a key missing once", audit.RuleEvidence, func(l *lab) {
			l.erp.Inject(fakeerp.Rule{Action: "show", Fault: fakeerp.Missing("staff")})
			l.readTasks(early)
			l.remove(early, olena, 0)
			l.readTasks(early)
			l.write(l.cals[olena], early, olena, l.content(early, olena, 0), func(*calendar.Event) {})
		}},
		{"a key missing, and the list of those that nobody has lacks the task", audit.RuleEvidence, func(l *lab) {
			l.erp.Inject(fakeerp.Rule{Action: "show", Fault: fakeerp.Missing("staff")})
			l.readTasks(early)
			l.readUnassigned()
			l.remove(early, olena, 0)
			l.readTasks(early)
			l.write(l.cals[olena], early, olena, l.content(early, olena, 0), func(*calendar.Event) {})
		}},
		{"a role gone from the catalogue once", audit.RuleEvidence, func(l *lab) {
			l.erp.Inject(fakeerp.Rule{Action: "get_catalog_state", Fault: fakeerp.RoleGone(fakeerp.RoleNotCompleted)})
			l.readCatalogue()
			l.readTasks(early)
			l.remove(early, olena, 0)
			l.write(l.cals[olena], early, olena, l.content(early, olena, 0), func(*calendar.Event) {})
		}},
		{"a share removed for nothing", audit.RuleEvidence, func(l *lab) {
			l.readEmployee(petro)
			l.unshare(l.cals[petro], "petro@provider.example")
			l.share(l.cals[petro], "petro@provider.example")
		}},
		{"a calendar deleted while nobody could be read", audit.RuleEvidence, func(l *lab) {
			l.pass(time.Hour)
			l.erp.Inject(fakeerp.Rule{Fault: fakeerp.EmptyList()})
			l.readEverybody()
			l.unshare(l.cals[petro], "petro@provider.example")
			l.removeCalendar(l.cals[petro])
			l.readEmployee(petro)
			l.create(petro)
			l.share(l.cals[petro], "petro@provider.example")
			l.readTasks(later)
			l.insert(later, petro, 0)
		}},
		{"an event out of an old reading", audit.RuleUnfounded, func(l *lab) {
			l.pass(time.Hour)
			l.update(early, olena, func(*calendar.Event) {})
		}},
		{"a reading overtaken", audit.RuleUnfounded, func(l *lab) {
			l.pass(time.Hour)
			l.readTasks(early)
			l.update(early, olena, func(e *calendar.Event) {
				e.Start.DateTime, e.End.DateTime = "2026-11-23T08:00:00+02:00", "2026-11-23T10:00:00+02:00"
			})
			l.update(early, olena, func(*calendar.Event) {})
		}},
		{"a calendar for a stranger", audit.RuleUnfounded, func(l *lab) {
			check(l.t, l.erp.DismissEmployee(petro))
			l.readEmployee(petro)
			l.unshare(l.cals[petro], "petro@provider.example")
			l.removeCalendar(l.cals[petro])
			l.pass(time.Hour)
			l.readEmployee(petro)
			l.create(petro)
			check(l.t, l.google.DeleteCalendar(l.cals[petro]))
		}},
		{"the guard off", audit.RuleGuard, func(l *lab) {
			var ids []int64
			for i := range int64(11) {
				ids = append(ids, 100+i)
				l.erp.AddTask(fakeerp.Task{ID: 100 + i, TypeID: repair, StateID: open, TodoWall: "2026-11-24 14:30:00", RuntimeHours: 3, Executors: []int64{petro}})
				l.readTasks(100 + i)
				l.insert(100+i, petro, 0)
			}
			l.pass(time.Hour)
			l.erp.AddState(fakeerp.TaskState{ID: open, Role: fakeerp.RoleCompleted})
			l.erp.AddState(fakeerp.TaskState{ID: 4, Role: fakeerp.RoleNotCompleted})
			l.readTasks(ids...)
			for _, id := range ids {
				l.remove(id, petro, 0)
			}
		}},
		{"a write while off", audit.RulePaused, func(l *lab) {
			l.s.Enabled = false
			l.audit.Settings(l.s)
			l.pass(time.Hour)
			l.readTasks(later)
			l.update(later, petro, func(*calendar.Event) {})
		}},
		{"no record", audit.RuleActivity, func(l *lab) { l.activity = l.activity[:len(l.activity)-1] }},
		{"a record of another time", audit.RuleActivity, func(l *lab) {
			l.pass(time.Hour)
			l.readTasks(later)
			l.update(later, petro, func(*calendar.Event) {})
			l.activity = l.activity[:len(l.activity)-1]
		}},
		{"a write at rest", audit.RuleRest, func(l *lab) {
			l.readTasks(later)
			l.audit.Quiet()
			l.update(later, petro, func(*calendar.Event) {})
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLab(t)
			l.settle()
			row.live(l)
			vs := l.judge()
			if got := rules(vs); !slices.Equal(got, []audit.Rule{row.want}) {
				t.Errorf("broken %q, want %q", got, row.want)
				for _, v := range vs {
					t.Log(v)
				}
			}
		})
	}
}

// edit changes the early task's event by hand.
func (l *lab) edit(change func(*calendar.Event)) {
	l.t.Helper()
	check(l.t, l.google.EditEvent(l.cals[olena], l.content(early, olena, 0).Id, change))
}

// threeCalendarsGone uses up what the guard lets go in a day.
func (l *lab) threeCalendarsGone() {
	l.t.Helper()
	for i := range int64(3) {
		id := 40 + i
		l.erp.AddEmployee(fakeerp.Employee{ID: id, Name: "X", Email: "x@provider.example", Fields: map[int64]string{binding: "1"}})
		l.readEmployee(id)
		l.create(id)
		check(l.t, l.erp.DismissEmployee(id))
		l.readEmployee(id)
		l.removeCalendar(l.cals[id])
	}
}
