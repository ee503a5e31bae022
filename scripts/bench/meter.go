package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// meter stands before the Google stand-in: it notes when Calendar calls arrive and
// tells whoever waits for an event when its write has been answered.
type meter struct {
	next http.Handler

	mu       sync.Mutex
	arrivals []time.Time
	// events and rules count the lists that were asked for since the last reset: who
	// waits for a phase's end must not hold up the stand-ins by copying their logs.
	events, rules int
	watched       map[watch]chan time.Time
}

// watch is an event by its calendar and start.
type watch struct {
	calendar string
	start    int64 // Unix seconds
}

func newMeter(next http.Handler) *meter {
	return &meter{next: next, watched: map[watch]chan time.Time{}}
}

// ServeHTTP passes a request on.
func (m *meter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	calendar, isEvent := eventPath(r)
	m.mu.Lock()
	if strings.Contains(r.URL.Path, "/calendar/v3/") {
		m.arrivals = append(m.arrivals, time.Now())
	}
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/events") {
		m.events++
	} else if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/acl") {
		m.rules++
	}
	waiting := len(m.watched) > 0
	m.mu.Unlock()
	if !isEvent || !waiting {
		m.next.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, "unreadable", http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var event struct {
		Start struct {
			DateTime time.Time `json:"dateTime"`
		} `json:"start"`
	}
	// What is no event is for the stand-in to refuse.
	_ = json.Unmarshal(body, &event)
	sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	m.next.ServeHTTP(sw, r)
	if sw.status >= 300 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := watch{calendar, event.Start.DateTime.Unix()}
	if c, ok := m.watched[key]; ok {
		c <- time.Now()
		delete(m.watched, key)
	}
}

// eventPath gives the calendar of a request that writes an event.
func eventPath(r *http.Request) (calendar string, ok bool) {
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		return "", false
	}
	_, rest, ok := strings.Cut(r.URL.Path, "/calendars/")
	if !ok {
		return "", false
	}
	calendar, rest, _ = strings.Cut(rest, "/")
	return calendar, strings.HasPrefix(rest, "events")
}

// expect gives a channel that tells when an event was written.
func (m *meter) expect(calendar string, start time.Time) (written <-chan time.Time, forget func()) {
	key, c := watch{calendar, start.Unix()}, make(chan time.Time, 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watched[key] = c
	return c, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watched, key)
	}
}

// reset begins to count lists anew.
func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events, m.rules = 0, 0
}

// listed is how many calendars were listed, both events and rules.
func (m *meter) listed() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return min(m.events, m.rules)
}

// since gives the arrivals since a moment.
func (m *meter) since(t time.Time) []time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, _ := slices.BinarySearchFunc(m.arrivals, t, time.Time.Compare)
	return slices.Clone(m.arrivals[i:])
}

// mostIn is the most of the moments, in their order, in any window of a length.
func mostIn(at []time.Time, window time.Duration) int {
	most, first := 0, 0
	for i := range at {
		for at[i].Sub(at[first]) >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status.
func (w *statusWriter) WriteHeader(code int) {
	w.status = code
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
