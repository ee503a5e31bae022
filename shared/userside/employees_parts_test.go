package userside

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// spoiledStaff has employees, and gives no usable answer that includes a bad one.
type spoiledStaff struct {
	have, bad []int64
	fails     string // one of waysToFail

	mu   sync.Mutex
	seen []string // the ids of each get_data; "" is everybody
}

func (s *spoiledStaff) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	asked := r.PostForm.Get("id")
	s.mu.Lock()
	s.seen = append(s.seen, asked)
	s.mu.Unlock()
	var members []string
	spoiled := false
	for _, id := range s.have {
		if text := strconv.FormatInt(id, 10); asked == "" || slices.Contains(strings.Split(asked, ","), text) {
			members = append(members, fmt.Sprintf(`"%s":{"id":%s,"is_work":1,"additional_data":{"12":{"value":"1","caption":"Google &amp; calendar"}}}`, text, text))
			spoiled = spoiled || slices.Contains(s.bad, id)
		}
	}
	if !spoiled {
		if len(members) == 0 {
			return answered(r, 200, `{"result":"OK","data":[]}`)
		}
		return answered(r, 200, `{"result":"OK","data":{`+strings.Join(members, ",")+`}}`)
	}
	return spoiledAnswer(r, s.fails)
}

func numbered(from, to int64) (ids []int64) {
	for id := from; id <= to; id++ {
		ids = append(ids, id)
	}
	return ids
}

// checkAllBut reports a healthy employee without a card, and a bad one that is anything
// but unreadable.
func checkAllBut(t *testing.T, got employeeReadings, asked []int64, bad int64) {
	t.Helper()
	for _, id := range asked {
		r := got[calendarsync.EmployeeID(id)]
		if (r.Employee == nil) != (id == bad) || r.Absent != 0 || id == bad && !failure.Is(r.Invalid, failure.SourceInvalid) {
			t.Errorf("employee %d: %+v", id, r)
		}
	}
}

// One employee who spoils every answer that they are in costs their own reading and nobody
// else's, in the list of everybody too (rule 8.9).
func TestOneBadEmployeeStopsNoOther(t *testing.T) {
	for _, fails := range waysToFail {
		for _, have := range [][]int64{numbered(1, 6), numbered(1, 250), numbered(1001, 1040)} {
			bad := have[2]
			for _, known := range [][]int64{nil, have[:len(have)-1]} {
				if known == nil && have[0] > 1 {
					continue // where nobody is known the numbers are tried from 1 on
				}
				t.Run(fmt.Sprintf("%s, %d from %d, %d known", fails, len(have), have[0], len(known)), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						e := &spoiledStaff{have: have, bad: []int64{bad}, fails: fails}
						c := clientFor(t, e)
						ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
						defer cancel()
						ids := calendarsync.IDs[calendarsync.EmployeeID](known)
						for round, most := range []int{40, 10} {
							e.seen = nil
							got, err := c.AllEmployees(ctx, ids)
							if err != nil || len(e.seen) > most {
								t.Fatalf("round %d: %v, %d calls", round, err, len(e.seen))
							}
							checkAllBut(t, got, have, bad)
							if len(got) > len(have) {
								t.Errorf("%d of %d", len(got), len(have))
							}
						}
						e.bad, e.seen = nil, nil
						if got, err := c.AllEmployees(ctx, ids); err != nil || len(got) != len(have) || len(e.seen) != 1 {
							t.Errorf("mended: %d readings, %v, %q", len(got), err, e.seen)
						}
					})
				})
			}
		}
	}
}

// The console picks fields and plans by the cards of everybody: one bad employee keeps none of
// the others' cards or captions from it, and is the only one who is unreadable.
func TestOneBadEmployeeKeepsNoCardFromTheConsole(t *testing.T) {
	for _, fails := range waysToFail {
		for _, have := range [][]int64{numbered(1, 6), numbered(1001, 1140)} {
			for _, bad := range []int64{have[0], have[2], have[len(have)-1]} {
				t.Run(fmt.Sprintf("%s, %d of %d from %d", fails, bad, len(have), have[0]), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						e := &spoiledStaff{have: have, bad: []int64{bad}, fails: fails}
						c := clientFor(t, e)
						ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
						defer cancel()
						for _, known := range [][]int64{have, slices.DeleteFunc(slices.Clone(have[:len(have)-1]), func(id int64) bool { return id == bad })} {
							got, captions, err := c.EmployeeCards(ctx, func(context.Context) ([]calendarsync.EmployeeID, error) {
								return calendarsync.IDs[calendarsync.EmployeeID](known), nil
							})
							if err != nil || captions[12] != "Google & calendar" {
								t.Fatalf("captions %v, %v", captions, err)
							}
							for _, id := range have {
								r := got[calendarsync.EmployeeID(id)]
								if (r.Employee == nil) != (id == bad) || r.Absent != 0 || id == bad && slices.Contains(known, id) && r.Invalid == nil {
									t.Errorf("of %d known, employee %d: %+v", len(known), id, r)
								}
							}
						}
					})
				})
			}
		}
	}
}

