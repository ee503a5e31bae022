package userside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	standin "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

const divisionsOK = `{"result":"OK","data":{"3":{"id":3,"name":"North"}}}`

func TestNewRefusesWhatWouldLeakOrFail(t *testing.T) {
	for _, tc := range []struct {
		name, url string
		key       string
		allow, ok bool
	}{
		{"https", "https://erp.example", "k", false, true},
		{"http", "http://erp.example", "k", false, false},
		{"http allowed", "http://erp.example", "k", true, true},
		{"other scheme", "ftp://erp.example", "k", true, false},
		{"no host", "/erp", "k", true, false},
		{"no key", "https://erp.example", "", false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u, err := url.Parse(tc.url)
			if err != nil {
				t.Fatal(err)
			}
			_, err = New(Config{URL: u, Key: tc.key, AllowHTTP: tc.allow}, nil, time.Now)
			if (err == nil) != tc.ok || (err != nil && !failure.Is(err, failure.Misconfigured)) {
				t.Fatalf("got %v, want ok %v", err, tc.ok)
			}
		})
	}
	if _, err := New(Config{Key: "k"}, nil, time.Now); !failure.Is(err, failure.Misconfigured) {
		t.Fatalf("no URL: %v", err)
	}
}

// TestEndpointAndForm shows rule 10.1.
func TestEndpointAndForm(t *testing.T) {
	for _, tc := range []struct {
		base    string
		inQuery bool
		path    string
	}{
		{"", false, "/api.php"},
		{"/", false, "/api.php"},
		{"/erp", false, "/erp/api.php"},
		{"/erp/?x=1#y", false, "/erp/api.php"},
		{"/erp/api.php", false, "/erp/api.php"},
		{"/erp", true, "/erp/api.php"},
	} {
		t.Run(fmt.Sprintf("%s inQuery=%v", tc.base, tc.inQuery), func(t *testing.T) {
			var got *http.Request
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm()
				got = r
				_, _ = io.WriteString(w, divisionsOK)
			}))
			defer srv.Close()
			u, err := url.Parse(srv.URL + tc.base)
			if err != nil {
				t.Fatal(err)
			}
			c, err := New(Config{URL: u, Key: testKey, KeyInQuery: tc.inQuery, AllowHTTP: true}, nil, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Divisions(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got.Method != http.MethodPost || got.URL.Path != tc.path {
				t.Errorf("asked %s %s, want POST %s", got.Method, got.URL.Path, tc.path)
			}
			query, body := got.URL.Query(), got.PostForm
			if tc.inQuery {
				if query.Get("key") != testKey || body.Has("key") {
					t.Errorf("query %v, body %v: the key belongs into the query", query, body)
				}
			} else if body.Get("key") != testKey || query.Has("key") {
				t.Errorf("query %v, body %v: the key belongs into the body", query, body)
			}
			if query.Get("cat") != "employee" || query.Get("action") != "get_division_list" || query.Get("subcat") != "get_division_list" {
				t.Errorf("query %v", query)
			}
			if body.Get("cat") != "employee" || body.Get("action") != "get_division_list" || body.Get("subcat") != "get_division_list" {
				t.Errorf("body %v", body)
			}
		})
	}
}

// Whichever of the two an ERP reads, it reads all of the question (E1).
func TestWhatIsShortIsInQueryAndBody(t *testing.T) {
	var query, body url.Values
	length := 0
	c := clientFor(t, roundTrip(func(r *http.Request) (*http.Response, error) {
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		query, body, length = r.URL.Query(), r.PostForm, len(r.URL.String())
		return answered(r, http.StatusOK, `{"result":"OK","count":0,"list":""}`)
	}))
	if _, err := c.ListTasks(t.Context(), TaskFilter{Employee: 7, States: []calendarsync.StateID{30, 31}, ChangedFrom: at("2026-11-22 10:00:00"), Limit: 5}); err != nil {
		t.Fatal(err)
	}
	body.Del("key")
	if !maps.EqualFunc(query, body, slices.Equal) || query.Get("state_id") != "30,31" || query.Get("employee_id") != "7" {
		t.Errorf("query %v, body %v", query, body)
	}
	// Ids too long for a URL are in the body alone.
	many := make([]calendarsync.StateID, 400)
	for i := range many {
		many[i] = calendarsync.StateID(10000 + i)
	}
	if _, err := c.ListTasks(t.Context(), TaskFilter{States: many}); err != nil {
		t.Fatal(err)
	}
	if query.Has("state_id") || len(body.Get("state_id")) < 2000 || length > 2000 {
		t.Errorf("query %v, a URL of %d", query, length)
	}
	// What is written is a person's, and no server's log is to have it.
	if err := c.SetEmployeeField(t.Context(), 7, 12, "secret"); err != nil {
		t.Fatal(err)
	}
	if len(query) != 3 || body.Get("value") != "secret" || body.Get("object_id") != "7" {
		t.Errorf("query %v, body %v", query, body)
	}
}

