package store

import (
	"context"
	"maps"
	"time"
)

// InstallationRecord is the one document that names the tenant and its account.
type InstallationRecord struct {
	// Tenant is the UUID in every mark (rule 3.1); empty until the first
	// calendar list after a connection has shown whether marks exist already.
	Tenant  string `firestore:"tenant,omitempty" json:"tenant,omitempty"`
	Account string `firestore:"account,omitempty" json:"account,omitempty"`
	// TakeoverAsked is since when an admin has to say whose the calendars are that were
	// found while no tenant was known; zero for nothing to decide. TakingOver is the tenant
	// whose calendars they had taken over, until these are taken in (rule 3.13).
	// TakingOverSince is since when.
	TakeoverAsked   time.Time `firestore:"takeover_asked,omitempty" json:"takeover_asked,omitzero"`
	TakingOver      string    `firestore:"taking_over,omitempty" json:"taking_over,omitempty"`
	TakingOverSince time.Time `firestore:"taking_over_since,omitempty" json:"taking_over_since,omitzero"`
	// Purge is the latest purge. It stands here because every pass over an employee
	// reads this record, always as it is now.
	Purge *PurgeRecord `firestore:"purge,omitempty" json:"purge,omitempty"`
	// GoogleZones are the names by which Google takes zones that it does not take by
	// their own (rule 2.9).
	GoogleZones map[string]string `firestore:"google_zones,omitempty" json:"google_zones,omitempty"`
	// Unreadable is a calendar's mark that Google did not give back, UnreadableEvent an
	// event's; nil for none.
	Unreadable      *UnreadableMark `firestore:"unreadable,omitempty" json:"unreadable,omitempty"`
	UnreadableEvent *UnreadableMark `firestore:"unreadable_event,omitempty" json:"unreadable_event,omitempty"`
}

func installationRef() Ref { return Ref{Installation, "current"} }

// Installation reads the installation's record; missing is the zero value.
func (s *Store) Installation(ctx context.Context) (InstallationRecord, error) {
	in, _, err := get[InstallationRecord](ctx, s, "read the installation", installationRef())
	return in, err
}

// SetTenant fixes the tenant if none is set yet and gives the one in force: "" while an
// admin has to decide about what was found, or has decided for another (rule 3.13).
func (s *Store) SetTenant(ctx context.Context, tenant string) (inForce string, err error) {
	err = change(ctx, s, "fix the tenant", installationRef(), func(in *InstallationRecord, _ bool, _ time.Time) effect {
		if inForce = in.Tenant; inForce != "" || in.Undecided() || in.TakingOver != "" && in.TakingOver != tenant {
			return nothing
		}
		in.Tenant, inForce = tenant, tenant
		in.TakingOver, in.TakingOverSince = "", time.Time{}
		return set
	})
	if err != nil {
		return "", err
	}
	return inForce, nil
}

// GoogleZone gives the name by which Google takes a zone; "" for the zone's own.
func (s *Store) GoogleZone(ctx context.Context, zone string) (string, error) {
	in, err := s.Installation(ctx)
	return in.GoogleZones[zone], err
}

// SetGoogleZone remembers the name by which Google takes a zone.
func (s *Store) SetGoogleZone(ctx context.Context, zone, name string) error {
	return change(ctx, s, "remember the name of a zone", installationRef(), func(in *InstallationRecord, _ bool, _ time.Time) effect {
		if in.GoogleZones[zone] == name {
			return nothing
		}
		names := maps.Clone(in.GoogleZones)
		if names == nil {
			names = map[string]string{}
		}
		names[zone] = name
		in.GoogleZones = names
		return set
	})
}

// UnreadableMark names a thing whose mark did not come back from Google. While there is
// one, no calendar is made, nor, where it is an event, an event (rule 3.14). nil is none.
type UnreadableMark struct {
	Since    time.Time `firestore:"since" json:"since"`
	Employee int64     `firestore:"employee" json:"employee"`
	Calendar string    `firestore:"calendar" json:"calendar"`
	// Event is "" where it is the calendar's own mark.
	Event string `firestore:"event,omitempty" json:"event,omitempty"`
}

// unreadableEventFor is how long an event whose mark is lost stops others: nothing
// writes it again to see whether the mark comes back, so another is tried then.
const unreadableEventFor = 24 * time.Hour

// Stops reports whether no calendar may be made at a time. nil stops nothing.
func (u *UnreadableMark) Stops(now time.Time) bool {
	return u != nil && (u.Event == "" || now.Before(u.Since.Add(unreadableEventFor)))
}

// unreadable is what is noted of calendars, or of events.
func (in *InstallationRecord) unreadable(u UnreadableMark) **UnreadableMark {
	if u.Event == "" {
		return &in.Unreadable
	}
	return &in.UnreadableEvent
}

// NoteUnreadable notes that the mark of a calendar or event did not come back. What was
// noted before of another calendar or event stays, unless it stops nothing any more.
func (s *Store) NoteUnreadable(ctx context.Context, u UnreadableMark) error {
	return change(ctx, s, "note that a mark cannot be read", installationRef(), func(in *InstallationRecord, _ bool, now time.Time) effect {
		noted := in.unreadable(u)
		if (*noted).Stops(now) {
			return nothing
		}
		u.Since = now
		*noted = &u
		return set
	})
}

// NoteReadable takes back what was noted of a calendar or event: its mark has come back,
// or it is not there any more.
func (s *Store) NoteReadable(ctx context.Context, u UnreadableMark) error {
	return change(ctx, s, "note that a mark can be read", installationRef(), func(in *InstallationRecord, _ bool, _ time.Time) effect {
		noted := in.unreadable(u)
		if *noted == nil || (*noted).Calendar != u.Calendar || (*noted).Event != u.Event {
			return nothing
		}
		*noted = nil
		return set
	})
}
