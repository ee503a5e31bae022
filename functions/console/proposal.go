package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/plan"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// namedMost is how many people a plan names at each of its points.
const namedMost = 20

const (
	// planDeadline bounds a request that makes a plan: it reads the ERP's employees, and all
	// records, and whoever presses a button has an answer within half a minute.
	planDeadline = 25 * time.Second
	// planERPDeadline is the part of it in which the ERP has to answer.
	planERPDeadline = 12 * time.Second
)

// planned bounds a request that makes a plan.
func planned(next withSession) withSession {
	return func(w http.ResponseWriter, r *http.Request, s signin.Session) {
		ctx, cancel := context.WithTimeout(r.Context(), planDeadline)
		defer cancel()
		next(w, r.WithContext(ctx), s)
	}
}

// proposal is what an admin wants to save, before they have seen what that would do.
type proposal struct {
	// by is the hash of the admin's sub: whose count it is.
	by    string
	saved settings.Saved
	// next are the settings as typed. Applying the first ones also confirms them (rule 4.7).
	next calendarsync.Settings
	erp  knownERP
	// account is the address of the central account.
	account string
	// takes is about how long it takes until all calendars are made; 0 where that is not known.
	takes time.Duration
	// afresh: it was proposed just now, and what was counted for the same before is of no use.
	afresh bool
}

// applied are the settings that applying the plan puts in force.
func (p proposal) applied() calendarsync.Settings {
	next := p.next
	next.Confirmed, next.Applied = true, nil
	return next
}

// first reports whether nothing was ever written for these settings' installation.
func (p proposal) first() bool { return !p.saved.Settings.Confirmed }

// asksERP reports whether what a save would do depends on the ERP.
func (p proposal) asksERP() bool {
	now, next := p.saved.Settings, p.applied()
	return next.Acts() && (!now.Acts() || plan.NeedsCards(now, next) || !slices.Equal(now.ShownRoles, next.ShownRoles) ||
		now.IncludeDepartments != next.IncludeDepartments || now.TimeZone != next.TimeZone)
}

// planView is the page that says what a save would do.
type planView struct {
	First, Connected bool
	// Moved: it is another than was shown before. Unsure: what has to be confirmed was not.
	Moved, Unsure bool
	// Enough: what joins is not to be counted to the end.
	Enough   bool
	Lines    []planLine
	Asks     []string
	Changes  []difference
	Button   string
	Preview  *preview
	Settings string
	Version  int64
	Hash     string
}

// planLine is one thing that a save would do. Level is "bad" for what is lost.
type planLine struct {
	Level, Title, Text string
	People             []string
	More               string
	Pace               string // about how long it takes; "" where that is not known
}

// propose shows what saving would do, or saves at once what changes nothing that exists.
func (h *handler) propose(w http.ResponseWriter, r *http.Request, s signin.Session, p proposal) {
	p.afresh = true
	made, err := h.makePlan(r.Context(), p)
	switch {
	case err != nil:
		h.trouble(w, r, "count what the settings would do", err)
	case made.uncounted == nil && !made.Changes() && len(asks(h.texts(r), p, made.Plan)) == 0 && !p.first():
		h.keepSettings(w, r, s, p.saved.Version, p.next, nil)
	default:
		h.showPlan(w, r, http.StatusOK, s, p, made, planView{})
	}
}

// basis is what a plan rests on besides the records.
func (p proposal) basis() plan.Basis {
	now, next := p.saved.Settings, p.applied()
	return plan.Basis{Before: p.saved.Before, InForce: now, Next: next, Catalogue: p.erp.catalogue, Cards: p.erp.cards,
		ByStore: p.erp.err != nil || !plan.NeedsCards(now, next)}
}

// madePlan is a plan, and the count that has to be gone on with before its numbers are known;
// nil for none.
type madePlan struct {
	plan.Plan
	uncounted *counting
}

