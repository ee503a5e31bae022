package rulebook_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/rulebook"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// world is what a Book reads, with counts of the readings.
type world struct {
	mu        sync.Mutex
	now       time.Time
	settings  calendarsync.Settings
	catalogue calendarsync.Catalogue
	employees []store.EmployeeRecord
	// The errors are given together with what there is: a part of it.
	settingsErr, catalogueErr, namesErr error
	catalogues, names                   int
	offset                              time.Duration // of the ERP's clock
	faults                              []string      // as they were saved last
	saves                               int
	divisions                           int
	divisionsErr                        error
	saveErr                             error
	log                                 bytes.Buffer
}

func (w *world) SaveCatalogueFaults(_ context.Context, what []string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saves++
	if w.saveErr == nil {
		w.faults = what
	}
	return w.saveErr
}

func (w *world) Clock(context.Context) (userside.Clock, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return userside.Clock{Unix: w.now, Offset: w.offset}, nil
}

func (w *world) Settings(context.Context) (calendarsync.Settings, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.settings, w.settingsErr
}

func (w *world) Catalogue(context.Context) (calendarsync.Catalogue, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.catalogues++
	return w.catalogue, w.catalogueErr
}

func (w *world) Divisions(context.Context) (map[calendarsync.DivisionID]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.divisions++
	return map[calendarsync.DivisionID]string{3: "North"}, w.divisionsErr
}

func (w *world) Employees(context.Context) ([]store.EmployeeRecord, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names++
	return w.employees, w.namesErr
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) change(f func(*world)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w)
}

const (
	withExecutors    = `{{range .Task.Executors}}{{.}} {{end}}`
	withoutExecutors = `{{.Task.Type}}`
)

func newWorld() (*world, *rulebook.Source) {
	s := calendarsync.DefaultSettings()
	s.TimeZone, s.ShownRoles, s.EventTitle = "Europe/Kyiv", []calendarsync.RoleID{1}, withoutExecutors
	w := &world{
		now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), offset: 2 * time.Hour, settings: s, catalogue: catalogue(1, 2),
		employees: []store.EmployeeRecord{{ID: 42, Name: "Olena"}},
	}
	return w, rulebook.New(w, w, w, w.clock, slog.New(slog.NewTextHandler(&w.log, nil)))
}

func catalogue(states ...calendarsync.StateID) calendarsync.Catalogue {
	c := calendarsync.Catalogue{States: map[calendarsync.StateID]calendarsync.State{}}
	for _, id := range states {
		c.States[id] = calendarsync.State{ID: id, Role: 1}
	}
	return c
}

