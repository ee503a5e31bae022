package queue

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// The attributes that a message travels with.
const (
	AttributeLane = "lane"
	AttributeRun  = "run"
	// AttributeConnector is the version of the ERP connector that sent the notification.
	AttributeConnector = "connector"
	// AttributeTopic is the short name of the topic it was published to. Pub/Sub
	// keeps it when it dead-letters, and only it tells there which kind of key the
	// ids are.
	AttributeTopic = "topic"

	// Set by Pub/Sub on a dead letter.
	attributeSourceSubscription = "CloudPubSubDeadLetterSourceSubscription"
	attributeSourceAttempts     = "CloudPubSubDeadLetterSourceDeliveryCount"
)

// MaxPush is the most bytes of a push request that are read.
const MaxPush = 1 << 20

// Push is a push request taken apart, its data not yet understood.
type Push struct {
	ID           string // Pub/Sub's message id
	Attributes   map[string]string
	Data         []byte
	Attempt      int // from 1; 0 where the subscription does not count
	Subscription string
}

// pushBody is Pub/Sub's envelope, or the data of the CloudEvent that Eventarc
// makes of one. Google adds fields over time: unknown ones are passed over.
type pushBody struct {
	Message *struct {
		Data         *string           `json:"data"`
		Attributes   map[string]string `json:"attributes"`
		MessageID    string            `json:"messageId"`
		MessageIDOld string            `json:"message_id"`
	} `json:"message"`
	Subscription    string `json:"subscription"`
	DeliveryAttempt int    `json:"deliveryAttempt"`
}

// ReadPush takes a push apart: Pub/Sub's wrapped envelope, or a CloudEvent (binary
// or structured) that carries one. What can never be understood is of kind
// failure.Invalid; a body that could not be read is failure.Transient.
func ReadPush(r *http.Request) (Push, error) {
	const op = "read a push"
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxPush+1))
	if err != nil {
		return Push{}, failure.Wrap(failure.Transient, op, errors.New("the body broke off"))
	}
	if len(body) > MaxPush {
		return Push{}, failure.New(failure.Invalid, op, "the body is over 1 MiB")
	}
	eventID := r.Header.Get("ce-id")
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && mediaType == "application/cloudevents+json" {
		var event struct {
			ID         string          `json:"id"`
			Data       json.RawMessage `json:"data"`
			DataBase64 []byte          `json:"data_base64"`
		}
		if err := json.Unmarshal(body, &event); err != nil {
			return Push{}, failure.New(failure.Invalid, op, "the CloudEvent is not JSON of its form")
		}
		eventID, body = event.ID, event.Data
		if body == nil {
			body = event.DataBase64
		}
	}
	var envelope pushBody
	if err := json.Unmarshal(body, &envelope); err != nil {
		return Push{}, failure.New(failure.Invalid, op, "the envelope is not JSON of its form")
	}
	if envelope.Message == nil {
		return Push{}, failure.New(failure.Invalid, op, "the envelope has no message")
	}
	m := envelope.Message
	p := Push{ID: m.MessageID, Attributes: m.Attributes, Attempt: max(0, envelope.DeliveryAttempt), Subscription: envelope.Subscription}
	for _, other := range []string{m.MessageIDOld, eventID} {
		if p.ID == "" {
			p.ID = other
		}
	}
	if p.ID == "" {
		// Without it a redelivery could not be told from another message
		// (rule 1.4).
		return Push{}, failure.New(failure.Invalid, op, "the message has no id")
	}
	if m.Data != nil {
		if p.Data, err = base64.StdEncoding.DecodeString(*m.Data); err != nil {
			return p, failure.New(failure.Invalid, op, "the data of message "+p.ID+" is not base64")
		}
	}
	return p, nil
}

