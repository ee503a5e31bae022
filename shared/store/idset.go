package store

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// packedVersion begins every packed set.
const packedVersion = 1

// maxIDs bounds a packed set against a damaged one that would unpack without end.
const maxIDs = 5_000_000

// PackIDs makes ascending ids small enough for one document: differences as varints,
// compressed. A hundred thousand ids take some tens of kilobytes.
func PackIDs(ascending []int64) ([]byte, error) {
	raw := make([]byte, 0, 2*len(ascending))
	last := int64(0)
	for _, id := range ascending {
		if id < last || id <= 0 {
			return nil, fmt.Errorf("pack ids: %d is out of order", id)
		}
		raw = binary.AppendUvarint(raw, uint64(id-last))
		last = id
	}
	var out bytes.Buffer
	out.WriteByte(packedVersion)
	z := gzip.NewWriter(&out)
	if _, err := z.Write(raw); err != nil {
		return nil, fmt.Errorf("pack ids: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("pack ids: %w", err)
	}
	return out.Bytes(), nil
}

// UnpackIDs gives the ids of PackIDs; of nothing, none.
func UnpackIDs(packed []byte) ([]int64, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	if packed[0] != packedVersion {
		return nil, errors.New("unpack ids: of another version")
	}
	z, err := gzip.NewReader(bytes.NewReader(packed[1:]))
	if err != nil {
		return nil, fmt.Errorf("unpack ids: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(z, maxIDs*binary.MaxVarintLen64))
	if err != nil {
		return nil, fmt.Errorf("unpack ids: %w", err)
	}
	var ids []int64
	last := int64(0)
	for len(raw) > 0 {
		delta, n := binary.Uvarint(raw)
		if n <= 0 || int64(delta) < 0 || last+int64(delta) < last || len(ids) == maxIDs {
			return nil, errors.New("unpack ids: damaged")
		}
		last += int64(delta)
		ids, raw = append(ids, last), raw[n:]
	}
	return ids, nil
}
