package simulation

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/fake/deployment"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// What is the same in every world.
const (
	account      = "calendars@provider.example"
	sub          = "1002"
	adminSub     = "1003"
	admin        = "admin@provider.example"
	clientID     = "test.apps.googleusercontent.com"
	clientSecret = "simulation-client-secret"
	erpKey       = "simulation-erp-key"
	notifySecret = "whsec_c2ltdWxhdGlvbi1zaW11bGF0aW9uLXNpbXVsYXRpb24="
	sessionKey   = "c2ltdWxhdGlvbi1zaW11bGF0aW9uLXNpbXVsYXRpb24="
	tokenKey     = "local:c2ltdWxhdGlvbi1zaW11bGF0aW9uLXNpbXVsYXRpb24="
	zoneName     = "Europe/Kyiv"

	bindingField = 1
	idField      = 7

	stateOpen, stateWorking, stateDone, statePostponed = 1, 2, 3, 4
	stateAgreed                                        = 5 // a second one with the role "Not completed"
	typeRepair, typeInstall                            = 6, 8
)

// setup is what a history begins with; it follows from the seed alone.
type setup struct {
	// Start is when the history begins; some begin shortly before a DST change.
	Start                               time.Time
	Employees, Tasks, Divisions         int
	RequestsPerMinute, CalendarsPerHour int
	// Unaided histories contain nothing that only a reconcile repairs: polls alone must
	// make the calendars right.
	Unaided bool
	// Doubled and Unacked are how many of a thousand pushes are repeated at once, and how
	// many are nacked after they succeeded.
	Doubled, Unacked int
	// Deliveries is how many attempts a message has before it is given up.
	Deliveries int
	Settings   map[string]any
	Google     fakegoogle.Options
	ERP        fakeerp.Ways
	Generation fakeerp.Generation
}

// Unaided reports whether a seed's histories have no reconcile, nor anything that only
// one repairs: polls alone must make the calendars right.
func Unaided(seed uint64) bool { return dice(seed).unaided() }

// unaided draws whether a history must come right without a reconcile.
func (d dice) unaided() bool { return d.chance(250, "unaided") }

// setupOf draws a world, and of the unproved questions the answers of some rows.
func setupOf(d dice, rows []string) setup {
	days := d.pick(300, "start day")
	start := time.Date(2026, 1, 5, 6, 0, 0, 0, time.UTC).AddDate(0, 0, days)
	switch d.pick(10, "dst") {
	case 0: // Kyiv's clocks go forward on 29 March 2026 at 01:00 UTC
		start = time.Date(2026, 3, 28, 20, 0, 0, 0, time.UTC)
	case 1: // and back on 25 October
		start = time.Date(2026, 10, 24, 20, 0, 0, 0, time.UTC)
	}
	s := setup{
		Start: start.Add(d.between(0, 12*time.Hour, "start")), Employees: 2 + d.pick(3, "employees"),
		Tasks: 2 + d.pick(5, "tasks"), Divisions: 2,
		RequestsPerMinute: []int{30, 60, 600}[d.pick(3, "rpm")], CalendarsPerHour: []int{6, 20, 60}[d.pick(3, "cph")],
		Doubled: 40, Unacked: 30, Unaided: d.unaided(),
		Generation: []fakeerp.Generation{fakeerp.GenerationOld, fakeerp.GenerationNew}[d.pick(2, "generation")],
	}
	if s.Deliveries = 100; !s.Unaided && d.chance(150, "impatient") {
		s.Deliveries = 5 // the fewest that Pub/Sub knows
	}
	s.Settings = map[string]any{
		"enabled": true, "confirmed": true, "time_zone": zoneName, "binding_field": bindingField,
		"include_departments": d.chance(400, "departments"),
		"midnight_is_all_day": d.chance(300, "midnight"),
	}
	s.Google = fakegoogle.Options{
		BaseURL: "http://" + googleHost, Now: time.Now, ClientID: clientID, ClientSecret: clientSecret,
		RedirectURIs:              []string{"https://" + oauthHost + "/callback"},
		Accounts:                  []fakegoogle.Account{{Sub: sub, Email: account, Name: "Calendars"}, {Sub: adminSub, Email: admin, Name: "Olena"}},
		Seed:                      uint64(d)*2 + 1,
		RequestsPerMinute:         s.RequestsPerMinute,
		RateLimitStatus:           []int{403, 429}[d.pick(2, "rate status")],
		StatusErrors:              d.chance(500, "status errors"),
		WebDeletionForbidsRevival: d.chance(300, "revival"),
		Ways:                      drawGoogle(d, rows),
	}
	if d.many() {
		s.larger(d)
	}
	// That marks come back again is seen by a full run (rule 3.14).
	s.Google.Ways.Descriptions.Lost = s.Google.Ways.Descriptions.Lost && !s.Unaided
	s.Google.Ways.PropertiesLost = s.Google.Ways.PropertiesLost && !s.Unaided
	s.ERP = drawERP(d, rows)
	s.Settings["shown_roles"] = shownRoles(s.ERP)
	if s.Unaided && s.ERP.ExecutorsUndated {
		s.ERP.Events = fakeerp.EventsAll // no poll finds what no event told (E7 and E8 together)
	}
	if d.chance(300, "card") {
		s.Settings["calendar_id_field"] = idField
	}
	if d.chance(300, "list delay") {
		s.Google.CalendarListDelay = d.between(time.Second, 2*time.Minute, "list delay for")
	}
	if d.chance(200, "aliases") {
		s.Google.ZoneAliases = map[string]string{"Europe/Kyiv": "Europe/Kiev"}
	}
	return s
}

