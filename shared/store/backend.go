package store

import (
	"context"
	"errors"
	"time"
)

// Collection names one kind of document. The names are Firestore's collection
// ids and bolt's buckets.
type Collection string

// The collections; terraform/ declares their indexes and TTL fields.
const (
	Settings        Collection = "settings"
	SettingsHistory Collection = "settings_history"
	Installation    Collection = "installation"
	Accounts        Collection = "accounts"
	Employees       Collection = "employees"
	Tasks           Collection = "tasks"
	SignIns         Collection = "sign_ins"
	Tickets         Collection = "tickets"
	Admins          Collection = "admins"
	Sessions        Collection = "sessions"
	DeadLetters     Collection = "dead_letters"
	Activity        Collection = "activity"
	Days            Collection = "days"
	Polls           Collection = "polls"
	Runs            Collection = "runs"
	RunParts        Collection = "run_parts"
	Budgets         Collection = "budgets"
	Creations       Collection = "creations"
	Guards          Collection = "guards"
)

// Ref addresses one document.
type Ref struct {
	Collection Collection
	ID         string
}

// IndexedFields lists the fields of a collection that a Query may name: times, strings,
// int64s and arrays of int64. An embedded backend keeps an index of them; Firestore
// indexes single fields by itself.
func IndexedFields(c Collection) []string {
	switch c {
	case Employees:
		return []string{"due_at", "pending_since", "divisions", "state", "reason", "failed", "held", "kept_for", "seen_at", "unreadable_since", "card_since", "error_since", "held_since"}
	case Tasks:
		return []string{"due_at", "pending_since", "employees", "failed", "failed_since", "held", "held_since", "inserted_at", "unreadable_since", "announced_at"}
	case Activity:
		return []string{"at", "of_task", "of_employee"}
	case Days:
		return []string{"day"}
	case DeadLetters:
		return []string{"at"}
	case Runs:
		return []string{"started", "ended"}
	case RunParts:
		return []string{"run"}
	case SignIns, Tickets, Sessions:
		return []string{"expires_at"}
	}
	return nil
}

// Indexed lists them for each collection that has any.
func Indexed() map[Collection][]string {
	all := map[Collection][]string{}
	for _, c := range []Collection{Employees, Tasks, Activity, Days, DeadLetters, Runs, RunParts, SignIns, Tickets, Sessions} {
		all[c] = IndexedFields(c)
	}
	return all
}

// Op is how a Query compares its field.
type Op int

const (
	// Every takes all documents of the collection, in ascending order of id.
	Every Op = iota
	// Equal takes documents whose field equals Value.
	Equal
	// AtMost takes documents that have the field, with field <= Value, ascending.
	AtMost
	// AtLeast takes documents that have the field, with field >= Value, ascending.
	AtLeast
	// Exists takes documents that have the field, ordered by it.
	Exists
	// ContainsAny takes documents whose array field holds at least one of Value
	// ([]int64, at most 30 of them: Firestore's limit).
	ContainsAny
)

// Query selects documents of one collection by at most one indexed field.
// Documents that lack the field are never selected by it.
type Query struct {
	Collection Collection
	Field      string
	Op         Op
	Value      any // time.Time, string, int64 or []int64
	// Below, with AtLeast, leaves out documents from this value on; nil bounds nothing.
	Below      any
	Descending bool
	// After continues behind this id; only with Every.
	After string
	// Limit is the most documents to give; 0 means all.
	Limit int
}

// Document is one result of a Query.
type Document struct {
	ID     string
	Decode func(into any) error
}

// ErrContention means that a transaction could not be committed because of
// others, after the backend's own retries. It is transient.
var ErrContention = errors.New("store: too much contention")

// Backend is a database of documents with serializable transactions. It knows
// nothing of the product; Store does. Documents are structs whose fields carry
// the same name in their `firestore` and `json` tags; times are kept in UTC at
// microsecond precision (Firestore's).
type Backend interface {
	// Transact runs f with serializable isolation and commits what it wrote, or
	// nothing at all if f fails. f may be run several times and must have no
	// effect but through tx. After an error the outcome may be unknown
	// (committed, but the answer was lost): callers must be able to look again.
	Transact(ctx context.Context, f func(tx Tx) error) error
	// Get reads one document outside a transaction, strongly consistent.
	Get(ctx context.Context, ref Ref, into any) (found bool, err error)
	// Query gives the selected documents, strongly consistent.
	Query(ctx context.Context, q Query) ([]Document, error)
	// Count gives how many documents a query would give, without reading them: in
	// Firestore a thousand cost what one read costs. Strongly consistent.
	Count(ctx context.Context, q Query) (int, error)
	// Now is the database's clock (for Firestore the read time of a read).
	Now(ctx context.Context) (time.Time, error)
	Close() error
}

// Tx is a transaction under way. All reads come before the first write
// (Firestore's rule; every backend enforces it).
type Tx interface {
	// Get reads a document into a pointer to a struct; found is false and the
	// struct untouched if there is none.
	Get(ref Ref, into any) (found bool, err error)
	// Known is Get for a document that this process most likely saw last: it may give the
	// document as it was then, without asking the database. What follows from it counts
	// only if the commit writes something and finds the document unchanged since;
	// otherwise f is run again with what the database says. Now is then reckoned from the
	// database's time at that reading, and a little late at most.
	Known(ref Ref, into any) (found bool, err error)
	// Set writes the whole document, replacing what was there.
	Set(ref Ref, doc any) error
	// Delete removes a document; a missing one is no error.
	Delete(ref Ref) error
	// Now is the database's clock at the moment this transaction reads
	// (rule 1.5: leases are judged by it, never by an instance's clock).
	// It must follow at least one Get.
	Now() time.Time
}
