package rulebook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
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
	typesErr                            error
	catalogues, names                   int
	offset                              time.Duration // of the ERP's clock
	faults                              []string      // as they were saved last
	saves                               int
	divisions                           int
	divisionsErr                        error
	saveErr                             error
	// known is what a process stored of the catalogues, keeps how often.
	known store.KnownCatalogue
	keeps int
	log   bytes.Buffer
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

func (w *world) States(context.Context) (calendarsync.Catalogue, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.catalogues++
	states := w.catalogue
	states.Types = nil
	return states, w.catalogueErr
}

func (w *world) Types(context.Context) (map[calendarsync.TypeID]calendarsync.TaskType, []error, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.catalogue.Types, nil, w.typesErr
}

func (w *world) KnownCatalogue(context.Context) (store.KnownCatalogue, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known, nil
}

func (w *world) SaveKnownCatalogue(_ context.Context, read store.KnownCatalogue) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keeps++
	w.known = read
	return nil
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
	return w, w.book()
}

// book is another process's.
func (w *world) book() *rulebook.Source {
	return rulebook.New(w, w, w, w.clock, slog.New(slog.NewTextHandler(&w.log, nil)))
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

// Rule 4.15: what cannot be read of the catalogues is as it was read last, for a day, also in a
// process that never read it; and then nothing is known.
func TestACatalogueThatCannotBeReadIsTheEarlierOneForADay(t *testing.T) {
	broken := failure.New(failure.SourceInvalid, "userside: read it", "the answer is not keyed by id")
	for name, ask := range map[string]func(*rulebook.Source) (*calendarsync.Rules, error){
		"for its age": func(b *rulebook.Source) (*calendarsync.Rules, error) { return b.Rules(t.Context()) },
		"for a state's sake": func(b *rulebook.Source) (*calendarsync.Rules, error) {
			return b.Knowing(t.Context(), []calendarsync.StateID{9})
		},
	} {
		for _, kind := range []failure.Kind{failure.Source, failure.SourceInvalid, failure.Misconfigured} {
			for _, fresh := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, another process %v", name, kind, fresh), func(t *testing.T) {
					w, b := newWorld()
					w.settings.EventTitle = "{{.Task.Division}}"
					w.catalogue.Types = map[calendarsync.TypeID]calendarsync.TaskType{4: {ID: 4, Name: "Repair", HourOnDoing: 1.5}}
					sound := rules(t, b)
					if fresh {
						b = w.book()
					}
					broken.Kind = kind
					w.change(func(w *world) {
						w.catalogue, w.catalogueErr, w.typesErr, w.divisionsErr = calendarsync.Catalogue{}, broken, broken, broken
					})
					for _, later := range []time.Duration{time.Minute, 12 * time.Hour, 11 * time.Hour} {
						w.pass(later)
						r, err := ask(b)
						if err != nil {
							t.Fatal(err)
						}
						if !maps.Equal(r.Catalogue.States, sound.Catalogue.States) || !maps.Equal(r.Catalogue.Types, sound.Catalogue.Types) || r.DivisionNames[3] != "North" {
							t.Errorf("%+v, %v", r.Catalogue, r.DivisionNames)
						}
						if !failure.Is(r.Catalogue.StatesUnread, failure.Source) || r.Catalogue.TypesUnread != nil || r.DivisionsUnread != nil {
							t.Errorf("unread: %v, %v, %v", r.Catalogue.StatesUnread, r.Catalogue.TypesUnread, r.DivisionsUnread)
						}
					}
					w.pass(2 * time.Hour)
					if r, err := ask(b); r != nil || !failure.Is(err, kind) {
						t.Errorf("after a day: %v, %v", r, err)
					}
					w.change(func(w *world) {
						w.catalogue, w.catalogueErr, w.typesErr, w.divisionsErr = catalogue(1), nil, broken, broken
					})
					r, err := ask(b)
					if err != nil || len(r.Catalogue.States) != 1 || r.Catalogue.StatesUnread != nil {
						t.Fatalf("the states can be read again: %+v, %v", r, err)
					}
					if !failure.Is(r.Catalogue.TypesUnread, failure.Source) || !failure.Is(r.DivisionsUnread, failure.Source) {
						t.Errorf("the types and divisions of long ago: %v, %v", r.Catalogue.TypesUnread, r.DivisionsUnread)
					}
				})
			}
		}
	}
}

// Each catalogue stands by itself: where one cannot be read, the others are those of now.
func TestEachCatalogueStandsByItself(t *testing.T) {
	w, b := newWorld()
	w.catalogue.Types = map[calendarsync.TypeID]calendarsync.TaskType{4: {ID: 4}}
	rules(t, b)
	broken := failure.New(failure.SourceInvalid, "userside: read it", "")
	w.pass(time.Minute)
	w.change(func(w *world) { w.catalogue, w.typesErr = catalogue(1, 2, 3), broken })
	r := rules(t, b)
	if len(r.Catalogue.States) != 3 || r.Catalogue.StatesUnread != nil || len(r.Catalogue.Types) != 1 {
		t.Errorf("no types: %+v", r.Catalogue)
	}
	w.pass(3 * time.Minute)
	w.change(func(w *world) {
		w.catalogue.Types = map[calendarsync.TypeID]calendarsync.TaskType{4: {ID: 4}, 5: {ID: 5}}
		w.typesErr, w.catalogueErr = nil, broken
	})
	r = rules(t, b)
	if len(r.Catalogue.States) != 3 || r.Catalogue.StatesUnread == nil || len(r.Catalogue.Types) != 2 || r.Catalogue.TypesUnread != nil {
		t.Errorf("no states: %+v", r.Catalogue)
	}
}

// What cannot be read is asked for every two minutes, whatever tasks come, and what can be read
// is stored when it changed, and once an hour.
func TestAnUnreadableCatalogueIsAskedForSeldom(t *testing.T) {
	w, b := newWorld()
	rules(t, b)
	w.change(func(w *world) { w.catalogueErr = failure.New(failure.Source, "userside: read it", "") })
	for range 60 {
		w.pass(10 * time.Second)
		if _, err := b.Knowing(t.Context(), []calendarsync.StateID{77}); err != nil {
			t.Fatal(err)
		}
	}
	if w.catalogues > 7 {
		t.Errorf("%d readings in ten minutes", w.catalogues)
	}
	w.change(func(w *world) { w.catalogueErr, w.keeps = nil, 0 })
	for range 180 {
		w.pass(time.Minute)
		rules(t, b)
	}
	if w.keeps < 2 || w.keeps > 4 {
		t.Errorf("stored %d times in three hours", w.keeps)
	}
	w.change(func(w *world) { w.catalogue, w.keeps = catalogue(1, 2, 3), 0 })
	w.pass(time.Minute)
	if rules(t, b); w.keeps != 1 {
		t.Errorf("a change was stored %d times", w.keeps)
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
		w.pass(3 * time.Minute)
		w.change(change)
		_, err := b.Rules(t.Context())
		if failed := failure.Is(w.catalogueErr, failure.Transient); failed != (err != nil) {
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
}
