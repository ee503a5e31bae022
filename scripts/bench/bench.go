package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/fake/deployment"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// Google's default limit, and the product's limit on memory.
const (
	perMinute   = 600
	memoryLimit = 256 << 20
	// The instances times concurrency of rule 7.3, and one instance's.
	taskPushes, employeePushes         = 10 * 8, 2 * 4
	taskConcurrency, employeeConcurent = 8, 4
	messageSize                        = 50
)

type options struct {
	out                     io.Writer
	employees, tasks, scale int
	latency, every, real    time.Duration
	// profile and allocations are files for profiles of the first fill's product; "" for none.
	profile, allocations string
	// bySingle fills by messages of one employee, all at once: short, and unlike a
	// first connection.
	bySingle bool
	// apartOnly leaves out the large company, and fillOnly all but its first fill and
	// single changes.
	apartOnly, fillOnly bool
}

// quick shortens what was not given by the caller.
func (o *options) quick(given map[string]bool) {
	for name, set := range map[string]func(){
		"employees": func() { o.employees = 50 },
		"tasks":     func() { o.tasks = 500 },
		"live":      func() { o.every = 100 * time.Millisecond },
		"real":      func() { o.real = 2 * time.Second },
	} {
		if !given[name] {
			set()
		}
	}
	o.bySingle = true
}

// bench is the ground of a run: the stand-ins, and the process of the product that
// is told of changes.
type bench struct {
	options
	began  time.Time
	dir    string
	url    string
	secret secrets
	google *fakegoogle.Server
	erp    *fakeerp.Server
	meter  *meter
	judge  deployment.Judge
	own    map[int64]own

	mu      sync.Mutex
	told    *process
	sending sync.WaitGroup

	broken []string
	goals  []goal
	peaks  []peak
}

// own is what an employee ought to have.
type own struct {
	address string
	wanted  int
	// tasks are those of nobody else that are in the calendar.
	tasks []int64
}

type secrets struct{ client, erp, token, notify, session string }

// peak is the memory of a process and the functions it ran.
type peak struct {
	what string
	memory
}

// measure runs everything and gives an error where a promise was not kept.
func measure(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "erp-calendar-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{options: o, dir: dir, began: time.Now()}
	stop, err := b.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	apart := []func(context.Context) error{b.notifyAlone, b.tripsOfAChange, b.companies}
	one := []func(context.Context) error{b.whole, b.realLimit, b.nightly, b.polls, b.burst, b.pages, b.small, b.deadLetters, b.end}
	switch {
	case b.apartOnly:
		one = nil
	case b.fillOnly:
		apart, one = nil, []func(context.Context) error{b.whole}
	}
	for _, phase := range slices.Concat(apart, one) {
		if err := phase(ctx); err != nil {
			return err
		}
	}
	b.sayGoals()
	if len(b.broken) > 0 {
		return fmt.Errorf("%d promises are not kept; the first: %s", len(b.broken), b.broken[0])
	}
	return nil
}

func (b *bench) say(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format+"\n", args...) }

// holds notes a promise that is not kept.
func (b *bench) holds(ok bool, format string, args ...any) {
	if ok {
		return
	}
	text := fmt.Sprintf(format, args...)
	b.broken = append(b.broken, text)
	b.say("  NOT KEPT: %s", text)
}

// serve starts the stand-ins with the company in them.
func (b *bench) serve(ctx context.Context) (stop func(), err error) {
	random := func() string {
		bytes := make([]byte, 32)
		_, _ = rand.Read(bytes) // never fails (crypto/rand)
		return base64.StdEncoding.EncodeToString(bytes)
	}
	b.secret = secrets{client: random(), erp: random(), token: "local:" + random(), notify: "whsec_" + random(), session: random()}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b.url = "http://" + listener.Addr().String()
	zone, err := time.LoadLocation(zoneName)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	b.google = fakegoogle.New(fakegoogle.Options{
		BaseURL: b.url + "/google", ClientID: "bench.apps.googleusercontent.com", ClientSecret: b.secret.client,
		RedirectURIs: []string{b.url + "/OAuth/callback"},
		Accounts:     []fakegoogle.Account{{Sub: "1001", Email: adminEmail, Name: "Admin"}, {Sub: accountSub, Email: accountEmail, Name: "Calendars"}},
		Latency:      b.latency, RequestsPerMinute: perMinute * b.scale,
	})
	b.erp = fakeerp.New(fakeerp.Options{
		Location: zone, APIKey: b.secret.erp, LogLimit: 1_000_000,
		Notify: func(changes ...fakeerp.Change) { b.notify(ctx, changes) },
	})
	b.erp.Load(company(b.employees, b.tasks, b.began.In(zone)))
	b.judge = deployment.Judge{ERP: b.erp, Google: b.google, BindingField: bindingField, Since: b.began.Add(-24 * time.Hour)}
	b.own = map[int64]own{}
	wanted := b.judge.Wanted()
	for _, e := range b.erp.Employees() {
		b.own[e.ID] = own{address: e.Email, wanted: len(wanted[e.ID])}
	}
	for _, t := range b.erp.Tasks() {
		if len(t.Executors) == 1 && !t.Todo.Before(b.judge.Since) {
			o := b.own[t.Executors[0]]
			o.tasks = append(o.tasks, t.ID)
			b.own[t.Executors[0]] = o
		}
	}
	b.meter = newMeter(b.google)
	mux := http.NewServeMux()
	mux.Handle("/google/", http.StripPrefix("/google", b.meter))
	mux.Handle("/erp/", http.StripPrefix("/erp", b.erp))
	mux.HandleFunc("/"+deployment.Console+"/", b.forward)
	mux.HandleFunc("/"+deployment.OAuth+"/", b.forward)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends with Close
	return func() {
		_ = server.Close()
		b.sending.Wait()
	}, nil
}

