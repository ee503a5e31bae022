package store

import (
	"context"
	"slices"
	"time"
)

// TaskPollRecord is what Poll remembers of tasks from one poll to the next.
type TaskPollRecord struct {
	// Watermark is the ERP's wall clock up to which changes are published, as the
	// ERP spells dates ("2006-01-02 15:04:05").
	Watermark string    `firestore:"watermark,omitempty" json:"watermark,omitempty"`
	RanAt     time.Time `firestore:"ran_at,omitempty" json:"ran_at,omitzero"`
	// Offset is the ERP's UTC offset in seconds at the last poll.
	Offset int `firestore:"offset,omitempty" json:"offset,omitempty"`
	// Shown is the compact set of the ids of tasks in shown states; Missing those
	// that the last poll lacked for the first time.
	Shown   []byte  `firestore:"shown,omitempty" json:"shown,omitempty"`
	Missing []int64 `firestore:"missing,omitempty" json:"missing,omitempty"`
	// Flood is the compact set of the ids for which a full run was started because
	// too many had changed at once, as long as the overlap lists them; FloodedAt is
	// that moment by the ERP's clock.
	Flood     []byte    `firestore:"flood,omitempty" json:"flood,omitempty"`
	FloodedAt time.Time `firestore:"flooded_at,omitempty" json:"flooded_at,omitzero"`
	// Changed maps task ids seen in the overlap to their date.update; "" for one that may
	// still change under the same, and "?" before one of which that is not known yet.
	Changed map[string]string `firestore:"changed,omitempty" json:"changed,omitempty"`
	// Before is the database's time before what is remembered was listed.
	Before time.Time `firestore:"before,omitempty" json:"before,omitzero"`
}

// EmployeePollRecord is what Poll remembers of employees from one poll to the next.
type EmployeePollRecord struct {
	RanAt time.Time `firestore:"ran_at,omitempty" json:"ran_at,omitzero"`
	// Hashes maps employee ids to a hash of what matters of their card; Missing are
	// those that the last poll lacked for the first time.
	Hashes  map[string]string `firestore:"hashes,omitempty" json:"hashes,omitempty"`
	Missing []int64           `firestore:"missing,omitempty" json:"missing,omitempty"`
	// Unreadable are, ascending, those whose card could not be read and for whom that was
	// published.
	Unreadable []int64 `firestore:"unreadable,omitempty" json:"unreadable,omitempty"`
	// Changed are, ascending, those whose hash the last poll found otherwise than the one
	// before.
	Changed []int64 `firestore:"changed,omitempty" json:"changed,omitempty"`
	// Before is the database's time before what is remembered was listed.
	Before time.Time `firestore:"before,omitempty" json:"before,omitzero"`
}

// AlarmsRecord is what Poll remembers of alarms from one poll to the next.
type AlarmsRecord struct {
	RanAt time.Time `firestore:"ran_at,omitempty" json:"ran_at,omitzero"`
	// Alarms are the incidents that Poll has raised and not ended, by kind.
	Alarms map[string]string `firestore:"alarms,omitempty" json:"alarms,omitempty"`
}

// CatalogueFault is something of the ERP's catalogues that cannot be read.
type CatalogueFault struct {
	What  string    `firestore:"what" json:"what"`
	Since time.Time `firestore:"since" json:"since"`
}

// CatalogueRecord is what could not be read of the ERP's catalogues when a worker read them
// last.
type CatalogueRecord struct {
	Faults []CatalogueFault `firestore:"faults,omitempty" json:"faults,omitempty"`
}

// NotificationRecord is the last notification of the ERP, to the minute.
type NotificationRecord struct {
	At time.Time `firestore:"at" json:"at"`
	// Connector is the version of the connector that sent it; "" if it did not say.
	Connector string `firestore:"connector,omitempty" json:"connector,omitempty"`
}

func taskPollRef() Ref     { return Ref{Polls, "tasks"} }
func employeePollRef() Ref { return Ref{Polls, "employees"} }
func alarmsRef() Ref       { return Ref{Polls, "alarms"} }
func catalogueRef() Ref    { return Ref{Polls, "catalogue"} }
func notificationRef() Ref { return Ref{Polls, "notification"} }

// TaskPoll reads what Poll remembers of tasks; found is false before the first poll.
func (s *Store) TaskPoll(ctx context.Context) (rec TaskPollRecord, found bool, err error) {
	return get[TaskPollRecord](ctx, s, "read the poll of tasks", taskPollRef())
}

// SaveTaskPoll replaces what Poll remembers of tasks, dated by the database's clock.
func (s *Store) SaveTaskPoll(ctx context.Context, rec TaskPollRecord) error {
	return change(ctx, s, "save the poll of tasks", taskPollRef(), func(stored *TaskPollRecord, _ bool, now time.Time) effect {
		*stored = rec
		stored.RanAt = now
		return set
	})
}

