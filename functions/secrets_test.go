package functions_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bbolt "go.etcd.io/bbolt"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
	"github.com/erp-calendar/erp-calendar/shared/webhook"
)

// What must be recognised wherever it turns up (rule 10.5). The name and
// the address of an employee belong on their record and before an admin's eyes;
// the rest belongs to the ERP and to the events alone.
const (
	markedName     = "Olena Zzmarkedname"
	markedAddress  = "olena.zzmarkedaddress@provider.example"
	markedPhone    = "+380 67 999 zzmarkedphone"
	markedLogin    = "zzmarkedlogin"
	markedCustomer = "Customer Zzmarkedcustomer"
	markedStreet   = "Zzmarkedstreet St, 17"
	markedText     = "Door code zzmarkedtext 4711"
)

func TestSecretsAndPeoplesDataAreFoundOnlyWhereTheyBelong(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]map[string]string{
		"key in the body": nil,
		"key in the URL":  {"ERP_KEY_IN_QUERY": "true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "state.db")
			backend, err := bolt.Open(path, time.Now, bolt.NoSync())
			must(t, err)
			t.Cleanup(func() { _ = backend.Close() })
			s := &story{t: t, o: world.Options{Backend: backend, Disconnected: true, Env: env}}
			s.w = world.New(t, s.o)
			s.tell()
			token := s.refreshToken()
			must(t, s.w.Deployment.Close())
			must(t, backend.Close())
			s.judge(path, token)
		})
	}
}

// story is a life with every sort of trouble in it, and all that it left behind.
type story struct {
	t *testing.T
	w *world.World
	o world.Options
	// pages are the bodies an admin saw, home apart; recorded are the failures and
	// records of the keys after each trouble.
	home, pages, recorded []string
	messages              []string
	failures              int
}

