package userside

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// integer reads a whole number spelled as a number or a numeric string.
func integer(v any) (int64, bool) {
	var s string
	switch v := v.(type) {
	case json.Number:
		s = v.String()
	case string:
		s = strings.TrimSpace(v)
	default:
		return 0, false
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	f, ok := decimal(s)
	if !ok || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// identifier is an integer above 0.
func identifier(v any) (int64, bool) {
	n, ok := integer(v)
	return n, ok && n > 0
}

// decimal reads a number; the forms that only Go knows (hex, Inf, NaN) are none.
func decimal(v any) (float64, bool) {
	var s string
	switch v := v.(type) {
	case json.Number:
		s = v.String()
	case string:
		s = strings.TrimSpace(v)
	default:
		return 0, false
	}
	if s == "" || strings.Trim(s, "0123456789+-.eE") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
}

// empty reports whether nothing is said: null, missing or an empty string.
func empty(v any) bool {
	if v == nil {
		return true
	}
	s, ok := v.(string)
	return ok && strings.TrimSpace(s) == ""
}

// flag reads 0 and 1 in the spellings that ERPs use.
func flag(v any) (value, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "true":
			return true, true
		case "false":
			return false, true
		}
	}
	n, ok := integer(v)
	return n == 1, ok && (n == 0 || n == 1)
}

// scalar is a plain value's text; not ok for objects and lists.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "1", true
		}
		return "0", true
	}
	return "", false
}

// first is the first of the keys that says something (is there and not null).
func first(o object, keys ...string) any {
	for _, k := range keys {
		if v := o[k]; v != nil {
			return v
		}
	}
	return nil
}

// emptyCollection reports whether a value is [] or {}, as PHP writes a map without entries.
func emptyCollection(v any) bool {
	switch v := v.(type) {
	case []any:
		return len(v) == 0
	case object:
		return len(v) == 0
	}
	return false
}

// entry is one member of a collection keyed by id.
type entry struct {
	id    int64
	value any
}

// collection reads an object keyed by id, or a list whose members have their id: PHP
// writes a list where the keys happen to run from 0. A member without an id makes the
// whole collection unreadable, because whose it is would seem to be missing. The entries
// are in ascending order of id.
func collection(v any) ([]entry, bool) {
	var out []entry
	switch v := v.(type) {
	case object:
		for k, member := range v {
			id, ok := integer(k)
			if !ok {
				return nil, false
			}
			out = append(out, entry{id, member})
		}
	case []any:
		for _, member := range v {
			o, _ := member.(object)
			id, ok := integer(o["id"])
			if !ok {
				return nil, false
			}
			out = append(out, entry{id, member})
		}
	default:
		return nil, false
	}
	slices.SortFunc(out, func(a, b entry) int {
		switch {
		case a.id < b.id:
			return -1
		case a.id > b.id:
			return 1
		}
		return 0
	})
	for i := 1; i < len(out); i++ {
		// "5" and "05", or a list that names one id twice.
		if out[i].id == out[i-1].id {
			return nil, false
		}
	}
	return out, true
}

// idSet reads a set of ids: a map id→id, a list of ids, or either with objects
// that carry the id under one of names. Sorted, each once.
func idSet(v any, names ...string) ([]int64, bool) {
	out := []int64{}
	add := func(key string, keyed bool, member any) bool {
		inner := member
		if o, ok := member.(object); ok {
			inner = first(o, names...)
		}
		if !keyed {
			id, ok := identifier(inner)
			out = append(out, id)
			return ok
		}
		id, ok := identifier(key)
		if inner != nil {
			// Only id→id is documented. Anything else is ambiguous, and a wrong guess would put
			// a task into another person's calendar.
			other, ok2 := identifier(inner)
			ok = ok && ok2 && other == id
		}
		out = append(out, id)
		return ok
	}
	switch v := v.(type) {
	case object:
		for k, member := range v {
			if !add(k, true, member) {
				return nil, false
			}
		}
	case []any:
		for _, member := range v {
			if !add("", false, member) {
				return nil, false
			}
		}
	default:
		return nil, false
	}
	slices.Sort(out)
	return slices.Compact(out), true
}

// distinct is ids in ascending order, each once.
func distinct[T ~int64](ids []T) []T {
	out := slices.Clone(ids)
	slices.Sort(out)
	return slices.Compact(out)
}

// joined is the ERP's comma-separated list.
func joined[T ~int64](ids []T) string {
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(int64(id), 10))
	}
	return b.String()
}
