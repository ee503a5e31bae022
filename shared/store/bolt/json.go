package bolt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store/document"
)

// Documents are kept as JSON. What JSON has no type for is an object with one
// reserved key, which no document can contain (document refuses __.*__), so that
// the types and with them the index entries can be told from the file alone.
const (
	timeKey  = "__time__"
	bytesKey = "__bytes__"
)

func marshal(tree document.Tree) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(toJSON(tree)); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}

func toJSON(value any) any {
	switch x := value.(type) {
	case time.Time:
		return map[string]any{timeKey: x.Format(time.RFC3339Nano)}
	case []byte:
		return map[string]any{bytesKey: base64.StdEncoding.EncodeToString(x)}
	case float64:
		// A whole number must come back as a float, not as an int64.
		s := strconv.FormatFloat(x, 'g', -1, 64)
		if !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		return json.Number(s)
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = toJSON(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			out[k] = toJSON(e)
		}
		return out
	}
	return value
}

func unmarshal(data []byte) (document.Tree, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var raw map[string]any
	if err := d.Decode(&raw); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	for k, e := range raw {
		value, err := fromJSON(e)
		if err != nil {
			return nil, fmt.Errorf("read JSON: field %s: %w", k, err)
		}
		raw[k] = value
	}
	return raw, nil
}

func fromJSON(value any) (any, error) {
	switch x := value.(type) {
	case json.Number:
		if strings.ContainsAny(x.String(), ".e") {
			return x.Float64()
		}
		return x.Int64()
	case []any:
		for i, e := range x {
			v, err := fromJSON(e)
			if err != nil {
				return nil, err
			}
			x[i] = v
		}
	case map[string]any:
		if len(x) == 1 {
			if s, ok := x[timeKey].(string); ok {
				return time.Parse(time.RFC3339Nano, s)
			}
			if s, ok := x[bytesKey].(string); ok {
				return base64.StdEncoding.DecodeString(s)
			}
		}
		for k, e := range x {
			v, err := fromJSON(e)
			if err != nil {
				return nil, err
			}
			x[k] = v
		}
	}
	return value, nil
}
