// Package emulate runs programs on an emulated processor with AVX-512. It works without
// root on any Linux machine that has Debian's package tools: Debian's emulator Bochs boots
// Debian's kernel with a small first process, which runs the programs.
//
// The emulated processor is a Skylake-X. It has AVX-512 F, CD, DQ, BW and VL, but none of
// the later sets, some of which Bochs 2.7 gets wrong. It takes some 10 seconds to boot
// and then runs about 40 million instructions a second. Time inside is simulated, so it
// says nothing about speed.
package emulate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Job is a static program for linux/amd64, to be run in the directory /module
// of the guest.
type Job struct {
	Name      string // without spaces
	Program   string // its file on this machine
	Args, Env []string
	Limit     time.Duration // of the guest's time; 0: none
}

// A Result is what a job has done.
type Result struct {
	Name   string
	Exit   int // −1: it was killed or did not start
	Output []byte
}

// A Machine is what jobs run on.
type Machine struct {
	Files string    // directory that becomes /module
	Out   io.Writer // gets the jobs' output as it comes; may be nil
}

// Run boots the machine and runs the jobs in turn. It returns the results of
// those that ended, with an error unless all did.
func (m Machine) Run(ctx context.Context, jobs ...Job) ([]Result, error) {
	root, err := unpacked()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "emulate")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	initrd, err := m.initrd(dir, jobs)
	if err != nil {
		return nil, err
	}
	if err := writeImage(root, dir, initrd); err != nil {
		return nil, err
	}
	return m.boot(ctx, root, dir, len(initrd), len(jobs))
}

// initrd makes the guest's files.
func (m Machine) initrd(dir string, jobs []Job) ([]byte, error) {
	first := filepath.Join(dir, "guest")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", first, "github.com/adahessian-go/adahessian/internal/emulate/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the guest's first process: %w\n%s", err, out)
	}
	type guestJob struct {
		Name, Path string
		Args, Env  []string
		Limit      time.Duration
	}
	var a archive
	a.directory("dev")
	a.console("dev/console")
	a.file("init", first)
	var list []guestJob
	for i, j := range jobs {
		path := fmt.Sprintf("job%d", i)
		a.file(path, j.Program)
		list = append(list, guestJob{j.Name, "/" + path, j.Args, j.Env, j.Limit})
	}
	a.tree("module", m.Files)
	encoded, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	a.bytes("jobs", encoded)
	return a.finish()
}

// kernelArgs make the kernel boot fast. XSAVEC and XSAVES are turned off: Bochs reports
// their sizes wrongly, and the kernel would then disable AVX.
const kernelArgs = "console=ttyS0,115200 quiet acpi=off mitigations=off nokaslr panic=-1 reboot=t clearcpuid=xsavec,xsaves tsc_early_khz=50000 cryptomgr.notests=1 " +
	"initcall_blacklist=load_system_certificate_list,trace_eval_init,tracer_init_tracefs,cubictcp_register,bpf_rstat_kfunc_init,init_kprobe_trace"

// writeImage writes the disc to boot from.
func writeImage(root, dir string, initrd []byte) error {
	disc := filepath.Join(dir, "disc")
	if err := os.Mkdir(disc, 0o755); err != nil {
		return err
	}
	for _, path := range []string{"vmlinuz", "usr/lib/ISOLINUX/isolinux.bin", "usr/lib/syslinux/modules/bios/ldlinux.c32"} {
		data, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(disc, filepath.Base(path)), data, 0o644); err != nil {
			return err
		}
	}
	config := "default l\nprompt 0\nlabel l\n kernel vmlinuz\n append initrd=initrd " + kernelArgs + "\n"
	if err := os.WriteFile(filepath.Join(disc, "isolinux.cfg"), []byte(config), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(disc, "initrd"), initrd, 0o644); err != nil {
		return err
	}
	cmd := command(root, "xorriso", "-as", "mkisofs", "-quiet", "-o", filepath.Join(dir, "boot.iso"), "-b", "isolinux.bin", "-c", "boot.cat",
		"-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", disc)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("xorriso: %w\n%s", err, out)
	}
	return nil
}

// config configures Bochs, with no devices but the disc and what booting needs.
const config = `config_interface: textconfig
display_library: term
plugin_ctrl: speaker=0, gameport=0, parallel=0, extfpuirq=0
cpu: model=corei7_skylake_x, count=1, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest=%[1]d, host=%[1]d
romimage: file=%[2]s/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=%[2]s/usr/share/vgabios/vgabios.bin
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=%[3]s/boot.iso, status=inserted
boot: cdrom
clock: sync=none, time0=1700000000
com1: enabled=1, mode=file, dev=%[3]s/serial.txt
port_e9_hack: enabled=1
log: %[3]s/bochs.log
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
`

var (
	beginLine = regexp.MustCompile(`^@begin (\S+)$`)
	endLine   = regexp.MustCompile(`^@end (\S+) exit=(-?\d+)`)
)

// boot runs the emulator and reads the results.
func (m Machine) boot(ctx context.Context, root, dir string, initrd, jobs int) (results []Result, err error) {
	memory := 448 + 3*initrd>>20 // MiB: the archive, its files, and room
	rc, cfg := filepath.Join(dir, "rc"), filepath.Join(dir, "bochsrc")
	if err := errors.Join(
		os.WriteFile(cfg, fmt.Appendf(nil, config, memory, root, dir), 0o644),
		os.WriteFile(rc, []byte("c\n"), 0o644), // Debian's build starts in its debugger: continue
	); err != nil {
		return nil, err
	}
	bochs := command(root, "bochs-bin", "-q", "-f", cfg, "-rc", rc)
	var stderr bytes.Buffer
	bochs.Stderr = &stderr
	stdout, err := bochs.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := bochs.Start(); err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { bochs.Process.Kill() })() // Bochs ignores SIGTERM
	var now *Result
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		text := strings.TrimRight(string(line), "\r\n")
		if b := beginLine.FindStringSubmatch(text); b != nil {
			now = &Result{Name: b[1]}
		} else if e := endLine.FindStringSubmatch(text); e != nil && now != nil {
			now.Exit, _ = strconv.Atoi(e[2])
			results = append(results, *now)
			now = nil
		} else if now != nil {
			now.Output = append(now.Output, line...)
			if m.Out != nil {
				m.Out.Write(line)
			}
		}
		if err != nil {
			break
		}
	}
	bochs.Wait() // its status is always 1
	if len(results) == jobs {
		return results, nil
	}
	err = fmt.Errorf("the guest ran %d of %d jobs", len(results), jobs)
	if ctx.Err() != nil {
		return results, errors.Join(err, context.Cause(ctx))
	}
	for _, log := range []string{"serial.txt", "bochs.log"} {
		text, _ := os.ReadFile(filepath.Join(dir, log))
		err = fmt.Errorf("%w\n%s", err, text[max(0, len(text)-1000):])
	}
	return results, fmt.Errorf("%w\n%s", err, stderr.Bytes()[max(0, stderr.Len()-1000):])
}
