package userside

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// zipped is so many bytes of a repeated text between a beginning and an end, compressed.
func zipped(t *testing.T, begin, part, end string, size int) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	body := io.MultiReader(strings.NewReader(begin), strings.NewReader(strings.Repeat(part, size/len(part))), strings.NewReader(end))
	if _, err := io.Copy(z, body); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
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
