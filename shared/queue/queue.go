// Package queue holds the messages that functions send each other: pointers to
// keys, never commands and never people's data (rules 1.1 and 10.4). The
// adapter to Google's Pub/Sub is queue/pubsub. It must never decide what a
// message leads to.
package queue

import "context"

// Cause says why a key is to be looked at.
type Cause string

// The causes of functions/README.md, Messages.
const (
	CauseNotify    Cause = "notify"
	CausePoll      Cause = "poll"
	CauseReconcile Cause = "reconcile"
	CauseConsole   Cause = "console"
	CauseFill      Cause = "fill"
	CauseRetry     Cause = "retry"
)

// Lane is a message's share of Google's budget (rule 6.3).
type Lane string

// The lanes, by their attribute's value.
const (
	LaneLive Lane = "live"
	LaneBulk Lane = "bulk"
)

// Message points to keys of its topic: tasks on the task topic, employees on the
// employee topic.
type Message struct {
	IDs     []int64 `json:"ids,omitempty"`
	All     bool    `json:"all,omitempty"` // every employee; employee topic only
	Cause   Cause   `json:"cause"`
	Deleted bool    `json:"deleted,omitempty"` // a signed notification vouches for an absence
	// Lane, Run and Connector travel as attributes. Run is the full run a message belongs to,
	// Connector the version of the ERP connector that sent the notification, "" if not said.
	Lane      Lane   `json:"-"`
	Run       string `json:"-"`
	Connector string `json:"-"`
}

// Delivery is a message as it was pushed to a worker.
type Delivery struct {
	Message
	ID      string // Pub/Sub's message id: the same when delivered again
	Attempt int    // from 1; 0 where the subscription does not count
}

// Publisher sends messages to a topic and returns when all are accepted.
type Publisher interface {
	Publish(ctx context.Context, topic string, messages ...Message) error
}

// MaxIDs is how many ids one message carries at most, so that one worker's
// request stays short and a large notification is spread over several.
const MaxIDs = 50

// Split makes messages of at most MaxIDs ids out of one.
func Split(m Message) []Message {
	if len(m.IDs) <= MaxIDs {
		return []Message{m}
	}
	var out []Message
	for ids := m.IDs; len(ids) > 0; {
		n := min(MaxIDs, len(ids))
		part := m
		part.IDs = ids[:n:n]
		out = append(out, part)
		ids = ids[n:]
	}
	return out
}
