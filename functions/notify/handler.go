// Package notify is the function Notify: it takes the ERP's signed notifications,
// publishes what they point to and answers within milliseconds, and shows an
// employee's calendar card and the installation's status (functions/README.md). It must
// never call the ERP or Google's Calendar, never act on a request whose signature it has
// not checked, and never log a payload.
package notify

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/serve"
	"github.com/erp-calendar/erp-calendar/shared/status"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/webhook"
)

const (
	// MaxBody is the most bytes a notification may have.
	MaxBody = 256 << 10
	// MaxIDs is the most ids one notification may name.
	MaxIDs = 1000

	// The ERP's dispatcher waits for the answer: a late 503 helps nobody.
	publishDeadline = 5 * time.Second
	storeDeadline   = 5 * time.Second

	cardPrefix = "/employees/"
	statusPath = "/status"
)

// Config is what the function has to know.
type Config struct {
	// Keys are the webhook secrets valid at once.
	Keys                     []webhook.Key
	TaskTopic, EmployeeTopic string
}

// Employees reads what is known of one employee; store.Store does.
type Employees interface {
	Employee(ctx context.Context, id int64) (rec store.EmployeeRecord, found bool, err error)
}

// Deps are what the function works with.
type Deps struct {
	Publisher queue.Publisher
	Employees Employees
	// Status reads how the installation is; status.Reader makes one.
	Status func(ctx context.Context) (status.Answer, error)
	Now    func() time.Time
	Log    *slog.Logger
}

type handler struct {
	Deps
	cfg      Config
	verifier *webhook.Verifier
}

// New makes the function's handler.
func New(cfg Config, deps Deps) http.Handler {
	return &handler{deps, cfg, webhook.NewVerifier(cfg.Keys, deps.Now)}
}

// refusal is an answer other than success.
type refusal struct {
	status        int
	title, detail string
	header        [2]string // one header of the answer
	err           error     // what failed inside; for the log only
}

func refuse(status int, title, detail string) *refusal {
	return &refusal{status: status, title: title, detail: detail}
}

// unavailable tells the caller to come again; err is for the log.
func unavailable(title, detail string, err error) *refusal {
	return &refusal{status: http.StatusServiceUnavailable, title: title, detail: detail, header: [2]string{"Retry-After", "5"}, err: err}
}

func malformed(detail string) *refusal { return refuse(http.StatusBadRequest, "Malformed", detail) }

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var no *refusal
	switch {
	case r.URL.Path == "/" || r.URL.Path == "":
		no = h.notification(w, r)
	case strings.HasPrefix(r.URL.Path, cardPrefix):
		no = h.card(w, r)
	case r.URL.Path == statusPath:
		no = h.status(w, r)
	default:
		no = refuse(http.StatusNotFound, "Not found", "There is nothing at this path.")
	}
	if no == nil {
		return
	}
	if no.header[0] != "" {
		w.Header().Set(no.header[0], no.header[1])
	}
	level, attrs := slog.LevelWarn, []any{"status", no.status, "detail", no.detail, "webhook_id", webhookID(r)}
	switch {
	case no.err != nil:
		level, attrs = slog.LevelError, append(attrs, "error", no.err)
	case no.status == http.StatusNotFound || no.status == http.StatusMethodNotAllowed:
		level = slog.LevelInfo // scanners, mostly
	}
	h.Log.Log(r.Context(), level, "refused", attrs...)
	serve.Problem(w, no.status, no.title, no.detail)
}

// notification answers POST / by the contract's checks, in its order.
func (h *handler) notification(w http.ResponseWriter, r *http.Request) *refusal {
	if r.Method != http.MethodPost {
		return notAllowed(http.MethodPost)
	}
	if no := jsonOnly(r.Header); no != nil {
		return no
	}
	if r.ContentLength > MaxBody {
		return tooLarge()
	}
	// Whoever cannot have signed is not waited for (rule 10.14).
	signature, err := h.verifier.Read(r.Header)
	if err != nil {
		return notBelieved(err)
	}
	body, err := readBody(r)
	switch {
	case len(body) > MaxBody:
		return tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(http.StatusRequestTimeout, "Too slow", "The body did not arrive within seconds.")
	case err != nil:
		return malformed("The body broke off.")
	}
	if err := h.verifier.Check(signature, body); err != nil {
		return notBelieved(err)
	}
	n, no := parse(body)
	if no != nil {
		return no
	}
	topic := h.cfg.TaskTopic
	if n.employees {
		topic = h.cfg.EmployeeTopic
	}
	ctx, cancel := context.WithTimeout(r.Context(), publishDeadline)
	defer cancel()
	messages := queue.Split(queue.Message{IDs: n.ids, Cause: queue.CauseNotify, Deleted: n.deleted, Lane: queue.LaneLive, Connector: connector(r)})
	if err := h.Publisher.Publish(ctx, topic, messages...); err != nil {
		return unavailable("Not published", "The notification was not published; keep it and send it again.", err)
	}
	h.Log.InfoContext(r.Context(), "accepted", "type", n.name, "accepted", len(n.ids), "webhook_id", webhookID(r))
	serve.JSON(w, http.StatusAccepted, struct {
		Accepted int `json:"accepted"`
	}{len(n.ids)})
	return nil
}

