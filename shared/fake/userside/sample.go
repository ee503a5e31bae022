package userside

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Ids of the sample company that tests and documents name.
const (
	SampleBindingField  int64 = 1 // "Google calendar", a checkbox
	SampleCalendarField int64 = 2 // "Calendar id", text

	SampleInstallation int64 = 101
	SampleRepair       int64 = 102
	SampleFibre        int64 = 103

	SampleNoEmail      int64 = 209
	SampleInvalidEmail int64 = 210
	SampleSharedEmailA int64 = 204
	SampleSharedEmailB int64 = 205
	SampleDismissed    int64 = 212
	SampleUnbound      int64 = 201

	SampleFirstTask int64 = 1001

	SampleTaskCount = 60
)

const sampleSeed = 20261122

// SampleCompany replaces the Server's content by a small internet provider
// around the day of now (in the ERP's zone): 3 departments, 12 employees, 6 task
// types, 7 states and 60 tasks. The same day gives the same company. No hook fires.
func SampleCompany(s *Server, now time.Time) { SampleCompanySeeded(s, now, sampleSeed) }

// SampleCompanySeeded is SampleCompany with tasks drawn from another seed.
func SampleCompanySeeded(s *Server, now time.Time, seed uint64) {
	now = now.In(s.loc).Truncate(time.Second)
	s.Load(Data{
		Divisions:      sampleDivisions(),
		Employees:      sampleEmployees(now),
		Types:          sampleTypes(),
		States:         sampleStates(),
		EmployeeFields: []Field{{SampleBindingField, "Google calendar", FieldCheckbox}, {SampleCalendarField, "Calendar id", FieldText}},
		TaskFields:     []Field{{1, "Access", FieldText}},
		Tasks:          sampleTasks(now, rand.New(rand.NewPCG(seed, seed>>7))),
	})
}

func sampleDivisions() []Division {
	return []Division{
		{ID: SampleInstallation, Name: "Installation", Comment: "New connections and surveys"},
		{ID: SampleRepair, Name: "Repair", Comment: "Faults at customers' premises"},
		{ID: SampleFibre, Name: "Fibre & network", ParentID: SampleRepair, Comment: "Splicing, cables, nodes"},
	}
}

func sampleTypes() []TaskType {
	return []TaskType{
		{301, "Connection", 2}, {302, "Repair", 1}, {303, "Fibre splicing", 4},
		{304, "Survey", 1}, {305, "Equipment replacement", 1}, {306, "Planned maintenance", 0},
	}
}

// sampleStates have ids without order or gaps that mean anything, as an admin's catalogue has.
func sampleStates() []TaskState {
	return []TaskState{
		{3, "New", RoleNotCompleted}, {8, "Assigned", RoleNotCompleted}, {9, "Waiting for the customer", RolePostponed},
		{12, "On the way", RoleInProgress}, {15, "In progress", RoleInProgress},
		{20, "Done", RoleCompleted}, {21, "Cancelled", RoleCancelled},
	}
}