// The same holds where employees are asked for by id.
func TestOneBadEmployeeOfSeveralStopsNoOther(t *testing.T) {
	for _, fails := range waysToFail {
		for _, n := range []int64{1, 2, 6, 100, 150} {
			t.Run(fmt.Sprintf("%s, %d ids", fails, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bad := min(3, n)
					e := &spoiledStaff{have: numbered(1, 200), bad: []int64{bad}, fails: fails}
					c := clientFor(t, e)
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
					defer cancel()
					for range 2 {
						got, err := c.Employees(ctx, calendarsync.IDs[calendarsync.EmployeeID](numbered(1, n)))
						if err != nil || int64(len(got)) != n {
							t.Fatalf("%d readings, %v", len(got), err)
						}
						checkAllBut(t, got, numbered(1, n), bad)
					}
					e.bad = nil
					got, err := c.Employees(ctx, []calendarsync.EmployeeID{calendarsync.EmployeeID(bad)})
					if err != nil || got[calendarsync.EmployeeID(bad)].Employee == nil {
						t.Errorf("mended: %+v, %v", got, err)
					}
				})
			})
		}
	}
}

// Who is missing where everybody can only be read in parts is not said to be missing.
func TestWhoIsMissingAmongPartsIsNotAbsent(t *testing.T) {
	for _, fails := range waysToFail {
		t.Run(fails, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &spoiledStaff{have: numbered(1, 6), bad: []int64{3}, fails: fails}
				c := clientFor(t, e)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				all, err := c.AllEmployees(ctx, []calendarsync.EmployeeID{1, 3, 7})
				if err != nil || all[7].Invalid == nil {
					t.Errorf("of all: %+v, %v", all[7], err)
				}
				for _, ids := range [][]calendarsync.EmployeeID{{7}, {1, 7}, {3, 7}} {
					got, err := c.Employees(ctx, ids)
					if err != nil || got[7].Absent != 0 || got[7].Invalid == nil {
						t.Errorf("%v: %+v, %v", ids, got[7], err)
					}
				}
			})
		})
	}
}

// Where no employee is shown at all the ERP is down, and no record is to blame.
func TestAnERPThatShowsNoEmployeeIsDown(t *testing.T) {
	for _, fails := range waysToFail {
		t.Run(fails, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all := numbered(1, 100)
				e := &spoiledStaff{have: all, bad: all, fails: fails}
				c := clientFor(t, e)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				if got, err := c.AllEmployees(ctx, []calendarsync.EmployeeID{1, 2, 3}); got != nil || err == nil || len(e.seen) > 10 {
					t.Errorf("%d readings, %v, %d calls", len(got), err, len(e.seen))
				}
				if got, err := c.Employees(ctx, []calendarsync.EmployeeID{1, 2, 3}); got != nil || err == nil {
					t.Errorf("%d readings, %v", len(got), err)
				}
			})
		})
	}
}

// However many are bad, calls and time are bounded.
func TestReadingEverybodyInPartsIsBounded(t *testing.T) {
	for _, fails := range waysToFail {
		t.Run(fails, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &spoiledStaff{have: numbered(1, 3000), fails: fails}
				for id := int64(100); id <= 3000; id += 9 {
					e.bad = append(e.bad, id)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
				defer cancel()
				began := time.Now()
				got, err := clientFor(t, e).AllEmployees(ctx, calendarsync.IDs[calendarsync.EmployeeID](e.have))
				if err != nil || len(got) != 3000 {
					t.Fatalf("%d readings, %v", len(got), err)
				}
				for id, r := range got {
					if r.Absent != 0 || slices.Contains(e.bad, int64(id)) && r.Employee != nil {
						t.Errorf("employee %d: %+v", id, r)
					}
				}
				if took := time.Since(began); len(e.seen) > divideCalls+maxAttempts+8+3000/batch || took > 3*time.Minute {
					t.Errorf("%d calls in %s", len(e.seen), took)
				}
			})
		})
	}
}
