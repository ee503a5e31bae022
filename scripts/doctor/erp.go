package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/cloud"
	"github.com/erp-calendar/erp-calendar/shared/config"
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

func (d *doctor) erpChecks() []check {
	section := func(id, cat, uses string) check {
		return check{id: id, group: groupERP, title: "section " + cat, needs: []string{"erp.key"},
			run: func(context.Context) verdict { return d.judgeSection(cat, uses) }}
	}
	fields := section("erp.section.additional_data", catFields, "")
	fields.title = "section for fields"
	fields.after = []string{"settings.read"}
	fields.run = func(context.Context) verdict { return d.judgeFieldSection() }
	return []check{
		{id: "erp.reach", group: groupERP, title: "reachable", needs: []string{"env.erp"}, run: d.checkReach},
		{id: "erp.key", group: groupERP, title: "key", needs: []string{"erp.reach"}, run: d.checkERPKey},
		{id: "erp.method", group: groupERP, title: "way of asking", needs: []string{"erp.key"}, run: d.checkMethod},
		{id: "erp.parameters", group: groupERP, title: "parameters (E1)", needs: []string{"erp.key"}, run: d.checkParameters},
		section("erp.section.task", catTask, "tasks, their states and types"),
		section("erp.section.employee", catEmployee, "employees and departments"),
		section("erp.section.system", catSystem, "the clock, without which nothing is written"),
		fields,
		{id: "erp.version", group: groupERP, title: "version", needs: []string{"erp.section.system"}, run: d.checkVersion},
		{id: "erp.clock", group: groupERP, title: "clock and zone", needs: []string{"erp.version"}, after: []string{"settings.read"}, run: d.checkClock},
		{id: "erp.states", group: groupERP, title: "state catalogue", needs: []string{"erp.section.task"}, after: []string{"settings.read"}, run: d.checkStates},
		{id: "erp.roles", group: groupERP, title: "shown roles", needs: []string{"erp.states", "settings.read"}, run: d.checkRoles},
		{id: "erp.tasks", group: groupERP, title: "tasks to show (E2)", needs: []string{"erp.roles"}, within: 75 * time.Second, run: d.checkTasks},
		{id: "erp.dates", group: groupERP, title: "dates (E5)", needs: []string{"erp.tasks"}, within: 75 * time.Second, run: d.checkDates},
		{id: "erp.unassigned", group: groupERP, title: "tasks of nobody (E4)", needs: []string{"erp.tasks"}, within: 75 * time.Second, run: d.checkUnassigned},
	}
}

func (d *doctor) checkReach(ctx context.Context) verdict {
	client, err := cloud.ERP(d.env.erp, d.transport, d.now)
	if err != nil {
		return bad("Set ERP_URL to the ERP's base address, such as https://erp.example.com.", "ERP_URL cannot be used (%s)", kindWords(err))
	}
	start := d.now()
	p, err := client.Probe(ctx, catSystem, probes()[catSystem])
	if err != nil {
		why, cure := unreached(err)
		return bad(cure+"\nThe functions must reach the ERP from Google Cloud: an ERP inside the company needs a way in, limited to their fixed address if you like (fixed_egress_address in terraform/).",
			"%s could not be reached: %s", d.env.erp.URL, why)
	}
	switch p.Answer {
	case userside.AnswerRedirect:
		where := "elsewhere on the same host, to a login page probably"
		if p.Elsewhere != "" {
			where = "to the host " + p.Elsewhere
		}
		return bad("Set ERP_URL to the address at which the ERP answers without redirecting (https instead of http, with or without www, with its folder): the key is sent to no other address, so redirects are not followed. Behind a single sign-on, let api.php through.",
			"api.php redirects %s (status %d)", where, p.Status)
	case userside.AnswerPage:
		return bad("Open ERP_URL + “/api.php” in a browser: it should show JSON. Where a page comes, ERP_URL lacks the ERP's folder, or a login page, a maintenance page or a firewall stands in front.",
			"api.php answers with a page instead of JSON (status %d)", p.Status)
	case userside.AnswerBroken, userside.AnswerUnknown:
		return bad("Look into the ERP's PHP error log; something prints into api.php's answer or cuts it off. Or ERP_URL leads to another program.",
			"api.php answers with something that is not the API's JSON (status %d)", p.Status)
	}
	d.erp = client
	return ok("%s answers as an API, after %s", d.env.erp.URL, d.now().Sub(start).Round(time.Millisecond))
}

