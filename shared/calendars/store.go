package calendars

import (
	"context"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Store is what the package needs of the state, in the parts that its files use.
type Store interface {
	PassStore
	GuardStore
	CreationStore
	RecoveryStore
	PurgeStore
	FullRunStore
}

// PassStore holds employees' records, each changed only by the holder of its lease.
// A method that takes a lease fails with store.ErrLeaseLost once another may hold it.
type PassStore interface {
	pass.Marker
	// AcquireEmployee takes the lease, or leaves the employee dirty to its holder.
	AcquireEmployee(ctx context.Context, id int64, c store.Claim) (store.EmployeeLease, store.Outcome, error)
	// Extend makes the lease last for ttl from now.
	Extend(ctx context.Context, l *store.Lease, ttl time.Duration) error
	// SaveEmployee applies change to the record as stored, perhaps more than once, and
	// records the activity with it.
	SaveEmployee(ctx context.Context, l *store.EmployeeLease, change func(*store.EmployeeRecord), activity ...store.ActivityRecord) error
	// SettleEmployee records how a pass ended; released is false where the employee
	// became dirty meanwhile.
	SettleEmployee(ctx context.Context, l *store.EmployeeLease, r store.Result) (released bool, err error)
	// ForgetEmployee removes the record of one who has no calendar, with the lease.
	ForgetEmployee(ctx context.Context, l *store.EmployeeLease) error
	// TasksOf lists the tasks that concern an employee or once did.
	TasksOf(ctx context.Context, employee int64) ([]store.TaskRecord, error)
	// ForgetMapping drops a task's memory of an event in any calendar of the employee
	// but the one whose epoch is alive.
	ForgetMapping(ctx context.Context, task, employee int64, alive string) error
	// Installation names the tenant and the purge under way, always as they are now.
	Installation(ctx context.Context) (store.InstallationRecord, error)
}

// GuardStore counts deletions over a rolling day (rule 4.3).
type GuardStore interface {
	pass.Guard
	// Renew counts a deletion granted at a time as one of now, if it still counts.
	Renew(ctx context.Context, what store.Guarded, granted time.Time) (renewed bool, err error)
}

// CreationStore is the queue for new calendars, and Google's pause of it.
type CreationStore interface {
	pass.CreationsStore
	// ReserveCreation writes the intent of a calendar, or the place in the queue.
	ReserveCreation(ctx context.Context, l *store.EmployeeLease, c store.NewCreation) (store.QueuePosition, error)
	// DequeueCreation gives the place up.
	DequeueCreation(ctx context.Context, l *store.EmployeeLease) error
}

// RecoveryStore takes in what is found at Google and remembered nowhere (rule 3.6).
type RecoveryStore interface {
	// SetTenant names the installation once and for all, and gives the name in force.
	SetTenant(ctx context.Context, tenant string) (string, error)
	// AdoptCalendar makes a calendar that of an employee who has none.
	AdoptCalendar(ctx context.Context, employee int64, cal store.CalendarRecord) (adopted bool, err error)
	// NoteExtra puts a further calendar among those of the employee that are retiring.
	NoteExtra(ctx context.Context, employee int64, cal store.CalendarRecord) (noted bool, err error)
	// Relinquish forgets an extra calendar that stays as it is, unless a purge is open.
	Relinquish(ctx context.Context, l *store.EmployeeLease, calendar string) (alone bool, err error)
}

// PurgeStore is the progress of a purge.
type PurgeStore interface {
	// AddRetiring puts a calendar that no record names among those to be purged.
	AddRetiring(ctx context.Context, employee int64, cal store.CalendarRecord) error
	// KeepFromPurge forgets a retiring calendar that stays at Google, and counts it.
	KeepFromPurge(ctx context.Context, l *store.EmployeeLease, calendar string, activity store.ActivityRecord) error
	// FinishPurge ends the purge if nothing is left for it to do.
	FinishPurge(ctx context.Context) (ended bool, err error)
}

// FullRunStore holds the records of full runs and of their parts, one a message.
type FullRunStore interface {
	// Employees lists everybody who is known.
	Employees(ctx context.Context) ([]store.EmployeeRecord, error)
	// StartRun begins a full run, and supersedes the one before; the same id again
	// gives the same parts.
	StartRun(ctx context.Context, id, cause string, sizes []int) (parts []string, err error)
	// RunPart lists who of a part was counted; over once the full run is.
	RunPart(ctx context.Context, part string) (done []int64, over bool, err error)
	// AdvanceRun counts results, each employee once.
	AdvanceRun(ctx context.Context, part string, results ...store.RunResult) (over bool, err error)
	// PutOffRun has Poll start a full run again that could not begin.
	PutOffRun(ctx context.Context, cause, kind string) (due time.Time, err error)
	// RunBegan takes back a PutOffRun.
	RunBegan(ctx context.Context) error
}
