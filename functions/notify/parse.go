package notify

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// notification is a body understood.
type notification struct {
	name      string // e.g. "task.changed"
	employees bool
	deleted   bool
	ids       []int64 // distinct, in the order given
}

// positive is a positive integer as JSON writes one; 1.0 and 1e3 are none here.
var positive = regexp.MustCompile(`^[1-9][0-9]*$`)

// parse reads a notification strictly: names are matched exactly and given once.
// Fields beside type, timestamp and data are passed over, because Standard
// Webhooks lets a sender add some; beside data.ids nothing is allowed, because
// what a sender says of the things themselves would be ignored without a word.
func parse(body []byte) (notification, *refusal) {
	var none notification
	if err := queue.CheckJSON(body); err != nil {
		return none, malformed("The body is not sound JSON: " + err.Error() + ".")
	}
	var top map[string]json.RawMessage
	if json.Unmarshal(body, &top) != nil || top == nil {
		return none, malformed("The body is not a JSON object.")
	}
	n, no := named(top["type"])
	if no != nil {
		return none, no
	}
	if raw, given := top["timestamp"]; given {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return none, malformed("The field timestamp is not a text.")
		}
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			return none, malformed("The field timestamp is not an RFC 3339 time.")
		}
	}
	raw, given := top["data"]
	if !given {
		return none, malformed("The field data is missing.")
	}
	var data map[string]json.RawMessage
	if json.Unmarshal(raw, &data) != nil || data == nil {
		return none, malformed("The field data is not an object.")
	}
	for name := range data {
		if name != "ids" {
			return none, malformed("The field data holds more than ids.")
		}
	}
	return withIDs(n, data["ids"])
}

func named(raw json.RawMessage) (notification, *refusal) {
	if raw == nil {
		return notification{}, malformed("The field type is missing.")
	}
	var n notification
	if json.Unmarshal(raw, &n.name) != nil {
		return n, malformed("The field type is not a text.")
	}
	subject, event, _ := strings.Cut(n.name, ".")
	if (subject != "task" && subject != "employee") || (event != "changed" && event != "deleted") {
		return n, malformed("The field type is none of task.changed, task.deleted, employee.changed, employee.deleted.")
	}
	n.employees, n.deleted = subject == "employee", event == "deleted"
	return n, nil
}

func withIDs(n notification, raw json.RawMessage) (notification, *refusal) {
	if raw == nil {
		return n, malformed("The field data.ids is missing.")
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return n, malformed("The field data.ids is not a list.")
	}
	if len(list) == 0 {
		return n, malformed("The field data.ids is empty.")
	}
	seen := make(map[int64]bool, len(list))
	for i, one := range list {
		id, err := strconv.ParseInt(string(one), 10, 64)
		if err != nil || !positive.Match(one) {
			return n, malformed(fmt.Sprintf("The field data.ids[%d] is not a positive integer.", i))
		}
		if !seen[id] {
			seen[id] = true
			n.ids = append(n.ids, id)
		}
	}
	if len(n.ids) > MaxIDs {
		return n, refuse(http.StatusRequestEntityTooLarge, "Too many ids", fmt.Sprintf("The field data.ids holds %d distinct ids, more than %d.", len(n.ids), MaxIDs))
	}
	return n, nil
}
