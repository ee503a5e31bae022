package userside

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxBody = 1 << 20
	maxURL  = 8000 // what a usual web server in front of the ERP accepts
)

// apiError is a failed call with the HTTP status that goes with it.
type apiError struct {
	status int
	text   string
}

func (e *apiError) Error() string { return e.text }

func fail(status int, format string, args ...any) error {
	return &apiError{status: status, text: fmt.Sprintf(format, args...)}
}

// reply is a successful answer before it is spelled out.
type reply struct {
	top     object // beside the result: count, list, Id
	data    any
	hasData bool
	status  int
	result  string
	errText string
	forced  bool // an injected fault chose the status
}

func withData(v any) reply { return reply{data: v, hasData: true} }

// call is one API call with its parameters.
type call struct {
	cat, action string
	params      map[string]string
	now         time.Time
	faulty      bool // faults may change its answer
	read        int  // number of the read, for the observer
}

func (c call) flag(name string) bool { v := c.params[name]; return v != "" && v != "0" }

func (c call) has(name string) bool { _, ok := c.params[name]; return ok }

// firesEvents reports whether the call's change fires the ERP's event handlers.
func (c call) firesEvents() bool { return !c.flag("skip_internal_api") }

func (c call) ids(name string) ([]int64, error) {
	var out []int64
	for part := range strings.SplitSeq(c.params[name], ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return nil, fail(http.StatusBadRequest, "Wrong parameter: %s", name)
		}
		out = append(out, n)
	}
	return out, nil
}

func (c call) oneID(name string) (int64, error) {
	ids, err := c.ids(name)
	if err != nil {
		return 0, err
	}
	if len(ids) != 1 {
		return 0, fail(http.StatusBadRequest, "Missing parameter: %s", name)
	}
	return ids[0], nil
}

func (c call) numberRead(name string) (int64, error) {
	v := c.params[name]
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, fail(http.StatusBadRequest, "Wrong parameter: %s", name)
	}
	return n, nil
}

// endpoint is one action. Reads run under the lock, writes take it themselves.
type endpoint struct {
	write bool
	run   func(*Server, call) (reply, error)
}

// endpoints are the actions by category and name.
var endpoints = map[string]endpoint{
	"task/get_list":          {run: (*Server).taskList},
	"task/show":              {run: (*Server).taskShow},
	"task/get_catalog_state": {run: (*Server).catalogStates},
	"task/get_catalog_type":  {run: (*Server).catalogTypes},
	"task/add":               {write: true, run: (*Server).taskAdd},
	"task/edit":              {write: true, run: (*Server).taskEdit},
	"task/delete":            {write: true, run: (*Server).taskDelete},
	"task/change_date_work":  {write: true, run: (*Server).taskChangeDate},
	"task/change_state":      {write: true, run: (*Server).taskChangeState},
	"task/employee_add":      {write: true, run: (*Server).taskEmployeeAdd},
	"task/employee_delete":   {write: true, run: (*Server).taskEmployeeDelete},
	"task/division_add":      {write: true, run: (*Server).taskDivisionAdd},
	"task/division_delete":   {write: true, run: (*Server).taskDivisionDelete},

	"employee/get_data":          {run: (*Server).employeeData},
	"employee/get_division_list": {run: (*Server).divisionList},
	"employee/get_division":      {run: (*Server).divisionOne},

	"system/get_system_info":       {run: (*Server).systemInfo},
	"additional_data/change_value": {write: true, run: (*Server).changeValue},
}

// categories are the known values of `cat`, for the error that names the fault.
var categories = []string{"task", "employee", "system", "additional_data"}

func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	rec := s.begin(r)
	sw := &statusWriter{ResponseWriter: w}
	defer func() { s.end(rec, sw.status) }()

	if len(r.URL.RequestURI()) > maxURL {
		writeHTML(sw, http.StatusRequestURITooLong, "<h1>414 Request-URI Too Large</h1>")
		return
	}
	c, keys, err := s.readCall(sw, r)
	if err != nil {
		s.writeReply(sw, errorReply(err), nil, 0)
		return
	}
	faults := s.matching(c)
	s.describe(rec, c, keys, faults)
	s.numberRead(&c, faults)

	for _, f := range faults {
		if f.Fault.kind == faultDelay && s.opt.Sleep(r.Context(), f.Fault.delay) != nil {
			return
		}
	}
	replaced := replacing(faults)
	if replaced != nil && !replaced.AfterEffect {
		s.serveFault(sw, r, replaced.Fault)
		return
	}
	if how, spoiled := s.spoils(c); spoiled {
		s.serveSpoiled(sw, how)
		return
	}
	rep, err := s.answer(r, c, keys)
	if err != nil {
		rep = errorReply(err)
	}
	if replaced != nil {
		s.serveFault(sw, r, replaced.Fault)
		return
	}
	s.writeReply(sw, rep, faults, c.read)
}

// keysSent are the values of `key` in the query and in the body.
type keysSent struct{ query, body string }

