//go:build unix

package deploytest_test

import (
	"os/exec"
	"syscall"
)

// ownSession takes the terminal of whoever runs the tests away from the script: it would
// be asked for what a test leaves out.
func ownSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
