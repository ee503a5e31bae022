package queue

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

var (
	errNotOne = errors.New("it is not one JSON value")
	errTwice  = errors.New("it gives a name twice")
)

// CheckJSON reports whether data is exactly one JSON value in which no object
// gives a name twice.
func CheckJSON(data []byte) error {
	if !json.Valid(data) { // also refuses whatever follows the value
		return errNotOne
	}
	return checkNames(data)
}

// checkNames looks through one value, which is known to be valid.
func checkNames(value []byte) error {
	if value = skipSpace(value); value[0] == '[' {
		return Elements(value, func(_ int, element []byte) error { return checkNames(element) })
	}
	if value[0] != '{' {
		return nil
	}
	var given names
	return members(value, func(name, value []byte) error {
		if given.add(name) {
			return errTwice
		}
		return checkNames(value)
	})
}

// names are those that an object has given so far. encoding/json matches names in any
// case of letters.
type names struct {
	few  [8][]byte // raw ones of ASCII without an escape
	n    int
	many map[string]bool // those that are not, or found no place
}

// add notes a name, a JSON string, and reports whether it was given already.
func (g *names) add(raw []byte) (twice bool) {
	plain := raw[1 : len(raw)-1]
	simple := !bytes.ContainsFunc(plain, special)
	if simple && g.many == nil {
		for _, before := range g.few[:g.n] {
			if bytes.EqualFold(before, plain) {
				return true
			}
		}
		if g.n < len(g.few) {
			g.few[g.n] = plain
			g.n++
			return false
		}
	}
	if g.many == nil {
		g.many = map[string]bool{}
		for _, before := range g.few[:g.n] {
			g.many[strings.ToLower(string(before))] = true
		}
	}
	text, err := Text(raw)
	if err != nil {
		return true // no valid value, which it is known to be
	}
	name := strings.ToLower(string(text))
	if g.many[name] {
		return true
	}
	g.many[name] = true
	return false
}

// Members calls f with each member of a JSON object, which must be valid: its name as
// it was given, decoded, and its value as it stands there. ok is false where the value
// is no object.
func Members(value []byte, f func(name, value []byte) error) (ok bool, err error) {
	if value = skipSpace(value); value[0] != '{' {
		return false, nil
	}
	return true, members(value, func(raw, value []byte) error {
		name, err := Text(raw)
		if err != nil {
			return err
		}
		return f(name, value)
	})
}

// Text decodes a JSON string, which must be valid; the bytes may be those of raw.
func Text(raw []byte) ([]byte, error) {
	plain := raw[1 : len(raw)-1]
	if !bytes.ContainsFunc(plain, special) {
		return plain, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, errNotOne
	}
	return []byte(text), nil
}

// special reports whether a JSON string with the character does not stand for itself,
// byte by byte.
func special(r rune) bool { return r == '\\' || r >= 0x80 }

func members(object []byte, f func(name, value []byte) error) error {
	rest := skipSpace(object[1:])
	for rest[0] != '}' {
		name := rest[:endOfString(rest)]
		rest = skipSpace(rest[len(name):])
		rest = skipSpace(rest[1:]) // the colon
		end := endOfValue(rest)
		if err := f(name, rest[:end]); err != nil {
			return err
		}
		if rest = skipSpace(rest[end:]); rest[0] == ',' {
			rest = skipSpace(rest[1:])
		}
	}
	return nil
}

// Elements calls f with each element of a JSON array, which must be valid, as it stands
// there.
func Elements(array []byte, f func(i int, element []byte) error) error {
	rest := skipSpace(skipSpace(array)[1:])
	for i := 0; rest[0] != ']'; i++ {
		end := endOfValue(rest)
		if err := f(i, rest[:end]); err != nil {
			return err
		}
		if rest = skipSpace(rest[end:]); rest[0] == ',' {
			rest = skipSpace(rest[1:])
		}
	}
	return nil
}

func skipSpace(data []byte) []byte {
	for len(data) > 0 && (data[0] == ' ' || data[0] == '\t' || data[0] == '\r' || data[0] == '\n') {
		data = data[1:]
	}
	return data
}

// endOfString is where the string ends that valid data begins with.
func endOfString(data []byte) int {
	for i := 1; ; i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// endOfValue is where the value ends that valid data begins with.
func endOfValue(data []byte) int {
	if data[0] == '"' {
		return endOfString(data)
	}
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i += endOfString(data[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
			if depth < 0 {
				return i // the end of what a number or a word stands in
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(data)
}
