package checkup

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// The API's categories that the functions use, with a reading action of each. For
// additional_data only a writing one is known (shared/userside/README.md): the answer to an
// action that does not exist still shows whether the key may use the category.
const (
	catTask, catEmployee, catSystem, catFields = "task", "employee", "system", "additional_data"
)

func probes() map[string]string {
	return map[string]string{catTask: "get_catalog_state", catEmployee: "get_division_list", catSystem: "get_system_info", catFields: "get_list"}
}

// divided is how long a check may take that reads many records, some of which may spoil answers.
const divided = 75 * time.Second

// ERPChecks are those of the ERP. Whoever has to find its address first adds that to the needs
// of the first.
func (s *Subject) ERPChecks() []Check {
	section := func(cat string) Check {
		c := s.check("erp.section", "erp", func(context.Context) Verdict { return s.judgeSection(cat) }).needs("erp.key")
		c.ID, c.Title = "erp.section."+cat, s.Texts.T("doctor.erp.section.title", "Cat", cat)
		return c
	}
	fields := s.check("erp.section", "erp", func(context.Context) Verdict { return s.judgeFieldSection() }).needs("erp.key").after("settings.read")
	fields.ID, fields.Title = "erp.section."+catFields, s.Texts.T("doctor.erp.section.fields")
	return []Check{
		s.check("erp.reach", "erp", s.checkReach),
		s.check("erp.key", "erp", s.checkKey).needs("erp.reach"),
		s.check("erp.method", "erp", s.checkMethod).needs("erp.key"),
		s.check("erp.parameters", "erp", s.checkParameters).needs("erp.key"),
		section(catTask), section(catEmployee), section(catSystem), fields,
		s.check("erp.version", "erp", s.checkVersion).needs("erp.section.system"),
		s.check("erp.clock", "erp", s.checkClock).needs("erp.version").after("settings.read"),
		s.check("erp.states", "erp", s.checkStates).needs("erp.section.task").after("settings.read"),
		s.check("erp.roles", "erp", s.checkRoles).needs("erp.states", "settings.read"),
		s.check("erp.tasks", "erp", s.checkTasks).needs("erp.roles").within(divided),
		s.check("erp.dates", "erp", s.checkDates).needs("erp.tasks").within(divided),
		s.check("erp.unassigned", "erp", s.checkUnassigned).needs("erp.tasks").within(divided),
	}
}

func (s *Subject) checkReach(ctx context.Context) Verdict {
	client, err := s.Connect(false)
	if err != nil {
		return s.failed("erp.reach.url", err)
	}
	start := s.Now()
	p, err := client.Probe(ctx, catSystem, probes()[catSystem])
	if err != nil {
		return s.silent("erp.reach.silent", err, "URL", s.ERPURL())
	}
	switch p.Answer {
	case userside.AnswerRedirect:
		if p.Elsewhere != "" {
			return s.bad("erp.reach.host", "Host", p.Elsewhere, "Status", p.Status)
		}
		return s.bad("erp.reach.login", "Status", p.Status)
	case userside.AnswerPage:
		return s.bad("erp.reach.page", "Status", p.Status)
	case userside.AnswerBroken, userside.AnswerUnknown:
		return s.bad("erp.reach.broken", "Status", p.Status)
	}
	s.ERP = client
	return s.good("erp.reach.good", "URL", s.ERPURL(), "Took", s.Now().Sub(start).Milliseconds())
}

// checkKey asks each category once: what all refuse is the key's or the address's fault, what
// one refuses is the section's.
func (s *Subject) checkKey(ctx context.Context) Verdict {
	answers := map[string]userside.Probe{}
	var mu sync.Mutex
	var all sync.WaitGroup
	var failed error
	for cat, action := range probes() {
		all.Go(func() {
			p, err := s.ERP.Probe(ctx, cat, action)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			answers[cat] = p
		})
	}
	all.Wait()
	if failed != nil {
		return s.silent("erp.key.silent", failed)
	}
	s.answers = answers
	for _, cat := range []string{catTask, catEmployee, catSystem} {
		if answers[cat].Answer == userside.AnswerData {
			return s.good("erp.key.good")
		}
	}
	v := s.bad("erp.key.refused", "Status", answers[catSystem].Status)
	other := "in-form"
	if s.KeyInQuery() {
		other = "in-query"
	}
	v.Cure += "\n" + s.Texts.T("doctor.erp.key.refused."+other)
	return v
}