// status answers GET /status, signed as a card is: for monitoring without a browser.
func (h *handler) status(w http.ResponseWriter, r *http.Request) *refusal {
	if r.Method != http.MethodGet {
		return notAllowed(http.MethodGet)
	}
	if err := h.verifier.Verify(r.Header, []byte(http.MethodGet+" "+r.URL.Path)); err != nil {
		return notBelieved(err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	answer, err := h.Status(ctx)
	if err != nil {
		return unavailable("Not read", "The status could not be read; try again.", err)
	}
	serve.JSON(w, http.StatusOK, answer)
	return nil
}

// card answers GET /employees/{id}; the signed payload is the request's own line
// without the version, so that a signature for one card shows no other.
func (h *handler) card(w http.ResponseWriter, r *http.Request) *refusal {
	if r.Method != http.MethodGet {
		return notAllowed(http.MethodGet)
	}
	if err := h.verifier.Verify(r.Header, []byte(http.MethodGet+" "+r.URL.Path)); err != nil {
		return notBelieved(err)
	}
	text := strings.TrimPrefix(r.URL.Path, cardPrefix)
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 || strconv.FormatInt(id, 10) != text {
		return unknownEmployee()
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	rec, found, err := h.Employees.Employee(ctx, id)
	if err != nil {
		return unavailable("Not read", "The employee's record could not be read; try again.", err)
	}
	if !found {
		return unknownEmployee()
	}
	c := cardOf(id, rec)
	h.Log.InfoContext(r.Context(), "card shown", "employee", id, "state", c.State)
	serve.JSON(w, http.StatusOK, c)
	return nil
}

// Card is the answer to GET /employees/{id} (functions/README.md, Card).
type Card struct {
	EmployeeID int64               `json:"employee_id"`
	State      store.EmployeeState `json:"state"`
	CalendarID string              `json:"calendar_id,omitempty"`
	AddURL     string              `json:"add_url,omitempty"`
}

// cardOf shows the calendar's id where the employee has a calendar to look at:
// active, or held, whose deletion waits. One that is still being made or already
// going would only be a link to nothing.
func cardOf(id int64, rec store.EmployeeRecord) Card {
	c := Card{EmployeeID: id, State: rec.CardState()}
	switch rec.CardState() {
	case store.StateActive, store.StateHeld:
		if rec.Calendar != nil && rec.Calendar.ID != "" {
			c.CalendarID, c.AddURL = rec.Calendar.ID, calendarsync.AddURL(rec.Calendar.ID)
		}
	case store.StatePending, store.StateDeleting, store.StateError, store.StateNone:
	case "":
		c.State = store.StateNone
	default:
		// Of a newer version of this program: the contract's nearest word.
		c.State = store.StateError
	}
	return c
}

// firstRead is as much as most notifications have. Whoever announces more has not
// proved to be the ERP yet, and gets memory only for what has arrived.
const firstRead = 1 << 10

// readBody reads at most a byte more than a body may have.
func readBody(r *http.Request) ([]byte, error) {
	var body bytes.Buffer
	body.Grow(firstRead)
	_, err := body.ReadFrom(io.LimitReader(r.Body, MaxBody+1))
	return body.Bytes(), err
}

func notBelieved(err error) *refusal {
	detail := "The request is not signed."
	if why, ok := errors.AsType[*webhook.Error](err); ok {
		detail = "Not believed: " + why.Error() + "."
	}
	no := refuse(http.StatusUnauthorized, "Not signed", detail)
	// RFC 9110 §11.6.1 asks for a challenge; Standard Webhooks registers no scheme.
	no.header = [2]string{"WWW-Authenticate", "Standard-Webhooks"}
	return no
}

func jsonOnly(header http.Header) *refusal {
	if header.Get("Content-Type") == "application/json" && header.Get("Content-Encoding") == "" {
		return nil // what nearly everybody sends
	}
	mediaType, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
	charset := strings.ToLower(parameters["charset"])
	if err != nil || mediaType != "application/json" || (charset != "" && charset != "utf-8") {
		return refuse(http.StatusUnsupportedMediaType, "Unsupported media type", "The header Content-Type must be application/json.")
	}
	if e := header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return refuse(http.StatusUnsupportedMediaType, "Unsupported media type", "The header Content-Encoding must be absent: a body is not compressed.")
	}
	return nil
}

func tooLarge() *refusal {
	return refuse(http.StatusRequestEntityTooLarge, "Too large", "The body is over 256 KiB.")
}

func unknownEmployee() *refusal {
	return refuse(http.StatusNotFound, "Unknown employee", "No employee of this id is known.")
}

func notAllowed(allowed string) *refusal {
	no := refuse(http.StatusMethodNotAllowed, "Method not allowed", "Only "+allowed+" is served here.")
	no.header = [2]string{"Allow", allowed}
	return no
}

// connectorAgent begins the User-Agent of the ERP's connector.
const connectorAgent = "erp-calendar-connector/"

// maxVersion is the longest version of a connector that is told on.
const maxVersion = 20

// connector is the version of the connector that sent a notification; "" if it is none, or
// says none. It goes with the message, because Notify writes to no database.
func connector(r *http.Request) string {
	version, is := strings.CutPrefix(r.Header.Get("User-Agent"), connectorAgent)
	odd := func(c rune) bool { return c != '.' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') }
	if !is || len(version) > maxVersion || strings.ContainsFunc(version, odd) {
		return ""
	}
	return version
}

// webhookID is for logs: the sender's own id, cut because it may not be believed yet.
func webhookID(r *http.Request) string {
	id := r.Header.Get(webhook.HeaderID)
	return id[:min(len(id), 64)]
}