// makePlan reads what a plan rests on, and makes it.
func (h *handler) makePlan(ctx context.Context, p proposal) (made madePlan, err error) {
	b, next := p.basis(), p.applied()
	if b.Employees, err = h.Store.Employees(ctx); err != nil {
		return made, err
	}
	if b.TaskCount, err = h.Store.CountTasks(ctx); err != nil {
		return made, err
	}
	if made.Plan, err = plan.Make(b); err != nil {
		return made, err
	}
	losing := slices.Concat(made.Deleted, made.Leaving)
	all := plan.NeedsTasks(p.saved.Before, next) || len(losing) > mostAskedFor
	switch {
	case all && b.TaskCount > mostAtOnce:
		known, err := h.countFor(ctx, p, made.Hash())
		if err != nil {
			return made, err
		}
		if known == nil || known.Events == nil || !known.eventsDone() {
			made.uncounted = &counting{Events: made.NewCount(), Records: b.TaskCount}
			return made, nil
		}
		b.Counted = known.Events
	case all:
		b.Tasks, err = h.Store.TasksAfter(ctx, 0, mostAtOnce)
	case len(losing) > 0:
		b.Tasks, err = h.tasksOf(ctx, losing)
	default:
		return made, nil
	}
	if err != nil {
		return made, err
	}
	made.Plan, err = plan.Make(b)
	return made, err
}

// mostAskedFor is of how many people the tasks are read one by one; of more it is cheaper to
// read all.
const mostAskedFor = 40

// tasksOf reads the records of the tasks of some people, each once.
func (h *handler) tasksOf(ctx context.Context, people []plan.Person) ([]store.TaskRecord, error) {
	lists := make([][]store.TaskRecord, len(people))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, one := range people {
		g.Go(func() (err error) { lists[i], err = h.Store.TasksOf(ctx, int64(one.ID)); return err })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b store.TaskRecord) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(all, func(a, b store.TaskRecord) bool { return a.ID == b.ID }), nil
}

// perCalendar is about how long it takes to make, share and fill one calendar.
const perCalendar = 8 * time.Second

// pace is about how long it takes until so many calendars are made: as many as an hour allows at
// once, then so many each hour, and no more than a day's (rule 6.5).
func (h *handler) pace(calendars int) time.Duration {
	hour, day := h.cfg.CalendarsPerHour, h.cfg.CalendarsPerDay
	switch {
	case hour <= 0 || day <= 0 || calendars == 0:
		return 0
	case calendars > day:
		return time.Duration((calendars-1)/day) * 24 * time.Hour
	case calendars > hour:
		return time.Duration((calendars-1)/hour) * time.Hour
	}
	return max(time.Minute, time.Duration(calendars)*perCalendar)
}