func (s *Subject) checkMethod(ctx context.Context) Verdict {
	v := s.good("erp.method.good")
	if s.KeyInQuery() {
		v = s.good("erp.method.query")
		if s.takesForm(ctx) {
			v = s.warn("erp.method.form")
		}
	}
	if plainHTTP(s.ERPURL()) {
		plain := s.warn("erp.method.plain")
		if s.KeyInQuery() {
			plain.Text, plain.Cure = v.Text+"; "+plain.Text, strings.TrimPrefix(v.Cure+"\n"+plain.Cure, "\n")
		}
		v = plain
	}
	return v
}

// takesForm reports whether the ERP takes the key in the form, too.
func (s *Subject) takesForm(ctx context.Context) bool {
	client, err := s.Connect(true)
	if err != nil {
		return false
	}
	for _, cat := range []string{catSystem, catTask, catEmployee} {
		if s.answers[cat].Answer != userside.AnswerData {
			continue
		}
		p, err := client.Probe(ctx, cat, probes()[cat])
		return err == nil && p.Answer == userside.AnswerData
	}
	return false
}

// checkParameters finds out where the ERP reads what it is asked (E1).
func (s *Subject) checkParameters(ctx context.Context) Verdict {
	for _, cat := range []string{catSystem, catTask, catEmployee} {
		if s.answers[cat].Answer != userside.AnswerData {
			continue
		}
		p, err := s.ERP.Places(ctx, cat, probes()[cat])
		switch {
		case err != nil:
			return s.silent("erp.key.silent", err)
		case p.Query && p.Body:
			return s.good("erp.parameters.both")
		case p.Query:
			return s.good("erp.parameters.query")
		case p.Body:
			return s.good("erp.parameters.form")
		}
		return s.warn("erp.parameters.same")
	}
	return s.verdict(NotChecked, "erp.parameters.none")
}

func (s *Subject) judgeSection(cat string) Verdict {
	uses := s.Texts.T("doctor.erp.section.uses." + cat)
	switch p := s.answers[cat]; p.Answer {
	case userside.AnswerData:
		return s.good("erp.section.good", "Uses", uses)
	case userside.AnswerRefused, userside.AnswerError:
		return s.bad("erp.section.refused", "Cat", cat, "Status", p.Status, "Uses", uses)
	default:
		return s.bad("erp.section.broken", "Cat", cat, "Status", p.Status)
	}
}

// judgeFieldSection cannot prove anything without writing.
func (s *Subject) judgeFieldSection() Verdict {
	field := s.Settings.CalendarIDField
	switch refused := s.answers[catFields].Answer == userside.AnswerRefused; {
	case refused && field != 0:
		return s.bad("erp.section.refused-needed", "Field", field)
	case refused:
		return s.good("erp.section.refused-unneeded")
	case field != 0:
		return s.good("erp.section.allowed")
	}
	return s.good("erp.section.unneeded")
}

func (s *Subject) checkVersion(ctx context.Context) Verdict {
	clock, err := s.ERP.Clock(ctx)
	if err != nil {
		return s.failed("erp.version.unread", err)
	}
	s.clock = clock
	var major, minor int
	switch n, _ := fmt.Sscanf(clock.Version, "%d.%d", &major, &minor); {
	case clock.Version == "":
		return s.warn("erp.version.untold")
	case n == 2 && (major < 3 || major == 3 && minor < 18):
		return s.warn("erp.version.old", "Version", clock.Version)
	}
	v := s.good("erp.version.good", "Version", clock.Version)
	v.Data = map[string]any{"version": clock.Version}
	return v
}