func TestEnvelopeSpellings(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		kind       failure.Kind // "" is success
	}{
		{"new", divisionsOK, ""},
		{"old", `{"Result":"OK","Data":{"3":{"id":"3","name":"North"}}}`, ""},
		{"mixed", `{"Result":"ok","data":{"3":{"id":3,"name":"North"}},"ErrorText":""}`, ""},
		{"both spellings, one null", `{"result":"OK","data":null,"Data":{"3":{"id":3,"name":"North"}}}`, ""},
		{"no result but data", `{"data":{"3":{"id":3,"name":"North"}}}`, ""},
		{"byte order mark", "\xef\xbb\xbf " + divisionsOK, ""},
		{"list", `{"result":"OK","data":[{"id":3,"name":"North"}]}`, ""},
		{"error old", `{"Result":"ERROR","ErrorText":"secret body"}`, failure.Source},
		{"error new", `{"result":"error","error":"secret body"}`, failure.Source},
		{"error third", `{"result":"Error","Error":"secret body"}`, failure.Source},
		{"error without result", `{"error":"secret body"}`, failure.Source},
		{"OK and ERROR at once", `{"Result":"OK","result":"ERROR","data":{"3":{"id":3,"name":"North"}}}`, failure.Source},
		{"page", `<!DOCTYPE html><title>secret body</title>`, failure.Source},
		{"text", `secret body`, failure.Source},
		{"cut", divisionsOK[:len(divisionsOK)-4], failure.Source},
		{"two values", divisionsOK + divisionsOK, failure.Source},
		{"empty", ``, failure.Source},
		{"another result", `{"result":"MAYBE","data":{"3":{"id":3,"name":"North"}}}`, failure.SourceInvalid},
		{"result is no text", `{"result":true,"data":{"3":{"id":3,"name":"North"}}}`, failure.SourceInvalid},
		{"no envelope", `{"secret body":1}`, failure.SourceInvalid},
		{"list at the top", `[1]`, failure.SourceInvalid},
		{"null", `null`, failure.SourceInvalid},
		{"no data", `{"result":"OK"}`, failure.SourceInvalid},
		{"data is text", `{"result":"OK","data":"secret body"}`, failure.SourceInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := clientFor(t, saying(map[string]string{"get_division_list": tc.body}))
			got, err := c.Divisions(shortly(t))
			if tc.kind == "" {
				if err != nil || got[3] != "North" || len(got) != 1 {
					t.Fatalf("got %v, %v", got, err)
				}
				return
			}
			if !failure.Is(err, tc.kind) {
				t.Fatalf("got %v, %v, want kind %s", got, err, tc.kind)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error quotes the body: %v", err)
			}
		})
	}
}

// faults is what may go wrong with one attempt, and whether another may help.
var faults = []struct {
	name   string
	status int
	body   string
	again  bool
	kind   failure.Kind
}{
	{"500", 500, "oops", true, failure.Source},
	{"503 page", 503, "<html>", true, failure.Source},
	{"500 with ERROR", 500, `{"result":"ERROR"}`, true, failure.Source},
	{"429", 429, "", true, failure.Source},
	{"page", 200, "<html>login</html>", true, failure.Source},
	{"cut", 200, `{"result":"OK","da`, true, failure.Source},
	{"ERROR", 200, `{"result":"ERROR","error":"x"}`, false, failure.Source},
	{"400 with ERROR", 400, `{"result":"ERROR","error":"x"}`, false, failure.Source},
	{"404 page", 404, "<html>", false, failure.Source},
	{"404 with OK", 404, divisionsOK, false, failure.Source},
	{"wrong shape", 200, `[]`, false, failure.SourceInvalid},
	{"401", 401, "", false, failure.Misconfigured},
	{"403", 403, `{"result":"ERROR","error":"wrong key"}`, false, failure.Misconfigured},
	{"redirect", 302, "", false, failure.Source},
}