// showPlan shows the page.
func (h *handler) showPlan(w http.ResponseWriter, r *http.Request, status int, s signin.Session, p proposal, made madePlan, v planView) {
	if made.uncounted != nil {
		h.beginCount(w, r, p, made, made.uncounted)
		return
	}
	joins, err := h.joining(r.Context(), p, made)
	if err != nil {
		h.trouble(w, r, "count what joins", err)
		return
	}
	if joins.begun != nil && !v.Enough {
		h.beginCount(w, r, p, made, joins.begun)
		return
	}
	text, err := settings.Encode(p.next)
	if err != nil {
		h.trouble(w, r, "write the settings", err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	account, err := h.Store.Account(ctx)
	if err != nil && !errors.Is(err, store.ErrNotConnected) {
		h.trouble(w, r, "read the account", err)
		return
	}
	c := h.locale(r, p.next.TimeZone)
	v.First, v.Connected = p.first(), account.Connected
	p.takes, p.account = h.pace(len(made.Made)), h.cfg.IntegrationAccount
	v.Lines, v.Asks = planLines(c, p, made.Plan, joins), asks(c.Texts, p, made.Plan)
	if p.saved.Version > 0 {
		v.Changes = differences(c.Texts, p.next, p.saved.Settings)
	}
	v.Button = applyWords(c.Texts, made.Plan)
	if p.erp.err == nil {
		v.Preview = h.preview(r.Context(), c, p.next, p.erp)
	}
	v.Settings, v.Version, v.Hash = string(text), p.saved.Version, made.Hash()
	h.show(w, r, status, view{Page: "plan", Menu: "settings", Title: c.T("plan.title"), Session: &s, Body: v})
}

// applySettings saves settings whose plan the admin has seen, if it is still that plan.
func (h *handler) applySettings(w http.ResponseWriter, r *http.Request, s signin.Session) {
	p, ok := h.proposed(w, r, s)
	if !ok {
		return
	}
	seen, err := strconv.ParseInt(r.PostForm.Get("version"), 10, 64)
	if err != nil || seen != p.saved.Version {
		h.form(w, r, http.StatusConflict, s, p.saved, typedFrom(p.next), nil, p.erp, settingsView{Stale: true, Differences: differences(h.texts(r), p.next, p.saved.Settings)})
		return
	}
	if r.PostForm.Has("later") && p.first() {
		h.keepSettings(w, r, s, seen, p.next, nil)
		return
	}
	if faults := checkAgainstERP(p.saved, p.next, p.erp); len(faults) > 0 {
		h.form(w, r, http.StatusUnprocessableEntity, s, p.saved, typedFrom(p.next), faults, p.erp, settingsView{NotSaved: true})
		return
	}
	made, err := h.makePlan(r.Context(), p)
	switch {
	case err != nil:
		h.trouble(w, r, "count what the settings would do", err)
	case made.uncounted != nil:
		h.showPlan(w, r, http.StatusOK, s, p, made, planView{})
	case made.Hash() != r.PostForm.Get("plan"):
		h.showPlan(w, r, http.StatusConflict, s, p, made, planView{Moved: true})
	case len(asks(h.texts(r), p, made.Plan)) > 0 && r.PostForm.Get("sure") == "":
		h.showPlan(w, r, http.StatusUnprocessableEntity, s, p, made, planView{Unsure: true})
	default:
		h.keepSettings(w, r, s, seen, p.applied(), recorded(made.Plan))
	}
}

// editSettings shows the form again with what a plan was about.
func (h *handler) editSettings(w http.ResponseWriter, r *http.Request, s signin.Session) {
	if p, ok := h.proposed(w, r, s); ok {
		h.form(w, r, http.StatusOK, s, p.saved, typedFrom(p.next), nil, p.erp, settingsView{})
	}
}

// proposed reads the settings that a plan's page carries. ok is false where it answered.
func (h *handler) proposed(w http.ResponseWriter, r *http.Request, s signin.Session) (p proposal, ok bool) {
	saved, ok := h.saved(w, r)
	if !ok {
		return p, false
	}
	next, err := settings.Parse([]byte(r.PostForm.Get("settings")), saved.Settings)
	if err != nil || len(settings.Missing(next)) > 0 {
		// Not what this console wrote: it begins anew.
		noteNothing(r)
		h.redirect(w, h.console.URL("/settings", nil))
		return p, false
	}
	return proposal{by: signin.Hash(s.Sub), saved: saved, next: next, erp: h.readERP(r)}, true
}

// keepSettings saves settings, has everything checked against them, and says so on the settings' page.
func (h *handler) keepSettings(w http.ResponseWriter, r *http.Request, s signin.Session, seen int64, next calendarsync.Settings, made *store.SettingsPlan) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	err := h.Settings.Apply(ctx, next, s.Email, seen, made)
	if errors.Is(err, store.ErrStale) {
		// Read again: the other save may have come after the reading before.
		if saved, readErr := h.Settings.Saved(ctx); readErr == nil {
			h.form(w, r, http.StatusConflict, s, saved, typedFrom(next), nil, h.readERP(r), settingsView{Stale: true, Differences: differences(h.texts(r), next, saved.Settings)})
			return
		}
	}
	if err != nil {
		h.trouble(w, r, "save settings", err)
		return
	}
	h.Log.InfoContext(r.Context(), "settings saved", "by", s.Sub, "version", seen+1, "enabled", next.Enabled, "confirmed", next.Confirmed, "planned", made != nil)
	noteChange(r, strconv.FormatInt(seen, 10), strconv.FormatInt(seen+1, 10))
	publish, stop := context.WithTimeout(r.Context(), publishDeadline)
	defer stop()
	word := "saved"
	if err := h.Publisher.Publish(publish, h.cfg.EmployeeTopic, everybody()); err != nil {
		h.Log.ErrorContext(r.Context(), "the full run after saving settings could not be queued", "error", err)
		word = "saved-unqueued"
	}
	h.redirect(w, h.console.URL("/settings", url.Values{"queued": {word}}))
}

// recorded is what is kept of a plan that was applied.
func recorded(p plan.Plan) *store.SettingsPlan {
	a := p.Applied()
	return &store.SettingsPlan{Employees: calendarsync.IDs[int64](a.Employees), States: calendarsync.IDs[int64](a.States), Divisions: a.Divisions,
		Made: len(p.Made), Deleted: len(p.Deleted) + len(p.Leaving), Events: p.EventsDeleted(), Renamed: len(p.Renamed), Rewritten: p.Rewritten}
}

// checkAgainstERP finds what the ERP says against settings: a field or a role that it does not
// have. What is in force already stays as it is, so that nothing else is kept from being saved.
func checkAgainstERP(saved settings.Saved, next calendarsync.Settings, erp knownERP) settings.Faults {
	var faults settings.Faults
	p := proposal{saved: saved, next: next}
	if erp.err != nil {
		if p.asksERP() {
			faults = append(faults, settings.Fault{Code: "erp", Problem: "The ERP could not be read just now, so that nobody can say what this would do."})
		}
		return faults
	}
	now := saved.Settings
	for _, role := range next.ShownRoles {
		if len(erp.catalogue.StatesWithRoles([]calendarsync.RoleID{role})) == 0 && !(now.Confirmed && slices.Contains(now.ShownRoles, role)) {
			faults = append(faults, settings.Fault{Field: "shown_roles", Code: "role-unknown", Values: []any{"Typed", role}, Problem: fmt.Sprintf("no state of the ERP has role %d", role)})
		}
	}
	if (now.BindingField != next.BindingField || !now.Confirmed) && plan.CheckBinding(erp.fields, next.BindingField) == plan.NoSuchField {
		faults = append(faults, settings.Fault{Field: "binding_field", Code: "field-unknown", Values: []any{"Typed", next.BindingField}, Problem: fmt.Sprintf("no employee's card has field %d", next.BindingField)})
	}
	return faults
}

// asks lists what an admin has to confirm by a tick of its own, because nobody can take it
// back or it is rarely meant.
func asks(t i18n.Texts, p proposal, made plan.Plan) []string {
	var out []string
	now, next := p.saved.Settings, p.next
	if p.erp.err != nil || !p.applied().Acts() {
		return nil
	}
	if now.BindingField != next.BindingField || !now.Confirmed {
		for _, f := range p.erp.fields {
			if f.ID == next.BindingField && plan.CheckBinding(p.erp.fields, f.ID) == plan.NoBox {
				out = append(out, t.N("plan.ask.no-box", len(f.Odd), "Field", f.ID, "Name", f.Odd[0].Name, "Value", short(f.Odd[0].To)))
			}
		}
	}
	if now.CalendarIDField != next.CalendarIDField || !now.Confirmed {
		if plan.CheckCalendarField(p.erp.fields, next.CalendarIDField) == plan.UnseenField {
			out = append(out, t.T("plan.ask.unseen", "Field", next.CalendarIDField))
		}
		if n := len(made.Overwritten); n > 0 {
			out = append(out, t.N("plan.ask.overwrite", n, "Field", next.CalendarIDField))
		}
	}
	return out
}

// short is a text of the ERP as an example.
func short(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:39]) + "…"
	}
	return s
}

