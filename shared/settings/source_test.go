package settings_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
)

const good = `{"time_zone":"Europe/Kyiv","shown_roles":[1,2]}`

type clock struct{ now time.Time }

func newStore(t *testing.T) (*store.Store, *clock) {
	t.Helper()
	c := &clock{time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	b, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), func() time.Time { return c.now }, bolt.NoSync())
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(b)
	t.Cleanup(func() { _ = s.Close() })
	return s, c
}

func source(s settings.Store, c *clock, defaults string) *settings.Source {
	return settings.NewSource(s, defaults, "https://erp.example/", func() time.Time { return c.now })
}

func TestSourceTakesTheDefaultsUntilAnAdminSaves(t *testing.T) {
	s, c := newStore(t)
	src := source(s, c, good)
	got, err := src.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.TimeZone != "Europe/Kyiv" || got.TaskURL != "https://erp.example/task/{id}" || !got.Enabled || got.Confirmed {
		t.Errorf("got %+v", got)
	}
	got.TimeZone, got.Confirmed = "Europe/Warsaw", true
	if err := src.Save(t.Context(), got, "olena@example.com", 0); err != nil {
		t.Fatal(err)
	}
	if now, err := src.Settings(t.Context()); err != nil || now.TimeZone != "Europe/Warsaw" || !now.Confirmed {
		t.Errorf("after saving: %+v, %v", now, err)
	}
	saved, err := src.Saved(t.Context())
	if err != nil || saved.Version != 1 || saved.By != "olena@example.com" || !saved.At.Equal(c.now) || !saved.Ready() {
		t.Errorf("saved: %+v, %v", saved, err)
	}
}

func TestAChangeIsInForceEverywhereWithinAMinute(t *testing.T) {
	s, c := newStore(t)
	here, there := source(s, c, good), source(s, c, good)
	before, err := there.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := before
	next.TimeZone = "UTC"
	if err := here.Save(t.Context(), next, "a", 0); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(time.Minute)
	if got, err := there.Settings(t.Context()); err != nil || got.TimeZone != "UTC" {
		t.Errorf("another instance has %q, %v", got.TimeZone, err)
	}
}

// counting tells how often the store was read.
type counting struct {
	settings.Store
	reads int
	err   error
}

func (s *counting) SavedSettings(ctx context.Context) (store.SettingsRecord, bool, error) {
	s.reads++
	if s.err != nil {
		return store.SettingsRecord{}, false, s.err
	}
	return s.Store.SavedSettings(ctx)
}

