package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/fake/pubsub"
	"github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/simulation/audit"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/memory"
	"github.com/erp-calendar/erp-calendar/shared/webhook"
)

// instances is how many processes of the product run at once.
const instances = 3

// world is one history under way.
type world struct {
	dice
	setup  setup
	rows   []string // of the unproved questions, whose answers are drawn
	config environment
	defect Defect
	log    *slog.Logger
	zone   *time.Location

	ctx    context.Context
	cancel context.CancelFunc

	google *google.Server
	erp    *userside.Server
	memory store.Backend
	// realClock: there is no bubble, and every wait is short.
	realClock bool
	backoff   time.Duration // of the queue; 0 is Google's
	pollEvery time.Duration
	wipe      func()
	queue     *pubsub.Dispatcher
	faults    *injector
	cipher    seal.Cipher
	auditor   *audit.Auditor
	browser   *browser
	settings  calendarsync.Settings // in force, as the admin knows

	webhookKeys []webhook.Key
	slots       []*instance
	boots       int
	renewals    int // boots that replaced an instance that was alive
	markless    int // databases lost while marks did not come back

	// traceMu guards trace alone: an instance notes its death with its own lock held.
	traceMu sync.Mutex
	trace   []string // what happened, for the print of a failing history

	// calm is set once the faults have ended.
	calm atomic.Bool

	mu         sync.Mutex
	busy       int       // threads beside the queue's: notifications, polls, messages on their way
	failures   []error   // faults of the simulation itself
	step       int       // id of the step under way, for draws
	polled     time.Time // when Scheduler last called
	asked      int       // requests that Scheduler made
	kept       []store.ActivityRecord
	violations []Violation
	polls      int
	movedAt    time.Time // when a mail domain was new last
	waited     int       // how often a former address was seen to read on
}

// open makes the world of a history, in the bubble that it is called in, or on the real
// clock where there is a database.
func open(ctx context.Context, env environment, h History, defect Defect, log *slog.Logger, db *Database) (*world, error) {
	w := &world{dice: dice(h.Seed), rows: h.Rows, defect: defect, log: log, faults: &injector{}, pollEvery: pollEvery}
	if db != nil {
		w.rows = slices.DeleteFunc(slices.Clone(h.Rows), func(row string) bool { return !slices.Contains(timeless(), row) })
	}
	w.setup = setupOf(w.dice, w.rows)
	w.config = env
	w.config.ERP.KeyInQuery = w.setup.ERP.Parameters == userside.ParametersInQuery
	if db != nil {
		w.useRealClock(db)
	}
	var err error
	if w.config.DefaultSettings.JSON, err = w.setup.defaultSettings(); err != nil {
		return nil, err
	}
	if w.zone, err = time.LoadLocation(zoneName); err != nil {
		return nil, err
	}
	key, ok := w.config.TokenKey.Local()
	if !ok {
		return nil, errors.New("simulation: the token key cannot be read")
	}
	if w.cipher, err = seal.NewLocal(key); err != nil {
		return nil, err
	}
	if w.webhookKeys, err = w.config.NotifySecrets.Keys(); err != nil {
		return nil, err
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	if !w.realClock {
		pause(w.ctx, time.Until(w.setup.Start))
	}
	w.setup.Google.SigningKey = env.signing
	w.google = google.New(w.setup.Google)
	w.erp = userside.New(userside.Options{
		Now: time.Now, Location: w.zone, APIKey: erpKey, Generation: w.setup.Generation, Ways: w.setup.ERP, Notify: w.notified, LogLimit: 200_000,
		Sleep: func(ctx context.Context, d time.Duration) error {
			if !pause(ctx, w.shorter(d)) {
				return context.Cause(ctx)
			}
			return nil
		},
	})
	w.populate()
	if !w.realClock {
		backend := memory.New(time.Now)
		w.memory, w.wipe = backend, backend.Wipe
	}
	if err := w.subscribe(); err != nil {
		return nil, err
	}
	if w.browser, err = newBrowser(w); err != nil {
		return nil, err
	}
	for n := range instances {
		i, err := w.boot(n)
		if err != nil {
			return nil, err
		}
		w.slots = append(w.slots, i)
	}
	return w, nil
}

// close ends everything that still runs.
func (w *world) close() error {
	w.cancel()
	err := w.queue.Close()
	for w.threads() > 0 {
		<-time.After(w.brief(time.Second))
	}
	if !w.realClock {
		// The allocator of slots outlives its callers, and a bubble must not end before its
		// goroutines do.
		<-time.After(time.Minute)
	}
	return err
}

// spawn runs a thread of the history beside the one that applies the steps.
func (w *world) spawn(do func()) {
	w.mu.Lock()
	w.busy++
	w.mu.Unlock()
	go func() {
		defer func() {
			w.mu.Lock()
			w.busy--
			w.mu.Unlock()
		}()
		do()
	}()
}

func (w *world) threads() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.busy
}

