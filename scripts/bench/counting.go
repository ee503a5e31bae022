package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// operations are what Firestore would bill, and the round trips they take. A read
// is a document got, in a transaction or outside, found or not; a query counts its
// documents, at least one; every run of a transaction's closure counts its reads
// again, as Firestore bills them again.
type operations struct {
	Reads, Writes, Deletes int64
	// Transactions were asked for; Reruns are closures run once more.
	Transactions, Reruns int64
	// Gets and Queries are those outside transactions; their reads are in Reads.
	Gets, Queries, Clocks int64
}

func (o operations) minus(before operations) operations {
	return operations{
		o.Reads - before.Reads, o.Writes - before.Writes, o.Deletes - before.Deletes,
		o.Transactions - before.Transactions, o.Reruns - before.Reruns,
		o.Gets - before.Gets, o.Queries - before.Queries, o.Clocks - before.Clocks,
	}
}

// counting counts what passes to a backend. Safe for concurrent use.
type counting struct {
	store.Backend
	reads, writes, deletes, transactions, reruns, gets, queries, clocks atomic.Int64
}

func (c *counting) operations() operations {
	return operations{
		c.reads.Load(), c.writes.Load(), c.deletes.Load(), c.transactions.Load(), c.reruns.Load(),
		c.gets.Load(), c.queries.Load(), c.clocks.Load(),
	}
}

// Transact counts the transaction and, by its Tx, what is done in it.
func (c *counting) Transact(ctx context.Context, f func(tx store.Tx) error) error {
	c.transactions.Add(1)
	runs := 0
	return c.Backend.Transact(ctx, func(tx store.Tx) error {
		if runs++; runs > 1 {
			c.reruns.Add(1)
		}
		t := countingTx{tx, c, map[store.Ref]bool{}}
		err := f(t)
		c.reads.Add(int64(len(t.known)))
		return err
	})
}

// Get counts one read.
func (c *counting) Get(ctx context.Context, ref store.Ref, into any) (bool, error) {
	c.gets.Add(1)
	c.reads.Add(1)
	return c.Backend.Get(ctx, ref, into)
}

// Query counts its documents.
func (c *counting) Query(ctx context.Context, q store.Query) ([]store.Document, error) {
	docs, err := c.Backend.Query(ctx, q)
	c.queries.Add(1)
	c.reads.Add(int64(max(1, len(docs))))
	return docs, err
}

// Count counts one read for each thousand, as Firestore bills it.
func (c *counting) Count(ctx context.Context, q store.Query) (int, error) {
	n, err := c.Backend.Count(ctx, q)
	c.queries.Add(1)
	c.reads.Add(int64(max(1, (n+999)/1000)))
	return n, err
}

// Now counts a read: Firestore's clock is the read time of one.
func (c *counting) Now(ctx context.Context) (time.Time, error) {
	c.clocks.Add(1)
	c.reads.Add(1)
	return c.Backend.Now(ctx)
}

type countingTx struct {
	store.Tx
	c *counting
	// known are documents that were known and are not written: the commit reads them.
	known map[store.Ref]bool
}

// Known counts no read: the process saw the document last.
func (t countingTx) Known(ref store.Ref, into any) (bool, error) {
	t.known[ref] = true
	return t.Tx.Known(ref, into)
}

func (t countingTx) Get(ref store.Ref, into any) (bool, error) {
	t.c.reads.Add(1)
	return t.Tx.Get(ref, into)
}

func (t countingTx) Set(ref store.Ref, doc any) error {
	t.c.writes.Add(1)
	delete(t.known, ref)
	return t.Tx.Set(ref, doc)
}

func (t countingTx) Delete(ref store.Ref) error {
	t.c.deletes.Add(1)
	delete(t.known, ref)
	return t.Tx.Delete(ref)
}
