package store

import (
	"context"
	"maps"
	"math"
	"strconv"
	"time"
)

// What was written is counted hour by hour, so that the console can draw two weeks from a
// few documents. Poll folds the activity in, some minutes behind: no write of an event costs
// another one for the count.

// DayRecord is what one day came to. It holds counts alone (rule 10.3).
type DayRecord struct {
	// Day is a date in UTC, "2026-11-22", and the record's id.
	Day string `firestore:"day" json:"day"`
	// Hours are the hours in UTC, "00" to "23"; an hour without anything is not there.
	Hours     map[string]HourTally `firestore:"hours,omitempty" json:"hours,omitempty"`
	ExpiresAt time.Time            `firestore:"expires_at" json:"expires_at"`
}

// HourTally is what one hour came to.
type HourTally struct {
	// Changes counts the events written for a change in the ERP or an admin's asking, All
	// those and the ones of a fill or a full run.
	Changes int64 `firestore:"changes,omitempty" json:"changes,omitempty"`
	All     int64 `firestore:"all,omitempty" json:"all,omitempty"`
	// By counts the tasks with writes by their cause, each once as far as they are counted
	// together.
	By map[string]int64 `firestore:"by,omitempty" json:"by,omitempty"`
	// Calls counts the calls to Google that were reserved of the budget (rule 6.1).
	Calls int64 `firestore:"calls,omitempty" json:"calls,omitempty"`
	// Delays counts Changes by the time from when a change was known until its event was
	// right: the number of a class of durations and how many are in it.
	Delays map[string]int64 `firestore:"delays,omitempty" json:"delays,omitempty"`
}

const (
	// DaysKept is how long a day is remembered.
	DaysKept = 15 * 24 * time.Hour
	// foldBehind is how far behind activity is folded in: by then what was announced has its
	// result.
	foldBehind = 15 * time.Minute
	// mostFolded bounds what one call reads.
	mostFolded = 2000
	// Durations are counted in classes, each a fifth wider than the one before, from
	// firstDelay on: what a class says of one is right to a tenth.
	firstDelay = 50 * time.Millisecond
	widerBy    = 1.2
	lastClass  = 96 // from about two weeks on
)

func dayRef(day string) Ref { return Ref{Days, day} }
func foldRef() Ref          { return Ref{Polls, "fold"} }

// FoldRecord is how far activity is folded in.
type FoldRecord struct {
	// Upto is the time from which on nothing is folded in yet.
	Upto time.Time `firestore:"upto,omitempty" json:"upto,omitzero"`
	// Account and Given are the ledger's last count, which grows for good.
	Account string `firestore:"account,omitempty" json:"account,omitempty"`
	Given   int64  `firestore:"given,omitempty" json:"given,omitempty"`
}

// delayClass is the class of a duration.
func delayClass(d time.Duration) int {
	if d <= firstDelay {
		return 0
	}
	return min(lastClass, int(math.Ceil(math.Log(float64(d)/float64(firstDelay))/math.Log(widerBy))))
}

// delayOf is the middle of a class.
func delayOf(class int) time.Duration {
	return time.Duration(float64(firstDelay) * math.Pow(widerBy, float64(class)-0.5))
}

// Delay gives the time within which a share (0 to 1) of the changes was in the calendar, to
// a tenth; 0 where there was none.
func (t HourTally) Delay(share float64) time.Duration {
	var total, sum int64
	for _, n := range t.Delays {
		total += n
	}
	for class := range lastClass + 1 {
		sum += t.Delays[strconv.Itoa(class)]
		if total > 0 && float64(sum) >= share*float64(total) {
			return delayOf(class)
		}
	}
	return 0
}

// Add gives the sum of two tallies.
func (t HourTally) Add(o HourTally) HourTally {
	t.Changes += o.Changes
	t.All += o.All
	t.Calls += o.Calls
	t.By = sum(t.By, o.By)
	t.Delays = sum(t.Delays, o.Delays)
	return t
}