func (s *story) tell() {
	t, w := s.t, s.w
	w.Employee("Petro") // an ERP without anybody is not believed
	w.Idle()
	admin := newVisitor(t, w)
	s.see(admin, "/Console/", world.Admin)
	s.pages = append(s.pages, admin.visit("/Console/connect", world.Admin)) // another account than the configured one
	s.see(admin, "/Console/connect", world.Account)
	w.Idle()

	who := w.ERP.AddEmployee(fakeerp.Employee{Name: markedName, Email: markedAddress, Phone: markedPhone, Login: markedLogin,
		Fields: map[int64]string{world.Binding: "1"}})
	add := func(hour int) int64 {
		return w.ERP.AddTask(fakeerp.Task{TypeID: world.Type, StateID: world.Open, Todo: w.Tomorrow(hour), Executors: []int64{who},
			Customers: []fakeerp.Customer{{ID: 5, FullName: markedCustomer, Login: markedLogin}}, OptionalCustomerName: markedCustomer,
			Address: fakeerp.Address{ID: 1, Text: markedStreet}, Description: markedText})
	}
	task := add(9)
	w.Idle()
	if events := w.Events(who); len(events) != 1 || events[0].Location != markedStreet || !strings.Contains(events[0].Description, markedText) {
		t.Fatalf("the markers did not reach the calendar: %+v", events)
	}
	everything := strings.Join([]string{markedName, markedAddress, markedPhone, markedLogin, markedCustomer, markedStreet, markedText,
		w.Environment(s.o)["ERP_API_KEY"], w.Environment(s.o)["OAUTH_CLIENT_SECRET"]}, " ")

	// The ERP fails, and tells everything it knows in doing so.
	for _, x := range []struct {
		cat   string
		fault fakeerp.Fault
	}{
		{"", fakeerp.ErrorResult(everything, http.StatusOK)},
		{"", fakeerp.ErrorResult(everything, http.StatusForbidden)},
		{"", fakeerp.Drop()},
		{"task", fakeerp.Replace("date.todo", everything)},
		{"task", fakeerp.Replace("state.id", everything)},
		{"task", fakeerp.Replace("staff", everything)},
		{"task", fakeerp.Replace(itoa(task), everything)},
		{"task", fakeerp.Replace("data", everything)},
		{"employee", fakeerp.Replace("is_work", everything)},
		{"employee", fakeerp.Replace("division", everything)},
		{"employee", fakeerp.Replace("additional_data", everything)},
		{"employee", fakeerp.Replace("email", map[string]any{"address": everything})},
		{"employee", fakeerp.Replace("data", everything)},
	} {
		remove := w.ERP.Inject(fakeerp.Rule{Cat: x.cat, Count: -1, Fault: x.fault})
		w.Notify("task.changed", task)
		w.Notify("employee.changed", who)
		w.Idle()
		s.record()
		remove()
	}
	if s.failures == 0 {
		t.Fatal("no failure of the ERP was recorded")
	}
	w.Notify("task.changed", task)
	w.Notify("employee.changed", who)
	w.Idle()

	// So does Google.
	s.failures = 0
	for hour, fault := range []fakegoogle.Fault{
		{Method: "calendar.events.update", Status: http.StatusBadRequest, Reason: "invalid", Message: everything},
		{Method: "calendar.events.update", Status: http.StatusForbidden, Reason: "forbidden", Message: everything},
		{Method: "calendar.events.insert", Drop: true},
		{Method: "calendar.events.insert", TruncateBody: true},
	} {
		fault.Count = -1
		in := w.Google.Inject(fault)
		if strings.HasSuffix(fault.Method, "insert") {
			add(14 + hour)
		} else {
			must(t, w.ERP.MoveTask(task, w.Tomorrow(10+hour)))
		}
		w.Idle()
		if in.Hits() == 0 {
			t.Errorf("the fault of %s was not met", fault.Method)
		}
		s.record()
		in.Remove()
	}
	in := w.Google.Inject(fakegoogle.Fault{Method: "calendar.acl.insert", Count: -1, Status: http.StatusForbidden, Reason: "forbidden", Message: everything})
	setAddress(t, w, who, "x"+markedAddress)
	w.Idle()
	s.record()
	in.Remove()
	if s.failures == 0 {
		t.Fatal("no failure of Google was recorded")
	}
	// An instance without a token asks for one, and is refused in many words.
	s.again()
	in = w.Google.Inject(fakegoogle.Fault{Method: "oauth2.token", Count: -1, Status: http.StatusUnauthorized, Reason: "invalid_client", Message: everything})
	w.Notify("employee.changed", who)
	w.Notify("task.changed", task)
	w.Idle()
	if in.Hits() == 0 {
		t.Error("nobody asked for a token")
	}
	s.record()
	in.Remove()
	w.Connect() // the refusal is over, and need not be found out in a minute

	// Strangers, and an ERP that says more than it should.
	body, err := json.Marshal(map[string]any{"type": "task.changed", "data": map[string]any{"ids": []int64{task}, "phone": everything}})
	must(t, err)
	header := http.Header{"Content-Type": {"application/json"}, "Webhook-Id": {"1"}, "Webhook-Timestamp": {itoa(time.Now().Unix())}, "Webhook-Signature": {"v1,AAAA"}}
	s.pages = append(s.pages, string(w.Post("/Notify/", body, header, http.StatusUnauthorized)))
	key, err := webhook.ParseKey(w.Environment(s.o)["NOTIFY_SECRETS"])
	must(t, err)
	header, err = webhook.Sign(key, "msg_1", time.Now(), body)
	must(t, err)
	header.Set("Content-Type", "application/json")
	s.pages = append(s.pages, string(w.Post("/Notify/", body, header, http.StatusBadRequest)))

	s.see(admin, "/Console/", world.Admin)
	w.Poll()
	w.Reconcile()
	s.see(admin, "/Console/", world.Admin)
	// The grant dies.
	must(t, w.Google.RevokeGrant(world.Account))
	s.again()
	w.Google.ResetRequests()
	must(t, w.ERP.MoveTask(task, w.Tomorrow(20)))
	w.Idle()
	if len(w.Google.Requests(fakegoogle.Filter{Method: "oauth2.token", Failed: true})) == 0 {
		t.Error("the dead grant was not noticed")
	}
	s.record()
	s.see(admin, "/Console/", world.Admin)
	s.keepMessages()
}

