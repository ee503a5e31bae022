package audit_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// TestRight: what is done rightly is no violation.
func TestRight(t *testing.T) {
	for _, row := range []struct {
		name string
		live func(l *lab)
	}{
		{"all at rest", func(*lab) {}},
		{"moved", func(l *lab) {
			check(l.t, l.erp.MoveTaskWall(later, "2026-11-25 08:00:00"))
			l.readTasks(later)
			for _, id := range []int64{olena, petro} {
				l.update(later, id, func(e *calendar.Event) {
					e.Start.DateTime, e.End.DateTime = "2026-11-25T08:00:00+02:00", "2026-11-25T11:00:00+02:00"
				})
			}
		}},
		{"coloured by its priority before its state", func(l *lab) {
			l.s.Colors = map[string]int{strconv.Itoa(repair): 3, "state:1": 4, "priority:0": 7}
			l.audit.Settings(l.s)
		}},
		{"all day", func(l *lab) {
			l.s.MidnightIsAllDay = true
			l.audit.Settings(l.s)
			check(l.t, l.erp.MoveTaskWall(early, "2026-11-25 00:00:00"))
			l.readTasks(early)
			l.update(early, olena, func(e *calendar.Event) {
				e.Start, e.End = &calendar.EventDateTime{Date: "2026-11-25"}, &calendar.EventDateTime{Date: "2026-11-26"}
			})
		}},
		{"closed", func(l *lab) {
			check(l.t, l.erp.CloseTask(early))
			l.readTasks(early)
			l.remove(early, olena, 0)
		}},
		{"undated", func(l *lab) {
			check(l.t, l.erp.MoveTaskWall(early, ""))
			l.readTasks(early)
			l.remove(early, olena, 0)
		}},
		{"reassigned", func(l *lab) {
			check(l.t, l.erp.Reassign(early, fakeerp.Reassignment{AddExecutors: []int64{petro}, RemoveExecutors: []int64{olena}}))
			l.readTasks(early)
			l.insert(early, petro, 0)
			l.remove(early, olena, 0)
		}},
		{"deleted and vouched for", func(l *lab) {
			check(l.t, l.erp.DeleteTask(early))
			l.audit.Vouched(fakeerp.TaskDeleted, early)
			l.readTasks(early)
			l.remove(early, olena, 0)
		}},
		{"missing twice", func(l *lab) {
			check(l.t, l.erp.DeleteTask(early))
			l.readTasks(early, later)
			l.pass(10 * time.Minute)
			l.readTasks(early, later)
			l.remove(early, olena, 0)
		}},
		{"reopened before the deletion", func(l *lab) {
			check(l.t, l.erp.CloseTask(early))
			l.readTasks(early)
			check(l.t, l.erp.ReopenTask(early))
			l.remove(early, olena, 0)
			l.readTasks(early)
			l.write(l.cals[olena], early, olena, l.content(early, olena, 0), func(*calendar.Event) {})
		}},
		{"revived under another id", func(l *lab) {
			check(l.t, l.google.DeleteEvent(l.cals[olena], l.content(early, olena, 0).Id))
			l.readTasks(early)
			l.insert(early, olena, 1)
		}},
		{"restored by hand and cleared up", func(l *lab) {
			check(l.t, l.google.DeleteEvent(l.cals[olena], l.content(early, olena, 0).Id))
			check(l.t, l.google.RestoreEvent(l.cals[olena], l.content(early, olena, 0).Id))
			check(l.t, l.google.DeleteEvent(l.cals[olena], l.content(early, olena, 0).Id))
			l.readTasks(early)
			l.insert(early, olena, 1)
			check(l.t, l.google.RestoreEvent(l.cals[olena], l.content(early, olena, 0).Id))
			l.remove(early, olena, 0)
		}},
		{"restored by hand and both too many", func(l *lab) {
			check(l.t, l.google.DeleteEvent(l.cals[olena], l.content(early, olena, 0).Id))
			l.readTasks(early)
			l.insert(early, olena, 1)
			check(l.t, l.google.RestoreEvent(l.cals[olena], l.content(early, olena, 0).Id))
			check(l.t, l.erp.CloseTask(early))
			l.readTasks(early)
			l.remove(early, olena, 1)
			l.remove(early, olena, 0)
		}},
		{"the owner's own events and rules", func(l *lab) {
			_, err := l.google.CreateEvent(l.cals[olena], l.content(99, olena, 0))
			check(l.t, err)
			_, err = l.google.CopyEvent(l.cals[olena], l.content(early, olena, 0).Id, l.cals[petro])
			check(l.t, err)
			check(l.t, l.google.SetShare(l.cals[olena], "boss@provider.example", "writer"))
			_, err = l.google.CreateCalendar(account, "Holidays", zone)
			check(l.t, err)
			check(l.t, l.google.EditCalendar(l.cals[petro], func(c *calendar.Calendar) { c.Summary = "My man" }))
		}},
		{"dismissed", func(l *lab) {
			check(l.t, l.erp.DismissEmployee(petro))
			l.readEmployee(petro)
			l.unshare(l.cals[petro], "petro@provider.example")
			l.removeCalendar(l.cals[petro])
		}},
		{"another address", func(l *lab) {
			check(l.t, l.erp.UpdateEmployee(petro, func(e *fakeerp.Employee) { e.Email = "p@provider.example" }))
			l.readEmployee(petro)
			old := l.cals[petro]
			l.unshare(old, "petro@provider.example")
			l.create(petro)
			l.share(l.cals[petro], "p@provider.example")
			l.readTasks(later)
			l.insert(later, petro, 0)
			l.note("calendar.delete", old, "", 0, petro)
			check(l.t, l.api.Calendars.Delete(old).Do())
		}},
		{"another address before it was shared", func(l *lab) {
			l.erp.AddEmployee(fakeerp.Employee{ID: 40, Name: "Ivan", Email: "ivan@provider.example", Fields: map[int64]string{binding: "1"}})
			l.readEmployee(40)
			l.create(40)
			old := l.cals[40]
			check(l.t, l.erp.UpdateEmployee(40, func(e *fakeerp.Employee) { e.Email = "i@provider.example" }))
			l.readEmployee(40)
			l.create(40)
			l.share(l.cals[40], "i@provider.example")
			l.note("calendar.delete", old, "", 0, 40)
			check(l.t, l.api.Calendars.Delete(old).Do())
		}},
		{"another address while it was made", func(l *lab) {
			l.erp.AddEmployee(fakeerp.Employee{ID: 40, Name: "Ivan", Email: "ivan@provider.example", Fields: map[int64]string{binding: "1"}})
			l.readEmployee(40)
			l.pass(time.Second)
			check(l.t, l.erp.UpdateEmployee(40, func(e *fakeerp.Employee) { e.Email = "i@provider.example" }))
			l.readEverybody() // a poll, of which the pass knows nothing
			l.create(40)
			old := l.cals[40]
			l.readEmployee(40)
			l.create(40)
			l.share(l.cals[40], "i@provider.example")
			l.note("calendar.delete", old, "", 0, 40)
			check(l.t, l.api.Calendars.Delete(old).Do())
		}},
		{"a calendar deleted by hand", func(l *lab) {
			check(l.t, l.google.DeleteCalendar(l.cals[petro]))
			l.pass(time.Minute)
			l.readEmployee(petro)
			l.create(petro)
			l.share(l.cals[petro], "petro@provider.example")
			l.readTasks(later)
			l.insert(later, petro, 0)
		}},
		{"a calendar that Google denies to have", func(l *lab) {
			l.lookInVain(fakegoogle.BodyWithStatus)
			l.pass(10 * time.Minute)
			l.lookInVain(fakegoogle.BodyWithoutStatus)
			l.replaceCalendar()
		}},
		{"a calendar that turns up beside the one that an admin had made in its place", func(l *lab) {
			l.lookInVain(fakegoogle.BodyWithStatus)
			l.audit.Allow(fmt.Sprintf("replace/%d", petro))
			had := l.cals[petro]
			l.readEmployee(petro)
			l.create(petro)
			l.pass(72 * time.Hour) // in which the product was not connected
			l.readEmployee(petro)
			l.note("calendar.delete", l.cals[petro], "", 0, petro)
			check(l.t, l.api.Calendars.Delete(l.cals[petro]).Do())
			l.cals[petro] = had
		}},
		{"a calendar whose creation no list has shown", func(l *lab) {
			l.google.ChangeWays(func(w *fakegoogle.Ways) { w.ListDelayUpTo = 24 * time.Hour })
			const nina = 13
			l.erp.AddEmployee(fakeerp.Employee{ID: nina, Name: "Nina", Email: "nina@provider.example", Fields: map[int64]string{binding: "1"}})
			l.readEmployee(nina)
			l.create(nina)
			lost := l.cals[nina]
			for range 2 {
				_, err := l.api.CalendarList.List().Do()
				check(l.t, err)
			}
			// Its owner sees it, and puts something there (seed 2000730).
			lunch, err := l.google.CreateEvent(lost, &calendar.Event{Summary: "Lunch", Start: l.content(later, petro, 0).Start, End: l.content(later, petro, 0).End})
			check(l.t, err)
			check(l.t, l.google.DeleteEvent(lost, lunch))
			l.create(nina)
			l.share(l.cals[nina], "nina@provider.example")
			l.note("calendar.delete", lost, "", 0, nina)
			check(l.t, l.api.Calendars.Delete(lost).Do())
		}},
		{"a mark scribbled over and renewed", func(l *lab) {
			var mark string
			check(l.t, l.google.EditCalendar(l.cals[petro], func(c *calendar.Calendar) {
				mark, c.Description = c.Description, strings.Replace(c.Description, "from=2026", "from=2027", 1)
			}))
			l.writeCalendar(petro, func(c *calendar.Calendar) { c.Description = mark })
		}},
		{"an event brought back as a purge gives its calendar up", func(l *lab) {
			l.giveUp(func(cleared string) {
				l.listEvents(l.cals[petro])
				check(l.t, l.google.RestoreEvent(l.cals[petro], cleared))
			}, "petro@provider.example")
		}},
		{"a former address that nobody remembers reads on", func(l *lab) {
			l.giveUpHidden(func() {})
		}},
		{"departments", func(l *lab) {
			l.s.IncludeDepartments = true
			l.audit.Settings(l.s)
			check(l.t, l.erp.SetMembership(petro, 31, true))
			check(l.t, l.erp.Reassign(early, fakeerp.Reassignment{AddDivisions: []int64{31}}))
			l.readTasks(early)
			l.insert(early, petro, 0)
			check(l.t, l.erp.SetMembership(petro, 31, false))
			l.readTasks(early)
			l.remove(early, petro, 0)
		}},
		{"a share repaired", func(l *lab) {
			check(l.t, l.google.RemoveShare(l.cals[petro], "petro@provider.example"))
			l.share(l.cals[petro], "petro@provider.example")
		}},
		{"held: too many at once", func(l *lab) {
			for i := range int64(12) {
				l.erp.AddTask(fakeerp.Task{ID: 100 + i, TypeID: repair, StateID: open, TodoWall: "2026-11-24 14:30:00", RuntimeHours: 3, Executors: []int64{petro}})
				l.readTasks(100 + i)
				l.insert(100+i, petro, 0)
			}
			var ids []int64
			for i := range int64(12) {
				ids = append(ids, 100+i)
				check(l.t, l.erp.DeleteTask(100+i))
			}
			ids = append(ids, early)
			l.readTasks(ids...)
			l.pass(10 * time.Minute)
			l.readTasks(ids...)
			for _, id := range ids[:10] {
				l.remove(id, petro, 0)
			}
		}},
		{"an ERP that answers falsely twice", func(l *lab) {
			l.erp.Inject(fakeerp.Rule{Action: "show", Count: 2, Fault: fakeerp.Missing("staff")})
			l.readTasks(early)
			l.pass(10 * time.Minute)
			l.readTasks(early)
			l.remove(early, olena, 0)
			l.readTasks(early)
			l.write(l.cals[olena], early, olena, l.content(early, olena, 0), func(*calendar.Event) {})
		}},
		{"the list of those that nobody has names it", func(l *lab) {
			check(l.t, l.erp.UpdateTask(early, func(t *fakeerp.Task) { t.Executors = nil }))
			l.erp.Inject(fakeerp.Rule{Action: "show", Fault: fakeerp.Missing("staff")})
			l.readTasks(early)
			l.readUnassigned()
			l.remove(early, olena, 0)
		}},
		{"so does one with a fault in it", func(l *lab) {
			check(l.t, l.erp.UpdateTask(early, func(t *fakeerp.Task) { t.Executors = nil }))
			l.erp.Inject(fakeerp.Rule{Count: 2, Fault: fakeerp.Missing("staff")})
			l.readTasks(early)
			l.readUnassigned()
			l.remove(early, olena, 0)
		}},
		{"an explicit false answer", func(l *lab) {
			l.erp.Inject(fakeerp.Rule{Action: "show", Fault: fakeerp.Replace("date.todo", nil)})
			l.readTasks(early)
			l.remove(early, olena, 0)
			l.readTasks(early)
			l.write(l.cals[olena], early, olena, l.content(early, olena, 0), func(*calendar.Event) {})
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLab(t)
			l.settle()
			row.live(l)
			for _, v := range l.judge() {
				t.Error(v)
			}
			l.audit.Quiet()
			for _, v := range l.audit.AfterQuiet() {
				t.Error(v)
			}
		})
	}
}
