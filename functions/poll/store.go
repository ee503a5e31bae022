package poll

import (
	"context"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Store is what the function needs of store.Store.
type Store interface {
	// How the installation is: for every part, for purge and for alarms.

	// Now is the store's clock, which leases and pauses are dated by.
	Now(ctx context.Context) (time.Time, error)
	// AccountOf reads the installation's central account; store.ErrNotConnected where none ever was.
	AccountOf(ctx context.Context, in store.InstallationRecord) (store.AccountRecord, error)
	// GrantAlarmed notes that the alarm of a version's lost grant was raised; 0: that it was ended.
	GrantAlarmed(ctx context.Context, sub string, version int64) error
	// Installation reads the installation's record with its purge; zero where there is none.
	Installation(ctx context.Context) (store.InstallationRecord, error)
	// FinishPurge ends the open purge if no employee has a calendar any more.
	FinishPurge(ctx context.Context) (ended bool, err error)

	// What waits for its time.

	// DueKeys lists the ids of a collection that are due at a time, the longest due first.
	DueKeys(ctx context.Context, c store.Collection, now time.Time, limit int) ([]int64, error)
	// Held reads the plan of what the delete guard holds.
	Held(ctx context.Context) (store.HeldPlan, error)
	// HoldEnded ends the incident if nothing is held any more; ended is since when there was one, or zero.
	HoldEnded(ctx context.Context) (ended time.Time, err error)
	// PutOff reads the full run that could not begin; zero for none.
	PutOff(ctx context.Context) (store.PutOffRecord, error)
	// RunSent notes that the full run put off until due was published again.
	RunSent(ctx context.Context, due time.Time) error

	// What the next poll compares with.

	// TaskPoll reads what is remembered of tasks; found is false before the first poll.
	TaskPoll(ctx context.Context) (rec store.TaskPollRecord, found bool, err error)
	// SaveTaskPoll replaces it and dates it by the store's clock.
	SaveTaskPoll(ctx context.Context, rec store.TaskPollRecord) error
	// EmployeePoll and SaveEmployeePoll are the same for employees.
	EmployeePoll(ctx context.Context) (rec store.EmployeePollRecord, found bool, err error)
	SaveEmployeePoll(ctx context.Context, rec store.EmployeePollRecord) error
	// Alarms reads the incidents raised and not ended, by kind; SaveAlarms replaces them.
	Alarms(ctx context.Context) (map[string]string, error)
	SaveAlarms(ctx context.Context, alarms map[string]string) error
	// UnreadableSince lists the keys that are unreadable since a time or before, at most limit of each kind.
	UnreadableSince(ctx context.Context, until time.Time, limit int) ([]store.Unreadable, error)
	// CatalogueFaults reads what of the ERP's catalogues cannot be read, and since when; the
	// rulebook, which reads them once more, saves it.
	CatalogueFaults(ctx context.Context) ([]store.CatalogueFault, error)
	SaveCatalogueFaults(ctx context.Context, what []string) error
	KnownCatalogue(ctx context.Context) (store.KnownCatalogue, error)
	SaveKnownCatalogue(ctx context.Context, read store.KnownCatalogue) error
	// RefusedCards reads whose cards the ERP refuses, and whether that is everybody's.
	RefusedCards(ctx context.Context) (rec store.CardsRecord, everybody bool, err error)
	// Unreached counts the employees of whom the record gives a reason; many reports whether
	// that is no fault of one calendar.
	Unreached(ctx context.Context, reason string) (n int, many bool, err error)
	// RecordPoll keeps how this poll went, for people; Fold counts what was written by the hour.
	RecordPoll(ctx context.Context, r store.PollResult) error
	Fold(ctx context.Context, account string, now time.Time, changes func(cause string) bool) error
	// Notifications reads how the ERP's connector did in the day before a time.
	Notifications(ctx context.Context, now time.Time, notified, polled string) (store.Notifications, error)
	// CompleteRunSince reports whether a full run that passed over everybody ended at a time or after.
	CompleteRunSince(ctx context.Context, since time.Time) (bool, error)

	// Which tasks have events, and whom a task concerns.

	// Task reads a task's record; found is false where there is none.
	Task(ctx context.Context, id int64) (rec store.TaskRecord, found bool, err error)
	// TasksOf lists the records of the tasks that concern an employee.
	TasksOf(ctx context.Context, employee int64) ([]store.TaskRecord, error)
	// InsertedSince lists the tasks that no poll had listed and that got an event where there
	// was none, at a time or after.
	InsertedSince(ctx context.Context, since time.Time) ([]int64, error)
	// Employee reads an employee's record; found is false where there is none.
	Employee(ctx context.Context, id int64) (rec store.EmployeeRecord, found bool, err error)
	// Employees lists all employees' records by id.
	Employees(ctx context.Context) ([]store.EmployeeRecord, error)
	// EmployeesOfDivisions lists the records of those who belong to any of the divisions.
	EmployeesOfDivisions(ctx context.Context, divisions []int64) ([]store.EmployeeRecord, error)

	// How employees' cards were last read.

	// SeenSince gives, by employee, the digests of the cards that a pass read otherwise
	// than the pass before, at a time or after.
	SeenSince(ctx context.Context, since time.Time) (map[int64]string, error)
}