func sampleEmployees(now time.Time) []Employee {
	rows := []struct {
		name, short, login, email, position string
		division                            int64
		bound                               string
	}{
		{"Олена Коваленко", "Коваленко О.", "kovalenko", "olena.kovalenko@example.com", "Dispatcher", SampleInstallation, "0"},
		{"Andriy Shevchenko", "Shevchenko A.", "shevchenko", "andriy.shevchenko@example.com", "Installer", SampleInstallation, "1"},
		{"Ірина Мельник", "Мельник І.", "melnyk", "iryna.melnyk@example.com", "Installer", SampleInstallation, "1"},
		{"Petro Tkachenko", "Tkachenko P.", "tkachenko", "repair.van@example.com", "Repair technician", SampleRepair, "1"},
		{"Сергій Бойко", "Бойко С.", "boyko", "Repair.Van@example.com", "Repair technician", SampleRepair, "1"},
		{"Mykola O'Hara", "O'Hara M.", "ohara", "mykola.ohara@example.com", "Repair technician", SampleRepair, "1"},
		{"Дмитрий Соколов", "Соколов Д.", "sokolov", "dmitry.sokolov@example.com", "Splicer", SampleFibre, "1"},
		{"Natalia Kravchuk", "Kravchuk N.", "kravchuk", "natalia.kravchuk@example.com", "Network engineer", SampleFibre, "1"},
		{"Vasyl Lysenko", "Lysenko V.", "lysenko", "", "Cable fitter", SampleFibre, "1"},
		{"Тарас Бондар", "Бондар Т.", "bondar", "taras.bondar(at)example.com", "Installer", SampleInstallation, "1"},
		{"Yulia Marchenko", "Marchenko Y.", "marchenko", "yulia.marchenko@example.com", "Surveyor", SampleInstallation, "0"},
		{"Oleh Savchenko", "Savchenko O.", "savchenko", "oleh.savchenko@example.com", "Repair technician", SampleRepair, "1"},
	}
	var out []Employee
	for i, r := range rows {
		e := Employee{
			ID: 201 + int64(i), Name: r.name, ShortName: r.short, Login: r.login, Email: r.email,
			Phone: fmt.Sprintf("+38 044 555-01-%02d", 11+i), Position: r.position,
			Hired: now.AddDate(-1-i%5, -i, 0), ProfileID: 3,
			Memberships: []Membership{{DivisionID: r.division, Position: r.position, Current: true, Added: now.AddDate(-1, -i, 0)}},
			Fields:      map[int64]string{SampleBindingField: r.bound, SampleCalendarField: ""},
		}
		switch e.ID {
		case SampleDismissed:
			e.Dismissed = true
		case 208: // moved from repair to the fibre team
			e.Memberships = append([]Membership{{DivisionID: SampleRepair, Position: "Repair technician",
				Added: now.AddDate(-4, 0, 0), Left: now.AddDate(-1, 0, 0)}}, e.Memberships...)
		case 206: // works in two departments
			e.Memberships = append(e.Memberships, Membership{DivisionID: SampleFibre, Position: "Stand-in", Current: true, Added: now.AddDate(0, -3, 0)})
		}
		out = append(out, e)
	}
	return out
}

// sampleStory is a kind of job with the texts that belong to it.
type sampleStory struct {
	typeID, division int64
	runtime          []int64
	texts            []string
}

func sampleStories() []sampleStory {
	return []sampleStory{
		{301, SampleInstallation, []int64{0, 0, 2, 3}, []string{
			"Connect \"Home 300\" <GPON>; router is on the customer's side.\nCall 30 minutes before.",
			"Новое подключение, тариф «Семейный 500».\nПодъезд 2, код 45К1289.",
			"Підключити інтернет + ТБ. Ключі від горища у консьєржки.\nЗбирати договір & акт!",
			"Relocate the service to the new flat; keep login & password.",
		}},
		{302, SampleRepair, []int64{0, 0, 1, 2}, []string{
			"No link since yesterday evening. LOS is red.\nDog in the yard, call first.",
			"Немає інтернету, блимає \"PON\". Клієнт вдома після 17:00.",
			"Низкая скорость по Wi-Fi (< 20 Мбит/с), просят проверить роутер.",
			"Drops every 10–15 min; see ticket #4821/B. Check the patch cord & the socket.",
		}},
		{303, SampleFibre, []int64{4, 5, 0}, []string{
			"Splice 24 fibres in closure M-17/3.\nPermit: №114 від 12.11.",
			"Відновлення магістралі після ДТП, муфта на опорі 48.",
			"Add a 1/8 splitter; attenuation must be < 22 dB.",
		}},
		{304, SampleInstallation, []int64{0, 1}, []string{
			"Survey: is there a free port? Photos of the riser, please.",
			"Обстежити будинок, 4 під'їзди; зустріч з ОСББ.",
		}},
		{305, SampleRepair, []int64{0, 1}, []string{
			"Replace ONT ZTE F601 -> F670L, take the old one back.",
			"Замена блока питания, привезти 12V/1A.",
		}},
		{306, SampleFibre, []int64{0, 3, 8}, []string{
			"Batteries of node \"Центр-2\": replace & measure.",
			"Планове обслуговування вузла.\nПопередити чергового (тел. 101).",
		}},
	}
}