// fail notes that the simulation itself went wrong.
func (w *world) fail(err error) {
	if err == nil || w.ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, err)
}

// note adds a line to the trace.
func (w *world) note(format string, args ...any) {
	w.traceMu.Lock()
	defer w.traceMu.Unlock()
	w.trace = append(w.trace, time.Now().In(w.zone).Format("02.01. 15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// slot gives the instance in a slot, a new one if the last one died.
func (w *world) slot(n int) *instance {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.slots[n].alive() {
		fresh, err := w.boot(n)
		if err != nil {
			w.failures = append(w.failures, err)
			return w.slots[n]
		}
		w.slots[n] = fresh
	}
	return w.slots[n]
}

// scheduled calls a function as Scheduler does.
func (w *world) scheduled(function string) {
	w.mu.Lock()
	w.asked++
	n := strconv.Itoa(w.asked)
	w.mu.Unlock()
	w.spawn(func() {
		ctx, cancel := context.WithTimeout(w.ctx, 5*time.Minute)
		defer cancel()
		name := function + "/" + n
		w.serve(ctx, function, name, []byte("{}"))
	})
}

// notified is called by the ERP on every change, as its connector is. Some notifications
// are lost, some come late or twice, and they keep no order.
func (w *world) notified(changes ...userside.Change) {
	for n, c := range changes {
		w.mu.Lock()
		name := strconv.Itoa(w.step) + "/" + c.Type + "/" + strconv.Itoa(n)
		w.mu.Unlock()
		times := 1
		switch p := w.dice.pick(1000, "notification", name); {
		case p < 150 && !(w.setup.Unaided && w.setup.ERP.ExecutorsUndated): // which no poll would find
			w.note("the notification %s %v is lost", c.Type, c.IDs)
			continue
		case p < 250:
			times = 2
		}
		for again := range times {
			high := 800 * time.Millisecond
			if w.dice.chance(100, "late", name, strconv.Itoa(again)) {
				high = 20 * time.Minute
			}
			wait := w.brief(w.dice.between(time.Millisecond, high, "notify after", name, strconv.Itoa(again)))
			w.spawn(func() { w.notify(c, name+"/"+strconv.Itoa(again), wait) })
		}
	}
}

// notify sends a signed notification until it is accepted, as the connector does.
func (w *world) notify(c userside.Change, name string, wait time.Duration) {
	body, err := json.Marshal(map[string]any{"type": c.Type, "timestamp": time.Now().UTC().Format(time.RFC3339), "data": map[string]any{"ids": c.IDs}})
	if err != nil {
		w.fail(err)
		return
	}
	for try := range 5 {
		if !pause(w.ctx, wait) {
			return
		}
		header, err := webhook.Sign(w.webhookKeys[0], "msg_"+name, time.Now(), body)
		if err != nil {
			w.fail(err)
			return
		}
		id := name + "/" + strconv.Itoa(try)
		r, err := post(withActor(w.ctx, "notify/"+id), "http://notify.invalid/", body)
		if err != nil {
			w.fail(err)
			return
		}
		for k, v := range header {
			r.Header[k] = v
		}
		w.auditor.Vouched(c.Type, c.IDs...)
		i := w.slot(w.dice.pick(len(w.slots), "notify slot", id))
		if answer, answered := i.call("Notify", r); answered && answer.Status() == http.StatusAccepted {
			return
		}
		wait = w.brief(time.Minute)
	}
}

func post(ctx context.Context, url string, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.RequestURI, r.RemoteAddr = "/", "192.0.2.1:443"
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

func readAll(r *http.Request) ([]byte, error) { return io.ReadAll(r.Body) }

// messageOf reads the message id and the attempt of a push.
func messageOf(body []byte) (id string, attempt int) {
	var push struct {
		Message struct {
			ID string `json:"messageId"`
		} `json:"message"`
		Attempt int `json:"deliveryAttempt"`
	}
	if json.Unmarshal(body, &push) != nil {
		return "", 0
	}
	return push.Message.ID, push.Attempt
}
