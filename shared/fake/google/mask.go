package google

import (
	"fmt"
	"strings"
)

// project applies the standard parameter fields, a partial-response mask such as
// "nextPageToken,items(id,start/dateTime)".
func (t *table) project(mask, response string, in obj) (obj, *apiError) {
	p := &maskParser{s: mask}
	tree, err := p.list(0)
	if err != nil || p.i != len(p.s) {
		return nil, invalidf("invalidParameter", "Invalid field selection %s", mask)
	}
	if bad := t.unknownField(tree, &schema{Ref: response}); bad != "" && response != "" {
		return nil, invalidf("invalidParameter", "Invalid field selection %s", bad)
	}
	out, _ := applyMask(tree, in).(obj)
	return out, nil
}

// mask is a tree of field names; an empty tree takes everything below.
type mask map[string]mask

type maskParser struct {
	s string
	i int
}

// list reads names and what is below them, up to the end or a closing bracket.
func (p *maskParser) list(depth int) (mask, error) {
	out := mask{}
	if depth > 20 {
		return nil, fmt.Errorf("the mask is nested too deeply")
	}
	for {
		if err := p.path(out, depth); err != nil {
			return nil, err
		}
		if !p.take(',') {
			return out, nil
		}
	}
}

// path reads one a/b/c, or a/b(c,d), into at.
func (p *maskParser) path(at mask, depth int) error {
	for {
		name, err := p.name()
		if err != nil {
			return err
		}
		if at[name] == nil {
			at[name] = mask{}
		}
		if p.take('/') {
			at = at[name]
			continue
		}
		if !p.take('(') {
			return nil
		}
		if at[name], err = p.list(depth + 1); err != nil {
			return err
		}
		if !p.take(')') {
			return fmt.Errorf("a closing bracket is missing")
		}
		return nil
	}
}

func (p *maskParser) name() (string, error) {
	end := strings.IndexAny(p.s[p.i:], ",/()")
	if end < 0 {
		end = len(p.s) - p.i
	}
	if end == 0 {
		return "", fmt.Errorf("a field name is missing at %d", p.i)
	}
	name := p.s[p.i : p.i+end]
	p.i += end
	return name, nil
}

// take goes past c if it stands next.
func (p *maskParser) take(c byte) bool {
	if p.i >= len(p.s) || p.s[p.i] != c {
		return false
	}
	p.i++
	return true
}

func (t *table) unknownField(m mask, sc *schema) string {
	for name, sub := range m {
		if name == "*" {
			continue
		}
		at := sc
		for at != nil && (at.Ref != "" || at.Items != nil) {
			if at.Ref != "" {
				at = t.Schemas[at.Ref]
			} else {
				at = at.Items
			}
		}
		if at == nil {
			return name
		}
		next := at.Properties[name]
		if next == nil {
			next = at.Additional
		}
		if next == nil {
			return name
		}
		if bad := t.unknownField(sub, next); bad != "" {
			return bad
		}
	}
	return ""
}

func applyMask(m mask, v any) any {
	if len(m) == 0 {
		return v
	}
	switch x := v.(type) {
	case obj:
		out := obj{}
		for k, e := range x {
			sub, ok := m[k]
			if !ok {
				sub, ok = m["*"]
			}
			if ok {
				out[k] = applyMask(sub, e)
			}
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = applyMask(m, e)
		}
		return out
	}
	return v
}
