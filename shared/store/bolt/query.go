package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	bbolt "go.etcd.io/bbolt"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/document"
)

// Query answers from one moment: transactions committed meanwhile are not seen.
func (b *Backend) Query(ctx context.Context, q store.Query) ([]store.Document, error) {
	s, err := document.Select(q)
	if err != nil {
		return nil, err
	}
	op := document.Describe(q)
	var docs []store.Document
	err = b.db.View(func(btx *bbolt.Tx) error {
		for _, id := range selected(btx, s) {
			if err := ctx.Err(); err != nil {
				return err
			}
			ref := store.Ref{Collection: q.Collection, ID: id}
			tree, err := load(btx, ref)
			if err != nil {
				return failure.Wrap(failure.Transient, "read "+document.Name(ref), err)
			}
			if tree == nil {
				continue // an entry without its document: a damaged file
			}
			docs = append(docs, document.Found(ref, tree))
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, failure.Wrap(failure.Transient, op, err)
	}
	return docs, nil
}

// Count answers from one moment, by the index alone.
func (b *Backend) Count(ctx context.Context, q store.Query) (n int, err error) {
	s, err := document.Select(q)
	if err != nil {
		return 0, err
	}
	err = b.db.View(func(btx *bbolt.Tx) error {
		n = len(selected(btx, s))
		return ctx.Err()
	})
	if err != nil {
		return 0, failure.Wrap(failure.Transient, document.Describe(q), err)
	}
	return n, nil
}

// selected gives the ids that a query selects, in its order.
func selected(btx *bbolt.Tx, s document.Selection) []string {
	name := documentsBucket(s.Collection)
	if s.Op != store.Every {
		name = indexBucket(s.Collection, s.Field)
	}
	bucket := btx.Bucket(name)
	if bucket == nil {
		return nil
	}
	c := bucket.Cursor()
	var ids []string
	full := func() bool { return s.Limit > 0 && len(ids) == s.Limit }
	switch s.Op {
	case store.Every:
		k, _ := c.Seek([]byte(s.After))
		if s.After != "" && string(k) == s.After {
			k, _ = c.Next()
		}
		for ; k != nil && !full(); k, _ = c.Next() {
			ids = append(ids, string(k))
		}
	case store.Equal:
		p := prefixOf(s.Bound)
		for k, id := c.Seek(p); bytes.HasPrefix(k, p) && !full(); k, id = c.Next() {
			ids = append(ids, string(id))
		}
	case store.AtMost:
		// Values of another type are not comparable, in Firestore too.
		p := prefixOf(s.Bound)
		walk(c, p[:1], p, s.Descending, func(_, id []byte) bool { ids = append(ids, string(id)); return !full() })
	case store.AtLeast:
		p, under := prefixOf(s.Bound), prefixOf(s.Under)
		walk(c, p, p[:1], s.Descending, func(k, id []byte) bool {
			if under != nil && bytes.Compare(k, under) >= 0 {
				return false
			}
			ids = append(ids, string(id))
			return !full()
		})
	case store.Exists:
		walk(c, []byte{kindInt}, []byte{kindElement - 1}, s.Descending, func(_, id []byte) bool { ids = append(ids, string(id)); return !full() })
	case store.ContainsAny:
		set := map[string]bool{}
		for _, n := range s.Any {
			p := ordered(kindElement, n)
			for k, id := c.Seek(p); bytes.HasPrefix(k, p); k, id = c.Next() {
				set[string(id)] = true
			}
		}
		ids = slices.Sorted(maps.Keys(set))
		if s.Limit > 0 && len(ids) > s.Limit {
			ids = ids[:s.Limit]
		}
	}
	return ids
}

// walk visits the entries from the prefix low up to and with those of the prefix
// high, or the other way round, until visit says no.
func walk(c *bbolt.Cursor, low, high []byte, descending bool, visit func(key, id []byte) bool) {
	within := func(k []byte) bool {
		return k != nil && bytes.Compare(k, low) >= 0 && (bytes.Compare(k, high) < 0 || bytes.HasPrefix(k, high))
	}
	if !descending {
		for k, id := c.Seek(low); within(k) && visit(k, id); k, id = c.Next() {
		}
		return
	}
	// The last entry of high is the one before the first beyond it. No prefix ends
	// in FF for a string (00 01) or is all FF (its first byte is the type).
	beyond := bytes.Clone(high)
	for i := len(beyond) - 1; i >= 0; i-- {
		beyond[i]++
		if beyond[i] != 0 {
			break
		}
	}
	var k, id []byte
	if past, _ := c.Seek(beyond); past == nil {
		k, id = c.Last()
	} else {
		k, id = c.Prev()
	}
	for ; within(k) && visit(k, id); k, id = c.Prev() {
	}
}

const documentsPrefix = "documents/"

// collections lists the collections that were ever written to.
func collections(btx *bbolt.Tx) ([]store.Collection, error) {
	var all []store.Collection
	err := btx.ForEach(func(name []byte, _ *bbolt.Bucket) error {
		if c, ok := strings.CutPrefix(string(name), documentsPrefix); ok {
			all = append(all, store.Collection(c))
		}
		return nil
	})
	return all, err
}

// ensureIndexes makes all indexes anew if the file was written by a program that
// indexed other fields: an index that lacks documents would hide them.
func ensureIndexes(btx *bbolt.Tx) error {
	plan := map[store.Collection][]string{}
	for c := range store.Indexed() {
		plan[c] = indexedFields(c)
	}
	want, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	meta, err := btx.CreateBucketIfNotExists([]byte("meta"))
	if err != nil {
		return err
	}
	if bytes.Equal(meta.Get([]byte("indexes")), want) {
		return nil
	}
	var old [][]byte
	err = btx.ForEach(func(name []byte, _ *bbolt.Bucket) error {
		if bytes.HasPrefix(name, []byte("index/")) {
			old = append(old, bytes.Clone(name))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := btx.DeleteBucket(name); err != nil {
			return err
		}
	}
	all, err := collections(btx)
	if err != nil {
		return err
	}
	for _, c := range all {
		err := btx.Bucket(documentsBucket(c)).ForEach(func(id, data []byte) error {
			tree, err := unmarshal(data)
			if err != nil {
				return err
			}
			return reindex(btx, store.Ref{Collection: c, ID: string(id)}, nil, tree)
		})
		if err != nil {
			return failure.Wrap(failure.Invalid, "index "+string(c), err)
		}
	}
	return meta.Put([]byte("indexes"), want)
}
