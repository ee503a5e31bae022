package checkup

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// ERP reads what is examined; userside.Client does.
type ERP interface {
	// Probe asks a reading action and says what kind of answer came.
	Probe(ctx context.Context, category, action string) (userside.Probe, error)
	// Places finds out where the ERP reads what it is asked.
	Places(ctx context.Context, category, action string) (userside.Places, error)
	Clock(ctx context.Context) (userside.Clock, error)
	Catalogue(ctx context.Context) (calendarsync.Catalogue, error)
	EmployeeCards(ctx context.Context, known userside.Known) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, map[calendarsync.FieldID]string, error)
	ListTasks(ctx context.Context, f userside.TaskFilter) ([]calendarsync.TaskID, error)
	Tasks(ctx context.Context, ids []calendarsync.TaskID) (map[calendarsync.TaskID]calendarsync.TaskReading, error)
	// Sample says in what form the ERP says things of some tasks.
	Sample(ctx context.Context, ids []calendarsync.TaskID) (userside.TaskSample, error)
	// HeedsUnassigned reports whether the ERP lists the tasks without executors apart.
	HeedsUnassigned(ctx context.Context, states []calendarsync.StateID) (heeds, known bool, unassigned []calendarsync.TaskID, err error)
	// Bears is how many tasks the ERP gives a usable answer for at once.
	Bears() int
}

// Account is what is on record of the central account; store.Store has it.
type Account interface {
	// Account reads the account; store.ErrNotConnected where none ever was.
	Account(ctx context.Context) (store.AccountRecord, error)
}

// Subject is the installation that is examined, and what one check finds of it for those that
// wait for that one: such a field is written by one check only.
type Subject struct {
	Texts i18n.Texts
	Now   func() time.Time
	// Connect makes the ERP's client; inForm has it send the key in the form, whatever is set.
	Connect func(inForm bool) (ERP, error)
	// ERPURL is the ERP's address, and KeyInQuery whether the key is sent in the URL.
	ERPURL     func() string
	KeyInQuery func() bool
	// Saved reads the settings; recorded is false where nobody can know what an admin saved.
	Saved func(ctx context.Context) (saved settings.Saved, recorded bool, err error)
	// Accounts reads what is on record. Expected is the account that the configuration names, and
	// Client its OAuth client; "" where that is not known. Console and RedirectURI are addresses.
	Accounts                               func() Account
	Expected, Client, Console, RedirectURI func() string

	ERP      ERP
	Settings calendarsync.Settings
	// Complete: the settings are complete and sound.
	Complete bool
	Record   store.AccountRecord

	answers  map[string]userside.Probe // by category
	clock    userside.Clock
	states   calendarsync.Catalogue
	readings map[calendarsync.EmployeeID]calendarsync.EmployeeReading
	captions map[calendarsync.FieldID]string
	sample   []calendarsync.TaskID // some of the tasks to show
}

// Checks lists the checks, in the order of the report.
func (s *Subject) Checks() []Check {
	return slices.Concat(s.SettingsChecks(), s.ERPChecks(), s.EmployeeChecks(), s.AccountChecks())
}

// verdict is one whose text is doctor.<key>.text, and its cure doctor.<key>.cure if there is one.
func (s *Subject) verdict(state State, key string, values ...any) Verdict {
	v := Verdict{State: state, Text: s.Texts.T("doctor."+key+".text", values...)}
	if s.Texts.Has("doctor." + key + ".cure") {
		v.Cure = s.Texts.T("doctor."+key+".cure", values...)
	}
	return v
}

func (s *Subject) good(key string, values ...any) Verdict { return s.verdict(OK, key, values...) }
func (s *Subject) warn(key string, values ...any) Verdict { return s.verdict(Warning, key, values...) }
func (s *Subject) bad(key string, values ...any) Verdict  { return s.verdict(Fault, key, values...) }

// failed is a fault with what the other side's adapter says of it, which never quotes an answer.
func (s *Subject) failed(key string, err error) Verdict {
	v := s.bad(key)
	v.Details = []string{DetailOf(err)}
	return v
}

// silent is a fault of an other side that gave no answer.
func (s *Subject) silent(key string, err error, values ...any) Verdict {
	why, cure := Unreached(s.Texts, err)
	return s.bad(key, append(values, "Why", why, "Cure", cure)...)
}

func (s *Subject) check(id, group string, run func(ctx context.Context) Verdict) Check {
	return Check{ID: id, Group: s.Texts.T("doctor.group." + group), Title: s.Texts.T("doctor." + id + ".title"), Run: run}
}

func (c Check) needs(ids ...string) Check { c.Needs = ids; return c }
func (c Check) after(ids ...string) Check { c.After = ids; return c }
func (c Check) within(d time.Duration) Check {
	c.Within = d
	return c
}

// plainHTTP reports whether what is sent to an address can be read on the way.
func plainHTTP(address string) bool {
	r, err := http.NewRequest(http.MethodGet, address, http.NoBody) //nolint:noctx // never sent: only its address is parsed
	return err == nil && r.URL.Scheme == "http"
}
