// Package userside is a stand-in of the UserSide ERP: its api.php in two
// generations of spelling, the events that its handlers would send, and a small
// dispatcher's board on which a person changes things.
//
// It exists for tests, the simulation and the local run. It implements
// shared/userside/README.md; where that says nothing, a comment names the choice that
// was made here, and no client may rely on it.
//
// It must never be part of a deployed function, never reach the network by
// itself, and never read a clock other than Options.Now: a Server is a plain
// http.Handler without goroutines of its own and may live in a testing/synctest
// bubble. Everything a Server exports is safe for concurrent use.
package userside