func TestReadsAreRetriedWhereItMayHelp(t *testing.T) {
	for _, tc := range faults {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// For ever: three attempts or one, then the kind.
				e := &erp{answer: func(int, url.Values) (int, string) { return tc.status, tc.body }}
				_, err := clientFor(t, e).Divisions(t.Context())
				want := 1
				if tc.again {
					want = 3
				}
				if !failure.Is(err, tc.kind) || len(e.seen) != want {
					t.Errorf("%d attempts, %v; want %d, %s", len(e.seen), err, want, tc.kind)
				}
				// Twice: the third attempt brings the answer.
				e = &erp{answer: func(n int, _ url.Values) (int, string) {
					if n < 3 {
						return tc.status, tc.body
					}
					return 200, divisionsOK
				}}
				if got, err := clientFor(t, e).Divisions(t.Context()); (err == nil) != tc.again || tc.again && got[3] != "North" {
					t.Errorf("after two faults: %v, %v", got, err)
				}
			})
		})
	}
}

func TestWritesAreNeverRepeated(t *testing.T) {
	for _, tc := range faults {
		t.Run(tc.name, func(t *testing.T) {
			e := &erp{answer: func(int, url.Values) (int, string) { return tc.status, tc.body }}
			err := clientFor(t, e).SetEmployeeField(t.Context(), 7, 12, "cal")
			sent := slices.DeleteFunc(e.seen, func(f url.Values) bool { return f.Get("action") != "change_value" })
			if !failure.Is(err, tc.kind) || len(sent) != 1 {
				t.Fatalf("%d attempts, %v", len(sent), err)
			}
			// Where the ERP said no, it is known that nothing was written.
			ambiguous := tc.status >= 500 || tc.status == 200 && tc.name != "ERROR"
			if failure.IsAmbiguous(err) != ambiguous {
				t.Errorf("ambiguous %v, want %v", !ambiguous, ambiguous)
			}
		})
	}
}

// An ERP that reads the query alone is written to there, and no other is, whatever it says (E1).
func TestOnlyAnERPThatReadsTheQueryAloneIsWrittenToThere(t *testing.T) {
	zone := time.FixedZone("ERP", 2*3600)
	for _, row := range []struct {
		reads standin.ParameterPlace
		field calendarsync.FieldID
		ok    bool
		// inQuery counts the writes that had the value in the query, of two.
		inQuery int
	}{
		{standin.ParametersInQuery, 12, true, 2},
		{standin.ParametersInBody, 12, true, 0},
		{standin.ParametersAnywhere, 12, true, 0},
		{standin.ParametersInQuery, 77, false, 2},
		{standin.ParametersInBody, 77, false, 0},
		{standin.ParametersAnywhere, 77, false, 0},
	} {
		t.Run(fmt.Sprintf("%q, field %d", row.reads, row.field), func(t *testing.T) {
			srv := standin.New(standin.Options{Location: zone, Ways: standin.Ways{Parameters: row.reads}})
			srv.Load(standin.Data{EmployeeFields: []standin.Field{{ID: 12, Kind: standin.FieldText}}, Employees: []standin.Employee{{ID: 7, Name: "Ann"}}})
			serve := served(http.StripPrefix("/sub", srv))
			inQuery, tries := 0, 0
			c := clientFor(t, roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.URL.Query().Has("value") {
					inQuery++
				}
				if r.URL.Query().Get("action") == "change_value" {
					tries++
				}
				return serve.RoundTrip(r)
			}))
			for _, value := range []string{"first", "second"} {
				err := c.SetEmployeeField(t.Context(), 7, row.field, value)
				if (err == nil) != row.ok || row.ok && srv.Employees()[0].Fields[12] != value {
					t.Errorf("%s: %v, the card holds %q", value, err, srv.Employees()[0].Fields[12])
				}
			}
			if most := 2 + row.inQuery; inQuery != row.inQuery || tries > most {
				t.Errorf("%d in the query, %d in all", inQuery, tries)
			}
		})
	}
}