func rules(t *testing.T, b *rulebook.Source) *calendarsync.Rules {
	t.Helper()
	r, err := b.Rules(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCatalogueIsKeptHalfAMinute(t *testing.T) {
	w, b := newWorld()
	rules(t, b)
	w.change(func(w *world) { w.catalogue = catalogue(1, 2, 3) })
	w.pass(30 * time.Second)
	if r := rules(t, b); len(r.Catalogue.States) != 2 || w.catalogues != 1 {
		t.Errorf("after 30 s: %d states, %d readings, want the copy", len(r.Catalogue.States), w.catalogues)
	}
	w.pass(time.Second)
	if r := rules(t, b); len(r.Catalogue.States) != 3 || w.catalogues != 2 {
		t.Errorf("after 31 s: %d states, %d readings, want them read anew", len(r.Catalogue.States), w.catalogues)
	}
	w.pass(29 * time.Second)
	rules(t, b)
	if w.catalogues != 2 {
		t.Errorf("%d readings, want the age counted from the latest", w.catalogues)
	}
}

func TestSettingsAreInForceAtOnce(t *testing.T) {
	w, b := newWorld()
	before := rules(t, b)
	w.change(func(w *world) { w.settings.DefaultDurationMinutes = 90 })
	if r := rules(t, b); r.Settings.DefaultDurationMinutes != 90 {
		t.Errorf("duration %d, want 90", r.Settings.DefaultDurationMinutes)
	}
	if before.Settings.DefaultDurationMinutes != 60 {
		t.Error("rules handed out before have changed")
	}
	if w.catalogues != 1 {
		t.Errorf("%d readings of the catalogue for a change of settings, want none more", w.catalogues)
	}
	// New settings make no old catalogue young again.
	w.pass(20 * time.Second)
	w.change(func(w *world) { w.settings.DefaultDurationMinutes = 30 })
	rules(t, b)
	w.pass(11 * time.Second)
	rules(t, b)
	if w.catalogues != 2 {
		t.Errorf("%d readings 31 s after the first, want 2", w.catalogues)
	}
}

func TestUnknownStateReadsTheCatalogueOnce(t *testing.T) {
	w, b := newWorld()
	rules(t, b)
	if _, err := b.Knowing(t.Context(), []calendarsync.StateID{1, 2}); err != nil || w.catalogues != 1 {
		t.Fatalf("known states: %d readings, %v, want the copy", w.catalogues, err)
	}
	w.change(func(w *world) { w.catalogue = catalogue(1, 2, 3) })
	r, err := b.Knowing(t.Context(), []calendarsync.StateID{1, 3})
	if err != nil || len(r.Catalogue.States) != 3 || w.catalogues != 2 {
		t.Fatalf("a state made just now: %d readings, %v, want it found by one more", w.catalogues, err)
	}
	// Two that the ERP does not know either cost one reading, not two, and no error.
	r, err = b.Knowing(t.Context(), []calendarsync.StateID{1, 8, 9})
	if err != nil || w.catalogues != 3 || len(r.Catalogue.States) != 3 {
		t.Errorf("unknown states: %d readings, %v, want 3", w.catalogues, err)
	}
	if rules(t, b); w.catalogues != 3 {
		t.Errorf("%d readings, want the fresh copy kept", w.catalogues)
	}
}

func TestFreshBookKnowsWithOneReading(t *testing.T) {
	w, b := newWorld()
	if _, err := b.Knowing(t.Context(), []calendarsync.StateID{1}); err != nil || w.catalogues != 1 {
		t.Errorf("%d readings, %v, want 1", w.catalogues, err)
	}
}

func TestPartOfACatalogueIsNeverKept(t *testing.T) {
	broken := failure.New(failure.Source, "read the catalogue of types", "the ERP did not answer")
	for name, ask := range map[string]func(*rulebook.Source) (*calendarsync.Rules, error){
		"for its age": func(b *rulebook.Source) (*calendarsync.Rules, error) { return b.Rules(t.Context()) },
		"for a state's sake": func(b *rulebook.Source) (*calendarsync.Rules, error) {
			return b.Knowing(t.Context(), []calendarsync.StateID{9})
		},
		"for a known state's": func(b *rulebook.Source) (*calendarsync.Rules, error) {
			return b.Knowing(t.Context(), []calendarsync.StateID{1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, b := newWorld()
			rules(t, b)
			w.pass(time.Minute)
			w.change(func(w *world) { w.catalogue, w.catalogueErr = catalogue(1), broken })
			r, err := ask(b)
			if r != nil || !failure.Is(err, failure.Source) {
				t.Fatalf("rules %v and error %v, want none and kind source", r, err)
			}
			w.change(func(w *world) { w.catalogue, w.catalogueErr = catalogue(1, 2), nil })
			if r := rules(t, b); len(r.Catalogue.States) != 2 {
				t.Errorf("%d states, want them read anew", len(r.Catalogue.States))
			}
		})
	}
}

func TestFaultsHaveTheirKinds(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*world)
		kind   failure.Kind
	}{
		"settings not ready": {func(w *world) {
			w.settingsErr = failure.New(failure.Misconfigured, "read settings", "time_zone must be set")
		}, failure.Misconfigured},
		"settings unread":       {func(w *world) { w.settingsErr = failure.New(failure.Transient, "read settings", "") }, failure.Transient},
		"no such zone":          {func(w *world) { w.settings.TimeZone = "Mars/Olympus" }, failure.Misconfigured},
		"a broken template":     {func(w *world) { w.settings.EventTitle = "{{" }, failure.Misconfigured},
		"the ERP is away":       {func(w *world) { w.catalogueErr = failure.New(failure.Source, "read", "") }, failure.Source},
		"the ERP is not itself": {func(w *world) { w.catalogueErr = failure.New(failure.SourceInvalid, "read", "") }, failure.SourceInvalid},
		"names unread": {func(w *world) {
			w.settings.EventTitle, w.namesErr = withExecutors, errors.New("store: away")
		}, failure.Transient},
	} {
		t.Run(name, func(t *testing.T) {
			w, b := newWorld()
			w.change(row.change)
			if r, err := b.Rules(t.Context()); r != nil || failure.KindOf(err) != row.kind {
				t.Errorf("rules %v, error %v; want none and kind %s", r, err, row.kind)
			}
		})
	}
}

func TestNamesAreReadOnlyWhereATemplateHasExecutors(t *testing.T) {
	w, b := newWorld()
	rules(t, b)
	if w.names != 0 {
		t.Fatalf("names read %d times, want not at all", w.names)
	}
	w.change(func(w *world) { w.settings.EventTitle = withExecutors })
	if r := rules(t, b); w.names != 1 || r.Names[42] != "Olena" {
		t.Fatalf("names read %d times, employee 42 is %q; want Olena at once", w.names, r.Names[42])
	}
	w.change(func(w *world) { w.employees[0].Name = "Olha" })
	w.pass(31 * time.Second)
	if r := rules(t, b); r.Names[42] != "Olha" {
		t.Errorf("half a minute after a change of name employee 42 is %q", r.Names[42])
	}
}

// Names of new settings were written into the map of rules that others were
// rendering with: a crash of the whole instance, or a name missing.
func TestRulesHandedOutDoNotChange(t *testing.T) {
	w, b := newWorld()
	w.change(func(w *world) { w.settings.EventTitle = withExecutors })
	before := rules(t, b)
	w.change(func(w *world) {
		w.settings.DefaultDurationMinutes = 90
		w.employees = append(w.employees, store.EmployeeRecord{ID: 43, Name: "Petro"})
	})
	var wg sync.WaitGroup
	for range 4 {
		// With -race, a writer beside these readers is found.
		wg.Go(func() {
			for range 100 {
				_ = before.Names[43]
			}
		})
	}
	after := rules(t, b)
	wg.Wait()
	if len(before.Names) != 1 {
		t.Error("rules handed out before have changed")
	}
	if after.Names[43] != "Petro" {
		t.Errorf("employee 43 is %q after the change, want Petro", after.Names[43])
	}
}

func TestManyAskersReadOnce(t *testing.T) {
	w, b := newWorld()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := b.Rules(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if w.catalogues != 1 {
		t.Errorf("%d readings for 50 askers at once, want 1", w.catalogues)
	}
}

func TestAnERPWhoseClockIsNotTheZonesGivesNoRules(t *testing.T) {
	w, b := newWorld()
	if _, err := b.Rules(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The server was moved to UTC: every hour it tells is two off.
	w.change(func(w *world) { w.offset = 0 })
	w.pass(time.Minute)
	if _, err := b.Rules(t.Context()); !failure.Is(err, failure.Source) {
		t.Fatalf("a clock two hours off: %v", err)
	}
	// A few minutes are an unset clock, not a wrong zone.
	w.change(func(w *world) { w.offset = 2*time.Hour + 9*time.Minute })
	if _, err := b.Rules(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Another zone in the settings is checked at once.
	w.change(func(w *world) { w.settings.TimeZone = "Europe/Lisbon" })
	if _, err := b.Rules(t.Context()); !failure.Is(err, failure.Source) {
		t.Fatalf("a zone that is not the ERP's: %v", err)
	}
}

// Rule 4.13: what cannot be read of the catalogues is recorded, for Poll to alarm, and
// logged once; neither stops anybody.
func TestWhatCannotBeReadOfTheCatalogueIsRecorded(t *testing.T) {
	w, b := newWorld()
	odd := func(what string) error {
		return &failure.Error{Kind: failure.SourceInvalid, Op: "userside: read " + what, Detail: "unreadable field x", Err: errors.New("content")}
	}
	step := func(what string, saves, warnings int, change func(*world), faults ...string) {
		t.Helper()
		w.pass(time.Minute)
		w.change(change)
		_, err := b.Rules(t.Context())
		if failed := w.catalogueErr != nil; failed != (err != nil) {
			t.Errorf("%s: %v", what, err)
		}
		if !slices.Equal(w.faults, faults) || w.saves != saves || strings.Count(w.log.String(), "level=WARN") != warnings {
			t.Errorf("%s: %q after %d saves; %s", what, w.faults, w.saves, w.log.String())
		}
	}
	// Another instance may have recorded what is mended since.
	step("sound", 1, 0, func(*world) {})
	step("still sound", 1, 0, func(*world) {})
	step("two odd entries", 2, 1, func(w *world) { w.catalogue.Odd = []error{odd("state 5"), odd("task type 3")} },
		"userside: read state 5: unreadable field x", "userside: read task type 3: unreadable field x")
	step("the same", 2, 1, func(*world) {}, "userside: read state 5: unreadable field x", "userside: read task type 3: unreadable field x")
	step("none at all", 3, 2, func(w *world) { w.catalogueErr = odd("the catalogue of states") }, "userside: read the catalogue of states: unreadable field x")
	step("not reached", 3, 2, func(w *world) { w.catalogueErr = failure.New(failure.Transient, "x", "cancelled") }, "userside: read the catalogue of states: unreadable field x")
	step("mended", 4, 2, func(w *world) { w.catalogueErr, w.catalogue.Odd = nil, nil })
	step("not recorded", 5, 4, func(w *world) { w.saveErr, w.catalogue.Odd = errors.New("no database"), []error{odd("state 5")} })
	step("recorded later", 6, 5, func(w *world) { w.saveErr = nil }, "userside: read state 5: unreadable field x")
}

// The divisions' names are read only where a template shows them, as seldom as the catalogue.
func TestDivisionsAreReadOnlyForATemplate(t *testing.T) {
	w, b := newWorld()
	rules(t, b)
	if w.divisions != 0 {
		t.Fatalf("%d readings of divisions that no template shows", w.divisions)
	}
	w.change(func(w *world) { w.settings.EventTitle = `{{.Task.Division}}` })
	for range 3 {
		if r := rules(t, b); r.DivisionNames[3] != "North" {
			t.Errorf("names %v", r.DivisionNames)
		}
	}
	w.change(func(w *world) { w.settings.BackfillHours++ })
	if rules(t, b).DivisionNames[3] != "North" || w.divisions != 1 {
		t.Errorf("%d readings", w.divisions)
	}
	w.pass(time.Minute)
	if rules(t, b); w.divisions != 2 {
		t.Errorf("%d readings after a minute", w.divisions)
	}
	w.change(func(w *world) { w.divisionsErr = failure.New(failure.Source, "read", "down") })
	w.pass(time.Minute)
	// Without the names every title would be rewritten, and once more afterwards.
	if _, err := b.Rules(t.Context()); !failure.Is(err, failure.Source) {
		t.Errorf("no names: %v", err)
	}
}