// environment is what the product's workers and functions read (functions/README.md).
type environment struct {
	deployment.Config
	// signing is the key of Google's id_tokens, made once because it takes long.
	signing *rsa.PrivateKey
}

func loadEnvironment(ctx context.Context) (environment, error) {
	env := map[string]string{
		"GOOGLE_CLOUD_PROJECT": "simulation", "ERP_URL": "http://" + erpHost, "ERP_API_KEY": erpKey, "ALLOW_HTTP_ERP": "true",
		"OAUTH_CLIENT_ID": clientID, "OAUTH_CLIENT_SECRET": clientSecret, "NOTIFY_SECRETS": notifySecret, "TOKEN_KEY": tokenKey,
		"OAUTH_URL": "https://" + oauthHost, "CONSOLE_URL": "https://" + consoleHost, "ADMIN_EMAILS": admin, "INTEGRATION_ACCOUNT": account,
		"SESSION_KEY":   sessionKey,
		"GOOGLE_ISSUER": "http://" + googleHost, "CALENDAR_ENDPOINT": "http://" + googleHost + "/calendar/v3/",
	}
	out, err := config.Load[environment](ctx, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		return out, err
	}
	out.signing, err = rsa.GenerateKey(rand.Reader, 2048)
	return out, err
}

// populate fills the ERP, without notifications.
func (w *world) populate() {
	data := fakeerp.Data{
		States: []fakeerp.TaskState{
			{ID: stateOpen, Name: "New", Role: fakeerp.RoleNotCompleted}, {ID: stateWorking, Name: "Under way", Role: fakeerp.RoleInProgress},
			{ID: stateDone, Name: "Done", Role: fakeerp.RoleCompleted}, {ID: statePostponed, Name: "Later", Role: fakeerp.RolePostponed},
			{ID: stateAgreed, Name: "Agreed", Role: fakeerp.RoleNotCompleted},
		},
		Types:          []fakeerp.TaskType{{ID: typeRepair, Name: "Repair"}, {ID: typeInstall, Name: "Installation", HourOnDoing: 2}},
		EmployeeFields: []fakeerp.Field{{ID: bindingField, Caption: "Calendar", Kind: fakeerp.FieldCheckbox}, {ID: idField, Caption: "Calendar id", Kind: fakeerp.FieldText}},
	}
	for n := range w.setup.Divisions {
		data.Divisions = append(data.Divisions, fakeerp.Division{ID: int64(20 + n), Name: fmt.Sprintf("Crew %d", n+1)})
	}
	for n := range w.setup.Employees {
		data.Employees = append(data.Employees, w.newEmployee(n))
	}
	for n := range w.setup.Tasks {
		t := w.newTask(n)
		for _, e := range data.Employees {
			if w.dice.chance(w.setup.executorsOf(), "first executor", strconv.Itoa(n), e.Name) {
				t.Executors = append(t.Executors, e.ID)
			}
		}
		t.ID, t.Created, t.Updated = int64(100+n), time.Now().Add(-time.Hour), time.Now().Add(-time.Hour)
		data.Tasks = append(data.Tasks, t)
	}
	w.erp.Load(data)
}

func (w *world) newEmployee(n int) fakeerp.Employee {
	name := fmt.Sprintf("Person %d", n+1)
	e := fakeerp.Employee{ID: int64(30 + n), Name: name, Email: w.newAddress(fmt.Sprintf("person%d", n+1)), Fields: map[int64]string{bindingField: "1"}}
	if w.dice.chance(500, "member", name) {
		e.Memberships = []fakeerp.Membership{{DivisionID: int64(20 + n%w.setup.Divisions), Current: true, Added: time.Now()}}
	}
	return e
}

func (w *world) newTask(n int) fakeerp.Task {
	name := strconv.Itoa(n)
	t := fakeerp.Task{
		TypeID: []int64{typeRepair, typeInstall}[w.dice.pick(2, "type", name)], StateID: stateOpen, Priority: int64(1 + n%3),
		Todo:        w.hour(w.dice.pick(72, "hour", name)),
		Address:     fakeerp.Address{Text: w.written("Sadova St, " + name)},
		Description: "Call before coming & bring <b>cable</b> " + name,
	}
	if w.dice.chance(300, "crew task", name) {
		t.Divisions = []int64{int64(20 + w.dice.pick(w.setup.Divisions, "crew", name))}
	}
	if w.dice.chance(400, "length", name) {
		t.RuntimeHours = int64(1 + w.dice.pick(5, "length of", name))
	}
	return t
}

// hour gives the start of the hour that is ahead-4 hours from now: some are past.
func (w *world) hour(ahead int) time.Time {
	now := time.Now().In(w.zone)
	return time.Date(now.Year(), now.Month(), now.Day(), now.Hour()+ahead-4, 0, 0, 0, w.zone)
}

// defaultSettings is DEFAULT_SETTINGS.
func (s setup) defaultSettings() (string, error) {
	data, err := json.Marshal(s.Settings)
	return string(data), err
}