func (s *Subject) checkClock(context.Context) Verdict {
	v := s.judgeClock()
	v.Data = map[string]any{"utc_offset_minutes": int(s.clock.Offset.Minutes()), "time_zone": s.Settings.TimeZone}
	return v
}

func (s *Subject) judgeClock() Verdict {
	c := s.clock
	offset := offsetWords(c.Offset)
	zone, err := time.LoadLocation(s.Settings.TimeZone)
	if err != nil || s.Settings.TimeZone == "" {
		return s.verdict(NotChecked, "erp.clock.unzoned", "Offset", offset)
	}
	_, seconds := c.Unix.In(zone).Zone()
	if calendarsync.Apart(zone, c.Unix, c.Offset) > calendarsync.MaxApart {
		return s.bad("erp.clock.apart", "Offset", offset, "Zone", zone, "Expected", offsetWords(time.Duration(seconds)*time.Second), "Most", s.Texts.Age(calendarsync.MaxApart))
	}
	switch skew := s.Now().Sub(c.Unix); {
	case skew > 2*time.Minute:
		return s.warn("erp.clock.behind", "Skew", s.Texts.Age(skew))
	case skew < -2*time.Minute:
		return s.warn("erp.clock.ahead", "Skew", s.Texts.Age(-skew))
	}
	return s.good("erp.clock.good", "Offset", offset, "Zone", zone)
}

// role is a system role as the catalogue shows it.
type role struct {
	Role   int64    `json:"role"`
	Shown  bool     `json:"shown"`
	States []string `json:"states"`
}

func (s *Subject) checkStates(ctx context.Context) Verdict {
	catalogue, err := s.ERP.Catalogue(ctx)
	if err != nil {
		return s.failed("erp.states.unread", err)
	}
	s.states = catalogue
	byRole := map[calendarsync.RoleID][]string{}
	for _, id := range slices.Sorted(maps.Keys(catalogue.States)) {
		state := catalogue.States[id]
		byRole[state.Role] = append(byRole[state.Role], state.Name)
	}
	counts := []any{"States", len(catalogue.States), "Roles", len(byRole), "Types", len(catalogue.Types), "Odd", len(catalogue.Odd)}
	v := s.good("erp.states.good", counts...)
	if len(catalogue.Odd) > 0 {
		v = s.warn("erp.states.odd", counts...)
		for _, odd := range catalogue.Odd {
			v.Details = append(v.Details, odd.Error())
		}
	}
	var roles []role
	for _, id := range slices.Sorted(maps.Keys(byRole)) {
		r := role{int64(id), slices.Contains(s.Settings.ShownRoles, id), byRole[id]}
		roles = append(roles, r)
		line := "role"
		if r.Shown {
			line = "role-shown"
		}
		v.Details = append(v.Details, s.Texts.T("doctor.erp.states."+line, "Role", r.Role, "States", strings.Join(r.States, ", ")))
	}
	v.Data = map[string]any{"roles": roles}
	return v
}

func (s *Subject) checkRoles(context.Context) Verdict {
	var gone []string
	for _, r := range s.Settings.ShownRoles {
		if len(s.states.StatesWithRoles([]calendarsync.RoleID{r})) == 0 {
			gone = append(gone, strconv.FormatInt(int64(r), 10))
		}
	}
	if len(gone) > 0 {
		return s.bad("erp.roles.gone", "Roles", strings.Join(gone, ", "))
	}
	n := len(s.states.StatesWithRoles(s.Settings.ShownRoles))
	if n == len(s.states.States)+len(s.states.OddStates) {
		return s.warn("erp.roles.every")
	}
	return s.good("erp.roles.good", "Roles", len(s.Settings.ShownRoles), "States", n)
}

// sampled is how many tasks are read to see whether they can be.
const sampled = 100

