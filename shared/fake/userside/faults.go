package userside

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type faultKind int

const (
	faultHTML faultKind = iota + 1
	faultTruncated
	faultError
	faultStatus
	faultEmpty
	faultHalf
	faultMissing
	faultReplace
	faultRoleGone
	faultStateRole
	faultDelay
	faultHang
	faultDrop
	faultRedirect
	faultClock
)

// Fault is one way in which the ERP fails or answers falsely. The constructors below make them.
type Fault struct {
	kind   faultKind
	status int
	text   string
	path   string
	value  any
	state  int64
	role   int64
	delay  time.Duration
}

func (f Fault) String() string {
	names := []string{"none", "html", "truncated", "error", "status", "empty", "half", "missing", "replace",
		"role gone", "state role", "delay", "hang", "drop", "redirect", "clock"}
	return strings.TrimSpace(names[f.kind] + " " + f.path)
}

// HTMLPage answers with the login page instead of JSON.
func HTMLPage(status int) Fault { return Fault{kind: faultHTML, status: status} }

// Truncated cuts the JSON off.
func Truncated() Fault { return Fault{kind: faultTruncated} }

// ErrorResult answers `Result: ERROR` with a text, as JSON, with the status (0: 200).
func ErrorResult(text string, status int) Fault {
	return Fault{kind: faultError, text: text, status: status}
}

// Status answers as usual but with another HTTP status.
func Status(code int) Fault { return Fault{kind: faultStatus, status: code} }

// EmptyList empties what the call lists: `list` and `count`, or the payload.
func EmptyList() Fault { return Fault{kind: faultEmpty} }

// HalfList drops the second half (by id) of what the call lists; the count fits.
func HalfList() Fault { return Fault{kind: faultHalf} }

// Missing leaves a key out. The path is in the reply's own spelling, parts
// separated by dots, and is looked for in the reply, in its payload and in every
// entry of the payload: "data", "list", "staff", "staff.employee", "date.todo",
// "email", or with an id "42.email".
func Missing(path string) Fault { return Fault{kind: faultMissing, path: path} }

// Replace puts another JSON value where Missing would cut; only where the key exists.
func Replace(path string, value any) Fault {
	return Fault{kind: faultReplace, path: path, value: value}
}

// UnknownState makes `show` tell a state id that no catalogue knows.
func UnknownState(id int64) Fault { return Replace("state.id", id) }

// RoleGone leaves every state of a role out of get_catalog_state.
func RoleGone(role int64) Fault { return Fault{kind: faultRoleGone, role: role} }

// StateRole gives a state another role, in the catalogue and in `show`.
func StateRole(state, role int64) Fault {
	return Fault{kind: faultStateRole, state: state, role: role}
}

// Delay answers after d; the call takes effect after it too.
func Delay(d time.Duration) Fault { return Fault{kind: faultDelay, delay: d} }

// Hang never answers: it ends with the request's context.
func Hang() Fault { return Fault{kind: faultHang} }

// Drop closes the connection without an answer.
func Drop() Fault { return Fault{kind: faultDrop} }

// RedirectToLogin answers 302 to the login page.
func RedirectToLogin() Fault { return Fault{kind: faultRedirect} }

// ClockOffset shifts date_time_string, but not date_time_unix, by d: a server
// whose zone is set wrong.
func ClockOffset(d time.Duration) Fault { return Fault{kind: faultClock, delay: d} }

// Rule says which calls of api.php meet a fault.
type Rule struct {
	// Cat and Action must fit; "" fits every one.
	Cat, Action string
	// Where, if set, must hold for the call's parameters (without the key). It
	// runs under the Server's lock and must not call the Server.
	Where func(params map[string]string) bool
	// Nth is the first fitting call that is hit, from 1; 0 is 1.
	Nth int
	// Count is how many fitting calls are hit from there: 0 is one, negative is all.
	Count int
	// AfterEffect lets the call happen first and spoils only the answer: the
	// reply lost after the commit.
	AfterEffect bool
	Fault       Fault
}

type activeRule struct {
	id   int
	rule Rule
	seen int
}

// Inject arms a rule and returns what disarms it. Rules that fit the same call
// add up; of those that replace the whole answer the first one injected counts.
func (s *Server) Inject(r Rule) (remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextRule++
	id := s.nextRule
	s.rules = append(s.rules, &activeRule{id: id, rule: r})
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.rules = slices.DeleteFunc(s.rules, func(a *activeRule) bool { return a.id == id })
	}
}

// ClearFaults disarms every rule and the commit delay.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules, s.commitDelay = nil, 0
}

// matching are the rules that hit this call; each counts it.
func (s *Server) matching(c call) []*Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hit []*Rule
	for _, a := range s.rules {
		r := &a.rule
		if r.Cat != "" && r.Cat != c.cat || r.Action != "" && r.Action != c.action ||
			r.Where != nil && !r.Where(c.params) {
			continue
		}
		a.seen++
		first := max(r.Nth, 1)
		if a.seen >= first && (r.Count < 0 || a.seen < first+max(r.Count, 1)) {
			hit = append(hit, r)
		}
	}
	return hit
}

