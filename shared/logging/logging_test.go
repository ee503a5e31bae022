package logging_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/shared/logging"
)

// entries reads each line as one JSON object.
func entries(t *testing.T, out *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range bytes.Lines(out.Bytes()) {
		var e map[string]any
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

// The handler keeps slog's rules, its two renamed keys aside.
func TestHandlerKeepsTheRulesOfSlog(t *testing.T) {
	var out bytes.Buffer
	err := slogtest.TestHandler(logging.New(&out, "p").Handler(), func() []map[string]any {
		all := entries(t, &out)
		for _, e := range all {
			e[slog.LevelKey], e[slog.MessageKey] = e["severity"], e["message"]
			delete(e, "severity")
			delete(e, "message")
		}
		return all
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSeverities(t *testing.T) {
	var out bytes.Buffer
	l := logging.New(&out, "")
	l.Debug("not written")
	l.Info("a")
	l.Warn("b")
	l.Error("c")
	var got []string
	for _, e := range entries(t, &out) {
		if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(e["time"])); err != nil {
			t.Error(err)
		}
		got = append(got, fmt.Sprint(e["severity"], " ", e["message"]))
	}
	if diff := cmp.Diff([]string{"INFO a", "WARNING b", "ERROR c"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTrace(t *testing.T) {
	const id = "105445aa7843bc8bf206b12000100000"
	type want map[string]any
	for _, c := range []struct {
		name, header, value, project string
		want                         want
	}{
		{"Google's", "X-Cloud-Trace-Context", id + "/123;o=1", "p", want{"trace": "projects/p/traces/" + id, "spanId": "000000000000007b", "trace_sampled": true}},
		{"Google's without span", "X-Cloud-Trace-Context", id, "p", want{"trace": "projects/p/traces/" + id}},
		{"W3C", "traceparent", "00-" + id + "-00f067aa0ba902b7-01", "p", want{"trace": "projects/p/traces/" + id, "spanId": "00f067aa0ba902b7", "trace_sampled": true}},
		{"no project", "traceparent", "00-" + id + "-00f067aa0ba902b7-00", "", want{"trace": id, "spanId": "00f067aa0ba902b7"}},
		{"nonsense", "traceparent", "x\"y", "p", want{}},
		{"none", "Accept", "*/*", "p", want{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.Header.Set(c.header, c.value)
			var out bytes.Buffer
			// Even inside a group the trace is where Cloud Logging looks.
			logging.New(&out, c.project).WithGroup("g").InfoContext(logging.WithTrace(t.Context(), r), "m", "k", "v")
			e := entries(t, &out)[0]
			got := want{}
			for _, k := range []string{"trace", "spanId", "trace_sampled"} {
				if v, ok := e["logging.googleapis.com/"+k]; ok {
					got[k] = v
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(map[string]any{"k": "v"}, e["g"]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLabelsErrorsAndSource(t *testing.T) {
	var out bytes.Buffer
	logging.New(&out, "p").With(logging.Labels("function", "Notify", "odd")).Error("m", "error", errors.New("broken"))
	e := entries(t, &out)[0]
	if diff := cmp.Diff(map[string]any{"function": "Notify"}, e["logging.googleapis.com/labels"]); diff != "" {
		t.Error(diff)
	}
	if e["error"] != "broken" {
		t.Errorf("error is %v", e["error"])
	}
	source, _ := e["logging.googleapis.com/sourceLocation"].(map[string]any)
	if name, _ := source["function"].(string); name == "" || source["line"] == "" {
		t.Errorf("source is %v", source)
	}
}

func TestAlarms(t *testing.T) {
	var out bytes.Buffer
	l := logging.New(&out, "p")
	logging.Alarm(t.Context(), l, "disconnected", "v3", "the grant is dead", "account", "1")
	logging.AlarmEnded(t.Context(), l, "disconnected", "v3", "connected again")
	got := entries(t, &out)
	for i, ended := range []any{nil, true} {
		e := got[i]
		if e["severity"] != "ERROR" || e["alarm"] != "disconnected" || e["incident"] != "v3" || e["ended"] != ended {
			t.Errorf("entry %d: %v", i, e)
		}
	}
	if got[0]["account"] != "1" {
		t.Error("the alarm's own attributes are lost")
	}
}

func TestLoggerOfAContext(t *testing.T) {
	var out bytes.Buffer
	l := logging.New(&out, "p")
	if logging.From(logging.Into(t.Context(), l)) != l {
		t.Error("another logger came out")
	}
	if logging.From(context.Background()) == nil {
		t.Error("no logger")
	}
}