// checkTasks lists the tasks to show and reads a few of them, as the functions do.
func (s *Subject) checkTasks(ctx context.Context) Verdict {
	ids, err := s.ERP.ListTasks(ctx, userside.TaskFilter{States: s.states.StatesWithRoles(s.Settings.ShownRoles)})
	if err != nil {
		return s.failed("erp.tasks.unlisted", err)
	}
	v := s.judgeTasks(ctx, ids)
	if v.State != Fault {
		v.Data = map[string]any{"tasks": len(ids)}
	}
	return v
}

func (s *Subject) judgeTasks(ctx context.Context, ids []calendarsync.TaskID) Verdict {
	if len(ids) == 0 {
		return s.good("erp.tasks.none")
	}
	some := ids[max(0, len(ids)-sampled):]
	s.sample = some
	readings, err := s.ERP.Tasks(ctx, some)
	if err != nil {
		return s.failed("erp.tasks.unread", err)
	}
	var odd []string
	for _, id := range slices.Sorted(maps.Keys(readings)) {
		if r := readings[id]; r.Invalid != nil {
			odd = append(odd, s.Texts.T("activity.task", "ID", id)+": "+DetailOf(r.Invalid))
		}
	}
	counts := []any{"Tasks", s.Texts.N("count.tasks", len(ids)), "Read", len(some), "Odd", len(odd), "Most", s.ERP.Bears()}
	switch {
	case len(odd) > 0:
		v := s.warn("erp.tasks.odd", counts...)
		v.Details = odd
		return v
	case s.ERP.Bears() < len(some):
		return s.warn("erp.tasks.parts", counts...)
	}
	return s.good("erp.tasks.good", counts...)
}

// checkDates finds out in what form the ERP gives dates (E5).
func (s *Subject) checkDates(ctx context.Context) Verdict {
	if len(s.sample) == 0 {
		return s.good("erp.dates.none")
	}
	seen, err := s.ERP.Sample(ctx, s.sample)
	if err != nil {
		v := s.verdict(NotChecked, "erp.dates.unread")
		v.Details = []string{DetailOf(err)}
		return v
	}
	v := s.good("erp.dates.good", "Forms", len(seen.Dates))
	if len(seen.Unreadable) > 0 {
		v = s.warn("erp.dates.odd", "Odd", s.Texts.N("count.tasks", sum(seen.Unreadable)), "Of", sum(seen.Dates))
	}
	for _, form := range slices.Sorted(maps.Keys(seen.Dates)) {
		v.Details = append(v.Details, fmt.Sprintf("%q: %s", form, s.Texts.Figure(seen.Dates[form])))
	}
	return v
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// checkUnassigned finds out what the ERP says of tasks without executors (E4).
func (s *Subject) checkUnassigned(ctx context.Context) Verdict {
	heeds, known, ids, err := s.ERP.HeedsUnassigned(ctx, s.states.StatesWithRoles(s.Settings.ShownRoles))
	switch {
	case err != nil:
		return s.failed("erp.unassigned.unread", err)
	case !known:
		return s.good("erp.unassigned.none")
	case !heeds:
		return s.warn("erp.unassigned.ignored")
	case len(ids) == 0:
		return s.good("erp.unassigned.empty")
	}
	how := "shown"
	switch seen, err := s.ERP.Sample(ctx, ids[max(0, len(ids)-sampled):]); {
	case err != nil:
		how = "some"
	case seen.LeftOut > 0:
		how = "left-out"
	}
	return s.good("erp.unassigned."+how, "Tasks", s.Texts.N("count.tasks", len(ids)))
}

// offsetWords writes a distance from UTC as clocks do: +02:00.
func offsetWords(t time.Duration) string {
	sign := '+'
	if t < 0 {
		sign, t = '-', -t
	}
	return fmt.Sprintf("%c%02d:%02d", sign, int(t.Hours()), int(t.Minutes())%60)
}
