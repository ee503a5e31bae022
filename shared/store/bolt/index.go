package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	bbolt "go.etcd.io/bbolt"

	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/document"
)

// An index bucket maps value + id to id. The value is a byte for its type, in
// Firestore's order of types, and a form whose byte order is the value's order.
const (
	kindInt     = 0x10
	kindTime    = 0x20
	kindString  = 0x30
	kindElement = 0x40 // one entry per distinct element of an array of int64
)

// expiry is indexed in every collection, for Purge; Indexed need not name it.
const expiry = "expires_at"

// indexedFields lists what is indexed in a collection.
func indexedFields(c store.Collection) []string {
	fields := store.IndexedFields(c)
	if !slices.Contains(fields, expiry) {
		fields = append(fields, expiry)
	}
	slices.Sort(fields)
	return fields
}

func documentsBucket(c store.Collection) []byte { return []byte(documentsPrefix + string(c)) }

func indexBucket(c store.Collection, field string) []byte {
	return []byte("index/" + string(c) + "/" + field)
}

func ordered(kind byte, n int64) []byte {
	// With the sign bit flipped, big-endian bytes sort as the numbers do.
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 32), kind), uint64(n)^1<<63)
}

// prefixOf gives the bytes with which all entries of one value begin; nil if the
// value is none that an index keeps.
func prefixOf(value any) []byte {
	switch x := value.(type) {
	case int64:
		return ordered(kindInt, x)
	case time.Time:
		return ordered(kindTime, x.UnixMicro())
	case string:
		// 00 ends the string; within it 00 becomes 00 FF, which keeps the order.
		p := []byte{kindString}
		for i := range len(x) {
			p = append(p, x[i])
			if x[i] == 0 {
				p = append(p, 0xFF)
			}
		}
		return append(p, 0, 1)
	}
	return nil
}

// entries gives the index keys of one field of a document, each once.
func entries(value any, id string) [][]byte {
	if p := prefixOf(value); p != nil {
		return [][]byte{append(p, id...)}
	}
	array, _ := value.([]any)
	var keys [][]byte
	for i, e := range array {
		if n, ok := e.(int64); ok && !slices.Contains(array[:i], e) {
			keys = append(keys, append(ordered(kindElement, n), id...))
		}
	}
	return keys
}

// has reports whether a key is among those of a document.
func has(keys [][]byte, key []byte) bool {
	return slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) })
}

// reindex replaces a document's entries; before or after may be nil.
func reindex(btx *bbolt.Tx, ref store.Ref, before, after document.Tree) error {
	for _, field := range indexedFields(ref.Collection) {
		if same(before[field], after[field]) {
			continue
		}
		bucket, err := btx.CreateBucketIfNotExists(indexBucket(ref.Collection, field))
		if err != nil {
			return fmt.Errorf("open index %s.%s: %w", ref.Collection, field, err)
		}
		old, fresh := entries(before[field], ref.ID), entries(after[field], ref.ID)
		for _, k := range old {
			if has(fresh, k) {
				continue
			}
			if err := bucket.Delete(k); err != nil {
				return fmt.Errorf("remove from index %s.%s: %w", ref.Collection, field, err)
			}
		}
		for _, k := range fresh {
			if has(old, k) {
				continue
			}
			if err := bucket.Put(k, []byte(ref.ID)); err != nil {
				return fmt.Errorf("add to index %s.%s: %w", ref.Collection, field, err)
			}
		}
	}
	return nil
}

// same reports whether two values of a field have the same entries; false where that is
// not plain.
func same(before, after any) bool {
	switch x := before.(type) {
	case nil:
		return after == nil
	case time.Time:
		y, ok := after.(time.Time)
		return ok && x.Equal(y)
	case string, int64, bool:
		return before == after
	case []any:
		y, ok := after.([]any)
		return ok && slices.EqualFunc(x, y, same)
	}
	return false
}

// expired gives the ids of the documents whose expiry has come, out of at most
// limit index entries, and tells how many those were. An entry that its document
// does not bear out, or that has none (a damaged file), is removed: it would be
// found again each time.
func expired(btx *bbolt.Tx, c store.Collection, now time.Time, limit int) (ids []string, done int, err error) {
	bucket := btx.Bucket(indexBucket(c, expiry))
	if bucket == nil {
		return nil, 0, nil
	}
	bound := prefixOf(now)
	found := map[string]string{} // entry to id
	walk(bucket.Cursor(), bound[:1], bound, false, func(key, id []byte) bool {
		found[string(key)] = string(id)
		return len(found) < limit
	})
	for key, id := range found {
		tree, err := load(btx, store.Ref{Collection: c, ID: id})
		if err != nil {
			return nil, 0, err
		}
		if has(entries(tree[expiry], id), []byte(key)) {
			ids = append(ids, id)
		} else if err := bucket.Delete([]byte(key)); err != nil {
			return nil, 0, fmt.Errorf("remove from index %s.%s: %w", c, expiry, err)
		}
	}
	return ids, len(found), nil
}
