package budget_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/budget"
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore"
	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

// Eight processes on one budget. The limit is four times the real one and its
// windows a quarter of a minute: so one window holds as many calls as a real
// minute, and the other rules (five writes a second per calendar, live 5 s and bulk
// 1 s ahead, live within 5 s) are what they are. Faster still, the emulator's
// transactions on a busy machine become what is measured.
const (
	scale        = 4
	scaledLimit  = scale * limit // a minute
	scaledWindow = time.Minute / scale
	perWindow    = limit
	running      = 22 * time.Second
	fillers      = 6
	changers     = 2
	// perFiller calendars are filled at the same time by each of the fillers; every
	// calendar by two of them, so that its pace is nobody's own.
	perFiller = 26
	fillSize  = 10_000 // events, more than the budget allows in the time
)

// childVariable switches the test binary to being one of the eight.
const childVariable = "BUDGET_TEST_PROCESS"

type childConfig struct {
	Number  int
	Google  string
	Project string
	For     time.Duration
}

// told is what a process says at its end.
type told struct {
	Calls, Reservations, Failed int64
	// Longest is how long the slowest reservation took.
	Longest time.Duration
	Errors  []string
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		// Without what it has to say the parent takes it for failed.
		if err := child(text, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return
	}
	m.Run()
}

// counted counts the transactions.
type counted struct {
	*store.Store
	n, longest atomic.Int64
}

func (c *counted) ReserveSlots(ctx context.Context, r store.SlotRequest) (store.Reservation, error) {
	c.n.Add(1)
	from := time.Now()
	defer func() { c.longest.Store(max(c.longest.Load(), int64(time.Since(from)))) }()
	return c.Store.ReserveSlots(ctx, r)
}

// process is one of the eight, put together as the product is.
type process struct {
	childConfig
	gateway *googlecalendar.Gateway
	calls   atomic.Int64
	failed  atomic.Int64
	errors  sync.Map
}

func child(text string, out io.Writer) error {
	p := &process{}
	if err := json.Unmarshal([]byte(text), &p.childConfig); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	backend, err := firestore.New(ctx, p.Project, "")
	if err != nil {
		return err
	}
	ledger := &counted{Store: store.New(backend)}
	// Connected and warm, before anything is judged: an emulator just started takes
	// seconds for its first transactions.
	for range 10 {
		r := store.SlotRequest{Account: "warming up", Calls: []string{"", "c"}, Spacing: time.Millisecond, Window: time.Millisecond, Ahead: time.Hour}
		if _, err := ledger.Store.ReserveSlots(ctx, r); err != nil {
			return err
		}
	}
	client := &http.Client{Transport: stamping{&http.Transport{MaxIdleConnsPerHost: 64}}}
	p.gateway, err = googlecalendar.New(ctx, client, p.Google+"/calendar/v3/", budget.New(ledger, scaledLimit, time.Now),
		func(context.Context) (string, error) { return account, nil })
	if err != nil {
		return err
	}
	if err := ready(ctx, p.Google); err != nil {
		return err
	}
	// Not a deadline: a call that no slot is left for before it would be refused at once.
	time.AfterFunc(p.For, cancel)
	if p.Number < fillers {
		p.fill(ctx)
	} else {
		p.change(budget.WithLane(ctx, queue.LaneLive))
	}
	said := told{Calls: p.calls.Load(), Reservations: ledger.n.Load(), Failed: p.failed.Load(), Longest: time.Duration(ledger.longest.Load())}
	p.errors.Range(func(k, v any) bool { said.Errors = append(said.Errors, fmt.Sprint(k)); return len(said.Errors) < 5 })
	return json.NewEncoder(out).Encode(said)
}

// ready waits until all processes have come so far.
func ready(ctx context.Context, google string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, google+readyPath, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: time.Minute}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// left is the header that says when a call left its process.
const left = "Left-At"

type stamping struct{ http.RoundTripper }

func (s stamping) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(left, strconv.FormatInt(time.Now().UnixNano(), 10))
	return s.RoundTripper.RoundTrip(r)
}

func nanos(text string) time.Time {
	n, _ := strconv.ParseInt(text, 10, 64)
	return time.Unix(0, n)
}

func calendarName(n int) string { return fmt.Sprintf("c%d@group.calendar.google.com", n) }

func (p *process) note(ctx context.Context, err error) {
	p.calls.Add(1)
	if err != nil && ctx.Err() == nil {
		p.failed.Add(1)
		p.errors.Store(err.Error(), true)
	}
}

