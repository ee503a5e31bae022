//go:build unix

package testenv

import "syscall"

// ownGroup puts a process at the head of a group of its own, which can be killed
// as a whole.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
