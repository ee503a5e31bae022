package userside

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
)

// reply is the ERP's answer without its envelope's spelling (shared/userside/README.md).
type reply struct {
	// top holds the envelope's keys in lower case.
	top     object
	refused bool
}

// object is a JSON object; numbers in it are json.Number.
type object = map[string]any

// replyForm tells what a body turned out to be.
type replyForm int

const (
	replyOK      replyForm = iota
	replyRefused           // a well-formed ERROR
	replyPage              // HTML or text
	replyCut               // JSON that does not parse
	replyShape             // JSON, but no envelope
)

// parseReply reads the envelope in any of its spellings, mixed ones too.
func parseReply(body []byte) (reply, replyForm) {
	body = bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(body), []byte("\xef\xbb\xbf")))
	if len(body) == 0 {
		return reply{}, replyCut
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the JSON")
		}
	}
	if err != nil {
		if body[0] == '{' || body[0] == '[' {
			return reply{}, replyCut
		}
		return reply{}, replyPage
	}
	raw, ok := v.(object)
	if !ok {
		return reply{}, replyShape
	}
	rep := reply{top: make(object, len(raw))}
	result, said := "", false
	// Sorted, upper case comes first: where a key is there in two spellings the
	// lower-case one counts, unless it is null, and no map's order decides.
	for _, k := range slices.Sorted(maps.Keys(raw)) {
		v, low := raw[k], strings.ToLower(k)
		if low == "result" {
			s, ok := v.(string)
			if !ok {
				return reply{}, replyShape
			}
			s = strings.ToUpper(strings.TrimSpace(s))
			// Of two spellings at once the bad news counts.
			if !said || s != "OK" {
				result, said = s, true
			}
			continue
		}
		if v != nil {
			rep.top[low] = v
		}
	}
	switch {
	case result == "OK":
		return rep, replyOK
	case result == "ERROR":
		rep.refused = true
		return rep, replyRefused
	case said:
		return reply{}, replyShape
	case rep.has("error") || rep.has("errortext"):
		rep.refused = true
		return rep, replyRefused
	case rep.has("data") || rep.has("list"):
		return rep, replyOK
	}
	return reply{}, replyShape
}

// has reports whether an envelope key is there and not null.
func (r reply) has(key string) bool { return r.top[key] != nil }

// data is the payload; nil where there is none.
func (r reply) data() any { return r.top["data"] }
