package simulation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// errNothingToDo is what a step gives that finds nothing to act on.
var errNothingToDo = errors.New("nothing to act on")

// apply does one step.
func (w *world) apply(s Step) error {
	w.mu.Lock()
	w.step = s.ID
	w.mu.Unlock()
	what, rest, _ := strings.Cut(string(s.Kind), ".")
	switch what {
	case "task":
		return w.applyTask(s)
	case "person":
		return w.applyPerson(s)
	case "catalogue":
		return w.applyCatalogue(s)
	case "admin":
		return w.applyAdmin(s)
	case "owner":
		return w.applyOwner(s)
	case "fault":
		return w.applyFault(s, rest)
	}
	switch s.Kind {
	case ERPBadRecord:
		return w.spoil(s)
	case ERPRespelled:
		return w.respellRoles()
	case GoogleMarks:
		return w.changeMarks()
	case ERPCommitsLater:
		w.erp.SetCommitDelay(w.shorter([]time.Duration{0, time.Second, 5 * time.Second}[s.N[0]%3]))
	case Poll:
		w.scheduled("Poll")
	case Reconcile:
		w.scheduled("Reconcile")
	case Kill:
		w.slot(s.N[0]%len(w.slots)).kill(1+s.N[1]%12, s.N[2]%2 == 1)
	case Wipe:
		return w.loseDatabase()
	}
	return nil
}

func (w *world) applyTask(s Step) error {
	if s.Kind == TaskAdd {
		t := w.newTask(1000 + s.ID)
		t.ID, t.Executors = int64(1000+s.ID), w.people(s.N[1])
		w.note("task %d added for %v at %s", t.ID, t.Executors, t.Todo.Format(time.DateTime))
		w.erp.AddTask(t)
		return nil
	}
	all := w.erp.Tasks()
	if len(all) == 0 {
		return errNothingToDo
	}
	t := all[s.N[0]%len(all)]
	w.note("%s %d", s.Kind, t.ID)
	switch s.Kind {
	case TaskMove:
		to := w.hour(s.N[1] % 96)
		if s.N[2]%6 == 0 {
			to = time.Date(to.Year(), to.Month(), to.Day(), 0, 0, 0, 0, w.zone)
		}
		return w.erp.MoveTask(t.ID, to)
	case TaskWall:
		// The small hours, where a DST change skips and repeats times.
		day := time.Now().In(w.zone).AddDate(0, 0, s.N[1]%3)
		return w.erp.MoveTaskWall(t.ID, fmt.Sprintf("%s %02d:%02d:00", day.Format(time.DateOnly), 2+s.N[2]%3, s.N[2]%2*30))
	case TaskLength:
		return w.erp.UpdateTask(t.ID, func(t *userside.Task) { t.RuntimeHours = int64(s.N[1] % 9) })
	case TaskReassign:
		people := w.people(s.N[1]) // not within the change, which holds the ERP's lock
		return w.erp.UpdateTask(t.ID, func(t *userside.Task) { t.Executors = people })
	case TaskDivisions:
		return w.erp.UpdateTask(t.ID, func(t *userside.Task) {
			t.Divisions = [][]int64{nil, {20}, {21}, {20, 21}}[s.N[1]%4]
		})
	case TaskState:
		return w.erp.SetTaskState(t.ID, []int64{stateOpen, stateWorking, stateDone, statePostponed, stateAgreed, stateDone, stateOpen}[s.N[1]%7])
	case TaskText:
		return w.erp.UpdateTask(t.ID, func(t *userside.Task) {
			switch {
			case s.N[1]%2 == 0:
				t.Address.Text = w.written(fmt.Sprintf("Lisova St, %d & co", s.N[2]))
			case s.N[1]%10 == 1:
				t.Address.Text, t.Description = longText(s.N[2]/10), longText(s.N[2])
			default:
				t.Description = fmt.Sprintf("<p>Bring %d&nbsp;m of cable</p>", s.N[2])
			}
		})
	case TaskType:
		return w.erp.UpdateTask(t.ID, func(t *userside.Task) { t.TypeID = []int64{typeRepair, typeInstall}[s.N[1]%2] })
	case TaskPriority:
		return w.erp.UpdateTask(t.ID, func(t *userside.Task) { t.Priority = int64(1 + s.N[1]%3) })
	case TaskUndate:
		return w.erp.MoveTask(t.ID, time.Time{})
	case TaskDelete:
		if len(all) <= 2 {
			return errNothingToDo // an ERP without any task is never trusted (rule 4.1)
		}
		return w.erp.DeleteTask(t.ID)
	}
	return nil
}