// right reports whether every calendar is as it ought to be; what says when.
func (b *bench) right(what string) bool {
	wrong := b.judge.Differences()
	if len(wrong) > 0 {
		b.holds(false, "%s %d faults, such as: %s", what, len(wrong), wrong[0])
	}
	return len(wrong) == 0
}

// notify does what the ERP's connector does: it signs and sends what changed,
// without holding up the dispatcher.
func (b *bench) notify(ctx context.Context, changes []fakeerp.Change) {
	b.mu.Lock()
	p := b.told
	b.mu.Unlock()
	if p == nil {
		return
	}
	for _, c := range changes {
		b.sending.Go(func() {
			if err := b.send(ctx, p, c.Type, c.IDs); err != nil && ctx.Err() == nil {
				b.say("  a notification was lost: %v", err)
			}
		})
	}
}

func (b *bench) send(ctx context.Context, p *process, kind string, ids []int64) error {
	body, header, err := deployment.Notification(b.secret.notify, kind, ids...)
	if err != nil {
		return err
	}
	_, err = p.call(ctx, http.MethodPost, "/"+deployment.Notify+"/", body, header)
	return err
}

// process starts functions on the run's store, at a limit of requests a minute.
func (b *bench) process(ctx context.Context, limit, tasks, employees int, functions ...string) (*process, error) {
	s := b.spec(limit, tasks, employees, functions...)
	if _, err := os.Stat(s.State); errors.Is(err, os.ErrNotExist) {
		s.RefreshToken = b.google.RefreshToken(accountEmail, scopes()...)
	}
	p, err := spawn(ctx, s)
	if err != nil {
		return nil, err
	}
	if slices.Contains(functions, deployment.Notify) {
		b.tell(p)
	}
	return p, nil
}

// spec is what such a process is told.
func (b *bench) spec(limit, tasks, employees int, functions ...string) spec {
	settings := fmt.Sprintf(`{"enabled":true,"confirmed":true,"time_zone":%q,"shown_roles":[%d,%d],"binding_field":%d}`,
		zoneName, fakeerp.RoleNotCompleted, fakeerp.RoleInProgress, bindingField)
	return spec{
		Functions: functions, State: filepath.Join(b.dir, "state.db"), TaskPushes: tasks, EmployeePushes: employees,
		Env: map[string]string{
			"GOOGLE_CLOUD_PROJECT": "bench", "ERP_URL": b.url + "/erp", "ERP_API_KEY": b.secret.erp, "ALLOW_HTTP_ERP": "true",
			"OAUTH_CLIENT_ID": "bench.apps.googleusercontent.com", "OAUTH_CLIENT_SECRET": b.secret.client,
			"TOKEN_KEY": b.secret.token, "NOTIFY_SECRETS": b.secret.notify, "DEFAULT_SETTINGS": settings,
			"OAUTH_URL": b.url + "/" + deployment.OAuth, "CONSOLE_URL": b.url + "/" + deployment.Console, "SESSION_KEY": b.secret.session,
			"ADMIN_EMAILS": adminEmail, "INTEGRATION_ACCOUNT": accountEmail,
			"GOOGLE_ISSUER": b.url + "/google", "CALENDAR_ENDPOINT": b.url + "/google/calendar/v3/",
			"CALENDAR_REQUESTS_PER_MINUTE": strconv.Itoa(limit), "CALENDARS_PER_HOUR": "10000", "CALENDARS_PER_DAY": "10000", "SHARES_PER_DAY": "10000",
		},
	}
}

// tell makes a process the one that hears of changes; nil for none.
func (b *bench) tell(p *process) {
	b.mu.Lock()
	b.told = p
	b.mu.Unlock()
}

// finish ends a process and keeps its peak memory.
func (b *bench) finish(ctx context.Context, p *process, what string) error {
	b.tell(nil)
	b.sending.Wait()
	s, err := p.status(ctx)
	if err != nil {
		return errors.Join(err, p.end())
	}
	b.peaks = append(b.peaks, peak{what, s.Memory})
	delete(s.Log, "WARN: dead letter recorded") // what DeadLetter is for
	for name, n := range s.Log {
		b.say("  log: %d× %s", n, name)
	}
	return p.end()
}

// employeeIDs are everybody's, ascending.
func (b *bench) employeeIDs() []int64 {
	var out []int64
	for _, e := range b.erp.Employees() {
		out = append(out, e.ID)
	}
	slices.Sort(out)
	return out
}
