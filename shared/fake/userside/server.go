package userside

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Types of Change, as in the notification contract (functions/README.md).
const (
	TaskChanged     = "task.changed"
	TaskDeleted     = "task.deleted"
	EmployeeChanged = "employee.changed"
	EmployeeDeleted = "employee.deleted"
)

// Change is what the ERP's event handlers learn of a commit.
type Change struct {
	Type string
	IDs  []int64
}

// Options are the fixed properties of a Server.
type Options struct {
	// Now is the ERP's clock; nil is time.Now.
	Now func() time.Time
	// Location is the ERP server's time zone; nil is UTC.
	Location *time.Location
	// APIKey is what api.php demands as `key`; empty demands nothing.
	APIKey string
	// KeyInQuery makes api.php accept the key in the URL only. Otherwise it is
	// accepted in the form body and in the URL, as PHP's $_REQUEST does.
	KeyInQuery bool
	// KeyIP limits the key to one literal remote address; "" and "*" do not.
	KeyIP string
	// Sections are the categories the key may use; nil is all.
	Sections []string
	// Generation picks spelling and default version; Spelling, if set, wins.
	Generation Generation
	Spelling   *Spelling
	// Version is what get_system_info gives; "" is the generation's.
	Version string
	// Notify is the change hook. It runs in the changing request, after the
	// commit and outside every lock, so it may call back into the Server.
	Notify func(...Change)
	// Sleep waits for the delay fault; nil is a timer that obeys the context.
	Sleep func(context.Context, time.Duration) error
	// Ways are how the ERP behaves where nobody knows how one does.
	Ways Ways
	// LogLimit is how many requests are remembered; 0 is 20,000.
	LogLimit int
}

// Server is the stand-in. Make it with New.
type Server struct {
	opt     Options
	loc     *time.Location
	version string
	handler http.Handler

	mu          sync.Mutex
	spell       Spelling
	mixed       int // replies written with mixed keys
	tasks       map[int64]*Task
	employees   map[int64]*Employee
	divisions   map[int64]Division
	types       map[int64]TaskType
	states      map[int64]TaskState
	empFields   map[int64]Field
	taskFields  map[int64]Field
	nextID      int64
	commitDelay time.Duration
	oldTasks    map[int64]shadow[Task]
	oldPeople   map[int64]shadow[Employee]
	rules       []*activeRule
	nextRule    int
	log         []*Request
	observer    Observer
	reads       int // numbers the reads
	met         map[string]int
}

// shadow is what api.php still shows of an object whose change is not visible yet.
type shadow[T any] struct {
	before *T // nil: did not exist
	until  time.Time
}

// New makes an empty ERP.
func New(opt Options) *Server {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Location == nil {
		opt.Location = time.UTC
	}
	if opt.Sleep == nil {
		opt.Sleep = sleep
	}
	if opt.LogLimit <= 0 {
		opt.LogLimit = 20000
	}
	s := &Server{opt: opt, loc: opt.Location}
	s.spell, s.version = presetOf(opt.Generation)
	if opt.Spelling != nil {
		s.spell = *opt.Spelling
	}
	if opt.Version != "" {
		s.version = opt.Version
	}
	s.reset()
	s.handler = s.routes()
	return s
}

// reset empties the state; the caller holds the lock or is alone.
func (s *Server) reset() {
	s.tasks = map[int64]*Task{}
	s.employees = map[int64]*Employee{}
	s.divisions = map[int64]Division{}
	s.types = map[int64]TaskType{}
	s.states = map[int64]TaskState{}
	s.empFields = map[int64]Field{}
	s.taskFields = map[int64]Field{}
	s.oldTasks = map[int64]shadow[Task]{}
	s.oldPeople = map[int64]shadow[Employee]{}
	s.nextID = 0
}

// ServeHTTP serves api.php and the dispatcher's board. A host that mounts the
// Server under a prefix strips the prefix; nothing here knows it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/") {
		// StripPrefix of "/erp/" leaves no leading slash.
		r = r.Clone(r.Context())
		r.URL.Path = "/" + r.URL.Path
		r.URL.RawPath = ""
	}
	s.handler.ServeHTTP(w, r)
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/api.php", s.serveAPI)
	mux.HandleFunc("GET /login", serveLogin)
	mux.Handle("/", s.boardRoutes())
	return mux
}

// SetSpelling changes how the ERP writes from now on, as an upgrade would.
func (s *Server) SetSpelling(sp Spelling) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spell = sp
}

// SetCommitDelay makes every later change invisible to api.php for d after its
// hook fired: the handler runs inside the ERP's own request, before its commit
// (rule 8.1). Zero ends it for later changes. The getters and the board
// always show the newest state.
func (s *Server) SetCommitDelay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commitDelay = d
}

// now is the ERP's present, in whole seconds like everything it stores.
func (s *Server) now() time.Time { return s.opt.Now().In(s.loc).Truncate(time.Second) }

// visibleTask is the task as api.php shows it, nil if there is none. The lock is held.
func (s *Server) visibleTask(id int64, at time.Time) *Task {
	if sh, ok := s.oldTasks[id]; ok {
		if at.Before(sh.until) {
			return sh.before
		}
		delete(s.oldTasks, id)
	}
	return s.tasks[id]
}

func (s *Server) visibleEmployee(id int64, at time.Time) *Employee {
	if sh, ok := s.oldPeople[id]; ok {
		if at.Before(sh.until) {
			return sh.before
		}
		delete(s.oldPeople, id)
	}
	return s.employees[id]
}

// visibleTasks are all tasks as api.php shows them, by id. The lock is held.
func (s *Server) visibleTasks() []*Task {
	at := s.opt.Now()
	return visible(keysOf(s.tasks, s.oldTasks), func(id int64) *Task { return s.visibleTask(id, at) })
}

func (s *Server) visibleEmployees() []*Employee {
	at := s.opt.Now()
	return visible(keysOf(s.employees, s.oldPeople), func(id int64) *Employee { return s.visibleEmployee(id, at) })
}

func visible[T any](ids []int64, get func(int64) *T) []*T {
	var out []*T
	for _, id := range ids {
		if v := get(id); v != nil {
			out = append(out, v)
		}
	}
	return out
}

// keysOf are the keys of both maps, ascending, once each.
func keysOf[A, B any](a map[int64]A, b map[int64]B) []int64 {
	ids := make([]int64, 0, len(a)+len(b))
	for id := range a {
		ids = append(ids, id)
	}
	for id := range b {
		if _, ok := a[id]; !ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
