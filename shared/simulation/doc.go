// Package simulation proves the product by seeded histories (design.md §4): the
// ERP, its people, the account's owner, the admin at the console's own pages and
// every fault that peers.md §3 names act on several instances of the product in a
// testing/synctest bubble, and an auditor judges from the stand-ins alone. A history is data: printed, it is
// replayed exactly, and shortened. It must never be imported by product code and
// never reach into it: faults, kills and planted defects come from outside, by
// wrappers around the store, the network and the queue.
package simulation