// people chooses some of the employees, by bits.
func (w *world) people(bits int) []int64 {
	var out []int64
	for n, e := range w.erp.Employees() {
		if bits>>(n%9)&1 == 1 {
			out = append(out, e.ID)
		}
	}
	return out
}

func (w *world) applyPerson(s Step) error {
	if s.Kind == PersonAdd {
		if len(w.erp.Employees()) >= 7 {
			return errNothingToDo
		}
		e := w.newEmployee(1000 + s.ID)
		e.ID = int64(3000 + s.ID)
		w.note("person %d added", e.ID)
		w.erp.AddEmployee(e)
		return nil
	}
	all := w.erp.Employees()
	if len(all) == 0 {
		return errNothingToDo
	}
	if s.Kind == PersonsMove {
		return w.newDomain(all, s)
	}
	e := all[s.N[0]%len(all)]
	w.note("%s %d", s.Kind, e.ID)
	switch s.Kind {
	case PersonAddress:
		other, person := w.newAddress(fmt.Sprintf("other%d", s.ID)), w.newAddress(fmt.Sprintf("person%d", e.ID))
		to := []string{
			other, person, "", "not an address", all[s.N[2]%len(all)].Email, strings.ToUpper(e.Email), other,
		}
		if w.draws("E6") {
			to = append(to, hidden(e.Email, s.N[2]), hidden(e.Email, s.N[2]), "\u043eperator@"+organisation) // with a Cyrillic o
		}
		return w.erp.UpdateEmployee(e.ID, func(e *userside.Employee) { e.Email = to[s.N[1]%len(to)] })
	case PersonBind:
		to := []string{"1", "", "1", "0"}
		if w.draws("E6") {
			to = append(to, "Так", "Нет", "Ні", "yes", "N", "0.0")
		}
		return w.erp.SetField(e.ID, bindingField, to[s.N[1]%len(to)])
	case PersonDismiss:
		return w.erp.UpdateEmployee(e.ID, func(e *userside.Employee) { e.Dismissed = !e.Dismissed })
	case PersonRename:
		return w.erp.UpdateEmployee(e.ID, func(e *userside.Employee) { e.Name = fmt.Sprintf("Renamed %d", s.ID) })
	case PersonDivision:
		division := int64(20 + s.N[1]%w.setup.Divisions)
		return w.erp.SetMembership(e.ID, division, s.N[2]%2 == 0)
	case PersonDelete:
		if len(all) <= 2 {
			return errNothingToDo
		}
		return w.erp.DeleteEmployee(e.ID)
	}
	return nil
}

func (w *world) applyCatalogue(s Step) error {
	w.note("%s", s.Kind)
	switch s.Kind {
	case CatalogueOdd:
		return w.oddEntry(s)
	case CatalogueRole:
		role := []int64{userside.RoleCompleted, userside.RoleNotCompleted}[s.N[0]%2]
		w.erp.AddState(userside.TaskState{ID: stateAgreed, Name: "Agreed", Role: role})
	case CatalogueType:
		w.erp.AddType(userside.TaskType{ID: typeRepair, Name: fmt.Sprintf("Repair %d", s.ID), HourOnDoing: int64(s.N[0] % 4)})
	case CatalogueState:
		if s.N[0]%2 == 0 {
			w.erp.DeleteState(stateAgreed)
		} else {
			w.erp.AddState(userside.TaskState{ID: stateAgreed, Name: "Agreed", Role: userside.RoleNotCompleted})
		}
	}
	return nil
}

