// Package logging writes entries as Cloud Logging reads them from a function's
// output: one JSON object per line, with severity, trace and labels. Alarms are
// entries too (rule 7.4). It must never be given a body, a token or a
// person's data: it prints what it gets.
package logging

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
)

const (
	keyTrace   = "logging.googleapis.com/trace"
	keySpan    = "logging.googleapis.com/spanId"
	keySampled = "logging.googleapis.com/trace_sampled"
	keyLabels  = "logging.googleapis.com/labels"
	keySource  = "logging.googleapis.com/sourceLocation"
)

// New makes a logger for w. project completes trace names; where it is empty the
// bare trace id is written. Times are those of slog's records.
func New(w io.Writer, project string) *slog.Logger {
	return slog.New(&handler{project: project, json: slog.NewJSONHandler(w, &slog.HandlerOptions{
		Level: slog.LevelInfo,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return a
			}
			switch a.Key {
			case slog.LevelKey:
				if level, ok := a.Value.Any().(slog.Level); ok {
					return slog.String("severity", severity(level))
				}
			case slog.MessageKey:
				a.Key = "message"
			}
			return a
		},
	})})
}

func severity(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARNING"
	case l >= slog.LevelInfo:
		return "INFO"
	default:
		return "DEBUG"
	}
}

// Labels makes the attribute that Cloud Logging takes as the entry's labels, for
// Logger.With: Labels("function", "Notify").
func Labels(pairs ...string) slog.Attr {
	var attrs []any
	for pair := range slices.Chunk(pairs, 2) {
		if len(pair) == 2 {
			attrs = append(attrs, slog.String(pair[0], pair[1]))
		}
	}
	return slog.Group(keyLabels, attrs...)
}

// handler puts trace and source on top level, also where the logger opened a
// group: Cloud Logging reads them nowhere else. So it nests groups itself.
type handler struct {
	json    slog.Handler
	project string
	opened  []opening
}

// opening is one WithGroup or one WithAttrs.
type opening struct {
	group string
	attrs []slog.Attr
}

func (h *handler) Enabled(ctx context.Context, l slog.Level) bool { return h.json.Enabled(ctx, l) }

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.with(opening{group: name})
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	return h.with(opening{attrs: slices.Clone(attrs)})
}

func (h *handler) with(o opening) slog.Handler {
	return &handler{h.json, h.project, append(slices.Clip(h.opened), o)}
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	var attrs []slog.Attr
	r.Attrs(func(a slog.Attr) bool { attrs = append(attrs, a); return true })
	for _, o := range slices.Backward(h.opened) {
		switch {
		case o.group == "":
			attrs = append(slices.Clone(o.attrs), attrs...)
		case len(attrs) > 0:
			attrs = []slog.Attr{{Key: o.group, Value: slog.GroupValue(attrs...)}}
		}
	}
	if t, ok := ctx.Value(traceKey{}).(trace); ok {
		name := t.id
		if h.project != "" {
			name = "projects/" + h.project + "/traces/" + t.id
		}
		attrs = append(attrs, slog.String(keyTrace, name))
		if t.span != "" {
			attrs = append(attrs, slog.String(keySpan, t.span))
		}
		if t.sampled {
			attrs = append(attrs, slog.Bool(keySampled, true))
		}
	}
	if r.Level >= slog.LevelError {
		if s := r.Source(); s != nil {
			attrs = append(attrs, slog.Group(keySource, "file", s.File, "line", strconv.Itoa(s.Line), "function", s.Function))
		}
	}
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	out.AddAttrs(attrs...)
	return h.json.Handle(ctx, out)
}

type (
	traceKey  struct{}
	loggerKey struct{}
)

type trace struct {
	id, span string
	sampled  bool
}

var (
	// W3C: version-trace-span-flags, all hexadecimal.
	traceparent = regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$`)
	// Google's older one: TRACE/SPAN;o=OPTIONS with a decimal span.
	cloudTrace = regexp.MustCompile(`^([0-9a-fA-F]{32})(?:/([0-9]+))?(?:;o=([0-9]+))?$`)
)

// WithTrace puts the trace that a request belongs to into ctx, so that every entry
// made with it carries the trace. A request without one leaves ctx as it is.
func WithTrace(ctx context.Context, r *http.Request) context.Context {
	if m := traceparent.FindStringSubmatch(r.Header.Get("traceparent")); m != nil {
		flags, _ := strconv.ParseUint(m[3], 16, 8)
		return context.WithValue(ctx, traceKey{}, trace{m[1], m[2], flags&1 == 1})
	}
	if m := cloudTrace.FindStringSubmatch(r.Header.Get("X-Cloud-Trace-Context")); m != nil {
		t := trace{id: m[1], sampled: m[3] == "1"}
		if span, err := strconv.ParseUint(m[2], 10, 64); err == nil && span != 0 {
			t.span = hex16(span)
		}
		return context.WithValue(ctx, traceKey{}, t)
	}
	return ctx
}

func hex16(n uint64) string {
	s := strconv.FormatUint(n, 16)
	return "0000000000000000"[len(s):] + s
}

// Into puts the logger into ctx, for code that gets only a context: a function's
// serve.Connect.
func Into(ctx context.Context, l *slog.Logger) context.Context {
	return context.WithValue(ctx, loggerKey{}, l)
}

// From gives the logger of ctx, or a new one on standard output, which Cloud Run
// collects.
func From(ctx context.Context) *slog.Logger {
	if l, ok := ctx.Value(loggerKey{}).(*slog.Logger); ok {
		return l
	}
	return New(os.Stdout, os.Getenv("GOOGLE_CLOUD_PROJECT"))
}
