package userside

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/failure"
)

func TestProbeTellsTheSortOfAnswer(t *testing.T) {
	for _, tc := range []struct {
		name, body, location string
		status               int
		want                 Probe
	}{
		{"data", `{"result":"OK","data":{}}`, "", 200, Probe{Answer: AnswerData, Status: 200}},
		{"an API error", `{"Result":"ERROR","ErrorText":"no"}`, "", 200, Probe{Answer: AnswerError, Status: 200}},
		{"an API error with its status", `{"Result":"ERROR"}`, "", 404, Probe{Answer: AnswerError, Status: 404}},
		{"data with a bad status", `{"result":"OK","data":{}}`, "", 500, Probe{Answer: AnswerError, Status: 500}},
		{"refused", `{"Result":"ERROR"}`, "", 403, Probe{Answer: AnswerRefused, Status: 403}},
		{"refused with a page", `<h1>no</h1>`, "", 401, Probe{Answer: AnswerRefused, Status: 401}},
		{"redirected", "", "login", 302, Probe{Answer: AnswerRedirect, Status: 302}},
		{"redirected away", "", "https://sso.example/login", 301, Probe{Answer: AnswerRedirect, Status: 301, Elsewhere: "sso.example"}},
		{"a page", "<html>", "", 200, Probe{Answer: AnswerPage, Status: 200}},
		{"cut off", `{"result":"OK","da`, "", 200, Probe{Answer: AnswerBroken, Status: 200}},
		{"nothing", "", "", 200, Probe{Answer: AnswerBroken, Status: 200}},
		{"other JSON", `{"hello":1}`, "", 200, Probe{Answer: AnswerUnknown, Status: 200}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			asked := 0
			c := clientFor(t, served(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				if tc.location != "" {
					w.Header().Set("Location", tc.location)
				}
				w.WriteHeader(tc.status)
				_, _ = fmt.Fprint(w, tc.body)
			})))
			got, err := c.Probe(t.Context(), "system", "get_system_info")
			if err != nil || got != tc.want || asked != 1 {
				t.Fatalf("got %+v, %v after %d requests, want %+v after one", got, err, asked, tc.want)
			}
		})
	}
}

func TestProbeOnlyReads(t *testing.T) {
	c := clientFor(t, served(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("something was asked") })))
	for _, action := range []string{"change_value", "delete", "show", ""} {
		if _, err := c.Probe(t.Context(), "task", action); !failure.Is(err, failure.Invalid) {
			t.Errorf("%q: %v", action, err)
		}
	}
}

func TestCaptionsAreReadWhereTheERPTellsThem(t *testing.T) {
	c := clientFor(t, served(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"result":"OK","data":{
			"7":{"id":7,"additional_data":{"12":{"value":"1","caption":"Google &amp; calendar"},"13":"x"}},
			"8":{"id":8,"additional_data":[]}}}`)
	})))
	readings, captions, err := c.EmployeeCards(t.Context(), NobodyKnown)
	if err != nil || len(readings) != 2 || len(captions) != 1 || captions[12] != "Google & calendar" {
		t.Fatalf("%d readings, captions %v, %v", len(readings), captions, err)
	}
}
