package notify

import (
	"errors"
	"fmt"
	"net/http"
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

// parse reads a notification strictly: names are matched exactly and given once.
// Fields beside type, timestamp and data are passed over, because Standard
// Webhooks lets a sender add some; beside data.ids nothing is allowed, because
// what a sender says of the things themselves would be ignored without a word.
func parse(body []byte) (notification, *refusal) {
	var none notification
	if err := queue.CheckJSON(body); err != nil {
		return none, malformed("The body is not sound JSON: " + err.Error() + ".")
	}
	var kind, timestamp, data []byte
	object, err := queue.Members(body, func(name, value []byte) error {
		switch string(name) {
		case "type":
			kind = value
		case "timestamp":
			timestamp = value
		case "data":
			data = value
		}
		return nil
	})
	if !object || err != nil {
		return none, malformed("The body is not a JSON object.")
	}
	n, no := named(kind)
	if no != nil {
		return none, no
	}
	if timestamp != nil {
		text, ok := textOf(timestamp)
		if !ok {
			return none, malformed("The field timestamp is not a text.")
		}
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			return none, malformed("The field timestamp is not an RFC 3339 time.")
		}
	}
	if data == nil {
		return none, malformed("The field data is missing.")
	}
	var ids []byte
	more := false
	object, err = queue.Members(data, func(name, value []byte) error {
		if string(name) == "ids" {
			ids = value
		} else {
			more = true
		}
		return nil
	})
	switch {
	case !object || err != nil:
		return none, malformed("The field data is not an object.")
	case more:
		return none, malformed("The field data holds more than ids.")
	}
	return withIDs(n, ids)
}

// textOf gives a JSON string's text.
func textOf(value []byte) (text string, ok bool) {
	if value[0] != '"' {
		return "", false
	}
	decoded, err := queue.Text(value)
	return string(decoded), err == nil
}

func named(raw []byte) (n notification, no *refusal) {
	if raw == nil {
		return n, malformed("The field type is missing.")
	}
	name, ok := textOf(raw)
	if !ok {
		return n, malformed("The field type is not a text.")
	}
	subject, event, _ := strings.Cut(name, ".")
	if (subject != "task" && subject != "employee") || (event != "changed" && event != "deleted") {
		return n, malformed("The field type is none of task.changed, task.deleted, employee.changed, employee.deleted.")
	}
	return notification{name: name, employees: subject == "employee", deleted: event == "deleted"}, nil
}

func withIDs(n notification, list []byte) (notification, *refusal) {
	switch {
	case list == nil:
		return n, malformed("The field data.ids is missing.")
	case string(list) == "null":
		return n, malformed("The field data.ids is empty.")
	case list[0] != '[':
		return n, malformed("The field data.ids is not a list.")
	}
	var no *refusal
	seen := map[int64]bool{}
	err := queue.Elements(list, func(i int, element []byte) error {
		id, ok := positive(element)
		if !ok {
			no = malformed(fmt.Sprintf("The field data.ids[%d] is not a positive integer.", i))
			return errBad
		}
		if !seen[id] {
			seen[id] = true
			n.ids = append(n.ids, id)
		}
		return nil
	})
	switch {
	case err != nil:
		return n, no
	case len(n.ids) == 0:
		return n, malformed("The field data.ids is empty.")
	case len(n.ids) > MaxIDs:
		return n, refuse(http.StatusRequestEntityTooLarge, "Too many ids", fmt.Sprintf("The field data.ids holds %d distinct ids, more than %d.", len(n.ids), MaxIDs))
	}
	return n, nil
}

// errBad ends the reading of a list; the refusal says why.
var errBad = errors.New("notify: not a positive integer")

// positive reads a positive integer as JSON writes one; 1.0 and 1e3 are none here.
func positive(text []byte) (id int64, ok bool) {
	for _, digit := range text {
		if digit < '0' || digit > '9' {
			return 0, false
		}
	}
	id, err := strconv.ParseInt(string(text), 10, 64)
	return id, err == nil && text[0] != '0'
}