// again replaces the instances by fresh ones on the same state.
func (s *story) again() {
	s.keepMessages()
	s.w.Again(s.o)
}

func (s *story) keepMessages() {
	for _, m := range s.w.Deployment.API.Messages() {
		attributes, err := json.Marshal(m.Attributes)
		must(s.t, err)
		s.messages = append(s.messages, string(m.Data)+string(attributes))
	}
}

// see opens an address and then every page of the console.
func (s *story) see(v *visitor, address, account string) {
	s.home = append(s.home, v.visit(address, account), v.visit("/Console/", world.Admin), v.visit("/Console/employees", world.Admin))
	for _, page := range []string{"/Console/settings", "/Console/api/status", "/Console/nowhere"} {
		s.pages = append(s.pages, v.visit(page, world.Admin))
	}
}

// record keeps what is recorded on the keys at this moment.
func (s *story) record() {
	failed, err := s.w.Store.FailedTasks(s.t.Context(), 10)
	must(s.t, err)
	employees, err := s.w.Store.Employees(s.t.Context())
	must(s.t, err)
	var out []*store.Failure
	for _, r := range failed {
		out = append(out, r.Failure)
	}
	for _, r := range employees {
		if r.Failure != nil {
			out = append(out, r.Failure)
		}
	}
	s.failures += len(out)
	text, err := json.Marshal(out)
	must(s.t, err)
	s.recorded = append(s.recorded, string(text))
}

// refreshToken opens what the store keeps sealed.
func (s *story) refreshToken() string {
	account, err := s.w.Store.Account(s.t.Context())
	must(s.t, err)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s.w.Environment(s.o)["TOKEN_KEY"], "local:"))
	must(s.t, err)
	cipher, err := seal.NewLocal(key)
	must(s.t, err)
	token, err := cipher.Open(s.t.Context(), account.Sealed, seal.Additional(store.SealPath(account.Sub), account.Sub))
	must(s.t, err)
	return string(token)
}

// judge looks for every marker in every place.
func (s *story) judge(path, refresh string) {
	t := s.t
	env := s.w.Environment(s.o)
	secrets := map[string]string{
		"the ERP's key": env["ERP_API_KEY"], "the OAuth client's secret": env["OAUTH_CLIENT_SECRET"], "the refresh token": refresh,
		"an access token": "ya29.", "the webhook secret": strings.TrimPrefix(env["NOTIFY_SECRETS"], "whsec_"),
		"the token key": strings.TrimPrefix(env["TOKEN_KEY"], "local:"), "the session key": env["SESSION_KEY"],
		"a phone number": "zzmarkedphone", "a login": markedLogin, "a customer": "zzmarkedcustomer", "a task's address": "zzmarkedstreet", "a task's text": "zzmarkedtext",
	}
	people := map[string]string{"a name": "zzmarkedname", "an e-mail address": "zzmarkedaddress"}
	for what, marker := range secrets {
		if len(marker) < 5 {
			t.Fatalf("%s is too short to look for", what)
		}
	}
	file, err := os.ReadFile(path)
	must(t, err)
	log := s.w.Log.String()
	if !strings.Contains(log, `"function":"SyncTask"`) || len(s.messages) == 0 || !strings.Contains(strings.Join(s.home, ""), markedName) {
		t.Fatal("the story left no log, no messages or no page")
	}
	// The file as a whole, with what was overwritten and deleted in it.
	s.wantNone("the store", string(file), secrets)
	for place, text := range map[string]string{"the console's overview and employees": strings.Join(s.home, "\n"), "a page": strings.Join(s.pages, "\n"),
		"the log": log, "a message": strings.Join(s.messages, "\n"), "a recorded failure": strings.Join(s.recorded, "\n")} {
		s.wantNone(place, text, secrets)
		if place != "the console's overview and employees" {
			s.wantNone(place, text, people)
		}
	}
	for collection, documents := range documentsIn(t, path) {
		text := strings.Join(documents, "\n")
		if collection != string(store.Employees) {
			s.wantNone("the collection "+collection, text, people)
		} else if !strings.Contains(text, markedName) || !strings.Contains(text, markedAddress) {
			t.Errorf("the employee's record lacks name or address: %s", text)
		}
	}
	for _, m := range s.messages {
		var fields map[string]json.RawMessage
		if err := json.NewDecoder(strings.NewReader(m)).Decode(&fields); err != nil {
			t.Errorf("message %s: %v", m, err)
		}
		for name := range fields {
			switch name {
			case "ids", "all", "cause", "deleted":
			default:
				t.Errorf("a message carries %q: %s", name, m)
			}
		}
	}
}

