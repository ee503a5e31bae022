package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// Written says whose ERP the mark of a calendar names.
type Written string

// The addresses that may have written a calendar (rule 3.12).
const (
	WrittenHere      Written = "here"      // this ERP's
	WrittenElsewhere Written = "elsewhere" // another one's
	WrittenUnknown   Written = "unknown"   // the mark is from before it named one
)

// FoundCalendar is a marked calendar of the account that no record names.
type FoundCalendar struct {
	ID       string  `firestore:"id" json:"id"`
	Tenant   string  `firestore:"tenant" json:"tenant"`
	Employee int64   `firestore:"employee" json:"employee"`
	Name     string  `firestore:"name,omitempty" json:"name,omitempty"`
	Written  Written `firestore:"written" json:"written"`
}

// FoundRecord is what the account's list showed while no tenant was known: an admin has
// to say whose these calendars are (rule 3.13).
type FoundRecord struct {
	// Account is the id of the account that was looked through, LookedAt when.
	Account  string    `firestore:"account" json:"account"`
	LookedAt time.Time `firestore:"looked_at" json:"looked_at"`
	// Hash names exactly this list. Calendars are ordered by tenant, employee and id.
	Hash      string          `firestore:"hash" json:"hash"`
	Calendars []FoundCalendar `firestore:"calendars" json:"calendars"`
	// Dead counts the rows of the list whose calendars do not answer: they are none. DeadRows
	// are their ids.
	Dead     int      `firestore:"dead,omitempty" json:"dead,omitempty"`
	DeadRows []string `firestore:"dead_rows,omitempty" json:"dead_rows,omitempty"`
	// Blank are the ids of calendars that answer and of whose description nothing came back,
	// in a list without any mark: they may be the product's (rule 3.14).
	Blank []string `firestore:"blank,omitempty" json:"blank,omitempty"`
}

// There is how many calendars an admin has to decide about that are there, as a look has shown:
// rows of the list that do not answer are none.
func (f FoundRecord) There() int { return len(f.Calendars) + len(f.Blank) }

// Names reports whether a calendar is among those that were found marked.
func (f FoundRecord) Names(id string) bool {
	return slices.ContainsFunc(f.Calendars, func(c FoundCalendar) bool { return c.ID == id })
}

func foundRef() Ref { return Ref{Installation, "found"} }

// order puts the calendars in their order and names the list.
func (f *FoundRecord) order() {
	f.Calendars = slices.Clone(f.Calendars)
	slices.SortFunc(f.Calendars, func(a, b FoundCalendar) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Employee, b.Employee), cmp.Compare(a.ID, b.ID))
	})
	sum := sha256.New()
	for _, c := range f.Calendars {
		_, _ = fmt.Fprintf(sum, "%q %q %d\n", c.ID, c.Tenant, c.Employee) // a hash takes everything
	}
	slices.Sort(f.Blank)
	for _, id := range f.Blank {
		_, _ = fmt.Fprintf(sum, "%q\n", id)
	}
	f.Hash = hex.EncodeToString(sum.Sum(nil)[:8])
}

// Undecided reports whether an admin has to say whose the calendars are that were found.
func (in InstallationRecord) Undecided() bool { return !in.TakeoverAsked.IsZero() }

// Found reads what was found, and since when an admin has to decide about it; found is
// false where there is nothing to decide.
func (s *Store) Found(ctx context.Context) (rec FoundRecord, asked time.Time, found bool, err error) {
	in, err := s.Installation(ctx)
	if err != nil || !in.Undecided() {
		return FoundRecord{}, time.Time{}, false, err
	}
	rec, found, err = get[FoundRecord](ctx, s, "read what was found", foundRef())
	return rec, in.TakeoverAsked, found, err
}

// TakingOver reads the list on which an admin decided to take calendars over.
func (s *Store) TakingOver(ctx context.Context) (FoundRecord, error) {
	rec, _, err := get[FoundRecord](ctx, s, "read what is taken over", foundRef())
	return rec, err
}

// AskTakeover records what was found, for an admin to decide about. Once a tenant is
// known or decided about it changes nothing, and undecided is false.
func (s *Store) AskTakeover(ctx context.Context, f FoundRecord) (undecided bool, err error) {
	f.order()
	err = s.changeFound(ctx, "record what was found", func(tx Tx, in *InstallationRecord, _ *FoundRecord) error {
		undecided = in.Tenant == "" && in.TakingOver == ""
		if !undecided {
			return nil
		}
		if in.TakeoverAsked.IsZero() {
			in.TakeoverAsked = tx.Now()
			if err := tx.Set(installationRef(), in); err != nil {
				return err
			}
		}
		f.LookedAt = tx.Now()
		return tx.Set(foundRef(), &f)
	})
	return undecided && err == nil, err
}

// TakeOver has the calendars of a tenant taken over that an admin saw in the list named
// by hash. It takes effect with the next pass, or full run. ErrStale means that the list
// is another by now, or that it is decided already.
func (s *Store) TakeOver(ctx context.Context, hash, tenant string) error {
	return s.decideFound(ctx, "have calendars taken over", hash, tenant, func(in *InstallationRecord, f *FoundRecord) bool {
		in.TakingOver = tenant
		return slices.ContainsFunc(f.Calendars, func(c FoundCalendar) bool { return c.Tenant == tenant })
	})
}

// StartAfresh gives the installation a tenant of its own: what an admin saw in the list
// named by hash is never touched. Its errors are those of TakeOver.
func (s *Store) StartAfresh(ctx context.Context, hash, tenant string) error {
	return s.decideFound(ctx, "start afresh", hash, tenant, func(in *InstallationRecord, f *FoundRecord) bool {
		in.Tenant = tenant
		return !slices.ContainsFunc(f.Calendars, func(c FoundCalendar) bool { return c.Tenant == tenant })
	})
}

// decideFound makes a decision about the list named by hash, if decide finds it possible.
func (s *Store) decideFound(ctx context.Context, doing, hash, tenant string, decide func(in *InstallationRecord, f *FoundRecord) bool) error {
	return s.changeFound(ctx, doing, func(tx Tx, in *InstallationRecord, f *FoundRecord) error {
		if in.Tenant == tenant || in.TakingOver == tenant {
			return nil // decided so already: the answer to the commit was lost
		}
		if !in.Undecided() || f.Hash != hash || !decide(in, f) {
			return ErrStale
		}
		in.TakeoverAsked = time.Time{}
		if in.TakingOver != "" {
			in.TakingOverSince = tx.Now()
		}
		return tx.Set(installationRef(), in)
	})
}

func (s *Store) changeFound(ctx context.Context, doing string, f func(tx Tx, in *InstallationRecord, found *FoundRecord) error) error {
	return s.transact(ctx, doing, func(tx Tx) error {
		var in InstallationRecord
		if _, err := tx.Get(installationRef(), &in); err != nil {
			return err
		}
		var found FoundRecord
		if _, err := tx.Get(foundRef(), &found); err != nil {
			return err
		}
		return f(tx, &in, &found)
	})
}
