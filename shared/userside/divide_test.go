package userside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
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

// spoiledERP has tasks 1 to have, and gives no usable answer that includes a bad one or
// more ids than it bears.
type spoiledERP struct {
	have  int
	bad   []string
	bears int    // 0: any number
	fails string // one of waysToFail
	down  bool   // nothing is answered

	mu   sync.Mutex
	seen []string // the ids of each show
}

func (s *spoiledERP) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	ids := strings.Split(r.PostForm.Get("id"), ",")
	spoiled := s.down
	if r.PostForm.Get("action") == "show" {
		s.mu.Lock()
		s.seen = append(s.seen, r.PostForm.Get("id"))
		s.mu.Unlock()
		spoiled = spoiled || s.bears > 0 && len(ids) > s.bears ||
			slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(s.bad, id) })
	}
	if spoiled {
		return spoiledAnswer(r, s.fails)
	}
	if r.PostForm.Get("action") == "get_list" {
		limit, err := strconv.Atoi(r.PostForm.Get("limit"))
		if err != nil {
			return nil, err
		}
		var listed []string
		for id := s.have; id > max(s.have-limit, 0); id-- {
			listed = append(listed, strconv.Itoa(id))
		}
		return answered(r, 200, fmt.Sprintf(`{"result":"OK","count":%d,"list":"%s"}`, s.have, strings.Join(listed, ",")))
	}
	if n, err := strconv.Atoi(ids[0]); len(ids) == 1 && err == nil && n <= s.have {
		return answered(r, 200, fmt.Sprintf(`{"result":"OK","data":{"id":%d}}`, n))
	}
	var members []string
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil && n <= s.have {
			members = append(members, fmt.Sprintf(`"%s":{"id":%s}`, id, id))
		} else {
			members = append(members, fmt.Sprintf(`"%s":"error"`, id))
		}
	}
	return answered(r, 200, `{"result":"OK","data":{`+strings.Join(members, ",")+`}}`)
}

func idsUpTo(n int) taskIDs {
	var ids taskIDs
	for id := 1; id <= n; id++ {
		ids = append(ids, calendarsync.TaskID(id))
	}
	return ids
}

var waysToFail = []string{"empty", "cut", "page", "500", "500 error", "hang", "reset", "null"}

// spoiledAnswer is one of waysToFail.
func spoiledAnswer(r *http.Request, fails string) (*http.Response, error) {
	switch fails {
	case "cut":
		return answered(r, 200, `{"result":"OK","data":{"1":{"id":1`)
	case "page":
		return answered(r, 200, "<br /><b>Fatal error</b>: Allowed memory size exhausted")
	case "500":
		return answered(r, 500, "")
	case "500 error":
		return answered(r, 500, `{"result":"ERROR","error":"x"}`)
	case "null":
		return answered(r, 200, `{"result":"OK","data":null}`)
	case "hang":
		<-r.Context().Done()
		return nil, r.Context().Err()
	case "reset":
		return nil, errors.New("connection reset by peer")
	}
	return answered(r, 200, "")
}

func answered(r *http.Request, status int, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// One record that spoils every answer it is in costs its own reading and no other (rule 8.9).
func TestOneBadRecordStopsNoOther(t *testing.T) {
	for _, fails := range waysToFail {
		for _, ids := range []int{1, 2, 6, 100} {
			t.Run(fmt.Sprintf("%s, %d ids", fails, ids), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					if fails == "null" && ids == 1 {
						return // a single id without data is no failure: it may not be there
					}
					bad := min(3, ids)
					e := &spoiledERP{have: 100, bad: []string{strconv.Itoa(bad)}, fails: fails}
					c := clientFor(t, e)
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
					defer cancel()
					got, err := c.Tasks(ctx, idsUpTo(ids))
					if err != nil || len(got) != ids {
						t.Fatalf("%d readings, %v", len(got), err)
					}
					for id, r := range got {
						if wrong := (r.Task == nil) != (int(id) == bad); wrong || r.Absent != 0 || int(id) == bad && !failure.Is(r.Invalid, failure.SourceInvalid) {
							t.Errorf("task %d: %+v", id, r)
						}
					}
					if len(e.seen) > 32 {
						t.Errorf("%d calls", len(e.seen))
					}
					// It is known now, and costs two calls until it comes back.
					e.seen = nil
					if got, err = c.Tasks(ctx, idsUpTo(ids)); err != nil || len(got) != ids || got[calendarsync.TaskID(bad)].Invalid == nil || len(e.seen) > 4 {
						t.Errorf("again: %d readings, %v, %q", len(got), err, e.seen)
					}
					e.bad = nil
					if got, err = c.Tasks(ctx, idsUpTo(ids)); err != nil || got[calendarsync.TaskID(bad)].Task == nil {
						t.Errorf("mended: %+v, %v", got[calendarsync.TaskID(bad)], err)
					}
					e.seen = nil
					if _, err = c.Tasks(ctx, idsUpTo(ids)); err != nil || len(e.seen) != 1 {
						t.Errorf("mended: %q, %v", e.seen, err)
					}
				})
			})
		}
	}
}

