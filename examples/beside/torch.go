package main

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

//go:embed steps.py
var program string

// torch is a Python process that makes a turn for each line that it reads, and times
// it. Times measured here would include the pipe.
type torch struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	release string
}

// startTorch starts Python, and fails if it has no PyTorch.
func startTorch(python string) (*torch, error) {
	t := &torch{cmd: exec.Command(python, "-I", "-c", program)}
	var stderr strings.Builder
	t.cmd.Stderr = &stderr
	in, err := t.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	t.in, t.out = in, bufio.NewReader(out)
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := t.out.ReadString('\n')
	if err != nil {
		err := t.cmd.Wait()
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return nil, fmt.Errorf("%s: %w: %s", python, err, lines[len(lines)-1])
	}
	t.release = strings.TrimSpace(line)
	return t, nil
}

// stop ends the process, which has reported all its times by then.
func (t *torch) stop() {
	_, _ = t.in.Close(), t.cmd.Wait()
}

func (t *torch) version() string {
	if t == nil {
		return "left out"
	}
	return t.release
}

// ask sends a line and returns the answer, a time in seconds.
func (t *torch) ask(format string, a ...any) (time.Duration, error) {
	if _, err := fmt.Fprintf(t.in, format+"\n", a...); err != nil {
		return 0, err
	}
	var seconds float64
	if _, err := fmt.Fscanln(t.out, &seconds); err != nil {
		return 0, fmt.Errorf("PyTorch: %w", err)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// contenders returns PyTorch's contenders, each with the way it is called there.
func (t *torch) contenders() (all []contender) {
	for _, c := range []struct{ kind, name string }{
		{"adahessian", "PyTorch, AdaHessian's update as tensor operations"},
		{"foreach", "PyTorch, AdaHessian's update as foreach operations"},
		{"adamw", "PyTorch, AdamW"},
		{"adamw-foreach", "PyTorch, AdamW(foreach=True)"},
	} {
		all = append(all, contender{name: c.name, prepare: func(n, threads int) (turn, func(), error) {
			if _, err := t.ask("make %s %d %d", c.kind, n, threads); err != nil {
				return nil, nil, err
			}
			turn := func(least time.Duration) (time.Duration, error) { return t.ask("turn %s %g", c.kind, least.Seconds()) }
			drop := func() { _, _ = t.ask("drop %s", c.kind) } // if this fails, so does the next turn
			return turn, drop, nil
		}})
	}
	return all
}