// readCall reads the parameters as PHP's $_REQUEST does: the body wins over the
// query, and of a repeated name the last value counts.
func (s *Server) readCall(w http.ResponseWriter, r *http.Request) (call, keysSent, error) {
	c := call{params: map[string]string{}, now: s.opt.Now()}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	err := r.ParseForm()
	if err == nil && strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		err = r.ParseMultipartForm(maxBody) //nolint:gosec // MaxBytesReader bounds the body above
	}
	if err != nil {
		return c, keysSent{}, fail(http.StatusBadRequest, "Unreadable request")
	}
	query, body := r.URL.Query(), r.PostForm
	switch s.place() {
	case ParametersInQuery:
		body = nil
	case ParametersInBody:
		query = nil
	}
	var keys keysSent
	for name, vs := range query {
		c.params[name] = vs[len(vs)-1]
	}
	for name, vs := range body {
		c.params[name] = vs[len(vs)-1]
	}
	keys.query, keys.body = query.Get("key"), body.Get("key")
	delete(c.params, "key")
	c.cat = c.params["cat"]
	s.mu.Lock()
	c.action = c.params[s.spell.ActionParam]
	s.mu.Unlock()
	return c, keys, nil
}

// answer checks the call and runs it.
func (s *Server) answer(r *http.Request, c call, keys keysSent) (reply, error) {
	if !s.keyFits(r, keys) {
		return reply{}, fail(http.StatusForbidden, "Wrong API key")
	}
	if s.opt.Sections != nil && !slices.Contains(s.opt.Sections, c.cat) {
		return reply{}, fail(http.StatusForbidden, "Section is not allowed for this key: %s", c.cat)
	}
	if !slices.Contains(categories, c.cat) {
		return reply{}, fail(http.StatusNotFound, "Unknown cat: %s", c.cat)
	}
	ep, ok := endpoints[c.cat+"/"+c.action]
	if !ok {
		return reply{}, fail(http.StatusNotFound, "Unknown action: %s", c.action)
	}
	s.mu.Lock()
	getWrites := s.spell.GETWrites
	if !ep.write {
		defer s.mu.Unlock()
		s.observeRead(c)
		return ep.run(s, c)
	}
	s.mu.Unlock()
	if r.Method != http.MethodPost && !getWrites {
		return reply{}, fail(http.StatusMethodNotAllowed, "This action is allowed by POST only")
	}
	return ep.run(s, c)
}

func (s *Server) keyFits(r *http.Request, keys keysSent) bool {
	if s.opt.KeyIP != "" && s.opt.KeyIP != "*" {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil || host != s.opt.KeyIP {
			return false
		}
	}
	switch {
	case s.opt.APIKey == "":
		return true
	case s.opt.KeyInQuery:
		return keys.query == s.opt.APIKey
	case keys.body != "":
		return keys.body == s.opt.APIKey
	}
	return keys.query == s.opt.APIKey
}

func errorReply(err error) reply {
	ae := &apiError{status: http.StatusBadRequest, text: err.Error()}
	switch {
	case errors.As(err, &ae):
	case errors.Is(err, ErrNotFound):
		ae = &apiError{status: http.StatusNotFound, text: "Object not found"}
	}
	return reply{status: ae.status, result: "ERROR", errText: ae.text}
}

// writeReply applies the faults to a reply, spells it out and sends it.
func (s *Server) writeReply(w http.ResponseWriter, rep reply, faults []*Rule, read int) {
	if rep.result == "" {
		rep.result, rep.status = "OK", http.StatusOK
	}
	s.mu.Lock()
	sp := s.spell
	resultKey, dataKey, errKey := sp.ResultKey, sp.DataKey, sp.ErrorKey
	if sp.MixedKeys {
		n := s.mixed
		s.mixed++
		resultKey = []string{"Result", "result"}[n%2]
		dataKey = []string{"data", "data", "Data", "Data"}[n%4]
		errKey = []string{"ErrorText", "error", "Error"}[(n+n/3)%3]
	}
	s.mu.Unlock()
	if rep.result == "ERROR" && sp.ErrorStatus != 0 && !rep.forced {
		rep.status = sp.ErrorStatus
	}
	for _, f := range faults {
		f.Fault.alter(&rep)
	}
	body := object{resultKey: rep.result}
	for k, v := range rep.top {
		body[k] = v
	}
	if rep.hasData {
		body[dataKey] = rep.data
	}
	if rep.result == "ERROR" {
		body[errKey] = rep.errText
	}
	for _, f := range faults {
		f.Fault.alterTop(body, resultKey, dataKey)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		http.Error(w, "encode the reply", http.StatusInternalServerError)
		return
	}
	out := buf.Bytes()
	for _, f := range faults {
		if f.Fault.kind == faultTruncated {
			out = out[:len(out)*2/3]
		}
	}
	if len(faults) > 0 {
		s.observeFaultyAnswer(read, rep.status, out)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(rep.status)
	_, _ = w.Write(out) // the client may be gone; nobody can be told
}

// parseWall reads a date in any form shared/userside/README.md names and gives the wall
// clock of WallLayout, "" for none, and whether it had no time of day.
func parseWall(v string) (wall string, dateOnly bool, err error) {
	v = strings.TrimSpace(v)
	if v == "" || v == "-" || v == "null" {
		return "", false, nil
	}
	for _, layout := range []string{WallLayout, "2006-01-02 15:04", "02.01.2006 15:04:05", "02.01.2006 15:04"} {
		if t, err := time.Parse(layout, v); err == nil {
			return t.Format(WallLayout), false, nil
		}
	}
	for _, layout := range []string{time.DateOnly, "02.01.2006"} {
		if t, err := time.Parse(layout, v); err == nil {
			return t.Format(WallLayout), true, nil
		}
	}
	return "", false, fail(http.StatusBadRequest, "Wrong date: %s", v)
}
