package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// stepped runs a program up to each call of the function, and steps through the call
// one instruction at a time. It watches only the program's first thread.
func stepped(c call) (t []uint64, err error) {
	runtime.LockOSThread() // only this thread may trace
	defer runtime.UnlockOSThread()
	cmd := exec.Command(c.file, c.args...)
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1")
	if c.env != "" {
		cmd.Env = append(cmd.Env, c.env)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	pid := cmd.Process.Pid
	defer func() {
		if err != nil {
			_ = cmd.Process.Kill()
		}
	}()
	var status syscall.WaitStatus
	wait := func() error {
		_, err := syscall.Wait4(pid, &status, 0, nil)
		return err
	}
	if err := wait(); err != nil {
		return nil, err
	}
	const int3 = 0xcc
	original := make([]byte, 1)
	if _, err := syscall.PtracePeekText(pid, uintptr(c.first), original); err != nil {
		return nil, err
	}
	for signal := 0; ; {
		if _, err := syscall.PtracePokeText(pid, uintptr(c.first), []byte{int3}); err != nil {
			return nil, err
		}
		if err := syscall.PtraceCont(pid, signal); err != nil {
			return nil, err
		}
		if err := wait(); err != nil {
			return nil, err
		}
		switch {
		case status.Exited() && status.ExitStatus() == 0:
			return t, nil
		case !status.Stopped():
			return nil, fmt.Errorf("%v ended with %v", cmd.Args, status)
		}
		var r syscall.PtraceRegs
		if err := syscall.PtraceGetRegs(pid, &r); err != nil {
			return nil, err
		}
		if signal = int(status.StopSignal()); signal != int(syscall.SIGTRAP) || r.Rip != c.first+1 {
			continue
		}
		signal = 0
		if _, err := syscall.PtracePokeText(pid, uintptr(c.first), original); err != nil {
			return nil, err
		}
		r.Rip = c.first
		if err := syscall.PtraceSetRegs(pid, &r); err != nil {
			return nil, err
		}
		for stepped := true; c.first <= r.Rip && r.Rip <= c.last; {
			if stepped {
				t = append(t, r.Rip)
			}
			if err := syscall.PtraceSingleStep(pid); err != nil {
				return nil, err
			}
			if err := wait(); err != nil {
				return nil, err
			}
			if !status.Stopped() {
				return nil, fmt.Errorf("%v ended with %v", cmd.Args, status)
			}
			stepped = status.StopSignal() == syscall.SIGTRAP // otherwise it is a signal, which is dropped
			if err := syscall.PtraceGetRegs(pid, &r); err != nil {
				return nil, err
			}
		}
	}
}
