package settings

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// CacheFor is how long an instance uses settings without reading them again, so that
// a change is in force within a minute everywhere (functions/README.md).
const CacheFor = 30 * time.Second

// maxParsed is how many texts of settings an instance remembers as parsed: DEFAULT_SETTINGS, those in
// force and those before them, and as many again after a save.
const maxParsed = 6

// Store is the part of store.Store that keeps settings.
type Store interface {
	SavedSettings(ctx context.Context) (rec store.SettingsRecord, found bool, err error)
	ApplySettings(ctx context.Context, rec store.SettingsRecord, seen int64) error
}

// Saved are the settings in force with what the form has to know of them.
type Saved struct {
	// Settings are what an admin saved, or else DEFAULT_SETTINGS over the
	// defaults; required fields may be missing.
	Settings calendarsync.Settings
	// Missing lists the required fields that nobody set yet.
	Missing []string
	// Faults are what is wrong with the stored text; Settings are then the
	// defaults, for an admin to mend.
	Faults Faults
	// Before are the settings by which calendars were written last: Settings, where these let
	// anything be written, else those before them; nil where none ever did.
	Before *calendarsync.Settings
	// Version is 0 while nobody has saved.
	Version int64
	At      time.Time
	By      string
}

// Ready reports whether the settings are complete and sound.
func (s Saved) Ready() bool { return len(s.Missing) == 0 && len(s.Faults) == 0 }

// Source gives the settings in force. It is safe for concurrent use.
type Source struct {
	store    Store
	defaults string
	taskURL  string
	now      func() time.Time

	mu     sync.Mutex // never held during a read, so that no caller waits for another's
	kept   calendarsync.Settings
	err    error
	readAt time.Time
	// age grows with each Forget: what was being read then is not kept.
	age int
	// parsed are the stored texts as they were parsed last, by the text: templates are tried when they
	// are parsed, and polls and pages read settings anew though they seldom change.
	parsed map[string]parsing
}

// parsing is what a text of settings says, over the defaults.
type parsing struct {
	settings calendarsync.Settings
	faults   Faults
}

// NewSource makes a Source on a store. defaultsJSON is DEFAULT_SETTINGS (may be
// empty), erpURL is ERP_URL, of which the default task_url is made.
func NewSource(s Store, defaultsJSON, erpURL string, now func() time.Time) *Source {
	return &Source{store: s, defaults: defaultsJSON, taskURL: strings.TrimRight(erpURL, "/") + "/task/{id}", now: now}
}

