package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store/document"
)

// Documents are kept in a form of their own: a byte for its version, then the tree as a
// value. A value is a byte for its type and, by the type: a varint, 8 bytes, a length and
// as many bytes, or a number of parts and these; a map's parts are each a length, the key
// and a value, by ascending key. So the types, and with them the index entries, can be
// told from the file alone. Files of before hold JSON (json.go), which begins otherwise.
const (
	codecVersion = 1

	typeFalse  = 'n'
	typeTrue   = 'y'
	typeInt    = 'i'
	typeFloat  = 'f'
	typeString = 's'
	typeBytes  = 'b'
	typeTime   = 't' // Unix time in microseconds
	typeArray  = 'a'
	typeMap    = 'm'
)

// mostKeys is how many keys of a map are sorted without memory of their own.
const mostKeys = 64

func marshal(tree document.Tree) ([]byte, error) {
	return appendMap(append(make([]byte, 0, 1024), codecVersion), tree)
}

func appendValue(out []byte, value any) ([]byte, error) {
	switch x := value.(type) {
	case bool:
		if x {
			return append(out, typeTrue), nil
		}
		return append(out, typeFalse), nil
	case int64:
		return binary.AppendVarint(append(out, typeInt), x), nil
	case float64:
		return binary.BigEndian.AppendUint64(append(out, typeFloat), math.Float64bits(x)), nil
	case string:
		return append(binary.AppendUvarint(append(out, typeString), uint64(len(x))), x...), nil
	case []byte:
		return append(binary.AppendUvarint(append(out, typeBytes), uint64(len(x))), x...), nil
	case time.Time:
		return binary.AppendVarint(append(out, typeTime), x.UnixMicro()), nil
	case []any:
		out = binary.AppendUvarint(append(out, typeArray), uint64(len(x)))
		var err error
		for _, e := range x {
			if out, err = appendValue(out, e); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		return appendMap(out, x)
	}
	return nil, fmt.Errorf("write a document: a %T is no value of a tree", value)
}

func appendMap(out []byte, m map[string]any) (_ []byte, err error) {
	var few [mostKeys]string
	keys := few[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out = binary.AppendUvarint(append(out, typeMap), uint64(len(m)))
	for _, k := range keys {
		out = append(binary.AppendUvarint(out, uint64(len(k))), k...)
		if out, err = appendValue(out, m[k]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

var errDamaged = errors.New("read a document: it is damaged")

func unmarshal(data []byte) (document.Tree, error) {
	if len(data) == 0 || data[0] != codecVersion {
		return unmarshalJSON(data)
	}
	// One copy: all strings are parts of it.
	d := decoder{rest: string(data[1:])}
	value, err := d.value()
	if err != nil {
		return nil, err
	}
	tree, ok := value.(map[string]any)
	if !ok || d.rest != "" {
		return nil, errDamaged
	}
	return tree, nil
}

// decoder reads values from the front of what is unread.
type decoder struct{ rest string }

func (d *decoder) value() (any, error) {
	kind, err := d.take(1)
	if err != nil {
		return nil, err
	}
	switch kind[0] {
	case typeFalse, typeTrue:
		return kind[0] == typeTrue, nil
	case typeInt:
		return d.varint()
	case typeTime:
		us, err := d.varint()
		return time.UnixMicro(us).UTC(), err
	case typeFloat:
		b, err := d.take(8)
		if err != nil {
			return nil, err
		}
		return math.Float64frombits(binary.BigEndian.Uint64([]byte(b))), nil
	case typeString:
		return d.text()
	case typeBytes:
		s, err := d.text()
		return []byte(s), err
	case typeArray:
		n, err := d.length()
		if err != nil {
			return nil, err
		}
		out := make([]any, n)
		for i := range out {
			if out[i], err = d.value(); err != nil {
				return nil, err
			}
		}
		return out, nil
	case typeMap:
		n, err := d.length()
		if err != nil {
			return nil, err
		}
		out := make(map[string]any, n)
		for range n {
			k, err := d.text()
			if err != nil {
				return nil, err
			}
			if out[k], err = d.value(); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return nil, errDamaged
}

func (d *decoder) take(n int) (string, error) {
	if n > len(d.rest) {
		return "", errDamaged
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken, nil
}

func (d *decoder) text() (string, error) {
	n, err := d.length()
	if err != nil {
		return "", err
	}
	return d.take(n)
}

// length reads a number of bytes or parts, each of which takes a byte at least.
func (d *decoder) length() (int, error) {
	n, err := d.uvarint()
	if err != nil || n > uint64(len(d.rest)) {
		return 0, errDamaged
	}
	return int(n), nil
}

func (d *decoder) varint() (int64, error) {
	u, err := d.uvarint()
	return int64(u>>1) ^ -int64(u&1), err
}

func (d *decoder) uvarint() (uint64, error) {
	var n uint64
	for i := 0; i < len(d.rest) && i < binary.MaxVarintLen64; i++ {
		b := d.rest[i]
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			d.rest = d.rest[i+1:]
			return n, nil
		}
	}
	return 0, errDamaged
}