// applyWords names the button that applies a plan by the weightiest thing it does.
func applyWords(t i18n.Texts, p plan.Plan) string {
	deleted := len(p.Deleted) + len(p.Leaving)
	switch {
	case deleted > 0:
		return t.N("plan.apply.delete", deleted)
	case p.EventsDeleted() > 0:
		return t.N("plan.apply.empty", p.EventsDeleted())
	case len(p.Made) > 0:
		return t.N("plan.apply.make", len(p.Made))
	}
	return t.T("plan.apply.save")
}

// planLines puts a plan into words, what is lost first.
func planLines(c locale, p proposal, made plan.Plan, joins joining) []planLine {
	var lines []planLine
	add := func(level, title, text string, people []string) {
		line := planLine{Level: level, Title: title, Text: text, People: people}
		if n := len(people); n > namedMost {
			line.People, line.More = people[:namedMost], c.N("plan.more", n-namedMost)
		}
		lines = append(lines, line)
	}
	count := func(people []plan.Person) (n int) {
		for _, one := range people {
			n += one.Events
		}
		return n
	}
	if n := len(made.Deleted); n > 0 {
		add("bad", c.N("plan.deleted.title", n, "Events", c.N("count.events", count(made.Deleted))), c.T("plan.deleted.text"), withEvents(c, made.Deleted))
	}
	if n := len(made.Leaving); n > 0 {
		add("bad", c.N("plan.leaving.title", n, "Events", c.N("count.events", count(made.Leaving))), c.T("plan.leaving.text", "Percent", p.next.DeleteGuardPercent), withReasons(c, made.Leaving))
	}
	if n := len(made.Emptied); n > 0 {
		add("bad", c.N("plan.emptied.title", count(made.Emptied), "People", c.N("plan.people", n)), emptiedWords(c, p, made), withEvents(c, made.Emptied))
	}
	if n := len(made.Overwritten); n > 0 {
		add("bad", c.N("plan.overwritten.title", n, "Field", p.next.CalendarIDField), c.T("plan.overwritten.text"), each(made.Overwritten, func(one plan.Person) string {
			return c.T("plan.overwritten.each", "Name", one.Name, "Value", short(one.From))
		}))
	}
	if n := len(made.Made); n > 0 {
		add("", c.N("plan.made.title", n), c.T("plan.made.text"), each(made.Made, func(one plan.Person) string { return one.Name }))
		if p.takes > 0 {
			lines[len(lines)-1].Pace = c.T("plan.made.pace", "Time", c.age(p.takes))
		}
	}
	if people, domain := outsiders(p.account, made.Made); len(people) > 0 {
		add("", c.N("plan.outside.title", len(people), "Domain", domain), c.T("plan.outside.text", "Domain", domain), people)
	}
	if n := len(made.Renamed); n > 0 {
		add("", c.N("plan.renamed.title", n), "", each(made.Renamed, func(one plan.Person) string { return c.T("plan.renamed.each", "From", one.From, "To", one.To) }))
	}
	if made.Rezoned > 0 {
		add("", c.N("plan.rezoned.title", made.Rezoned, "Zone", p.next.TimeZone), "", nil)
	}
	if made.Rewritten > 0 {
		add("", c.N("plan.rewritten.title", made.Rewritten), c.T("plan.rewritten.text"), nil)
	}
	switch text := joiningWords(c, p, made); {
	case len(joins.people) > 0:
		add("", c.N("plan.joining.events", count(joins.people), "People", c.N("plan.people", len(joins.people))), text, withEvents(c, joins.people))
	case joins.tasks > 0:
		add("", c.N("plan.joining.tasks", joins.tasks), text, nil)
	case text != "" && !joins.known:
		add("", c.T("plan.joining.title"), text, nil)
	case text != "":
		add("", c.T("plan.joining.none"), text, nil)
	}
	if n := made.Written - len(made.Overwritten); n > 0 {
		add("", c.N("plan.written.title", n, "Field", p.next.CalendarIDField), "", nil)
	}
	if p.first() && len(made.Without) > 0 {
		add("", c.N("plan.without.title", len(made.Without)), "", withReasons(c, made.Without))
	}
	if n := len(made.Unreadable); n > 0 {
		add("", c.N("plan.unreadable.title", n), c.T("plan.unreadable.text"), each(made.Unreadable, func(one plan.Person) string { return one.Name }))
	}
	if apart, known := clockApart(p.erp.clock, p.next.TimeZone); p.erp.err == nil && known && apart {
		add("bad", c.T("plan.clock.title"), clockWords(c, p.erp, p.next.TimeZone), nil)
	}
	return lines
}

