package userside

import (
	"bufio"
	"maps"
	"slices"
	"strings"
)

// reply is the ERP's answer without its envelope's spelling (shared/userside/README.md).
type reply struct {
	// top holds the envelope's keys in lower case.
	top     object
	isError bool
	status  int // of a tolerated error
}

// object is a JSON object; numbers in it are json.Number.
type object = map[string]any

// replyForm is what a body turned out to be.
type replyForm int

const (
	replyOK    replyForm = iota
	replyError           // a well-formed ERROR
	replyPage            // HTML or text
	replyCut             // JSON that does not parse
	replyShape           // JSON, but no envelope
	replyLarge           // beyond what is read (rule 8.8)
)

// readReply reads a body. Of one that ended early body.err says why, unless it is just cut.
func readReply(body *boundedBody, comments bool) (reply, replyForm) {
	r := bufio.NewReader(body)
	first := afterSpace(r)
	if first == 0 {
		return reply{}, replyCut
	}
	v, err := decodeJSON(body, r, comments)
	switch {
	case err == nil:
	case body.over:
		return reply{}, replyLarge
	case first == '{' || first == '[':
		return reply{}, replyCut
	default:
		return reply{}, replyPage
	}
	raw, ok := v.(object)
	if !ok {
		return reply{}, replyShape
	}
	return readEnvelope(raw)
}

// readEnvelope reads the envelope in any of its spellings, mixed ones too.
func readEnvelope(raw object) (reply, replyForm) {
	rep := reply{top: make(object, len(raw))}
	result, said := "", false
	// In sorted order upper case comes first: where a key is there in two spellings the
	// lower-case one counts, unless it is null, whatever order a map has.
	for _, k := range slices.Sorted(maps.Keys(raw)) {
		v, low := raw[k], strings.ToLower(k)
		switch {
		case low == "result":
			s, ok := v.(string)
			if !ok {
				return reply{}, replyShape
			}
			s = strings.ToUpper(strings.TrimSpace(s))
			// Of two results in one answer an error counts.
			if !said || s != "OK" {
				result, said = s, true
			}
		case v != nil:
			rep.top[low] = v
		}
	}
	switch {
	case result == "OK":
		return rep, replyOK
	case result == "ERROR", !said && (rep.has("error") || rep.has("errortext")):
		rep.isError = true
		return rep, replyError
	case !said && (rep.has("data") || rep.has("list")):
		return rep, replyOK
	}
	return reply{}, replyShape
}

// has reports whether an envelope key is there and not null.
func (r reply) has(key string) bool { return r.top[key] != nil }

// data is the payload; nil where there is none.
func (r reply) data() any { return r.top["data"] }
