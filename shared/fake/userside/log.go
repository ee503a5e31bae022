package userside

import (
	"io"
	"maps"
	"net/http"
	"time"
)

// Request is one call of api.php as the ERP saw it.
type Request struct {
	Time   time.Time
	Method string
	Cat    string
	Action string
	// Params are all parameters but the key.
	Params map[string]string
	// KeyIn is where the key was: "", "query", "body" or "both". The key itself is never kept.
	KeyIn string
	// Write reports whether the action is one that changes something.
	Write bool
	// Silent reports whether skip_internal_api was set.
	Silent bool
	// Fault names the injected faults it met, "" for none.
	Fault string
	// Status is the HTTP status of the answer; 0 while there is none, or when
	// the connection was dropped.
	Status int
}

// begin enters a request into the log, oldest forgotten first.
func (s *Server) begin(r *http.Request) *Request {
	rec := &Request{Time: s.opt.Now(), Method: r.Method}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.log) >= s.opt.LogLimit {
		s.log = append(s.log[:0], s.log[len(s.log)/2+1:]...)
	}
	s.log = append(s.log, rec)
	return rec
}

func (s *Server) describe(rec *Request, c call, keys keysSent, faults []*Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec.Cat, rec.Action, rec.Params = c.cat, c.action, c.params
	rec.Write = endpoints[c.cat+"/"+c.action].write
	rec.Silent = !c.firesEvents()
	switch {
	case keys.query != "" && keys.body != "":
		rec.KeyIn = "both"
	case keys.query != "":
		rec.KeyIn = "query"
	case keys.body != "":
		rec.KeyIn = "body"
	}
	for i, f := range faults {
		if i > 0 {
			rec.Fault += ", "
		}
		rec.Fault += f.Fault.String()
	}
}

func (s *Server) end(rec *Request, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec.Status = status
}

// Requests are copies of the remembered calls that the filter accepts, oldest first; nil
// accepts all. The filter must not call the Server.
func (s *Server) Requests(filter func(Request) bool) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Request
	for _, rec := range s.log {
		r := *rec
		r.Params = maps.Clone(rec.Params)
		if filter == nil || filter(r) {
			out = append(out, r)
		}
	}
	return out
}

// Call accepts the requests of one category and action, for Requests.
func Call(cat, action string) func(Request) bool {
	return func(r Request) bool { return r.Cat == cat && r.Action == action }
}

// Writes accepts the requests that change something, for Requests.
func Writes(r Request) bool { return r.Write }

// ResetRequests forgets the log.
func (s *Server) ResetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

// statusWriter notes the status for the log.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(code int) {
	if w.status == 0 {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection for the drop fault.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// loginPage is what a client gets that is not signed in to the ERP.
const loginPage = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>UserSide: sign in</title></head>
<body><h1>UserSide</h1><form method="post"><p><label>Login <input name="login"></label></p>
<p><label>Password <input type="password" name="password"></label></p><p><button>Sign in</button></p></form></body></html>
`

func serveLogin(w http.ResponseWriter, _ *http.Request) { writeHTML(w, http.StatusOK, loginPage) }

func writeHTML(w http.ResponseWriter, status int, page string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; form-action 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, page) // the client may be gone; nobody can be told
}
