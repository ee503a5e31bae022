package store

import (
	"context"
	"time"
)

// SettingsRecord holds the settings an admin saved, as JSON text.
type SettingsRecord struct {
	JSON    string    `firestore:"json" json:"json"`
	SavedAt time.Time `firestore:"saved_at" json:"saved_at"`
	SavedBy string    `firestore:"saved_by,omitempty" json:"saved_by,omitempty"`
	Version int64     `firestore:"version" json:"version"`
}

func settingsRef() Ref { return Ref{Settings, "current"} }

// SavedSettings reads the saved settings; found is false before the first save.
func (s *Store) SavedSettings(ctx context.Context) (rec SettingsRecord, found bool, err error) {
	return get[SettingsRecord](ctx, s, "read settings", settingsRef())
}

// SaveSettings stores settings on top of the version the admin saw (0: none yet);
// ErrStale if that is not the latest. Saved again by the same admin they stay.
func (s *Store) SaveSettings(ctx context.Context, json, by string, seen int64) error {
	return s.transact(ctx, "save settings", func(tx Tx) error {
		var rec SettingsRecord
		if _, err := tx.Get(settingsRef(), &rec); err != nil {
			return err
		}
		if rec.Version == seen+1 && rec.JSON == json && rec.SavedBy == by {
			return nil // saved already: the answer to the commit was lost
		}
		if rec.Version != seen {
			return ErrStale
		}
		return tx.Set(settingsRef(), &SettingsRecord{JSON: json, SavedAt: tx.Now(), SavedBy: by, Version: seen + 1})
	})
}