// replacing is the first fault that takes the place of the whole answer.
func replacing(rules []*Rule) *Rule {
	for _, r := range rules {
		switch r.Fault.kind {
		case faultHTML, faultError, faultHang, faultDrop, faultRedirect:
			return r
		}
	}
	return nil
}

func (s *Server) serveFault(w *statusWriter, r *http.Request, f Fault) {
	switch f.kind {
	case faultHTML:
		writeHTML(w, f.status, loginPage)
	case faultError:
		s.writeReply(w, reply{status: cmp.Or(f.status, http.StatusOK), result: "ERROR", errText: f.text, forced: true}, nil, 0)
	case faultHang:
		<-r.Context().Done()
	case faultRedirect:
		// Relative by hand: http.Redirect would write the path without the
		// prefix under which a host mounts this handler.
		w.Header().Set("Location", "login")
		w.WriteHeader(http.StatusFound)
	case faultDrop:
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close() // dropping it is the point
			return
		}
		// net/http's own way to break off an answer where the connection cannot be taken over.
		panic(http.ErrAbortHandler)
	}
}

// alter changes a reply before it is spelled out.
func (f Fault) alter(rep *reply) {
	switch f.kind {
	case faultStatus:
		rep.status = f.status
	case faultEmpty, faultHalf:
		keep := func(n int) int { return 0 }
		if f.kind == faultHalf {
			keep = func(n int) int { return n / 2 }
		}
		f.shorten(rep, keep)
	case faultRoleGone, faultStateRole:
		f.alterStates(rep)
	case faultClock:
		o, ok := rep.data.(object)
		if !ok {
			return
		}
		if v, ok := o["date_time_string"].(string); ok {
			if t, err := time.Parse(WallLayout, v); err == nil {
				o["date_time_string"] = t.Add(f.delay).Format(WallLayout)
			}
		}
	}
}

func (f Fault) shorten(rep *reply, keep func(int) int) {
	if list, ok := rep.top["list"].(string); ok {
		var ids []string
		if list != "" {
			ids = strings.Split(list, ",")
		}
		ids = ids[:keep(len(ids))]
		rep.top["list"] = strings.Join(ids, ",")
		rep.top["count"] = like(rep.top["count"], int64(len(ids)))
	}
	m, ok := rep.data.(keyed)
	if !ok {
		return
	}
	ids := make([]string, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	for _, id := range ids[keep(len(ids)):] {
		delete(m, id)
	}
}

// like gives n the JSON form of old: a number or a numeric string.
func like(old any, n int64) any {
	if _, ok := old.(string); ok {
		return strconv.FormatInt(n, 10)
	}
	return n
}

func (f Fault) alterStates(rep *reply) {
	entries := map[string]any{}
	switch d := rep.data.(type) {
	case keyed:
		entries = d
	case object:
		entries[""] = d
	}
	for id, v := range entries {
		o, ok := v.(object)
		if !ok {
			continue
		}
		if st, ok := o["state"].(object); ok {
			if f.kind == faultStateRole {
				f.setRole(st)
			}
			continue
		}
		if f.kind == faultStateRole {
			f.setRole(o)
		} else if _, role := roleOf(o); role == strconv.FormatInt(f.role, 10) || role == RoleText(f.role) {
			delete(entries, id)
		}
	}
}

func isText(role string) bool {
	_, err := strconv.ParseInt(role, 10, 64)
	return err != nil
}

func (f Fault) setRole(o object) {
	name, spelled := roleOf(o)
	if name == "" || fmt.Sprint(o["id"]) != strconv.FormatInt(f.state, 10) {
		return
	}
	if o[name] = like(o[name], f.role); isText(spelled) {
		o[name] = RoleText(f.role)
	}
	if _, ok := o["system_role_text"]; ok {
		o["system_role_text"] = RoleText(f.role)
	}
}

// roleOf finds the role in an object whatever its name.
func roleOf(o object) (name, role string) {
	for _, n := range []string{"system_role", "systemRole", "sysrole"} {
		if v, ok := o[n]; ok {
			return n, fmt.Sprint(v)
		}
	}
	return "", ""
}

// alterTop applies the path faults to the whole body.
func (f Fault) alterTop(body object, resultKey, dataKey string) {
	if f.kind != faultMissing && f.kind != faultReplace {
		return
	}
	path := strings.Split(f.path, ".")
	switch {
	case strings.EqualFold(f.path, "data"):
		path[0] = dataKey
	case strings.EqualFold(f.path, "result"):
		path[0] = resultKey
	}
	if f.apply(body, path) {
		return
	}
	data := fields(body[dataKey])
	if f.apply(data, path) {
		return
	}
	for _, entry := range data {
		f.apply(fields(entry), path)
	}
}

// apply reaches the path inside m, and reports whether it was there.
func (f Fault) apply(m map[string]any, path []string) bool {
	for _, p := range path[:len(path)-1] {
		m = fields(m[p])
	}
	last := path[len(path)-1]
	old, ok := m[last]
	if !ok {
		return false
	}
	if f.kind == faultMissing {
		delete(m, last)
		return true
	}
	if n, isNumber := f.value.(int64); isNumber {
		m[last] = like(old, n)
	} else {
		m[last] = f.value
	}
	return true
}

func fields(v any) map[string]any {
	switch m := v.(type) {
	case object:
		return m
	case keyed:
		return m
	}
	return nil
}
