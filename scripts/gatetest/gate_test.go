// Package gatetest shows what scripts/test does on a machine that has little: it
// starts it with a PATH of its own. It must never run more than one small package,
// as it is itself run by scripts/test.
package gatetest_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// small is a package that is tested in a moment.
const small = "./shared/failure"

// fresh is a PATH with Go, git, a shell and the tools that every Unix has: no
// compiler, no emulator, no browser, no PHP, no Terraform.
func fresh(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{
		"go", "git", "bash",
		"cat", "cp", "dirname", "find", "grep", "head", "mkdir", "mktemp", "mv", "rm", "rmdir", "sed", "sleep", "tail", "xargs",
	} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

// runTest runs scripts/test and returns what it says and whether it passes.
func runTest(t *testing.T, variables []string, args ...string) (said string, passes bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "../test", args...)
	// Only what a login gives, and where Go keeps what it has built.
	cmd.Env = append(variables, "PATH="+fresh(t), "HOME="+t.TempDir(), "TMPDIR="+t.TempDir(), "GOTOOLCHAIN=local")
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB"} {
		value, err := exec.CommandContext(ctx, "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, name+"="+string(bytes.TrimSpace(value)))
	}
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

func TestWithGoGitAndAShellAloneTheTestsPass(t *testing.T) {
	t.Parallel()
	said, passes := runTest(t, nil, small)
	if !passes {
		t.Fatalf("it fails:\n%s", said)
	}
	for _, want := range []string{
		"skipped: there is no C compiler, or no cgo: tests run without the race detector; to get it: ",
		"skipped: gcloud, java or setsid is not installed",
		"skipped: Chromium is not installed",
		"running  go test  -shuffle=on " + small,
		"All tests of " + small + " passed",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
}

func TestInCIAMissingCompilerIsAFailure(t *testing.T) {
	t.Parallel()
	said, passes := runTest(t, []string{"CI=true"}, small)
	if passes || !strings.Contains(said, "FAILED: CI=true and there is no C compiler") || strings.Contains(said, "running") {
		t.Errorf("passes: %v; it says:\n%s", passes, said)
	}
}

func TestAFailedTestFailsTheCommand(t *testing.T) {
	t.Parallel()
	said, passes := runTest(t, nil, small, "-timeout=1ns")
	if passes || !strings.Contains(said, "FAILED: go test") {
		t.Errorf("passes: %v; it says:\n%s", passes, said)
	}
}