func TestSetEmployeeFieldSends(t *testing.T) {
	e := saying(map[string]string{"change_value": `{"Result":"OK"}`})
	c := clientFor(t, e)
	if err := c.SetEmployeeField(t.Context(), 7, 12, "a&b=c"); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{"cat": "additional_data", "action": "change_value", "subcat": "change_value",
		"field_id": "12", "object_id": "7", "value": "a&b=c", "skip_internal_api": "1", "cat_id": "999"} {
		if got := e.seen[0].Get(k); got != want {
			t.Errorf("%s = %q, want %q", k, got, want)
		}
	}
	if err := c.SetEmployeeField(t.Context(), 0, 12, "x"); !failure.Is(err, failure.Invalid) || len(e.seen) != 1 {
		t.Errorf("employee 0: %v, %d calls", err, len(e.seen))
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// hang answers nothing until the request's context ends.
var hang = roundTrip(func(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
})

func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		c := clientFor(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			attempts++
			return hang(r)
		}))
		spent := func(limit time.Duration, do func(context.Context) error) (time.Duration, error) {
			ctx := t.Context()
			if limit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, limit)
				defer cancel()
			}
			attempts = 0
			start := time.Now()
			err := do(ctx)
			return time.Since(start), err
		}
		divisions := func(ctx context.Context) error { _, err := c.Divisions(ctx); return err }
		tasks := func(n int) func(context.Context) error {
			return func(ctx context.Context) error {
				ids := make([]calendarsync.TaskID, n)
				for i := range ids {
					ids[i] = calendarsync.TaskID(i + 1)
				}
				_, err := c.Tasks(ctx, ids)
				return err
			}
		}
		for _, tc := range []struct {
			name     string
			limit    time.Duration
			do       func(context.Context) error
			min, max time.Duration
			attempts int
		}{
			{"usual, three attempts", 0, divisions, 30 * time.Second, 35 * time.Second, 3},
			// Less could be asked for, so it is not repeated; a list shows that nothing is answered.
			{"many ids", 0, tasks(100), 70 * time.Second, 70 * time.Second, 2},
			{"one id", 0, tasks(1), 40 * time.Second, 45 * time.Second, 4},
			{"the deadline cuts the second attempt", 15 * time.Second, divisions, 15 * time.Second, 15 * time.Second, 2},
			{"the deadline cuts the first", 3 * time.Second, divisions, 3 * time.Second, 3 * time.Second, 1},
			{"no wait that outlasts the deadline", 10*time.Second + 10*time.Millisecond, divisions, 10 * time.Second, 10 * time.Second, 1},
		} {
			took, err := spent(tc.limit, tc.do)
			if !failure.Is(err, failure.Source) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", tc.name, err)
			}
			if took < tc.min || took > tc.max || attempts != tc.attempts {
				t.Errorf("%s: %v in %d attempts", tc.name, took, attempts)
			}
		}
	})
}

func TestCancelledIsNotTheERPsFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := clientFor(t, hang).Divisions(ctx)
		if !failure.Is(err, failure.Transient) || !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestRetryAfterIsObeyed(t *testing.T) {
	for _, form := range []string{"seconds", "date"} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			c := clientFor(t, roundTrip(func(*http.Request) (*http.Response, error) {
				rec := httptest.NewRecorder()
				if n++; n == 1 {
					rec.Header().Set("Retry-After", "20")
					if form == "date" {
						rec.Header().Set("Retry-After", time.Now().Add(20*time.Second).UTC().Format(http.TimeFormat))
					}
					rec.WriteHeader(http.StatusTooManyRequests)
				} else {
					_, _ = rec.WriteString(divisionsOK)
				}
				return rec.Result(), nil
			}))
			start := time.Now()
			if _, err := c.Divisions(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took < 19*time.Second || took > 25*time.Second {
				t.Errorf("%s: waited %v", form, took)
			}
		})
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	followed := false
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api.php" {
			http.Redirect(w, r, "/login", http.StatusTemporaryRedirect)
			return
		}
		followed = true
		_, _ = io.WriteString(w, divisionsOK)
	}))
	defer srv.Close()
	u, _ := url.Parse(srv.URL)
	c, err := New(Config{URL: u, Key: testKey, AllowHTTP: true}, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Divisions(t.Context())
	if followed || !failure.Is(err, failure.Source) || !strings.Contains(err.Error(), "login page") {
		t.Fatalf("followed %v, %v", followed, err)
	}
}