// wantNone requires that a text holds none of the markers, however it is escaped
// or spelled.
func (s *story) wantNone(place, text string, markers map[string]string) {
	s.t.Helper()
	low := strings.ToLower(text)
	for what, marker := range markers {
		marker = strings.ToLower(marker)
		for _, form := range []string{marker, strings.ToLower(url.QueryEscape(marker)), strings.ToLower(base64.StdEncoding.EncodeToString([]byte(marker)))} {
			if at := strings.Index(low, form); at >= 0 {
				s.t.Errorf("%s holds %s: …%q…", place, what, text[max(0, at-200):min(len(text), at+len(form)+80)])
				break
			}
		}
	}
}

// documentsIn reads every document of a store that nobody has open.
func documentsIn(t *testing.T, path string) map[string][]string {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	must(t, err)
	defer func() { _ = db.Close() }()
	out := map[string][]string{}
	must(t, db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			collection := strings.TrimPrefix(string(name), "documents/")
			return b.ForEach(func(k, v []byte) error {
				out[collection] = append(out[collection], string(k)+" "+string(v))
				return nil
			})
		})
	}))
	if len(out[string(store.Employees)]) == 0 || len(out[string(store.Activity)]) == 0 || len(out[string(store.Tasks)]) == 0 {
		t.Fatalf("the store's file is not laid out as this test reads it: %d collections", len(out))
	}
	return out
}

// visitor is a browser that consents wherever Google asks.
type visitor struct {
	t      *testing.T
	w      *world.World
	client *http.Client
}

// onPlainHTTP sends Secure cookies to this machine, as browsers do.
type onPlainHTTP struct{ http.CookieJar }

func withTLS(u *url.URL) *url.URL {
	c := *u
	c.Scheme = "https"
	return &c
}

func (j onPlainHTTP) SetCookies(u *url.URL, c []*http.Cookie) { j.CookieJar.SetCookies(withTLS(u), c) }
func (j onPlainHTTP) Cookies(u *url.URL) []*http.Cookie       { return j.CookieJar.Cookies(withTLS(u)) }

func newVisitor(t *testing.T, w *world.World) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &visitor{t, w, &http.Client{Transport: w.Client().Transport, Jar: onPlainHTTP{jar}, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// visit follows an address to the page it ends at and gives that; at Google it
// is the account's owner who presses Allow.
func (v *visitor) visit(path, account string) string {
	v.t.Helper()
	return v.follow(path, func(address string) (string, error) { return v.w.Google.Approve(address, account) })
}

// follow is visit with another decision at Google.
func (v *visitor) follow(path string, decide func(address string) (string, error)) string {
	v.t.Helper()
	address := v.w.URL + path
	for range 15 {
		u, err := url.Parse(address)
		must(v.t, err)
		if strings.HasPrefix(u.Path, "/google/") {
			address, err = decide(address)
			must(v.t, err)
			continue
		}
		req, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, address, nil)
		must(v.t, err)
		res, err := v.client.Do(req)
		must(v.t, err)
		body, err := io.ReadAll(res.Body)
		must(v.t, errors.Join(err, res.Body.Close()))
		if res.StatusCode/100 != 3 {
			return string(body)
		}
		next, err := res.Location()
		must(v.t, err)
		address = next.String()
	}
	v.t.Fatalf("%s redirects for ever", path)
	return ""
}
