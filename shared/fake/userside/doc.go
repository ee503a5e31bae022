// Package userside is a stand-in of the UserSide ERP: its api.php in two
// generations of spelling, the events its handlers would send, and a small
// dispatcher's board to change things by hand.
//
// It exists for tests, for the simulation and for the local run. It implements
// shared/userside/README.md; where that document is silent, the choice made
// here is said at the place it is made, and no client may rely on it.
//
// It must never be part of a deployed function, never reach the network by
// itself, and never read a clock other than Options.Now: a Server is a plain
// http.Handler without goroutines of its own and may live in a testing/synctest
// bubble. Everything a Server exports is safe for concurrent use.
package userside