// blanks is a body without an end.
type blanks struct{ read int }

func (z *blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	z.read += len(p)
	return len(p), nil
}
func (z *blanks) Close() error { return nil }

func TestBodyLimit(t *testing.T) {
	body := &blanks{}
	calls := 0
	c := clientFor(t, roundTrip(func(r *http.Request) (*http.Response, error) {
		calls++
		return &http.Response{StatusCode: http.StatusOK, Body: body, Request: r}, nil
	}))
	_, err := c.Divisions(t.Context())
	if !failure.Is(err, failure.Source) || calls != 1 || body.read > maxBody+1<<20 {
		t.Fatalf("%v, %d calls, %d bytes read", err, calls, body.read)
	}
}

// The key is in no error, whatever the transport puts into its own (rule 10.2).
func TestNoErrorHoldsTheKey(t *testing.T) {
	for _, inQuery := range []bool{false, true} {
		for name, rt := range map[string]roundTrip{
			"url.Error": func(r *http.Request) (*http.Response, error) {
				return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: errors.New("reset")}
			},
			"quoted URL": func(r *http.Request) (*http.Response, error) { return nil, fmt.Errorf("can not reach %s", r.URL) },
			"quoted key": func(r *http.Request) (*http.Response, error) {
				return nil, &url.Error{Op: "Post", URL: "x", Err: errors.New(testKey)}
			},
			"deadline": func(r *http.Request) (*http.Response, error) {
				return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: context.DeadlineExceeded}
			},
			"dial": func(r *http.Request) (*http.Response, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
			},
			"bad location": func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {"%zz" + r.URL.RawQuery}}, Body: http.NoBody, Request: r}, nil
			},
			"echo": func(r *http.Request) (*http.Response, error) {
				rec := httptest.NewRecorder()
				_ = r.ParseForm()
				rec.WriteHeader(http.StatusInternalServerError)
				_, _ = rec.WriteString(r.Form.Encode() + r.Form.Get("key"))
				return rec.Result(), nil
			},
		} {
			u, _ := url.Parse("https://erp.example")
			cfg := Config{URL: u, Key: testKey, KeyInQuery: inQuery}
			c, err := New(cfg, rt, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			_, readErr := c.Tasks(shortly(t), []calendarsync.TaskID{5})
			writeErr := c.SetEmployeeField(t.Context(), 7, 12, "x")
			if readErr == nil || writeErr == nil {
				t.Fatalf("%s: no error", name)
			}
			for _, err := range []error{readErr, writeErr} {
				// The chain as well, since a logger may print any part of it.
				for e := err; e != nil; e = errors.Unwrap(e) {
					for _, s := range []string{e.Error(), fmt.Sprintf("%+v", e), fmt.Sprintf("%#v", e)} {
						if strings.Contains(s, testKey) || strings.Contains(s, url.QueryEscape(testKey)) || strings.Contains(s, "erp.example") {
							t.Errorf("%s, key in query %v: %s", name, inQuery, s)
						}
					}
				}
			}
			for _, s := range []string{fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg), fmt.Sprintf("%v %+v %#v", c, c, c)} {
				if strings.Contains(s, testKey) {
					t.Errorf("printed: %s", s)
				}
			}
			if name == "dial" && failure.IsAmbiguous(writeErr) {
				t.Error("a write without a connection is not ambiguous")
			}
			if name == "url.Error" && !failure.IsAmbiguous(writeErr) {
				t.Error("a write on a broken connection is ambiguous")
			}
		}
	}
}