// Settings gives the settings in force, at most 30 s old. Incomplete or faulty
// ones are a failure of kind Misconfigured that names the fields; a store that
// cannot be read is Transient.
func (s *Source) Settings(ctx context.Context) (calendarsync.Settings, error) {
	start := s.now()
	s.mu.Lock()
	if !s.readAt.IsZero() && start.Sub(s.readAt) < CacheFor && !start.Before(s.readAt) {
		defer s.mu.Unlock()
		return clone(s.kept), s.err
	}
	age := s.age
	s.mu.Unlock()
	saved, err := s.Saved(ctx)
	if err != nil {
		return calendarsync.Settings{}, err
	}
	err = ready(saved)
	got := saved.Settings
	if err != nil {
		// Nobody may act on incomplete settings by overlooking the error.
		got.Enabled, got.Confirmed = false, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// A slow read must not undo a later one.
	if start.After(s.readAt) && age == s.age {
		s.kept, s.err, s.readAt = got, err, start
	}
	return clone(got), err
}

func ready(saved Saved) error {
	const op = "read settings"
	if len(saved.Faults) > 0 {
		return &failure.Error{Kind: failure.Misconfigured, Op: op, Detail: "the settings are faulty", Err: saved.Faults}
	}
	if len(saved.Missing) > 0 {
		return failure.New(failure.Misconfigured, op, strings.Join(saved.Missing, " and ")+" must be set in the console")
	}
	return nil
}

// Saved reads the settings now, with their version.
func (s *Source) Saved(ctx context.Context) (Saved, error) {
	rec, found, err := s.store.SavedSettings(ctx)
	if err != nil {
		return Saved{}, failure.Wrap(failure.Transient, "read settings", err)
	}
	out := Saved{Version: rec.Version, At: rec.SavedAt, By: rec.SavedBy}
	var faults Faults
	out.Settings, faults = s.parse(s.defaults)
	byDefault := out.Settings
	if found {
		read, faults := s.parse(rec.JSON)
		if out.Faults = faults; len(faults) == 0 {
			out.Settings = read
		}
	} else {
		for i := range faults {
			faults[i].Problem += " (in DEFAULT_SETTINGS)"
		}
		out.Faults = faults
	}
	s.complete(&out.Settings)
	out.Missing = Missing(out.Settings)
	out.Settings.Applied = applied(rec)
	out.Before = s.before(out, rec, byDefault)
	return out, nil
}

// parse gives what a text of settings says, and parses only one that it does not remember.
func (s *Source) parse(text string) (calendarsync.Settings, Faults) {
	s.mu.Lock()
	known, found := s.parsed[text]
	s.mu.Unlock()
	if !found {
		var err error
		known.settings, err = Parse([]byte(text), calendarsync.DefaultSettings())
		known.faults, _ = FaultsOf(err)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.parsed == nil || len(s.parsed) == maxParsed {
			s.parsed = map[string]parsing{}
		}
		s.parsed[text] = known
	}
	return clone(known.settings), slices.Clone(known.faults)
}

// complete fills in what only the deployment knows.
func (s *Source) complete(set *calendarsync.Settings) {
	if set.TaskURL == "" {
		set.TaskURL = s.taskURL
	}
	if set.Colors == nil {
		set.Colors = map[string]int{}
	}
}

// before finds the settings by which calendars were written last. byDefault are those that
// were in force before the first save.
func (s *Source) before(saved Saved, rec store.SettingsRecord, byDefault calendarsync.Settings) *calendarsync.Settings {
	if saved.Ready() && saved.Settings.Acts() {
		return &saved.Settings
	}
	was := byDefault
	if rec.Acted != "" {
		read, faults := s.parse(rec.Acted)
		if len(faults) > 0 {
			return nil // of a release whose settings were others
		}
		was = read
	}
	if !was.Acts() || len(Missing(was)) > 0 {
		return nil
	}
	s.complete(&was)
	return &was
}

// carryOn adds to a plan what an earlier one named and the next settings still ask for: it may
// not have gone yet.
func carryOn(inForce, next calendarsync.Settings, plan *store.SettingsPlan) *store.SettingsPlan {
	earlier := inForce.Applied
	if earlier == nil {
		return plan
	}
	out := store.SettingsPlan{}
	if plan != nil {
		out = *plan
	}
	if len(out.Employees)+len(out.States) == 0 && !out.Divisions {
		out.At = earlier.At
	}
	add := func(to *[]int64, more []int64) {
		*to = append(slices.Clone(*to), more...)
		slices.Sort(*to)
		*to = slices.Compact(*to)
	}
	if inForce.BindingField == next.BindingField {
		add(&out.Employees, calendarsync.IDs[int64](earlier.Employees))
	}
	if !slices.ContainsFunc(next.ShownRoles, func(r calendarsync.RoleID) bool { return !slices.Contains(inForce.ShownRoles, r) }) {
		add(&out.States, calendarsync.IDs[int64](earlier.States))
	}
	out.Divisions = out.Divisions || earlier.Divisions && !next.IncludeDepartments
	return &out
}

// applied is what the plan of a record said of what goes.
func applied(rec store.SettingsRecord) *calendarsync.Applied {
	if rec.Plan == nil {
		return nil
	}
	return &calendarsync.Applied{At: rec.Plan.At, Employees: calendarsync.IDs[calendarsync.EmployeeID](rec.Plan.Employees),
		States: calendarsync.IDs[calendarsync.StateID](rec.Plan.States), Divisions: rec.Plan.Divisions}
}

// Save is Apply without a plan, for settings that change nothing that exists.
func (s *Source) Save(ctx context.Context, next calendarsync.Settings, by string, version int64) error {
	return s.Apply(ctx, next, by, version, nil)
}

// Apply checks and stores settings on top of the version the admin saw, with the plan that
// they saw; nil for none. Faults are Faults; store.ErrStale means that somebody else saved
// first. by is the admin.
func (s *Source) Apply(ctx context.Context, next calendarsync.Settings, by string, version int64, plan *store.SettingsPlan) error {
	if faults := Check(next); len(faults) > 0 {
		return faults
	}
	data, err := Encode(next)
	if err != nil {
		return err
	}
	saved, err := s.Saved(ctx)
	if err != nil {
		return err
	}
	rec := store.SettingsRecord{JSON: string(data), SavedBy: by, Plan: carryOn(saved.Settings, next, plan)}
	if !next.Acts() && saved.Before != nil {
		acted, err := Encode(*saved.Before)
		if err != nil {
			return err
		}
		rec.Acted = string(acted)
	}
	if err := s.store.ApplySettings(ctx, rec, version); err != nil {
		return fmt.Errorf("save settings: %w", err)
	}
	s.Forget() // this instance uses them at once
	return nil
}

// Forget drops the cache, so that the next Settings reads anew: for a worker that
// hears of a change before its copy expires.
func (s *Source) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readAt = time.Time{}
	s.age++
}
