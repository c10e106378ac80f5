package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
)

var traceLine = regexp.MustCompile(`^Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/`)

// emulated lets qemu record the addresses of a function's instructions.
func emulated(c call) (t []uint64, err error) {
	log := c.file + ".log"
	args := append([]string{"-cpu", "cortex-a72", "-singlestep", "-d", "exec,nochain",
		"-dfilter", fmt.Sprintf("%#x..%#x", c.first, c.last), "-D", log, c.file}, c.args...)
	if err := output(exec.Command("qemu-aarch64", args...), nil); err != nil {
		return nil, err
	}
	file, err := os.Open(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		m := traceLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		at, err := strconv.ParseUint(m[1], 16, 64)
		if err != nil {
			return nil, err
		}
		t = append(t, at)
	}
	return t, lines.Err()
}
