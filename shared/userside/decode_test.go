package userside

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// zipped is so many bytes of a repeated text between a beginning and an end, compressed: gzip
// may be several one after the other, so a MiB of the text is compressed once.
func zipped(t *testing.T, begin, part, end string, size int) []byte {
	t.Helper()
	const each = 1 << 20
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	compressed := func(text string) []byte {
		out.Reset()
		z.Reset(&out)
		if _, err := io.WriteString(z, text); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(out.Bytes())
	}
	between := bytes.Repeat(compressed(strings.Repeat(part, each/len(part))), size/each)
	return slices.Concat(compressed(begin), between, compressed(end))
}

// A few KiB of gzip must not become a gigabyte of memory and take the instance with them
// (rule 8.8). What is allocated in all bounds what is there at any moment.
func TestAnAnswerThatGrowsIsRefusedWhileItIsRead(t *testing.T) {
	const size, most = 31 << 20, 150 << 20
	for _, row := range []struct{ name, begin, part, end string }{
		{"empty objects", `{"result":"OK","data":[`, `{},`, `{}]}`},
		{"empty lists", `{"result":"OK","data":[`, `[],`, `[]]}`},
		{"small objects", `{"result":"OK","data":[`, `{"":0},`, `{}]}`},
		{"objects in objects", `{"result":"OK","data":[`, `{"a":{"a":{"a":{}}}},`, `{}]}`},
		{"numbers", `{"result":"OK","data":[`, `1,`, `1]}`},
		{"nothing", `{"result":"OK","data":[`, `null,`, `null]}`},
		{"texts", `{"result":"OK","data":[`, `"",`, `""]}`},
		{"objects without the envelope", `[`, `{},`, `{}]`},
		{"one text", `{"result":"OK","data":"`, `x`, `"}`},
		{"one number", `{"result":"OK","data":`, `1`, `}`},
		{"one key", `{"result":"OK","`, `x`, `":1}`},
		{"depth", `{"result":"OK","data":`, `[`, ``},
		{"depth where nobody reads", `{"result":"OK","history":`, `[`, ``},
		{"depth by name", `{"result":"OK","data":`, `{"a":`, ``},
	} {
		t.Run(row.name, func(t *testing.T) {
			body := zipped(t, row.begin, row.part, row.end, size)
			calls := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(body) // the client hangs up, which is what is tested
			}))
			defer srv.Close()
			u, err := url.Parse(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			c, err := New(Config{URL: u, Key: testKey, AllowHTTP: true}, nil, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err = c.Divisions(t.Context())
			runtime.ReadMemStats(&after)
			if !failure.Is(err, failure.Source) || calls != 1 {
				t.Errorf("%v after %d calls", err, calls)
			}
			if taken := after.TotalAlloc - before.TotalAlloc; taken > most {
				t.Errorf("%d KiB of gzip took %d MiB", len(body)>>10, taken>>20)
			}
		})
	}
}

// Whatever is asked for, the memory that is in use at any moment stays below what an instance
// has to spare: also where an answer that is too large is asked for in parts.
func TestNoCallHoldsAnAnswerThatGrows(t *testing.T) {
	const size, most = 31 << 20, 150 << 20
	comments := calendarsync.Extras{Comment: true, Fields: true}
	for name, row := range map[string]struct {
		begin, part, end string
		ask              func(ctx context.Context, c *Client) error
	}{
		"tasks": {`{"result":"OK","data":{"5":{"id":5,"comments":[`, `{"comment":"x"},`, `{}]}}}`, func(ctx context.Context, c *Client) error {
			_, err := c.TasksWith(ctx, taskIDs{5, 6, 7, 8}, comments)
			return err
		}},
		"a list of tasks": {`{"result":"OK","count":9,"list":[`, `1,`, `1]}`, func(ctx context.Context, c *Client) error {
			_, err := c.ListTasks(ctx, TaskFilter{})
			return err
		}},
		"employees": {`{"result":"OK","data":{"5":{"id":5,"additional_data":[`, `{"value":"1"},`, `{}]}}}`, func(ctx context.Context, c *Client) error {
			_, err := c.Employees(ctx, []calendarsync.EmployeeID{5, 6})
			return err
		}},
		"all employees": {`{"result":"OK","data":[`, `{},`, `{}]}`, func(ctx context.Context, c *Client) error {
			_, err := c.AllEmployees(ctx, []calendarsync.EmployeeID{5, 6})
			return err
		}},
		"the catalogue": {`{"result":"OK","data":{"1":{"id":1,"x":[`, `[],`, `[]]}}}`, func(ctx context.Context, c *Client) error {
			_, err := c.Catalogue(ctx)
			return err
		}},
		"the clock": {`{"result":"OK","x":[`, `"",`, `""]}`, func(ctx context.Context, c *Client) error { _, err := c.Clock(ctx); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			body := zipped(t, row.begin, row.part, row.end, size)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(body) // the client may hang up
			}))
			defer srv.Close()
			u, err := url.Parse(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			c, err := New(Config{URL: u, Key: testKey, AllowHTTP: true}, nil, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			runtime.GC()
			peak := heapPeak(ctx)
			_ = row.ask(ctx, c) // an answer that is refused, or tasks that are not readable
			cancel()
			if taken := <-peak; taken < 1<<20 || taken > most {
				t.Errorf("%d KiB of gzip took %d MiB at a time", len(body)>>10, taken>>20)
			}
		})
	}
}

// heapPeak gives how much more the heap held at any moment until ctx ended than it held before.
func heapPeak(ctx context.Context) <-chan uint64 {
	held := func() uint64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	before, out := held(), make(chan uint64, 1)
	go func() {
		most := before
		for tick := time.NewTicker(time.Millisecond); ctx.Err() == nil; <-tick.C {
			most = max(most, held())
		}
		out <- most - before
	}()
	return out
}

// The bounds are beyond what an ERP of thousands says.
func TestALargeCompanyIsWithinTheBounds(t *testing.T) {
	var body strings.Builder
	body.WriteString(`{"result":"OK","data":{`)
	for id := range 3000 {
		if id > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `"%d":{"id":%d,"name":"A Name Of Usual Length","short_name":"Name","login":"n","email":"n%d@example.com","phone":"1",`+
			`"position":"x","is_work":1,"is_blocked":0,"date_in":"2020-01-01","profile_id":1,"division":{"3":{"division_id":3,"is_work":1}},"additional_data":{`, id+1, id+1, id)
		for field := range 20 {
			if field > 0 {
				body.WriteByte(',')
			}
			fmt.Fprintf(&body, `"%d":{"id":%d,"value":"a value"}`, field+1, field+1)
		}
		body.WriteString(`}}`)
	}
	body.WriteString(`}}`)
	got, err := clientFor(t, saying(map[string]string{"get_data": body.String()})).AllEmployees(t.Context(), nil)
	if err != nil || len(got) != 3000 || got[3000].Employee == nil {
		t.Fatalf("%d of 3000 employees, %v", len(got), err)
	}
}

// What nobody reads is not kept, however long it is.
func TestHistoryAndCommentsAreNotKept(t *testing.T) {
	long := `[` + strings.Repeat(`{"id":1,"comment":"x"},`, 200_000) + `{}]`
	body := `{"result":"OK","data":{"id":5,"history":` + long + `,"comments":` + long + `,"description":"kept"}}`
	got, err := clientFor(t, saying(map[string]string{"show": body})).Tasks(t.Context(), taskIDs{5})
	if err != nil || got[5].Task == nil || got[5].Task.Description != "kept" {
		t.Fatalf("%+v, %v", got, err)
	}
}
