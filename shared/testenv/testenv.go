// Package testenv gives tests what a Go package cannot bring along: Google's own
// Firestore and Pub/Sub emulators and a headless Chromium.
//
// Each is used where it is already there (scripts/test starts the emulators once
// for all packages) and started on demand otherwise, once per test process. What a
// person's machine lacks skips the test with a line that says what is missing and
// how to get it. With CI=true nothing is ever skipped: there a missing part fails
// the test. TESTS_QUICK=true, as scripts/test -quick sets it, skips all of these
// tests, whatever is installed. This package is imported by tests only and must never
// reach a network outside 127.0.0.1.
package testenv

import (
	"os"
	"strings"
	"testing"
)

// missing skips the test with the cure on one line, or fails it where CI=true.
func missing(t testing.TB, what, cure string) {
	t.Helper()
	line := what + "; to get it: " + cure
	if InCI() {
		t.Fatalf("CI=true and %s", line)
	}
	t.Skipf("skipped: %s", line)
}

// leftOut skips the test where only what needs Go alone is wanted.
func leftOut(t testing.TB, what string) {
	t.Helper()
	if strings.EqualFold(os.Getenv("TESTS_QUICK"), "true") {
		t.Skipf("skipped: TESTS_QUICK=true leaves out what needs %s; to get it: scripts/test without -quick", what)
	}
}

// InCI reports whether nothing may be skipped.
func InCI() bool { return strings.EqualFold(os.Getenv("CI"), "true") }
