package simulation_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/simulation"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// These defects make the product take Google or the ERP for what they were once assumed to be.

// answering changes the answers of calls.
type answering struct {
	http.RoundTripper
	change func(r *http.Request, body []byte) []byte
}

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := a.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, broken := io.ReadAll(res.Body)
	if err := res.Body.Close(); err != nil {
		return nil, err
	}
	if broken == nil {
		body = a.change(r, body)
	}
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if broken != nil {
		res.Body, res.ContentLength = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{broken})), -1
	}
	res.Header.Del("Content-Length")
	return res, nil
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

func readingOtherwise(change func(r *http.Request, body []byte) []byte) func(http.RoundTripper) http.RoundTripper {
	return func(t http.RoundTripper) http.RoundTripper { return answering{t, change} }
}

// ofCalendars changes what is read of employees' calendars.
func ofCalendars(change func(c *store.CalendarRecord)) simulation.Defect {
	return tampering(func(_ store.Ref, doc any) {
		if e, ok := doc.(*store.EmployeeRecord); ok && e.Calendar != nil {
			c := *e.Calendar
			change(&c)
			e.Calendar = &c
		}
	}, nil)
}

// goneAtOnce: the doubt about a 404 is always a day old.
func goneAtOnce() simulation.Defect {
	return ofCalendars(func(c *store.CalendarRecord) {
		if !c.GoneSince.IsZero() {
			c.GoneSince = c.GoneSince.Add(-25 * time.Hour)
		}
	})
}

// zoneBySpelling: another name for the zone is another zone, and what Google returned is
// forgotten.
func zoneBySpelling() simulation.Defect {
	d := ofCalendars(func(c *store.CalendarRecord) { c.ReturnedZone = "" })
	d.Transport = readingOtherwise(func(r *http.Request, body []byte) []byte {
		if strings.Contains(r.URL.Path, "/calendars/") {
			return bytes.ReplaceAll(body, []byte("Europe/Kiev"), []byte("Etc/GMT-2"))
		}
		return body
	})
	return d
}

// roleRaised: a role that a policy lowered looks like one to be put right.
func roleRaised() simulation.Defect {
	return simulation.Defect{Transport: readingOtherwise(func(r *http.Request, body []byte) []byte {
		if strings.Contains(r.URL.Path, "/acl") {
			return bytes.ReplaceAll(body, []byte(`"freeBusyReader"`), []byte(`"writer"`))
		}
		return body
	})}
}

// ownedByEmployee: an event is the product's only in the calendar of the employee whom its
// mark names.
func ownedByEmployee() simulation.Defect {
	return simulation.Defect{Transport: readingOtherwise(func(r *http.Request, body []byte) []byte {
		var list map[string]any
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/events") || json.Unmarshal(body, &list) != nil {
			return body
		}
		description, _ := list["description"].(string)
		mark, marked := calendarsync.ReadCalendarMark(description)
		items, _ := list["items"].([]any)
		for _, item := range items {
			e, _ := item.(map[string]any)
			properties, _ := e["extendedProperties"].(map[string]any)
			private, _ := properties["private"].(map[string]any)
			of, _ := private[calendarsync.MarkEmployee].(string)
			if id, ok := e["id"].(string); ok && marked && of != "" && of != strconv.FormatInt(int64(mark.Employee), 10) {
				e["id"] = "copyof" + id
			}
		}
		changed, err := json.Marshal(list)
		if err != nil {
			return body
		}
		return changed
	})}
}

// mapFilledIn: executors that the ERP leaves out are none.
func mapFilledIn() simulation.Defect {
	return simulation.Defect{Transport: readingOtherwise(func(r *http.Request, body []byte) []byte {
		if r.URL.Host != "erp.test" {
			return body
		}
		body = bytes.ReplaceAll(body, []byte(`"staff":{}`), []byte(`"staff":{"division":[]}`))
		return bytes.ReplaceAll(body, []byte(`"staff":{"division"`), []byte(`"staff":{"employee":[],"worker":[],"division"`))
	})}
}

// batchSpoiled is a batch of tasks that gave no answer: for a while none of its parts gives
// one, either.
type batchSpoiled struct {
	http.RoundTripper
	mu   sync.Mutex
	ids  []string
	more int // answers
}

func (b *batchSpoiled) RoundTrip(r *http.Request) (*http.Response, error) {
	q := r.URL.Query()
	if q.Get("cat") != "task" || q.Get("action") != "show" && q.Get("subcat") != "show" {
		return b.RoundTripper.RoundTrip(r)
	}
	ids := strings.Split(q.Get("id"), ",")
	return answering{b.RoundTripper, func(_ *http.Request, body []byte) []byte {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch part := slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(b.ids, id) }); {
		case !json.Valid(body):
			b.ids, b.more = append(b.ids, ids...), 100
		case b.more == 0:
			b.ids = nil
		case part:
			b.more--
			return nil
		}
		return body
	}}.RoundTrip(r)
}

// batchStopped: one bad record stops the batch that it is in.
func batchStopped() simulation.Defect {
	return simulation.Defect{Transport: func(t http.RoundTripper) http.RoundTripper { return &batchSpoiled{RoundTripper: t} }}
}

// marksOverlooked: nobody remembers that a mark did not come back.
func marksOverlooked() simulation.Defect {
	return tampering(func(_ store.Ref, doc any) {
		if in, ok := doc.(*store.InstallationRecord); ok {
			in.Unreadable, in.UnreadableEvent = nil, nil
		}
	}, nil)
}

// rulesDenied: where the calendar before it was said to be gone, so are its rules, and that
// for a day.
func rulesDenied() simulation.Defect {
	d := goneAtOnce()
	d.Transport = func(t http.RoundTripper) http.RoundTripper {
		return &denying{RoundTripper: t, denied: map[string]bool{}}
	}
	return d
}

type denying struct {
	http.RoundTripper
	mu     sync.Mutex
	denied map[string]bool // by the path of the calendar
}

func (d *denying) RoundTrip(r *http.Request) (*http.Response, error) {
	path, rest, isRules := strings.Cut(r.URL.Path, "/acl")
	res, err := d.RoundTripper.RoundTrip(r)
	if err != nil || r.Method != http.MethodGet || !strings.Contains(path, "/calendars/") {
		return res, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	path = strings.TrimSuffix(path, "/events")
	switch {
	case !isRules:
		d.denied[path] = res.StatusCode == http.StatusNotFound
	case rest == "" && d.denied[path]:
		_ = res.Body.Close() // nobody reads it
		body := `{"error":{"code":404,"message":"Not Found","errors":[{"domain":"global","reason":"notFound","message":"Not Found"}]}}`
		res.StatusCode, res.Body, res.ContentLength = http.StatusNotFound, io.NopCloser(strings.NewReader(body)), int64(len(body))
		res.Header = http.Header{"Content-Type": {"application/json; charset=UTF-8"}}
	}
	return res, nil
}