func sampleTasks(now time.Time, rnd *rand.Rand) []Task {
	streets := []string{"Shevchenka St", "вул. Лесі Українки", "Sadova St", "ул. Победы", "Franka Blvd", "вул. Польова", "Zelena St", "пров. Тихий"}
	people := []string{"Maria Hnatiuk", "Іван Петренко", "Ольга Семёнова", "Bohdan D'Arcy", "ТОВ \"Ранок & Ко\"", "Kateryna Rudenko", "Віктор Левченко"}
	crews := map[int64][]int64{
		SampleInstallation: {202, 203, SampleInvalidEmail, 211},
		SampleRepair:       {SampleSharedEmailA, SampleSharedEmailB, 206},
		SampleFibre:        {207, 208, SampleNoEmail},
	}
	stories := sampleStories()
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	var out []Task
	for i := range SampleTaskCount {
		story := stories[[]int{0, 1, 2, 1, 0, 3, 4, 1, 0, 5}[i%10]]
		day := i*12/SampleTaskCount - 3 // three days back, eight ahead
		at := time.Date(midnight.Year(), midnight.Month(), midnight.Day()+day, 8+rnd.IntN(10), 30*rnd.IntN(2), 0, 0, now.Location())
		t := Task{
			ID: SampleFirstTask + int64(i), Priority: 1 + rnd.Int64N(3), TypeID: story.typeID, Todo: at,
			RuntimeHours:  story.runtime[rnd.IntN(len(story.runtime))],
			DeadlineHours: []int64{0, 0, 24, 72}[rnd.IntN(4)],
			Description:   story.texts[rnd.IntN(len(story.texts))],
			AuthorID:      SampleUnbound,
			Address: Address{ID: 5000 + rnd.Int64N(400), Apartment: fmt.Sprint(1 + rnd.IntN(140)),
				Text: fmt.Sprintf("%s, %d/%d", streets[rnd.IntN(len(streets))], 1+rnd.IntN(90), 1+rnd.IntN(4))},
			Fields: map[int64]string{1: []string{"key at the office", "intercom", ""}[rnd.IntN(3)]},
		}
		crew := crews[story.division]
		t.Executors = append(t.Executors, crew[rnd.IntN(len(crew))])
		if rnd.IntN(4) == 0 {
			t.Executors = append(t.Executors, crew[rnd.IntN(len(crew))])
		}
		if rnd.IntN(3) == 0 {
			t.Divisions = []int64{story.division}
		}
		if who := people[rnd.IntN(len(people))]; rnd.IntN(5) > 0 {
			id := 7000 + rnd.Int64N(900)
			t.Customers = []Customer{{ID: id, FullName: who, Login: fmt.Sprintf("c%d", id)}}
		} else {
			t.OptionalCustomerName = who
		}
		sampleException(i, &t, midnight, day, story)
		t.StateID = sampleState(rnd, day)
		created := t.Todo
		if created.IsZero() || created.After(now) {
			created = now
		}
		t.Created = created.Add(-time.Duration(2+rnd.IntN(90)) * time.Hour)
		t.Updated = t.Created.Add(time.Duration(rnd.IntN(100)) * time.Minute)
		if t.StateID == 20 || t.StateID == 21 {
			t.Completed = t.Created.Add(time.Duration(100+rnd.IntN(20)) * time.Minute)
			t.Updated = t.Completed
		}
		if i%9 == 4 {
			t.Comments = []Comment{{ID: 1, Added: t.Updated, EmployeeID: t.Executors[0], Text: "Customer asked to call after 18:00 & to bring a longer cord."}}
		}
		out = append(out, t)
	}
	return out
}

// sampleException changes the few tasks that are unlike the others.
func sampleException(i int, t *Task, midnight time.Time, day int, story sampleStory) {
	switch i {
	case 14: // unassigned
		t.Executors, t.Divisions = nil, nil
	case 19, 41: // a department's task without a name on it
		t.Executors, t.Divisions = nil, []int64{story.division}
	case 23, 47: // not scheduled yet
		t.Todo = time.Time{}
	case 29: // midnight: "some time that day"
		t.Todo = midnight.AddDate(0, 0, day)
	case 22: // a description as old releases stored it
		t.Description = "Абонент: &quot;Ранок&quot;<br />Под&#039;їзд 3, <b>код 12&#047;К</b><br />&lt;терміново&gt;&nbsp;!"
		t.RawDescription = true
	case 31: // that of a former employee
		t.Executors = []int64{SampleDismissed}
	case 36: // seen by two departments
		t.Divisions = []int64{SampleRepair, SampleFibre}
	}
}

func sampleState(rnd *rand.Rand, day int) int64 {
	n := rnd.IntN(10)
	switch {
	case day < 0 && n < 6:
		return 20
	case day < 0 && n < 7:
		return 21
	case day == 0 && n < 2:
		return 20
	case day == 0 && n < 5:
		return []int64{12, 15}[n%2]
	case n == 9:
		return 9
	case n < 4:
		return 3
	}
	return 8
}
