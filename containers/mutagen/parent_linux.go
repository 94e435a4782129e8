package main

import (
	"os"
	"syscall"
)

const setParentDeathSignal = 1 // PR_SET_PDEATHSIG of linux/prctl.h

// endWithParent: sshd's process for a connection ends with the connection; then nobody reads what this one says.
func endWithParent() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setParentDeathSignal, uintptr(syscall.SIGKILL), 0)
	if os.Getppid() == 1 { // it was faster
		os.Exit(1)
	}
}