// outsiders names those whose address is outside the account's domain, whom its Workspace may
// let see busy times only (rule 5.7).
func outsiders(account string, people []plan.Person) (names []string, domain string) {
	for _, one := range people {
		if of := calendarsync.OutsideOf(account, one.Address); of != "" {
			names, domain = append(names, one.Name), of
		}
	}
	return names, domain
}

// each gives a text for each person.
func each(people []plan.Person, text func(plan.Person) string) []string {
	out := make([]string, len(people))
	for i, one := range people {
		out[i] = text(one)
	}
	return out
}

func withEvents(c locale, people []plan.Person) []string {
	return each(people, func(one plan.Person) string {
		return c.T("plan.person", "Name", one.Name, "What", c.N("count.events", one.Events))
	})
}

func withReasons(c locale, people []plan.Person) []string {
	return each(people, func(one plan.Person) string {
		why := c.T("plan.why.unusable")
		if c.Has("plan.why." + string(one.Reason)) {
			why = c.T("plan.why." + string(one.Reason))
		}
		return c.T("plan.person", "Name", one.Name, "What", why)
	})
}

// emptiedWords names the states whose tasks leave.
func emptiedWords(c locale, p proposal, made plan.Plan) string {
	text := ""
	if len(made.States) > 0 {
		text = c.T("plan.emptied.states", "States", stateNames(c.Texts, p.erp.catalogue, made.States))
	}
	if made.Divisions {
		text += " " + c.T("plan.emptied.divisions")
	}
	return text
}

func joiningWords(c locale, p proposal, made plan.Plan) string {
	text := ""
	if len(made.NewStates) > 0 {
		text = c.T("plan.joining.states", "States", stateNames(c.Texts, p.erp.catalogue, made.NewStates))
	}
	if made.NewDivisions {
		text += " " + c.T("plan.joining.divisions")
	}
	return text
}

// stateNames names states of the ERP.
func stateNames(t i18n.Texts, c calendarsync.Catalogue, ids []calendarsync.StateID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = t.T("plan.quoted", "Text", c.States[id].Name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