// Fold counts the activity since the last call into its hours, at most some thousand
// records a call, and the calls to Google that the account reserved since; account is ""
// before one is connected. now is the database's time; changes says of which causes a write
// is one for a change.
func (s *Store) Fold(ctx context.Context, account string, now time.Time, changes func(cause string) bool) error {
	const doing = "count what was written"
	last, _, err := get[FoldRecord](ctx, s, doing, foldRef())
	if err != nil {
		return err
	}
	next := last
	var found []ActivityRecord
	if last.Upto.IsZero() {
		next.Upto = now.Add(-foldBehind) // of a new installation, or one that never counted
	} else if found, next.Upto, err = s.toFold(ctx, last.Upto, now.Add(-foldBehind)); err != nil {
		return err
	}
	var budget BudgetRecord // of an installation without an account: none
	if account != "" {
		if budget, _, err = get[BudgetRecord](ctx, s, doing, budgetRef(account)); err != nil {
			return err
		}
	}
	next.Account, next.Given = account, budget.Given
	tallies := tallied(found, changes)
	if calls := budget.Given - last.Given; last.Account == account && calls > 0 {
		hour := now.UTC().Truncate(time.Hour)
		tallies[hour] = tallies[hour].Add(HourTally{Calls: calls})
	}
	if next == last {
		return nil
	}
	return s.transact(ctx, doing, func(tx Tx) error {
		var stored FoldRecord
		if _, err := tx.Get(foldRef(), &stored); err != nil {
			return err
		}
		if stored != last {
			return nil // another poll has counted them
		}
		if err := addToDays(tx, tallies); err != nil {
			return err
		}
		return tx.Set(foldRef(), &next)
	})
}

// addToDays adds tallies of hours to the records of their days.
func addToDays(tx Tx, tallies map[time.Time]HourTally) error {
	days := map[string]*DayRecord{}
	for hour, tally := range tallies {
		day := hour.Format(time.DateOnly)
		if days[day] == nil {
			days[day] = &DayRecord{}
			if _, err := tx.Get(dayRef(day), days[day]); err != nil {
				return err
			}
			days[day].Day, days[day].ExpiresAt = day, hour.Add(DaysKept)
		}
		days[day].add(hour.Format("15"), tally)
	}
	for day, rec := range days {
		if err := tx.Set(dayRef(day), rec); err != nil {
			return err
		}
	}
	return nil
}

func (d *DayRecord) add(hour string, tally HourTally) {
	hours := maps.Clone(d.Hours)
	if hours == nil {
		hours = map[string]HourTally{}
	}
	hours[hour] = hours[hour].Add(tally)
	d.Hours = hours
}

// toFold gives the activity from a time on, until another, and how far that reaches: records
// of one moment are folded in together. What is younger is not asked for: it would be read
// again by each fold until it is old enough.
func (s *Store) toFold(ctx context.Context, from, until time.Time) (found []ActivityRecord, upto time.Time, err error) {
	found, err = query[ActivityRecord](ctx, s, "list activity to be counted",
		Query{Collection: Activity, Field: "at", Op: AtLeast, Value: from, Below: until, Limit: mostFolded})
	if err != nil {
		return nil, from, err
	}
	if len(found) == 0 {
		return nil, from, nil
	}
	last := found[len(found)-1].At
	if len(found) == mostFolded && found[0].At.Before(last) {
		for !found[len(found)-1].At.Before(last) {
			found = found[:len(found)-1]
		}
		return found, last, nil
	}
	return found, last.Add(time.Microsecond), nil
}

// tallied counts activity by its hour.
func tallied(records []ActivityRecord, changes func(cause string) bool) map[time.Time]HourTally {
	type cause struct {
		task int64
		name string
	}
	out, seen := map[time.Time]HourTally{}, map[cause]bool{}
	for _, a := range records {
		if a.Result != "done" || a.Task == 0 {
			continue
		}
		tally := HourTally{All: 1}
		if c := (cause{a.Task, a.Cause}); !seen[c] {
			seen[c] = true
			tally.By = map[string]int64{a.Cause: 1}
		}
		if changes(a.Cause) {
			tally.Changes = 1
			if !a.Known.IsZero() && a.Ended.After(a.Known) {
				tally.Delays = map[string]int64{strconv.Itoa(delayClass(a.Ended.Sub(a.Known))): 1}
			}
		}
		hour := a.At.UTC().Truncate(time.Hour)
		out[hour] = out[hour].Add(tally)
	}
	return out
}

// DaysSince lists the days from a date in UTC on, ascending.
func (s *Store) DaysSince(ctx context.Context, day string) ([]DayRecord, error) {
	return query[DayRecord](ctx, s, "list days", Query{Collection: Days, Field: "day", Op: AtLeast, Value: day})
}

// changedBy counts the tasks with writes in the day before a time by their cause, the hour
// in which that day begins left out.
func (s *Store) changedBy(ctx context.Context, now time.Time) (map[string]int64, error) {
	from := now.UTC().Add(-24 * time.Hour)
	days, err := s.DaysSince(ctx, from.Format(time.DateOnly))
	by := map[string]int64{}
	for _, d := range days {
		for hour, tally := range d.Hours {
			at, parseErr := time.Parse(time.DateOnly+" 15", d.Day+" "+hour)
			if parseErr == nil && at.After(from) {
				by = sum(by, tally.By)
			}
		}
	}
	return by, err
}