func TestSourceReadsSeldom(t *testing.T) {
	s, c := newStore(t)
	counted := &counting{Store: s}
	src := source(counted, c, good)
	for range 100 {
		if _, err := src.Settings(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.now = c.now.Add(time.Second / 4)
	}
	if counted.reads != 1 {
		t.Errorf("%d reads in 25 seconds", counted.reads)
	}
}

func TestSourceGivesCopies(t *testing.T) {
	s, c := newStore(t)
	src := source(s, c, good)
	first, err := src.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first.Colors["1"], first.ShownRoles[0] = 3, 99
	if again, err := src.Settings(t.Context()); err != nil || len(again.Colors) != 0 || again.ShownRoles[0] != 1 {
		t.Errorf("a caller changed the settings of all: %+v, %v", again, err)
	}
	saved, err := src.Saved(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	saved.Settings.Colors["1"], saved.Settings.ShownRoles[0] = 3, 99
	if again, err := src.Saved(t.Context()); err != nil || len(again.Settings.Colors) != 0 || again.Settings.ShownRoles[0] != 1 {
		t.Errorf("a reader changed what others read: %+v, %v", again, err)
	}
}

// What is remembered of a text is what it said, however often it is read.
func TestFaultsAreTheSameAtEachReading(t *testing.T) {
	s, c := newStore(t)
	src := source(s, c, `{"language":"xx"}`)
	first, err := src.Saved(t.Context())
	if err != nil || len(first.Faults) == 0 {
		t.Fatalf("%+v, %v", first, err)
	}
	said := first.Faults.Error()
	if again, err := src.Saved(t.Context()); err != nil || again.Faults.Error() != said {
		t.Errorf("read again: %v, %v; first %s", again.Faults, err, said)
	}
	if err := s.SaveSettings(t.Context(), good, "a", 0); err != nil {
		t.Fatal(err)
	}
	if now, err := src.Saved(t.Context()); err != nil || !now.Ready() {
		t.Errorf("after a save: %+v, %v", now, err)
	}
}

func TestSourceNamesWhatIsMissingOrWrong(t *testing.T) {
	for _, row := range []struct {
		name, defaults, saved, says string
	}{
		{"nothing set", "", "", "time_zone and shown_roles"},
		{"no roles", `{"time_zone":"UTC"}`, "", "shown_roles"},
		{"faulty defaults", `{"time_zone":"UTC","shown_roles":[1],"language":"xx"}`, "", "language"},
		{"faulty saved text", good, `{"time_zone":"Gone/Zone","shown_roles":[1]}`, "time_zone"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, c := newStore(t)
			if row.saved != "" {
				if err := s.SaveSettings(t.Context(), row.saved, "a", 0); err != nil {
					t.Fatal(err)
				}
			}
			src := source(s, c, row.defaults)
			for _, when := range []string{"first", "cached"} {
				got, err := src.Settings(t.Context())
				if !failure.Is(err, failure.Misconfigured) || !strings.Contains(err.Error(), row.says) {
					t.Errorf("%s: got %v, want %q", when, err, row.says)
				}
				if got.Enabled || got.Confirmed {
					t.Errorf("%s: incomplete settings would act", when)
				}
			}
		})
	}
}

func TestFaultyDefaultsDoNotMatterOnceSaved(t *testing.T) {
	s, c := newStore(t)
	if err := s.SaveSettings(t.Context(), good, "a", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := source(s, c, `{"language":"xx"}`).Settings(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSourceTellsOfASilentStore(t *testing.T) {
	s, c := newStore(t)
	broken := &counting{Store: s, err: errors.New("down")}
	src := source(broken, c, good)
	if _, err := src.Settings(t.Context()); !failure.Is(err, failure.Transient) {
		t.Errorf("got %v", err)
	}
	broken.err = nil
	if _, err := src.Settings(t.Context()); err != nil {
		t.Errorf("the failure was kept: %v", err)
	}
}

func TestSaveRefuses(t *testing.T) {
	s, c := newStore(t)
	src := source(s, c, good)
	ok, err := src.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bad := ok
	bad.TimeZone, bad.ShownRoles = "", nil
	faults, isFaults := settings.FaultsOf(src.Save(t.Context(), bad, "a", 0))
	if !isFaults || len(faults) != 2 {
		t.Errorf("incomplete settings: %v", faults)
	}
	if err := src.Save(t.Context(), ok, "a", 0); err != nil {
		t.Fatal(err)
	}
	other := ok
	other.Language = "uk"
	if err := src.Save(t.Context(), other, "b", 0); !errors.Is(err, store.ErrStale) {
		t.Errorf("a save over somebody else's: %v", err)
	}
	if saved, err := src.Saved(t.Context()); err != nil || saved.Settings.Language != "en" || saved.By != "a" {
		t.Errorf("saved are now %+v, %v", saved, err)
	}
}

func TestSourceServesManyAtOnce(t *testing.T) {
	s, c := newStore(t)
	src := source(s, c, good)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				got, err := src.Settings(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				got.Language, got.Colors["1"] = "uk", i+1
				// One of them wins; the others are told.
				if err := src.Save(t.Context(), got, "a", 0); err != nil && !errors.Is(err, store.ErrStale) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if saved, err := src.Saved(t.Context()); err != nil || saved.Version != 1 || saved.Settings.Language != "uk" {
		t.Errorf("saved %+v, %v", saved, err)
	}
}
