package queue_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// envelope wraps data as Pub/Sub does.
func envelope(data string, attributes map[string]string) string {
	body, err := json.Marshal(map[string]any{
		"message": map[string]any{
			"data": base64.StdEncoding.EncodeToString([]byte(data)), "attributes": attributes,
			"messageId": "m1", "message_id": "m1", "publishTime": "2026-11-22T10:00:00Z",
		},
		"subscription": "projects/p/subscriptions/s", "deliveryAttempt": 3,
	})
	if err != nil {
		panic(err)
	}
	return string(body)
}

func push(body string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

const good = `{"ids":[1,2],"cause":"notify"}`

func TestFromPush(t *testing.T) {
	two := queue.Message{IDs: []int64{1, 2}, Cause: queue.CauseNotify, Lane: queue.LaneLive}
	b64 := base64.StdEncoding.EncodeToString([]byte(good))
	withRun := two
	withRun.Lane, withRun.Run = queue.LaneBulk, "r1"
	for name, c := range map[string]struct {
		r    *http.Request
		want queue.Delivery
	}{
		"pubsub": {push(envelope(good, nil)), queue.Delivery{Message: two, ID: "m1", Attempt: 3}},
		"attributes": {push(envelope(good, map[string]string{"lane": "bulk", "run": "r1", "other": "x"})),
			queue.Delivery{Message: withRun, ID: "m1", Attempt: 3}},
		"deleted": {push(envelope(`{"ids":[7],"cause":"notify","deleted":true}`, nil)),
			queue.Delivery{Message: queue.Message{IDs: []int64{7}, Cause: queue.CauseNotify, Deleted: true, Lane: queue.LaneLive}, ID: "m1", Attempt: 3}},
		"all": {push(envelope(`{"all":true,"cause":"reconcile"}`, nil)),
			queue.Delivery{Message: queue.Message{All: true, Cause: queue.CauseReconcile, Lane: queue.LaneBulk}, ID: "m1", Attempt: 3}},
		"only the old spelling of the id": {push(`{"message":{"data":"` + b64 + `","message_id":"m2"}}`), queue.Delivery{Message: two, ID: "m2"}},
		"binary CloudEvent": {push(`{"message":{"data":"`+b64+`"},"subscription":"s"}`, "ce-id", "e1", "ce-specversion", "1.0"),
			queue.Delivery{Message: two, ID: "e1"}},
		"binary CloudEvent with the message's id": {push(envelope(good, nil), "ce-id", "e1"), queue.Delivery{Message: two, ID: "m1", Attempt: 3}},
		"structured CloudEvent": {push(`{"specversion":"1.0","id":"e1","type":"google.cloud.pubsub.topic.v1.messagePublished","data":{"message":{"data":"`+b64+`","messageId":"m3"}}}`,
			"Content-Type", "application/cloudevents+json; charset=utf-8"), queue.Delivery{Message: two, ID: "m3"}},
		"structured CloudEvent in base64": {push(`{"id":"e1","data_base64":"`+base64.StdEncoding.EncodeToString([]byte(`{"message":{"data":"`+b64+`"}}`))+`"}`,
			"Content-Type", "application/cloudevents+json"), queue.Delivery{Message: two, ID: "e1"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := queue.FromPush(c.r)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestFromPushRefuses shows rule 10.4.
func TestFromPushRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"no JSON":             `{`,
		"nothing":             ``,
		"no message":          `{}`,
		"null message":        `{"message":null}`,
		"no message id":       `{"message":{"data":"e30="}}`,
		"no base64":           `{"message":{"data":"***","messageId":"1"}}`,
		"no data":             `{"message":{"messageId":"1"}}`,
		"too large":           `{"message":{"messageId":"` + strings.Repeat("x", queue.MaxPush) + `"}}`,
		"data no JSON":        envelope(`ids`, nil),
		"data a list":         envelope(`[1]`, nil),
		"data twice":          envelope(good+good, nil),
		"unknown field":       envelope(`{"ids":[1],"cause":"notify","x":1}`, nil),
		"a name twice":        envelope(`{"ids":[1],"ids":[2],"cause":"notify"}`, nil),
		"a name in two cases": envelope(`{"ids":[1],"IDS":[2],"cause":"notify"}`, nil),
		"no ids":              envelope(`{"cause":"notify"}`, nil),
		"ids empty":           envelope(`{"ids":[],"cause":"notify"}`, nil),
		"id zero":             envelope(`{"ids":[1,0],"cause":"notify"}`, nil),
		"id negative":         envelope(`{"ids":[-1],"cause":"notify"}`, nil),
		"id a fraction":       envelope(`{"ids":[1.5],"cause":"notify"}`, nil),
		"id a text":           envelope(`{"ids":["1"],"cause":"notify"}`, nil),
		"id too large":        envelope(`{"ids":[9223372036854775808],"cause":"notify"}`, nil),
		"no cause":            envelope(`{"ids":[1]}`, nil),
		"unknown cause":       envelope(`{"ids":[1],"cause":"whim"}`, nil),
		"all and ids":         envelope(`{"ids":[1],"all":true,"cause":"notify"}`, nil),
		"all and deleted":     envelope(`{"all":true,"deleted":true,"cause":"notify"}`, nil),
		"unknown lane":        envelope(good, map[string]string{"lane": "fast"}),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := queue.FromPush(push(body))
			if !failure.Is(err, failure.Invalid) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, http.ErrBodyReadAfterClose }

func TestABodyThatBreaksOffIsTriedAgain(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", broken{})
	if _, err := queue.FromPush(r); err == nil || failure.Is(err, failure.Invalid) {
		t.Errorf("got %v", err)
	}
}

func TestLaneByCause(t *testing.T) {
	for cause, want := range map[queue.Cause]queue.Lane{
		queue.CauseNotify: queue.LaneLive, queue.CauseConsole: queue.LaneLive, queue.CausePoll: queue.LaneLive,
		queue.CauseRetry: queue.LaneLive, queue.CauseReconcile: queue.LaneBulk, queue.CauseFill: queue.LaneBulk,
	} {
		if got := queue.LaneOf(cause); got != want {
			t.Errorf("%s: %s, want %s", cause, got, want)
		}
	}
}

// What is encoded is read back the same; the data is the contract's.
func TestEncode(t *testing.T) {
	for data, m := range map[string]queue.Message{
		`{"ids":[1,2],"cause":"poll"}`:                {IDs: []int64{1, 2}, Cause: queue.CausePoll, Lane: queue.LaneBulk},
		`{"ids":[3],"cause":"notify","deleted":true}`: {IDs: []int64{3}, Cause: queue.CauseNotify, Deleted: true, Lane: queue.LaneLive},
		`{"all":true,"cause":"reconcile"}`:            {All: true, Cause: queue.CauseReconcile, Lane: queue.LaneBulk, Run: "r"},
	} {
		got, attributes, err := m.Encode("projects/p/topics/task-changes")
		if err != nil || string(got) != data || attributes["topic"] != "task-changes" {
			t.Errorf("%s %v %v, want %s", got, attributes, err, data)
			continue
		}
		back, err := queue.Push{ID: "1", Data: got, Attributes: attributes}.Delivery()
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(m, back.Message); diff != "" {
			t.Error(diff)
		}
	}
	for _, m := range []queue.Message{{}, {Cause: queue.CausePoll}, {IDs: []int64{0}, Cause: queue.CausePoll}, {IDs: []int64{1}, Cause: "x"}} {
		if _, _, err := m.Encode("t"); !failure.Is(err, failure.Invalid) {
			t.Errorf("%+v was encoded: %v", m, err)
		}
	}
}

func TestDeadLetterAttributes(t *testing.T) {
	for _, c := range []struct {
		attributes map[string]string
		sub        string
		attempts   int
	}{
		{map[string]string{"CloudPubSubDeadLetterSourceSubscription": "task-changes-push", "CloudPubSubDeadLetterSourceDeliveryCount": "100"}, "task-changes-push", 100},
		{map[string]string{"CloudPubSubDeadLetterSourceSubscription": "projects/p/subscriptions/x", "CloudPubSubDeadLetterSourceDeliveryCount": "many"}, "x", 0},
		{nil, "", 0},
	} {
		if sub, n := (queue.Push{Attributes: c.attributes}).DeadLetter(); sub != c.sub || n != c.attempts {
			t.Errorf("%v: %q, %d", c.attributes, sub, n)
		}
	}
}

// Whatever arrives: no panic, an error is of a kind that has an answer, and what
// is accepted keeps the contract and survives another round.
func FuzzFromPush(f *testing.F) {
	f.Add([]byte(envelope(good, map[string]string{"lane": "bulk"})), "application/json", "")
	f.Add([]byte(`{"id":"e1","data":`+envelope(good, nil)+`}`), "application/cloudevents+json", "e")
	f.Add([]byte(`{"message":{"data":"e30=","messageId":"1"}}`), "", "x")
	f.Fuzz(func(t *testing.T, body []byte, mediaType, event string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", mediaType)
		r.Header.Set("ce-id", event)
		d, err := queue.FromPush(r)
		if err != nil {
			if !failure.Is(err, failure.Invalid) {
				t.Fatalf("of kind %s: %v", failure.KindOf(err), err)
			}
			return
		}
		if d.ID == "" || (d.All == (len(d.IDs) > 0)) || (d.Lane != queue.LaneLive && d.Lane != queue.LaneBulk) {
			t.Fatalf("accepted %+v", d)
		}
		data, attributes, err := d.Encode("t")
		if err != nil {
			t.Fatal(err)
		}
		again, err := queue.Push{ID: d.ID, Data: data, Attributes: attributes, Attempt: d.Attempt}.Delivery()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

// The connector's version travels as an attribute, and a message without one says none.
func TestTheConnectorTravelsAsAnAttribute(t *testing.T) {
	for _, version := range []string{"", "1.1"} {
		m := queue.Message{IDs: []int64{1}, Cause: queue.CauseNotify, Connector: version}
		data, attributes, err := m.Encode("task-changes")
		if err != nil {
			t.Fatal(err)
		}
		d, err := queue.Push{ID: "m", Data: data, Attributes: attributes}.Delivery()
		if _, said := attributes[queue.AttributeConnector]; err != nil || d.Connector != version || said != (version != "") {
			t.Errorf("%q: %+v, %v, %v", version, d, attributes, err)
		}
	}
}