// fill writes this process' part of the events, each calendar's one after another.
func (p *process) fill(ctx context.Context) {
	var wg sync.WaitGroup
	for n := range perFiller {
		calendar := calendarName(n + perFiller*(p.Number%(fillers/2)))
		wg.Go(func() {
			for i := 0; i < fillSize/fillers/perFiller && ctx.Err() == nil; i++ {
				d := googlecalendar.Draft{ID: fmt.Sprintf("e%dx%dx%d", p.Number, n, i), Content: calendarsync.Event{Title: "fill"}}
				_, err := p.gateway.InsertEvent(ctx, calendar, d)
				p.note(ctx, err)
			}
		})
	}
	wg.Wait()
}

// change makes changes come at odd moments, now and then many at once, in the
// calendars under fill. Each is read and written, as one whose ETag is not known.
func (p *process) change(ctx context.Context) {
	var wg sync.WaitGroup
	for n := 0; ctx.Err() == nil; n++ {
		changes := 1
		if n%16 == 15 {
			changes = 8
		}
		for range changes {
			calendar := calendarName(rand.N(perFiller * fillers / 2))
			title := fmt.Sprintf("live %d", time.Now().UnixNano())
			wg.Go(func() {
				id := fmt.Sprintf("e%d", rand.Int64())
				_, err := p.gateway.Event(ctx, calendar, id)
				if p.note(ctx, err); err == nil {
					_, err = p.gateway.UpdateEvent(ctx, calendar, googlecalendar.Draft{ID: id, Content: calendarsync.Event{Title: title}})
					p.note(ctx, err)
				}
			})
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(100+rand.IntN(500)) * time.Millisecond):
		}
	}
	wg.Wait()
}

// arrival is a call as the stand-in sees it.
type arrival struct {
	at       time.Time
	calendar string // "" for a read
	left     time.Time
	// changed is when the change was made that a live call writes.
	changed time.Time
}

// standIn is Google as far as arrivals matter. Every fiftieth call is refused, to
// be made again: retries count like all others.
type standIn struct {
	started sync.WaitGroup
	mu      sync.Mutex
	seen    []arrival
}

// readyPath is where processes wait for each other.
const readyPath = "/ready"

