package main

import (
	"os"
	"regexp"
	"runtime"

	"github.com/adahessian-go/adahessian"
)

var modelName = regexp.MustCompile(`(?m)^model name\s*:\s*(.*)$`)

// machine names what times depend on: the processor, as far as the system tells, Go,
// and the kernels.
func machine() string {
	cpu := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := modelName.FindSubmatch(info); m != nil {
			cpu = string(m[1])
		}
	}
	return cpu + ", " + runtime.Version() + ", kernels: " + adahessian.ISA()
}
