package settings

import (
	"context"
	"fmt"
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

// Store is the part of store.Store that keeps settings.
type Store interface {
	SavedSettings(ctx context.Context) (rec store.SettingsRecord, found bool, err error)
	SaveSettings(ctx context.Context, json, by string, seen int64) error
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
	defaults []byte
	taskURL  string
	now      func() time.Time

	mu     sync.Mutex // never held during a read, so that no caller waits for another's
	kept   calendarsync.Settings
	err    error
	readAt time.Time
	// age grows with each Forget: what was being read then is not kept.
	age int
}

// NewSource makes a Source on a store. defaultsJSON is DEFAULT_SETTINGS (may be
// empty), erpURL is ERP_URL, of which the default task_url is made.
func NewSource(s Store, defaultsJSON, erpURL string, now func() time.Time) *Source {
	return &Source{store: s, defaults: []byte(defaultsJSON), taskURL: strings.TrimRight(erpURL, "/") + "/task/{id}", now: now}
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
	base := calendarsync.DefaultSettings()
	out.Settings, err = Parse(s.defaults, base)
	if faults, ok := FaultsOf(err); ok && !found {
		for i := range faults {
			faults[i].Problem += " (in DEFAULT_SETTINGS)"
		}
		out.Faults = faults
	}
	if found {
		read, err := Parse([]byte(rec.JSON), base)
		if faults, ok := FaultsOf(err); ok {
			out.Faults = faults
		} else {
			out.Settings = read
		}
	}
	if out.Settings.TaskURL == "" {
		out.Settings.TaskURL = s.taskURL
	}
	if out.Settings.Colors == nil {
		out.Settings.Colors = map[string]int{}
	}
	out.Missing = Missing(out.Settings)
	return out, nil
}

// Save checks and stores settings on top of the version the admin saw. Faults are
// Faults; store.ErrStale means that somebody else saved first. by is the admin.
func (s *Source) Save(ctx context.Context, next calendarsync.Settings, by string, version int64) error {
	if faults := Check(next); len(faults) > 0 {
		return faults
	}
	data, err := Encode(next)
	if err != nil {
		return err
	}
	if err := s.store.SaveSettings(ctx, string(data), by, version); err != nil {
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
