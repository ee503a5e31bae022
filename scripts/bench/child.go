package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
)

// childSwitch in the environment makes this program a process of the product.
const childSwitch = "ERP_CALENDAR_BENCH_CHILD"

// spec is what a process of the product is told, as JSON on its standard input.
type spec struct {
	Functions                  []string
	State                      string
	Env                        map[string]string
	TaskPushes, EmployeePushes int
	// RefreshToken, if set, is connected first.
	RefreshToken string
}

// status is what a process of the product tells of itself.
type status struct {
	Operations operations
	// Outstanding messages; Nacked pushes so far, which came or will come again.
	Outstanding, Nacked int
	Memory              memory
	// Allocated are the bytes of all objects so far.
	Allocated uint64
	// Log counts warnings and errors by their message.
	Log map[string]int
}

// memory is in bytes, each the most there was. HWM is VmHWM, all resident pages;
// Anonymous leaves out those of files (the program itself, the embedded store's
// map); Heap is what Go's objects took.
type memory struct{ HWM, Anonymous, Heap int64 }

// command is what a process is told to publish, to the employee topic or the task
// topic: ids in messages of at most Size, or everybody.
type command struct {
	Employees bool
	IDs       []int64
	Size      int
	Cause     queue.Cause
	Lane      queue.Lane
}

func (c command) messages() []queue.Message {
	if len(c.IDs) == 0 {
		return []queue.Message{{All: true, Cause: c.Cause, Lane: c.Lane}}
	}
	var out []queue.Message
	for ids := range slices.Chunk(c.IDs, c.Size) {
		out = append(out, queue.Message{IDs: ids, Cause: c.Cause, Lane: c.Lane})
	}
	return out
}

// serveChild is a process of the product: it tells its address in a line on out
// and ends when in does, so that it never outlives who started it.
func serveChild(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := bufio.NewReader(in)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read what to run: %w", err)
	}
	var s spec
	if err := json.Unmarshal(line, &s); err != nil {
		return fmt.Errorf("read what to run: %w", err)
	}
	peak := watchMemory(ctx)
	backend, err := bolt.Open(s.State, time.Now, bolt.NoSync())
	if err != nil {
		return err
	}
	defer func() { _ = backend.Close() }()
	c := &counting{Backend: backend}
	warnings := &warnings{count: map[string]int{}}
	p, err := start(ctx, s, store.New(c), slog.New(warnings))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", p.Handler)
	mux.HandleFunc("GET /bench/status", func(w http.ResponseWriter, _ *http.Request) {
		st := status{Operations: c.operations(), Outstanding: p.PubSub.Outstanding(), Memory: peak(), Allocated: allocated(), Log: warnings.counts()}
		for _, name := range []string{"sync-task", "sync-employee"} {
			if n, err := p.PubSub.Counts(name); err == nil {
				st.Nacked += n.Nacked
			}
		}
		_ = json.NewEncoder(w).Encode(st) // the asker may be gone
	})
	mux.HandleFunc("POST /bench/publish", func(w http.ResponseWriter, r *http.Request) {
		var cmd command
		err := json.NewDecoder(r.Body).Decode(&cmd)
		if err == nil {
			err = publish(r.Context(), p, cmd.Employees, cmd.messages())
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /bench/profile", pprof.Profile)
	mux.HandleFunc("GET /bench/heap", pprof.Handler("heap").ServeHTTP)
	mux.HandleFunc("GET /bench/allocations", pprof.Handler("allocs").ServeHTTP)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if _, err := fmt.Fprintln(out, listener.Addr()); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	case err := <-served:
		return errors.Join(err, p.Close())
	}
	return errors.Join(server.Close(), p.Close())
}

// watchMemory measures every 50 ms and gives the most there was.
func watchMemory(ctx context.Context) func() memory {
	var mu sync.Mutex
	var most memory
	measure := func() {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		hwm, anonymous := resident()
		mu.Lock()
		defer mu.Unlock()
		most.Heap = max(most.Heap, int64(sample[0].Value.Uint64()))
		most.HWM, most.Anonymous = max(most.HWM, hwm), max(most.Anonymous, anonymous)
	}
	go func() {
		t := time.NewTicker(50 * time.Millisecond)
		defer t.Stop()
		for {
			measure()
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
		}
	}()
	return func() memory {
		measure()
		mu.Lock()
		defer mu.Unlock()
		return most
	}
}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// resident reads VmHWM and RssAnon of this process; 0 where there is no /proc.
func resident() (hwm, anonymous int64) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		if name != "VmHWM" && name != "RssAnon" {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			continue
		}
		if name == "VmHWM" {
			hwm = kib << 10
		} else {
			anonymous = kib << 10
		}
	}
	return hwm, anonymous
}

// warnings counts log entries from warnings on, by message and kind; like the
// product's log it keeps nothing of their content.
type warnings struct {
	mu    sync.Mutex
	count map[string]int
}

// Enabled takes warnings and errors.
func (*warnings) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle counts an entry.
func (h *warnings) Handle(_ context.Context, r slog.Record) error {
	name := r.Level.String() + ": " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" || a.Key == "kind" {
			text := a.Value.String()
			name += ": " + text[:min(len(text), 160)]
		}
		return true
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.count[name]; !known && len(h.count) >= 50 {
		name = r.Level.String() + ": others"
	}
	h.count[name]++
	return nil
}

// WithAttrs gives the same: attributes of a logger tell nothing here.
func (h *warnings) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup gives the same.
func (h *warnings) WithGroup(string) slog.Handler { return h }

func (h *warnings) counts() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.count)
}
