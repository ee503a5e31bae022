// Package simulation proves the product by seeded histories: the ERP, its
// people, the account's owner, the admin at the console's own pages and the faults of
// network, Google, ERP and store act on several instances of the product in a
// testing/synctest bubble, and an auditor judges from the stand-ins alone. A history is
// data: printed, it is replayed exactly, and shortened. It must never be imported by product code and
// never reach into it: faults, kills and planted defects come from outside, by
// wrappers around the store, the network and the queue.
package simulation
