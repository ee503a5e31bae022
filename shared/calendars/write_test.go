package calendars

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// records is a store that only saves employees' records, and notes the activity.
type records struct {
	Store
	announce, record error
	steps            []string
	save             func(ctx context.Context)
}

func (r *records) SaveEmployee(ctx context.Context, _ *store.EmployeeLease, _ func(*store.EmployeeRecord), activity ...store.ActivityRecord) error {
	r.save(ctx)
	if activity[0].Result == "" {
		r.steps = append(r.steps, "announce")
		return r.announce
	}
	r.steps = append(r.steps, "record:"+activity[0].Result)
	return r.record
}

// TestWrite: rule 2.1, a write is announced before it is made and recorded after it, its
// failure too.
func TestWrite(t *testing.T) {
	t.Parallel()
	cut := errors.New("cut short")
	forbidden, gone := failure.New(failure.Forbidden, "write", ""), failure.New(failure.Gone, "write", "")
	for name, row := range map[string]struct {
		announce, call, record error
		steps                  string
		want                   error
	}{
		"made":                  {nil, nil, nil, "announce call record:done", nil},
		"not announced":         {cut, nil, nil, "announce", cut},
		"failed":                {nil, forbidden, nil, "announce call record:forbidden", forbidden},
		"made and not recorded": {nil, nil, cut, "announce call record:done", cut},
		"failed, not recorded":  {nil, gone, cut, "announce call record:gone", cut},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
			now := began
			s := &records{announce: row.announce, record: row.record, save: func(ctx context.Context) {
				if ctx.Err() != nil {
					t.Error("recorded in a context that has ended with the calls")
				}
			}}
			p := &employeePass{message: message{Syncer: &Syncer{Deps: Deps{Store: s, Now: func() time.Time { return now }}}}}
			p.term = pass.Term{Began: began, Until: began.Add(time.Minute), Length: time.Minute}
			now = began.Add(time.Minute) // the lease has ended
			err := p.write(t.Context(), write{call: func(calls context.Context) error {
				s.steps = append(s.steps, "call")
				if calls.Err() == nil {
					t.Error("the call is not bounded by the term")
				}
				return row.call
			}})
			if got := strings.Join(s.steps, " "); got != row.steps || !errors.Is(err, row.want) || (err == nil) != (row.want == nil) {
				t.Errorf("%s: %v, want %s: %v", got, err, row.steps, row.want)
			}
		})
	}
}
