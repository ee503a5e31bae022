// Package simulation tests the whole product by seeded histories. The ERP and its
// people, the account's owner, the admin on the console's own pages, injected faults
// and kills act on several instances of the product in a testing/synctest bubble, and
// an auditor judges the result from the stand-ins alone. A history is data: it can be
// printed, replayed exactly and shortened.
//
// It must never be imported by product code and never reach into it: faults, kills and
// planted defects come from outside, by wrappers around the store, the network and the
// queue.
package simulation