// Delivery understands the data: a message of functions/README.md, strictly.
func (p Push) Delivery() (Delivery, error) {
	op := "read message " + p.ID
	d := Delivery{ID: p.ID, Attempt: p.Attempt}
	if err := DecodeStrict(p.Data, &d.Message); err != nil {
		return d, failure.Wrap(failure.Invalid, op, err)
	}
	if err := d.check(); err != nil {
		return d, failure.Wrap(failure.Invalid, op, err)
	}
	d.Run, d.Connector = p.Attributes[AttributeRun], p.Attributes[AttributeConnector]
	switch lane := Lane(p.Attributes[AttributeLane]); lane {
	case LaneLive, LaneBulk:
		d.Lane = lane
	case "":
		d.Lane = LaneOf(d.Cause)
	default:
		return d, failure.New(failure.Invalid, op, "the attribute lane is neither live nor bulk")
	}
	return d, nil
}

// DeadLetter tells, of a message that Pub/Sub dead-lettered, the subscription
// that gave up (short name) and after how many attempts; "" and 0 where the
// attributes say nothing.
func (p Push) DeadLetter() (subscription string, attempts int) {
	subscription = p.Attributes[attributeSourceSubscription]
	if i := strings.LastIndexByte(subscription, '/'); i >= 0 {
		subscription = subscription[i+1:]
	}
	if n, err := strconv.Atoi(p.Attributes[attributeSourceAttempts]); err == nil && n > 0 {
		attempts = n
	}
	return subscription, attempts
}

// FromPush reads a push to its message. Unknown fields are refused: the form is a
// contract, and what one version does not understand must not be half obeyed. An
// error of kind failure.Invalid is answered 400, so that the message ends among the
// dead letters.
func FromPush(r *http.Request) (Delivery, error) {
	p, err := ReadPush(r)
	if err != nil {
		return Delivery{}, err
	}
	return p.Delivery()
}

// LaneOf is the lane of a message that names none (rule 6.3).
func LaneOf(c Cause) Lane {
	switch c {
	case CauseNotify, CauseConsole, CausePoll, CauseRetry:
		return LaneLive
	default:
		return LaneBulk
	}
}

// known reports whether the cause is one of functions/README.md.
func (c Cause) known() bool {
	switch c {
	case CauseNotify, CausePoll, CauseReconcile, CauseConsole, CauseFill, CauseRetry:
		return true
	}
	return false
}

// check holds a message to its form.
func (m Message) check() error {
	switch {
	case !m.Cause.known():
		return errors.New("cause is none of those known")
	case m.All && len(m.IDs) > 0:
		return errors.New("all and ids exclude each other")
	case m.All && m.Deleted:
		return errors.New("all and deleted exclude each other")
	case !m.All && len(m.IDs) == 0:
		return errors.New("ids is missing or empty")
	}
	for i, id := range m.IDs {
		if id <= 0 {
			return fmt.Errorf("ids[%d] is not positive", i)
		}
	}
	return nil
}

// Encode gives the message's data and attributes for the wire; the attributes
// hold AttributeTopic besides.
func (m Message) Encode(topic string) (data []byte, attributes map[string]string, err error) {
	if err := m.check(); err != nil {
		return nil, nil, failure.Wrap(failure.Invalid, "encode a message for "+topic, err)
	}
	if data, err = json.Marshal(m); err != nil {
		return nil, nil, failure.Wrap(failure.Invalid, "encode a message for "+topic, err)
	}
	lane := m.Lane
	if lane == "" {
		lane = LaneOf(m.Cause)
	}
	attributes = map[string]string{AttributeLane: string(lane), AttributeTopic: topic[strings.LastIndexByte(topic, '/')+1:]}
	if m.Run != "" {
		attributes[AttributeRun] = m.Run
	}
	if m.Connector != "" {
		attributes[AttributeConnector] = m.Connector
	}
	return data, attributes, nil
}

// DecodeStrict decodes one JSON value into a struct and refuses what
// encoding/json lets pass: unknown fields, a name given twice (in any case of
// letters) and anything behind the value. Its errors never quote the data.
func DecodeStrict(data []byte, into any) error {
	if err := CheckJSON(data); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return fmt.Errorf("%s is not of its type", orTheWhole(wrong.Field))
		}
		return errors.New("it holds a field that is not known or a value of the wrong form")
	}
	return nil
}

func orTheWhole(field string) string {
	if field == "" {
		return "the value"
	}
	return field
}
