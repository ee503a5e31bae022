package console

import (
	"context"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/status"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Store is what the function needs of store.Store, by what needs it.
type Store interface {
	planStore
	settingsHistory
	statusStore
	connectionsStore
	activityStore
	failureStore
	heldStore
	purgeStore
	takeoverStore
	employeeStore
	peopleStore
	taskStore
	ticketStore
	sessionStore
}

// statusStore says how things are: for the overview and the API.
type statusStore = status.Store

// activityStore has what was done in the last 30 days.
type activityStore interface {
	// ActivityBefore lists writes and actions of before a moment and an id, the latest first;
	// nothing means that there is no more.
	ActivityBefore(ctx context.Context, at time.Time, id string, limit int) ([]store.ActivityRecord, error)
	// RecordAction records what an admin did.
	RecordAction(ctx context.Context, a store.ActivityRecord) error
}

// failureStore has what could not be applied.
type failureStore interface {
	// FailedTasks lists tasks whose last pass failed.
	FailedTasks(ctx context.Context, limit int) ([]store.TaskRecord, error)
	// DeadLetters lists the messages that gave up, the oldest first.
	DeadLetters(ctx context.Context, limit int) ([]store.DeadLetterRecord, error)
	// FailedEmployees lists employees whose last pass failed.
	// KnownCatalogue reads what could be read of the ERP's catalogues last.
	KnownCatalogue(ctx context.Context) (store.KnownCatalogue, error)
	FailedEmployees(ctx context.Context, limit int) ([]store.EmployeeRecord, error)
	// DismissFailure hides a key's failure for as long as its cause is the same.
	DismissFailure(ctx context.Context, key store.Key) error
}

// planStore is what a plan of a save counts in, beside the employees.
type planStore interface {
	// CountTasks counts the tasks on record.
	CountTasks(ctx context.Context) (int, error)
	countingStore
}

// heldStore lets an admin decide what the delete guard holds.
type heldStore interface {
	// Held reads the plan of what is held, with a hash that names exactly this list.
	Held(ctx context.Context) (store.HeldPlan, error)
	// Dropped lists the keys whose deletion an admin decided against.
	Dropped(ctx context.Context) ([]store.HeldKey, error)
	// Allow lets what is held of a key go, if its next pass still finds it due.
	Allow(ctx context.Context, key store.Key) error
	// Drop keeps what is held of a key until its source says something new.
	Drop(ctx context.Context, key store.Key) error
	// Reopen puts what was dropped back into the plan.
	Reopen(ctx context.Context, key store.Key) error
}

// purgeStore opens and ends the deletion of everything.
type purgeStore interface {
	// Installation reads the installation's record with its purge; zero where there is none.
	Installation(ctx context.Context) (store.InstallationRecord, error)
	// OwnedCalendars counts the calendars that a purge would delete.
	OwnedCalendars(ctx context.Context) (int, error)
	// StartPurge opens a purge and saves settings with syncing off in one step. store.ErrStale:
	// settings were saved since version seen; store.ErrPurging: a purge is open already.
	StartPurge(ctx context.Context, p store.PurgeRecord, settingsJSON string, seen int64) error
	// StopPurge ends an open purge; what is gone stays gone.
	StopPurge(ctx context.Context) error
}

// employeeStore is for what an admin asks about one employee.
type employeeStore interface {
	// Employee reads one record; found is false where there is none.
	Employee(ctx context.Context, id int64) (rec store.EmployeeRecord, found bool, err error)
	// TasksOf lists the records of the tasks that concern an employee.
	TasksOf(ctx context.Context, employee int64) ([]store.TaskRecord, error)
	// AskRebuild asks for the calendar to be emptied and filled again; asked is false where
	// there is no active one.
	AskRebuild(ctx context.Context, employee int64) (asked bool, err error)
	// AskReplacement asks for a new calendar without further waiting; asked is false where
	// Google does not say that the present one is gone.
	AskReplacement(ctx context.Context, employee int64) (asked bool, err error)
	// AskInvitation asks for the invitation to be sent again; asked is false where the share
	// is visible or the last one is less than a day old.
	AskInvitation(ctx context.Context, employee int64) (asked bool, err error)
}

// ticketStore keeps the sign-in's tickets (functions/README.md, Sign-in hand-over).
type ticketStore interface {
	// PutTicket keeps a ticket until it is taken, or for ttl.
	PutTicket(ctx context.Context, rec store.TicketRecord, ttl time.Duration) error
	// TakeTicket consumes a ticket; found is false for one that was taken or has expired.
	TakeTicket(ctx context.Context, id string) (rec store.TicketRecord, found bool, err error)
}

// sessionStore knows which sessions were ended before their time (rule 10.13).
type sessionStore interface {
	// EndSession ends one session, given by its id's hash, for ttl.
	EndSession(ctx context.Context, id string, ttl time.Duration) error
	// EndAllSessions ends every session that was begun.
	EndAllSessions(ctx context.Context) error
	// SessionGeneration is how often all sessions were ended; a new session carries it.
	SessionGeneration(ctx context.Context) (int64, error)
	// SessionEnded reports whether a session of a generation was ended.
	SessionEnded(ctx context.Context, id string, generation int64) (bool, error)
}
