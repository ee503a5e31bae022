package store

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// SettingsRecord holds the settings an admin saved, as JSON text.
type SettingsRecord struct {
	JSON    string    `firestore:"json" json:"json"`
	SavedAt time.Time `firestore:"saved_at" json:"saved_at"`
	SavedBy string    `firestore:"saved_by,omitempty" json:"saved_by,omitempty"`
	Version int64     `firestore:"version" json:"version"`
	// Acted is the JSON text of the settings by which calendars were written last, where these
	// let nothing be written.
	Acted string `firestore:"acted,omitempty" json:"acted,omitempty"`
	// Plan is what the admin had seen of the consequences (rule 4.14); nil where nobody was
	// shown any.
	Plan *SettingsPlan `firestore:"plan,omitempty" json:"plan,omitempty"`
}

// SettingsPlan is what an admin saw before applying settings: the keys that the delete guard
// lets go, and the counts for the history.
type SettingsPlan struct {
	// At is when it was applied.
	At        time.Time `firestore:"at" json:"at"`
	Employees []int64   `firestore:"employees,omitempty" json:"employees,omitempty"`
	States    []int64   `firestore:"states,omitempty" json:"states,omitempty"`
	Divisions bool      `firestore:"divisions,omitempty" json:"divisions,omitempty"`

	Made      int `firestore:"made,omitempty" json:"made,omitempty"`
	Deleted   int `firestore:"deleted,omitempty" json:"deleted,omitempty"`
	Events    int `firestore:"events,omitempty" json:"events,omitempty"`
	Renamed   int `firestore:"renamed,omitempty" json:"renamed,omitempty"`
	Rewritten int `firestore:"rewritten,omitempty" json:"rewritten,omitempty"`
}

// SettingsCount is the count, under way or done, of what settings concern that are not saved: a
// page that shows their plan counts on each time it is looked at. Each admin has one at a time:
// of two who count at once neither is shown what the other proposed.
type SettingsCount struct {
	// For are the settings as JSON text, and Version what was saved when they were proposed.
	For     string `firestore:"for" json:"for"`
	Version int64  `firestore:"version" json:"version"`
	// Plan is the hash of the plan that it is for.
	Plan string `firestore:"plan" json:"plan"`
	// Progress is the counting page's own: JSON text.
	Progress string    `firestore:"progress" json:"progress"`
	At       time.Time `firestore:"at" json:"at"`
}

func settingsCountRef(by string) Ref { return Ref{Settings, "count-" + by} }

// SettingsCount reads the count of an admin, given by their sub's hash; found is false where they
// counted nothing yet.
func (s *Store) SettingsCount(ctx context.Context, by string) (rec SettingsCount, found bool, err error) {
	return get[SettingsCount](ctx, s, "read the count for a plan", settingsCountRef(by))
}

// SaveSettingsCount replaces an admin's count, dated by the database's clock.
func (s *Store) SaveSettingsCount(ctx context.Context, by string, rec SettingsCount) error {
	return change(ctx, s, "save the count for a plan", settingsCountRef(by), func(stored *SettingsCount, _ bool, now time.Time) effect {
		*stored = rec
		stored.At = now
		return set
	})
}

func settingsRef() Ref { return Ref{Settings, "current"} }

// settingsVersionRef is where a version is kept for the history; the names sort by version.
func settingsVersionRef(version int64) Ref {
	return Ref{SettingsHistory, fmt.Sprintf("%012d", version)}
}

// SavedSettings reads the saved settings; found is false before the first save.
func (s *Store) SavedSettings(ctx context.Context) (rec SettingsRecord, found bool, err error) {
	return get[SettingsRecord](ctx, s, "read settings", settingsRef())
}

// SaveSettings stores settings without a plan; see ApplySettings.
func (s *Store) SaveSettings(ctx context.Context, json, by string, seen int64) error {
	return s.ApplySettings(ctx, SettingsRecord{JSON: json, SavedBy: by}, seen)
}

// ApplySettings stores settings on top of the version the admin saw (0: none yet), and in the
// history; ErrStale if that is not the latest. Saved again by the same admin they stay. Time
// and version of rec are set here.
func (s *Store) ApplySettings(ctx context.Context, rec SettingsRecord, seen int64) error {
	return s.transact(ctx, "save settings", func(tx Tx) error {
		var have SettingsRecord
		if _, err := tx.Get(settingsRef(), &have); err != nil {
			return err
		}
		if have.Version == seen+1 && have.JSON == rec.JSON && have.SavedBy == rec.SavedBy {
			return nil // saved already: the answer to the commit was lost
		}
		if have.Version != seen {
			return ErrStale
		}
		rec.SavedAt, rec.Version = tx.Now(), seen+1
		if rec.Plan != nil && rec.Plan.At.IsZero() {
			plan := *rec.Plan
			plan.At, rec.Plan = rec.SavedAt, &plan
		}
		return putSettings(tx, rec)
	})
}

// putSettings writes settings as those in force, and into the history.
func putSettings(tx Tx, rec SettingsRecord) error {
	if err := tx.Set(settingsRef(), &rec); err != nil {
		return err
	}
	return tx.Set(settingsVersionRef(rec.Version), &rec)
}

// SettingsHistory lists saved settings, the latest version first: those before a version (0:
// the latest of all), at most limit. Versions of before there was a history are missing.
func (s *Store) SettingsHistory(ctx context.Context, before int64, limit int) ([]SettingsRecord, error) {
	latest, found, err := s.SavedSettings(ctx)
	if err != nil || !found {
		return nil, err
	}
	if before <= 0 || before > latest.Version+1 {
		before = latest.Version + 1
	}
	from := max(0, before-1-int64(limit))
	recs, err := query[SettingsRecord](ctx, s, "list earlier settings", Query{Collection: SettingsHistory, Op: Every, After: settingsVersionRef(from).ID, Limit: limit})
	if err != nil {
		return nil, err
	}
	recs = slices.DeleteFunc(recs, func(r SettingsRecord) bool { return r.Version >= before })
	slices.Reverse(recs)
	return recs, nil
}

// SettingsVersion reads one version of the history.
func (s *Store) SettingsVersion(ctx context.Context, version int64) (rec SettingsRecord, found bool, err error) {
	return get[SettingsRecord](ctx, s, fmt.Sprintf("read version %d of the settings", version), settingsVersionRef(version))
}