// EmployeePoll reads what Poll remembers of employees; found is false before the
// first poll.
func (s *Store) EmployeePoll(ctx context.Context) (rec EmployeePollRecord, found bool, err error) {
	return get[EmployeePollRecord](ctx, s, "read the poll of employees", employeePollRef())
}

// SaveEmployeePoll replaces what Poll remembers of employees, dated by the database's
// clock.
func (s *Store) SaveEmployeePoll(ctx context.Context, rec EmployeePollRecord) error {
	return change(ctx, s, "save the poll of employees", employeePollRef(), func(stored *EmployeePollRecord, _ bool, now time.Time) effect {
		*stored = rec
		stored.RanAt = now
		return set
	})
}

// Alarms reads the incidents that Poll has raised and not ended, by kind, with what
// Poll keeps beside them to judge the next.
func (s *Store) Alarms(ctx context.Context) (map[string]string, error) {
	rec, _, err := get[AlarmsRecord](ctx, s, "read the open alarms", alarmsRef())
	return rec.Alarms, err
}

// SaveAlarms replaces the incidents that Poll has raised and not ended.
func (s *Store) SaveAlarms(ctx context.Context, alarms map[string]string) error {
	return change(ctx, s, "save the open alarms", alarmsRef(), func(rec *AlarmsRecord, _ bool, now time.Time) effect {
		*rec = AlarmsRecord{RanAt: now, Alarms: alarms}
		return set
	})
}

// CatalogueFaults reads what of the ERP's catalogues cannot be read, and since when.
func (s *Store) CatalogueFaults(ctx context.Context) ([]CatalogueFault, error) {
	rec, _, err := get[CatalogueRecord](ctx, s, "read the catalogue's faults", catalogueRef())
	return rec.Faults, err
}

// SaveCatalogueFaults replaces them; what was a fault before keeps its time.
func (s *Store) SaveCatalogueFaults(ctx context.Context, what []string) error {
	return change(ctx, s, "save the catalogue's faults", catalogueRef(), func(rec *CatalogueRecord, _ bool, now time.Time) effect {
		faults := make([]CatalogueFault, 0, len(what))
		for _, w := range what {
			f := CatalogueFault{What: w, Since: now}
			if i := slices.IndexFunc(rec.Faults, func(old CatalogueFault) bool { return old.What == w }); i >= 0 {
				f.Since = rec.Faults[i].Since
			}
			faults = append(faults, f)
		}
		if slices.Equal(faults, rec.Faults) {
			return nothing
		}
		rec.Faults = faults
		return set
	})
}

// LastNotification reads when the ERP's last notification came; zero before the first.
func (s *Store) LastNotification(ctx context.Context) (NotificationRecord, error) {
	rec, _, err := get[NotificationRecord](ctx, s, "read the last notification", notificationRef())
	return rec, err
}

// NotificationEvery is how exactly the time of the last notification is kept.
const NotificationEvery = time.Minute

// NotificationCame notes that a notification has come, once a minute at most.
func (s *Store) NotificationCame(ctx context.Context, connector string) error {
	return change(ctx, s, "note a notification", notificationRef(), func(rec *NotificationRecord, _ bool, now time.Time) effect {
		if rec.Connector == connector && now.Before(rec.At.Add(NotificationEvery)) {
			return nothing
		}
		*rec = NotificationRecord{At: now, Connector: connector}
		return set
	})
}

// Notifications is how the ERP's connector does.
type Notifications struct {
	// LastAt is when the last notification came, to the minute, and Connector the version of
	// what sent it; zero before the first.
	LastAt    time.Time
	Connector string
	// Notified counts the changes of the last day that a notification told of, Polled those
	// that only Poll found: after a notification its pass finds nothing to do any more.
	Notified, Polled int
}

// PolledPercent is the share of the day's changes that only Poll found, rounded up; 0 where
// nothing changed.
func (n Notifications) PolledPercent() int {
	all := n.Notified + n.Polled
	if all == 0 {
		return 0
	}
	return (100*n.Polled + all - 1) / all
}

// manyPolled is how many changes in a day only Poll has to find before the silence of the
// connector is told.
const manyPolled = 20

// Silent reports whether the connector told nothing for a day in which the ERP changed
// (rule 8.10).
func (n Notifications) Silent(now time.Time) bool {
	return n.Polled >= manyPolled && n.LastAt.Before(now.Add(-day))
}

// Notifications reads how the ERP's connector did in the day before a time; the two causes
// say whether a notification told of a write, or only Poll.
func (s *Store) Notifications(ctx context.Context, now time.Time, notified, polled string) (Notifications, error) {
	last, err := s.LastNotification(ctx)
	if err != nil {
		return Notifications{}, err
	}
	by, err := s.changedBy(ctx, now)
	return Notifications{LastAt: last.At, Connector: last.Connector, Notified: int(by[notified]), Polled: int(by[polled])}, err
}
