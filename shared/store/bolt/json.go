package bolt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store/document"
)

// Files of before hold documents as JSON until these are written anew. What JSON has no
// type for is an object with one reserved key, which no document can contain (document
// refuses __.*__).
const (
	timeKey  = "__time__"
	bytesKey = "__bytes__"
)

func unmarshalJSON(data []byte) (document.Tree, error) {
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