func (g *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == readyPath {
		g.started.Done()
		g.started.Wait()
		return
	}
	a := arrival{at: time.Now(), left: nanos(r.Header.Get(left))}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/calendar/v3/calendars/"), "/")
	var event struct {
		ID      string `json:"id"`
		Summary string `json:"summary"`
	}
	if r.Method != http.MethodGet {
		a.calendar = parts[0]
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if made, live := strings.CutPrefix(event.Summary, "live "); live {
			a.changed = nanos(made)
		}
	} else if len(parts) == 3 {
		event.ID = parts[2]
	}
	g.mu.Lock()
	g.seen = append(g.seen, a)
	refuse := len(g.seen)%50 == 0
	g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if refuse {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"error":{"code":403,"errors":[{"domain":"usageLimits","reason":"rateLimitExceeded"}]}}`)
		return
	}
	_, _ = fmt.Fprintf(w, `{"id":%q,"status":"confirmed","etag":"\"1\""}`, event.ID)
}

// arrivals are all calls so far in order.
func (g *standIn) arrivals() []arrival {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.SortedFunc(slices.Values(g.seen), func(a, b arrival) int { return a.at.Compare(b.at) })
}

// TestEightProcessesShareOneBudget is the budget's promise on Google's Firestore
// emulator, judged by when calls arrive at a stand-in of Google.
func TestEightProcessesShareOneBudget(t *testing.T) {
	emulator := testenv.Firestore(t)
	google := &standIn{}
	google.started.Add(fillers + changers)
	server := httptest.NewServer(google)
	defer server.Close()
	said := runProcesses(t, emulator, server.URL)
	seen := google.arrivals()
	if len(seen) == 0 {
		t.Fatal("no call arrived")
	}
	var sum told
	var slowest time.Duration
	for n, s := range said {
		slowest = max(slowest, s.Longest)
		sum.Calls, sum.Reservations, sum.Failed = sum.Calls+s.Calls, sum.Reservations+s.Reservations, sum.Failed+s.Failed
		t.Logf("process %d: %+v", n, s)
	}
	// Bulk looks a second ahead: after that everything runs as it will.
	begin, end := seen[0].at.Add(2*time.Second), seen[0].at.Add(running-time.Second)
	most, least, mean := windows(seen, scaledWindow, begin, end)
	used := 100 * mean / perWindow
	t.Logf("%d calls (%d of them over again) by %d processes for %v: per window of %v (limit %d) at most %d, mean %.1f, least %d; %.1f %% of the limit used",
		len(seen), len(seen)/50, fillers+changers, running, scaledWindow, perWindow, most, mean, least, used)
	t.Logf("%d reservations: one for %.1f calls, %.1f a second", sum.Reservations, float64(len(seen))/float64(sum.Reservations), float64(sum.Reservations)/running.Seconds())
	if most > perWindow {
		t.Errorf("%d calls within %v, the limit is %d", most, scaledWindow, perWindow)
	}
	if used < 95 {
		t.Errorf("%.1f %% of the limit used while there was work, want 95", used)
	}
	writes, calendar := busiest(seen, func(a arrival) time.Time { return a.at })
	sent, _ := busiest(seen, func(a arrival) time.Time { return a.left })
	onTheWay := slices.SortedFunc(slices.Values(seen), func(a, b arrival) int { return cmp.Compare(a.at.Sub(a.left), b.at.Sub(b.left)) })
	longest := onTheWay[len(onTheWay)-1]
	t.Logf("writes to one calendar within a second: at most %d sent, %d arrived (a call was on its way for up to %v)",
		sent, writes, longest.at.Sub(longest.left).Round(time.Millisecond))
	// A machine with too much to do lets a call lie between sending and arriving for
	// longer than the budget has in reserve: no pacing can make up for that.
	if slow := longest.at.Sub(longest.left) > 20*time.Millisecond; sent > 6 || (writes > 6 && !slow) {
		t.Errorf("%d writes to %s within a second, want 6 at most: five slots, and one more where the first was used late", writes, calendar)
	}
	took := latencies(seen)
	if len(took) < 30 {
		t.Fatalf("%d live changes arrived: too few to tell", len(took))
	}
	p50, p95 := took[len(took)/2], took[len(took)*95/100]
	t.Logf("%d live changes, until the event is written: p50 %v, p95 %v, longest %v", len(took),
		p50.Round(time.Millisecond), p95.Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	if p95 > 5*time.Second {
		t.Errorf("live changes took %v (p95), want 5 s at most", p95)
	}
	// Refused is only who asked while the emulator was silent for two seconds.
	if sum.Failed > 0 && slowest < 2*time.Second {
		t.Errorf("%d calls failed for good", sum.Failed)
	}
}

func runProcesses(t *testing.T, emulator testenv.Emulator, google string) []told {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), running+20*time.Second)
	defer cancel()
	said := make([]told, fillers+changers)
	var wg sync.WaitGroup
	for n := range said {
		cfg, err := json.Marshal(childConfig{Number: n, Google: google, Project: emulator.Project, For: running})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			cmd := exec.CommandContext(ctx, program)
			cmd.Env = append(os.Environ(), childVariable+"="+string(cfg), "FIRESTORE_EMULATOR_HOST="+emulator.Host)
			var wrong strings.Builder
			cmd.Stderr = &wrong
			out, err := cmd.Output()
			if err == nil {
				err = json.Unmarshal(out, &said[n])
			}
			if err != nil {
				t.Errorf("process %d: %v: %s", n, err, wrong.String())
			}
		})
	}
	wg.Wait()
	return said
}

// windows counts the calls in every window: the most anywhere, least and mean of
// those between begin and end.
func windows(seen []arrival, window time.Duration, begin, end time.Time) (most, least int, mean float64) {
	first := 0
	for i, a := range seen {
		for a.at.Sub(seen[first].at) >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	least = len(seen)
	sum, n := 0, 0
	for from := begin; !from.Add(window).After(end); from = from.Add(50 * time.Millisecond) {
		count := 0
		for _, a := range seen {
			if !a.at.Before(from) && a.at.Before(from.Add(window)) {
				count++
			}
		}
		least, sum, n = min(least, count), sum+count, n+1
	}
	return most, least, float64(sum) / float64(max(n, 1))
}

// busiest is the calendar with the most writes within a second.
func busiest(seen []arrival, when func(arrival) time.Time) (most int, calendar string) {
	by := map[string][]time.Time{}
	for _, a := range seen {
		if a.calendar != "" {
			by[a.calendar] = append(by[a.calendar], when(a))
		}
	}
	for c, at := range by {
		slices.SortFunc(at, time.Time.Compare)
		first := 0
		for i := range at {
			for at[i].Sub(at[first]) >= time.Second {
				first++
			}
			if i-first+1 > most {
				most, calendar = i-first+1, c
			}
		}
	}
	return most, calendar
}

// latencies are the times from live changes to their writing, ascending.
func latencies(seen []arrival) []time.Duration {
	var out []time.Duration
	for _, a := range seen {
		if !a.changed.IsZero() {
			out = append(out, a.at.Sub(a.changed))
		}
	}
	slices.SortFunc(out, cmp.Compare[time.Duration])
	return out
}