// What the ERP can bear is found once and remembered (rule 8.9).
func TestWhatAnERPBearsIsLearned(t *testing.T) {
	for _, fails := range []string{"empty", "cut", "500", "hang"} {
		t.Run(fails, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &spoiledERP{have: 300, bears: 25, fails: fails}
				c := clientFor(t, e)
				for round := range 2 {
					e.seen = nil
					got, err := c.Tasks(t.Context(), idsUpTo(300))
					if err != nil || len(got) != 300 {
						t.Fatalf("%d readings, %v", len(got), err)
					}
					for id, r := range got {
						if r.Task == nil {
							t.Fatalf("task %d: %+v", id, r)
						}
					}
					if most := []int{24, 12}[round]; len(e.seen) > most {
						t.Errorf("round %d: %d calls", round, len(e.seen))
					}
				}
			})
		})
	}
}

// However many records are bad, calls and time are bounded, and what was read is read: also
// later, when the bad ones are known.
func TestReadingInPartsIsBounded(t *testing.T) {
	for _, fails := range waysToFail {
		t.Run(fails, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &spoiledERP{have: 100, fails: fails}
				for id := 1; id <= 100; id += 2 {
					e.bad = append(e.bad, strconv.Itoa(id))
				}
				c := clientFor(t, e)
				read := map[calendarsync.TaskID]bool{}
				const looks = 12
				for look := range looks {
					for id := range readWithinBounds(t, c, e) {
						if read[id] = true; id%2 == 1 {
							t.Errorf("look %d: task %d was read", look, id)
						}
					}
				}
				if len(read) != 50 {
					t.Errorf("%d of the 50 sound ones were read in %d looks", len(read), looks)
				}
			})
		})
	}
}

// readWithinBounds reads a hundred tasks once, and gives those that it read.
func readWithinBounds(t *testing.T, c *Client, e *spoiledERP) map[calendarsync.TaskID]bool {
	t.Helper()
	e.seen = nil
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	began := time.Now()
	got, err := c.Tasks(ctx, idsUpTo(100))
	if err != nil || len(got) != 100 {
		t.Fatalf("%d readings, %v", len(got), err)
	}
	if took := time.Since(began); len(e.seen) > 2*(divideCalls+2) || took > 3*time.Minute {
		t.Errorf("%d calls in %s", len(e.seen), took)
	}
	read := map[calendarsync.TaskID]bool{}
	for id, r := range got {
		if r.Absent != 0 {
			t.Errorf("task %d: %+v", id, r)
		}
		if r.Task != nil {
			read[id] = true
		}
	}
	return read
}

// Where nothing is answered at all, no record is to blame, and halves are not tried.
func TestAnERPThatIsDownIsNotReadInParts(t *testing.T) {
	for _, fails := range waysToFail {
		t.Run(fails, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &spoiledERP{have: 100, down: true, fails: fails}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				got, err := clientFor(t, e).Tasks(ctx, idsUpTo(100))
				if got != nil || fails != "null" && !failure.Is(err, failure.Source) || err == nil || len(e.seen) > maxAttempts {
					t.Errorf("%d readings, %v, %d calls", len(got), err, len(e.seen))
				}
			})
		})
	}
}