func (w *world) applyAdmin(s Step) error {
	switch s.Kind {
	case AdminSettings:
		return w.configure(func(c *calendarsync.Settings) { w.change(c, s) })
	case AdminPause:
		if w.purging() {
			return errNothingToDo // during a purge the form cannot be saved
		}
		return w.configure(func(c *calendarsync.Settings) { c.Enabled = !c.Enabled })
	case AdminConfirm:
		w.decideHeld(heldConfirm)
	case AdminAgain:
		w.decideHeld(heldAgain)
	case AdminDrop:
		w.decideHeld(heldDrop)
	case AdminReopen:
		w.decideHeld(heldReopen)
	case AdminSync:
		return w.syncSomebody(s.N[0])
	case AdminDead:
		return w.pressSync("/failures", s.N[0])
	case AdminInvite:
		return w.invite(s.N[0])
	case AdminRebuild:
		return w.rebuild(s.N[0])
	case AdminPurge:
		return w.purge(s)
	case AdminReplace:
		return w.replace(s.N[0])
	case AdminRun:
		return w.runAll()
	case AdminConnect:
		w.connect()
	}
	return nil
}

func (w *world) change(c *calendarsync.Settings, s Step) {
	v := s.N[1]
	switch s.N[0] % 12 {
	case 0:
		c.EventTitle = []string{"", "No. {{.Task.ID}}", "{{.Task.Type}}: {{.Task.Customer}}"}[v%3]
		if c.EventTitle == "" {
			c.EventTitle = calendarsync.DefaultSettings().EventTitle
		}
	case 1:
		c.EventDescription = []string{"For {{.Employee.Name}}\n{{.Task.URL}}", "{{.Task.Description}} {{.Task.State}} {{.Task.Executors}}\n{{.Task.URL}}"}[v%2]
	case 2:
		c.Colors = map[string]int{
			strconv.Itoa(typeRepair): 1 + v%11, fmt.Sprintf("state:%d", []int{stateOpen, stateWorking, stateAgreed}[v%3]): 1 + v/3%11,
			fmt.Sprintf("priority:%d", 1+v%3): 1 + v/9%11,
		}
		for n, key := range slices.Sorted(maps.Keys(c.Colors)) {
			if s.N[2]>>n&1 == 1 {
				delete(c.Colors, key)
			}
		}
	case 3:
		c.CalendarName = []string{"Tasks of {{.Employee.Name}}", "{{.Employee.Name}}"}[v%2]
	case 4, 5:
		c.IncludeDepartments = !c.IncludeDepartments
	case 6:
		c.ShownRoles = w.spelledRoles(userside.RoleNotCompleted, userside.RoleInProgress)[:1+v%2]
	case 7:
		c.DefaultDurationMinutes = 30 + v%4*30
	case 8:
		c.MidnightIsAllDay = !c.MidnightIsAllDay
	case 9:
		c.CalendarIDField = calendarsync.FieldID(v % 2 * idField)
	case 10:
		c.BindingField = calendarsync.FieldID(v % 2 * bindingField)
	case 11:
		c.TimeZone = []string{zoneName, "Europe/Warsaw"}[v%2]
	}
}

// loseDatabase empties the database; the admin connects the account again.
func (w *world) loseDatabase() error {
	for _, c := range w.calendars() {
		// Without a database the product finds its calendars by the list alone.
		if time.Since(c.Created) <= max(w.setup.Google.CalendarListDelay, w.setup.Google.Ways.ListDelayUpTo) {
			return errNothingToDo
		}
	}
	if calendars, events := w.marksLost(); calendars || events {
		w.markless++ // nothing is found again until they come back (rule 3.14)
	}
	if err := w.keepActivity(); err != nil {
		return err
	}
	w.note("the database is lost")
	w.erp.ChangeWays(func(to *userside.Ways) {
		if to.RolesAsText {
			to.OddRoles = nil // where texts are met anew, a slip is taken for one (rule 4.16)
		}
	})
	// The ledger of slots is lost with it. Whoever restores a database stops what uses
	// it, and needs more than a minute.
	for n := range w.slots {
		w.slot(n).die()
	}
	w.auditor.Wiped()
	w.wipe()
	w.advance(70 * time.Second)
	// A purge is lost with the database.
	w.auditor.PurgeStopped()
	if err := w.readSettings(); err != nil {
		return err
	}
	w.connect()
	return nil
}