// checkERPKey asks each category once: what all refuse is the key's or the
// address's fault, what one refuses is the section's.
func (d *doctor) checkERPKey(ctx context.Context) verdict {
	answers := map[string]userside.Probe{}
	var mu sync.Mutex
	var all sync.WaitGroup
	var failed error
	for cat, action := range probes() {
		all.Go(func() {
			p, err := d.erp.Probe(ctx, cat, action)
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
		why, cure := unreached(failed)
		return bad(cure, "the ERP answered once and then no more: %s", why)
	}
	d.answers = answers
	for _, cat := range []string{catTask, catEmployee, catSystem} {
		if answers[cat].Answer == userside.AnswerData {
			return ok("accepted")
		}
	}
	cure := "Compare ERP_API_KEY with the key in the ERP's configuration." +
		"\nLook at the key's “ip” there: the ERP sees this machine's address now and the functions' fixed address later (fixed_egress_address in terraform/); “*” allows every address." +
		"\nLook at the key's “section” there: task, employee, system and additional_data are needed."
	if !d.env.erp.KeyInQuery {
		cure += "\nIf all three are right, this ERP may insist on the key in the URL: ERP_KEY_IN_QUERY=true (the key then shows in the web server's log)."
	} else {
		cure += "\nIf all three are right, try without ERP_KEY_IN_QUERY: the key then goes in the form."
	}
	return bad(cure, "the ERP refuses every question (status %d): the key is wrong, or this machine's address may not use it", answers[catSystem].Status)
}

// checkParameters finds out where the ERP reads what it is asked (E1).
func (d *doctor) checkParameters(ctx context.Context) verdict {
	for _, cat := range []string{catSystem, catTask, catEmployee} {
		if d.answers[cat].Answer != userside.AnswerData {
			continue
		}
		p, err := d.erp.Places(ctx, cat, probes()[cat])
		switch {
		case err != nil:
			why, cure := unreached(err)
			return bad(cure, "the ERP answered once and then no more: %s", why)
		case p.Query && p.Body:
			return ok("read in the URL and in the form")
		case p.Query:
			return ok("read in the URL only; what is asked is short enough for it, so nothing is to be set")
		case p.Body:
			return ok("read in the form only; nothing is to be set")
		}
		return warn("Tell the makers of erp-calendar which ERP this is.", "read only where URL and form say the same")
	}
	return notChecked("Mend the sections first.", "no category answers")
}

// checkDates finds out in what form the ERP gives dates (E5).
func (d *doctor) checkDates(ctx context.Context) verdict {
	if len(d.sample) == 0 {
		return ok("no task is shown to look at")
	}
	s, err := d.erp.Sample(ctx, d.sample)
	if err != nil {
		return notChecked("See the tasks to show.", "the tasks could not be read together: %s", detailOf(err))
	}
	var v verdict
	if len(s.Unreadable) > 0 {
		v = warn("Tell the makers of erp-calendar the form. Until then such a task stays as it is in the calendars.", "%s of %d have a date that cannot be read",
			plural(sum(s.Unreadable), "task", "tasks"), sum(s.Dates))
	} else {
		v = ok("all readable, in %s", plural(len(s.Dates), "form", "forms"))
	}
	for _, form := range slices.Sorted(maps.Keys(s.Dates)) {
		v.Details = append(v.Details, fmt.Sprintf("%q: %d", form, s.Dates[form]))
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
func (d *doctor) checkUnassigned(ctx context.Context) verdict {
	heeds, known, ids, err := d.erp.HeedsUnassigned(ctx, d.states.StatesWithRoles(d.settings.ShownRoles))
	switch {
	case err != nil:
		return bad("Ask the ERP for cat=task&action=get_list&employee_id=-1 by hand and see what it answers.", "the tasks without executors could not be listed: %s", detailOf(err))
	case !known:
		return ok("no task is shown to look at")
	case !heeds:
		return warn("Nothing can be set. A task whose last executor is taken off leaves the calendar after two readings, ten minutes apart, and the eleventh of a day is held.",
			"the ERP's list of tasks without executors is the list of all")
	case len(ids) == 0:
		return ok("listed apart; there is none just now")
	}
	s, err := d.erp.Sample(ctx, ids[max(0, len(ids)-sample):])
	if err != nil {
		return ok("%s, listed apart: they leave the calendars at once", plural(len(ids), "task", "tasks"))
	}
	how := "and shown with an empty list"
	if s.LeftOut > 0 {
		how = "and shown without one, so that the list is asked"
	}
	return ok("%s, listed apart %s: they leave the calendars at once", plural(len(ids), "task", "tasks"), how)
}

func (d *doctor) judgeSection(cat, uses string) verdict {
	switch p := d.answers[cat]; p.Answer {
	case userside.AnswerData:
		return ok("readable: %s", uses)
	case userside.AnswerRefused, userside.AnswerError:
		return bad("Add “"+cat+"” to the key's “section” in the ERP's configuration (an ERP older than 3.18 knows no sections: then its log says why).",
			"the ERP refuses the category %s (status %d) while it answers others: %s cannot be read", cat, p.Status, uses)
	default:
		return bad("Look into the ERP's PHP error log.", "the ERP answers the category %s with something that is not the API's JSON (status %d)", cat, p.Status)
	}
}

// judgeFieldSection cannot prove anything without writing.
func (d *doctor) judgeFieldSection() verdict {
	needed := d.settings.CalendarIDField != 0
	if d.answers[catFields].Answer != userside.AnswerRefused {
		if !needed {
			return ok("not needed: calendar_id_field is 0")
		}
		return ok("not refused, as far as reading can show (the calendars' ids are written through it)")
	}
	if !needed {
		return ok("refused, and not needed: calendar_id_field is 0")
	}
	return bad("Add “additional_data” to the key's “section” in the ERP's configuration, or set calendar_id_field to 0.",
		"the ERP refuses the category additional_data: the calendars' ids cannot be written into field %d", d.settings.CalendarIDField)
}

func (d *doctor) checkMethod(ctx context.Context) verdict {
	how := "POST with the key in the form"
	var faults, cures []string
	if d.env.erp.KeyInQuery {
		how = "POST with the key in the URL"
		plain := d.env.erp
		plain.KeyInQuery = false
		if d.takesForm(ctx, plain) {
			faults = append(faults, "the ERP would take it in the form, where no log shows it")
			cures = append(cures, "Unset ERP_KEY_IN_QUERY.")
		} else {
			how += ", on which this ERP insists"
		}
	}
	if strings.HasPrefix(d.env.erp.URL, "http:") {
		faults = append(faults, "plain http shows the key and everybody's data to the network")
		cures = append(cures, "Give the ERP https, unless the whole way to it is private (ALLOW_HTTP_ERP says so).")
	}
	if len(faults) > 0 {
		return warn(strings.Join(cures, "\n"), "%s; %s", how, strings.Join(faults, "; "))
	}
	return ok("%s, over https, without redirects", how)
}

func (d *doctor) takesForm(ctx context.Context, cfg config.ERP) bool {
	client, err := cloud.ERP(cfg, d.transport, d.now)
	if err != nil {
		return false
	}
	for _, cat := range []string{catSystem, catTask, catEmployee} {
		if d.answers[cat].Answer != userside.AnswerData {
			continue
		}
		p, err := client.Probe(ctx, cat, probes()[cat])
		return err == nil && p.Answer == userside.AnswerData
	}
	return false
}

func (d *doctor) checkVersion(ctx context.Context) verdict {
	clock, err := d.erp.Clock(ctx)
	if err != nil {
		return bad("Ask the ERP for cat=system&action=get_system_info by hand and look at erp_version, date_time_unix and date_time_string.",
			"the ERP's version and clock could not be read: %s", detailOf(err))
	}
	d.clock = clock
	var major, minor int
	switch n, _ := fmt.Sscanf(clock.Version, "%d.%d", &major, &minor); {
	case clock.Version == "":
		return warn("Nothing has to be done as long as the checks below are fine.", "the ERP does not tell its version")
	case n == 2 && (major < 3 || major == 3 && minor < 18):
		return warn("Keep the key's “ip” narrow, because such a release cannot limit a key to sections; update the ERP when you can.",
			"%s, which is older than 3.18", clock.Version)
	}
	v := ok("%s", clock.Version)
	v.Data = map[string]any{"version": clock.Version}
	return v
}

func (d *doctor) checkClock(context.Context) verdict {
	c := d.clock
	data := map[string]any{"utc_offset_minutes": int(c.Offset.Minutes()), "time_zone": d.settings.TimeZone}
	zone, err := time.LoadLocation(d.settings.TimeZone)
	if err != nil || d.settings.TimeZone == "" {
		v := notChecked("Set time_zone to the zone of the ERP's server, which is "+offsetWords(c.Offset)+" from UTC now.",
			"the ERP's clock is %s from UTC; no time_zone is set to compare it with", offsetWords(c.Offset))
		v.Data = data
		return v
	}
	apart := calendarsync.Apart(zone, c.Unix, c.Offset)
	_, seconds := c.Unix.In(zone).Zone()
	if apart > calendarsync.MaxApart {
		v := bad("Set time_zone at the console's page /settings to the zone of the ERP's server, or set the zone of the ERP's server (PHP's date.timezone).",
			"the ERP's clock is %s from UTC, time_zone %s is %s: nothing is written while they are more than %s apart, since every event would be at a wrong hour",
			offsetWords(c.Offset), zone, offsetWords(time.Duration(seconds)*time.Second), duration(calendarsync.MaxApart))
		v.Data = data
		return v
	}
	v := ok("%s from UTC, as time_zone %s", offsetWords(c.Offset), zone)
	if skew := d.now().Sub(c.Unix); skew.Abs() > 2*time.Minute {
		side := "behind"
		if skew < 0 {
			side = "ahead of"
		}
		v = warn("Set the ERP server's clock (NTP), or this machine's.", "the zone is right, but the ERP's clock is %s %s this machine's", duration(skew), side)
	}
	v.Data = data
	return v
}

// role is a system role as the catalogue shows it.
type role struct {
	Role   int64    `json:"role"`
	Shown  bool     `json:"shown"`
	States []string `json:"states"`
}

func (d *doctor) checkStates(ctx context.Context) verdict {
	catalogue, err := d.erp.Catalogue(ctx)
	if err != nil {
		return bad("Ask the ERP for cat=task&action=get_catalog_state (and get_catalog_type) by hand and see which entry lacks an id, a name or a system role.",
			"the catalogue of states and types could not be read: %s", detailOf(err))
	}
	d.states = catalogue
	byRole := map[calendarsync.RoleID][]string{}
	for _, id := range slices.Sorted(maps.Keys(catalogue.States)) {
		s := catalogue.States[id]
		byRole[s.Role] = append(byRole[s.Role], s.Name)
	}
	v := ok("%s with %s to choose shown_roles from, %s", plural(len(catalogue.States), "state", "states"),
		plural(len(byRole), "system role", "system roles"), plural(len(catalogue.Types), "task type", "task types"))
	if len(catalogue.Odd) > 0 {
		v = warn("Mend these entries in the ERP. Tasks in such a state stay as they are in the calendars, and tasks of such a type last as long as default_duration_minutes says.",
			"%s with %s to choose shown_roles from; of the catalogues, %s cannot be read", plural(len(catalogue.States), "state", "states"),
			plural(len(byRole), "system role", "system roles"), plural(len(catalogue.Odd), "entry", "entries"))
		for _, odd := range catalogue.Odd {
			v.Details = append(v.Details, odd.Error())
		}
	}
	var roles []role
	for _, id := range slices.Sorted(maps.Keys(byRole)) {
		r := role{int64(id), slices.Contains(d.settings.ShownRoles, id), byRole[id]}
		roles = append(roles, r)
		shown := ""
		if r.Shown {
			shown = "   (shown)"
		}
		v.Details = append(v.Details, "role "+itoa(r.Role)+": "+strings.Join(r.States, ", ")+shown)
	}
	v.Data = map[string]any{"roles": roles}
	return v
}

func (d *doctor) checkRoles(context.Context) verdict {
	var gone []string
	for _, r := range d.settings.ShownRoles {
		if len(d.states.StatesWithRoles([]calendarsync.RoleID{r})) == 0 {
			gone = append(gone, itoa(int64(r)))
		}
	}
	if len(gone) > 0 {
		return bad("Choose at the console's page /settings the roles of the states whose tasks belong into a calendar (“Not completed” and “In progress”); those that exist are listed above.",
			"no state of the ERP has role %s, which shown_roles names: its tasks' events are held and would go", strings.Join(gone, " or "))
	}
	n := len(d.states.StatesWithRoles(d.settings.ShownRoles))
	v := ok("each of %s is in the catalogue: %s", plural(len(d.settings.ShownRoles), "role", "roles"), plural(n, "state is shown", "states are shown"))
	if n == len(d.states.States)+len(d.states.OddStates) {
		v = warn("Leave out the roles of completed and cancelled tasks, or nothing ever leaves the calendars.", "shown_roles names every role there is")
	}
	return v
}

// sample is how many tasks are read to see whether they can be.
const sample = 100

// checkTasks lists the tasks to show and reads a few of them, as the functions do.
func (d *doctor) checkTasks(ctx context.Context) verdict {
	ids, err := d.erp.ListTasks(ctx, userside.TaskFilter{States: d.states.StatesWithRoles(d.settings.ShownRoles)})
	if err != nil {
		return bad("Ask the ERP for cat=task&action=get_list by hand and see what it answers.", "the tasks could not be listed: %s", detailOf(err))
	}
	data := map[string]any{"tasks": len(ids)}
	if len(ids) == 0 {
		v := ok("none: no task of the ERP is in a shown state just now")
		v.Data = data
		return v
	}
	some := ids[max(0, len(ids)-sample):]
	d.sample = some
	readings, err := d.erp.Tasks(ctx, some)
	if err != nil {
		return bad("Ask the ERP for cat=task&action=show with one of the ids by hand and see what it answers.", "the tasks could not be read: %s", detailOf(err))
	}
	var odd []string
	for _, id := range slices.Sorted(maps.Keys(readings)) {
		if r := readings[id]; r.Invalid != nil {
			odd = append(odd, "task "+itoa(int64(id))+": "+detailOf(r.Invalid))
		}
	}
	if len(odd) > 0 {
		v := warn("Look at these tasks in the ERP. Each is left as it is in the calendars until it can be read.",
			"%s; of %d read, %d cannot be understood", plural(len(ids), "task", "tasks"), len(some), len(odd))
		v.Details, v.Data = odd, data
		return v
	}
	v := ok("%s; %d read, all understood", plural(len(ids), "task", "tasks"), len(some))
	if n := d.erp.Bears(); n < len(some) {
		v = warn("Nothing has to be set: more are read in parts. Look into the ERP's PHP error log (memory_limit, max_execution_time).",
			"%s; %d read, all understood, but the ERP gives no usable answer for more than %d at once", plural(len(ids), "task", "tasks"), len(some), n)
	}
	v.Data = data
	return v
}