// Nor where lists are answered and no task is shown: half a minute later it may be over,
// and a bad record waits for longer.
func TestAnERPThatShowsNoTaskIsDown(t *testing.T) {
	for _, fails := range waysToFail {
		for _, ids := range []int{1, 100} {
			t.Run(fmt.Sprintf("%s, %d ids", fails, ids), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					e := &spoiledERP{have: 100, fails: fails}
					for id := range e.have {
						e.bad = append(e.bad, strconv.Itoa(id+1))
					}
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
					defer cancel()
					got, err := clientFor(t, e).Tasks(ctx, idsUpTo(ids))
					if got != nil || err == nil || fails != "null" && !failure.Is(err, failure.Source) {
						t.Errorf("%d readings, %v", len(got), err)
					}
				})
			})
		}
	}
}

// A small company is no exception: of five tasks three are bad, whichever, and the others are read
// at once. In a large one whose oldest are bad, the next looks take others.
func TestWhereAllSamplesAreBadOthersAreTaken(t *testing.T) {
	type company struct{ have, bad, looks int }
	for name, row := range map[string]company{"five tasks": {5, 3, 1}, "two tasks": {2, 1, 1}, "nine tasks": {9, 8, 6}, "many": {400, 60, 12}} {
		for _, fails := range waysToFail {
			for _, last := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, the last %v", name, fails, last), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						e := &spoiledERP{have: row.have, fails: fails}
						// Asked for are the bad ones and a few besides.
						var ids []calendarsync.TaskID
						sound := 0
						for id := 1; id <= row.have; id++ {
							bad := id <= row.bad
							if last {
								bad = id > row.have-row.bad
							}
							switch {
							case bad:
								e.bad = append(e.bad, strconv.Itoa(id))
							case sound == 3:
								continue
							default:
								sound++
							}
							ids = append(ids, calendarsync.TaskID(id))
						}
						if looks := looksUntilRead(t, clientFor(t, e), ids, sound); looks > row.looks {
							t.Errorf("read at look %d", looks)
						}
					})
				})
			}
		}
	}
}

// looksUntilRead gives how many looks it took until so many sound ones of ids were read.
func looksUntilRead(t *testing.T, c *Client, ids []calendarsync.TaskID, sound int) int {
	t.Helper()
	read := map[calendarsync.TaskID]bool{}
	for look := 1; look <= 100; look++ {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		got, err := c.Tasks(ctx, ids)
		cancel()
		if err != nil {
			continue
		}
		for id, r := range got {
			if r.Task != nil {
				read[id] = true
			}
		}
		if len(read) == sound {
			return look
		}
	}
	return 101
}

// A key that is refused is no bad record, whichever part meets it.
func TestARefusedKeyIsNoBadRecord(t *testing.T) {
	e := &erp{answer: func(n int, f url.Values) (int, string) {
		if f.Get("action") == "get_list" {
			return 200, `{"result":"OK","count":1,"list":"1"}`
		}
		if n > 4 {
			return 403, ""
		}
		return 200, ""
	}}
	synctest.Test(t, func(t *testing.T) {
		if got, err := clientFor(t, e).Tasks(t.Context(), idsUpTo(4)); got != nil || !failure.Is(err, failure.Misconfigured) {
			t.Errorf("%v, %v", got, err)
		}
	})
}

// What is not there is said to be absent although the task beside which it is asked for is a
// bad record: then another one is taken (seed 200075).
func TestABadRecordProvesNoAbsence(t *testing.T) {
	for _, fails := range []string{"empty", "cut", "page", "500", "500 error"} {
		t.Run(fails, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &spoiledERP{have: 5, bad: []string{"5", "4"}, fails: fails}
				readings, err := clientFor(t, e).Tasks(t.Context(), taskIDs{99})
				if err != nil || readings[99].Absent != calendarsync.ProofKnownID {
					t.Errorf("read %+v: %v", readings[99], err)
				}
			})
		})
	}
}