// calendars are the product's calendars that exist.
func (w *world) calendars() []google.CalendarSnapshot {
	var out []google.CalendarSnapshot
	for _, c := range w.google.Calendars() {
		if !c.Deleted && !c.Primary && c.ClientID != "" {
			out = append(out, c)
		}
	}
	return out
}

// filterLive gives the events that are live, or those that are cancelled.
func filterLive(events []*google.Event, live bool) []*google.Event {
	var out []*google.Event
	for _, e := range events {
		if (e.Status != "cancelled") == live {
			out = append(out, e)
		}
	}
	return out
}

func (w *world) applyOwner(s Step) error {
	if s.Kind == OwnerRevoke {
		w.note("the grant is revoked")
		return w.google.RevokeGrant(account)
	}
	all := w.calendars()
	if len(all) == 0 {
		return errNothingToDo
	}
	c := all[s.N[0]%len(all)]
	w.note("%s %s", s.Kind, c.ID[:8])
	switch s.Kind {
	case OwnerEmptyBin:
		return w.google.EmptyBin(c.ID)
	case OwnerForeign:
		start := w.hour(s.N[1] % 48)
		_, err := w.google.CreateEvent(c.ID, &google.Event{Summary: "Dentist",
			Start: &google.EventDateTime{DateTime: start.Format(time.RFC3339)}, End: &google.EventDateTime{DateTime: start.Add(time.Hour).Format(time.RFC3339)}})
		return err
	case OwnerUnshare, OwnerWiden:
		for _, r := range c.Rules {
			if r.Role != "reader" || r.Type != "user" {
				continue
			}
			if s.Kind == OwnerUnshare {
				return w.google.RemoveShare(c.ID, r.Value)
			}
			return w.google.SetShare(c.ID, r.Value, "writer")
		}
		return errNothingToDo
	case OwnerShare:
		return w.google.SetShare(c.ID, fmt.Sprintf("boss%d@provider.example", s.N[1]%2), "reader")
	case OwnerRename:
		return w.google.EditCalendar(c.ID, func(c *google.Calendar) { c.Summary = fmt.Sprintf("Mine %d", s.ID) })
	case OwnerClear:
		for _, e := range filterLive(w.google.Events(c.ID), true) {
			if err := w.google.DeleteEvent(c.ID, e.Id); err != nil {
				return err
			}
		}
		return nil
	case OwnerRemove:
		return w.google.DeleteCalendar(c.ID)
	case OwnerRestore:
		return w.onEvent(c.ID, s.N[1], false, func(e *google.Event) error { return w.google.RestoreEvent(c.ID, e.Id) })
	}
	return w.onEvent(c.ID, s.N[1], true, func(e *google.Event) error {
		switch s.Kind {
		case OwnerEdit:
			return w.google.EditEvent(c.ID, e.Id, func(e *google.Event) {
				switch s.N[2] % 4 {
				case 0:
					e.Summary = fmt.Sprintf("Edited %d", s.ID)
				case 1:
					e.Description = "Nothing to see"
				case 2:
					e.ColorId = "3"
				case 3:
					e.Location = ""
				}
			})
		case OwnerMove:
			return w.google.MoveEvent(c.ID, e.Id, w.hour(s.N[2]%48))
		case OwnerDelete:
			return w.google.DeleteEvent(c.ID, e.Id)
		case OwnerMoveTo:
			to := all[s.N[2]%len(all)].ID
			if to == c.ID || slices.ContainsFunc(w.google.Events(to), func(other *google.Event) bool { return other.Id == e.Id }) {
				return errNothingToDo
			}
			return w.google.MoveEventTo(c.ID, e.Id, to)
		case OwnerCopy:
			_, err := w.google.CopyEvent(c.ID, e.Id, all[s.N[2]%len(all)].ID)
			return err
		}
		return nil
	})
}

// onEvent does something to one of a calendar's events that are live, or cancelled.
func (w *world) onEvent(id string, n int, live bool, do func(*google.Event) error) error {
	events := filterLive(w.google.Events(id), live)
	if len(events) == 0 {
		return errNothingToDo
	}
	err := do(events[n%len(events)])
	if errors.Is(err, google.ErrNotThere) {
		return errNothingToDo
	}
	return err
}
