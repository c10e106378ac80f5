//go:build linux && amd64

// Command guest is the first process of the emulated machine: it runs the jobs
// in /jobs and switches the machine off.
//
// What it and the jobs print goes to port 0xe9, which Bochs copies to its standard
// output, since a serial line would be slow. Port 0x8900 ends Bochs.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// outs writes the bytes of p to a port.
//
//go:noescape
func outs(port uint16, p []byte)

type port uint16

func (w port) Write(p []byte) (int, error) {
	outs(uint16(w), p)
	return len(p), nil
}

func main() {
	// Go's garbage collector uses GFNI if the processor has it, and Bochs gets that
	// wrong. This processor does not have it, but there is nothing to collect anyway.
	debug.SetGCPercent(-1)
	runtime.LockOSThread() // iopl applies to one thread
	for dir, kind := range map[string]string{"/proc": "proc", "/sys": "sysfs", "/dev": "devtmpfs", "/tmp": "tmpfs"} {
		os.MkdirAll(dir, 0o755)
		syscall.Mount(kind, dir, kind, 0, "")
	}
	if _, _, err := syscall.RawSyscall(syscall.SYS_IOPL, 3, 0, 0); err != 0 {
		fmt.Println("guest: iopl:", err)
	} else if err := runJobs(port(0xe9)); err != nil {
		fmt.Fprintln(port(0xe9), "guest:", err)
	}
	io.WriteString(port(0x8900), "Shutdown")
	select {}
}

// A job is the job of package emulate.
type job struct {
	Name, Path string
	Args, Env  []string
	Limit      time.Duration
}

func runJobs(out io.Writer) error {
	list, err := os.ReadFile("/jobs")
	if err != nil {
		return err
	}
	var jobs []job
	if err := json.Unmarshal(list, &jobs); err != nil {
		return err
	}
	for _, j := range jobs {
		fmt.Fprintf(out, "\n@begin %s\n", j.Name)
		start := time.Now()
		exit, err := j.run(out)
		if err != nil {
			fmt.Fprintln(out, "guest:", err)
		}
		fmt.Fprintf(out, "\n@end %s exit=%d after %.1f s\n", j.Name, exit, time.Since(start).Seconds())
	}
	return nil
}

// run returns the job's exit status, or −1 if it has none.
func (j job) run(out io.Writer) (exit int, err error) {
	cmd := exec.Command(j.Path, j.Args...)
	cmd.Dir = "/module"
	cmd.Env = append([]string{"HOME=/tmp", "TMPDIR=/tmp", "PATH=/"}, j.Env...)
	r, w, err := os.Pipe()
	if err != nil {
		return -1, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return -1, err
	}
	w.Close()
	if j.Limit > 0 {
		defer time.AfterFunc(j.Limit, func() { cmd.Process.Kill() }).Stop()
	}
	// Not io.Copy, and not exec's own goroutine: only this thread has access to the
	// port.
	if _, err := bufio.NewReaderSize(r, 1<<16).WriteTo(struct{ io.Writer }{out}); err != nil {
		return -1, err
	}
	err = cmd.Wait()
	if cmd.ProcessState.ExitCode() < 0 {
		return -1, err
	}
	return cmd.ProcessState.ExitCode(), nil
}
