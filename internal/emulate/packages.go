package emulate

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// needed are the Debian packages of the emulator, its firmware, a boot loader, and a
// program that writes a disc. The kernel is not listed, because its name contains its
// version.
var needed = []string{"bochs", "bochs-term", "bochsbios", "vgabios", "isolinux", "syslinux-common", "xorriso"}

// unpacked returns a directory with the files of the packages. The first time it
// downloads them with apt, some 40 MB, without installing anything.
func unpacked() (root string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	root = filepath.Join(cache, "adahessian-avx512")
	if _, err := os.Stat(filepath.Join(root, "vmlinuz")); err == nil {
		return root, nil
	}
	for _, tool := range []string{"apt-get", "dpkg-deb", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("the emulator comes as Debian packages: %w", err)
		}
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(cache, "adahessian-avx512.")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	if err := unpack(fresh); err != nil {
		return "", err
	}
	os.RemoveAll(root)
	return root, os.Rename(fresh, root)
}

var (
	kernelPackage = regexp.MustCompile(`(?m)Depends: (linux-image-\S+-cloud-amd64)$`)
	installLine   = regexp.MustCompile(`(?m)^Inst (\S+)`)
)

// unpack downloads the packages, and those of their dependencies that this machine
// lacks.
func unpack(root string) error {
	depends, err := output("apt-cache", "depends", "linux-image-cloud-amd64")
	if err != nil {
		return err
	}
	kernel := kernelPackage.FindStringSubmatch(depends)
	if kernel == nil {
		return errors.New("apt knows no package linux-image-cloud-amd64: has apt-get update been run?")
	}
	plan, err := output("apt-get", append([]string{"-s", "install", "--no-install-recommends"}, needed...)...)
	if err != nil {
		return err
	}
	packages := append(slices.Clone(needed), kernel[1])
	for _, m := range installLine.FindAllStringSubmatch(plan, -1) {
		packages = append(packages, m[1])
	}
	slices.Sort(packages)
	debs := filepath.Join(root, "debs")
	if err := os.Mkdir(debs, 0o755); err != nil {
		return err
	}
	download := exec.Command("apt-get", append([]string{"-o", "APT::Sandbox::User=", "-qq", "download"}, slices.Compact(packages)...)...)
	download.Dir = debs
	if out, err := download.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get download: %w\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range files {
		if _, err := output("dpkg-deb", "-x", deb, root); err != nil {
			return err
		}
	}
	images, err := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return fmt.Errorf("kernels: %v, %v", images, err)
	}
	for _, bulk := range []string{"debs", "lib/modules", "usr/lib/modules"} {
		os.RemoveAll(filepath.Join(root, bulk))
	}
	return os.Rename(images[0], filepath.Join(root, "vmlinuz"))
}

func output(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, exit.Stderr)
	}
	return string(out), err
}

// command is a program of the packages.
func command(root, name string, args ...string) *exec.Cmd {
	libraries := filepath.Join(root, "usr/lib/x86_64-linux-gnu")
	cmd := exec.Command(filepath.Join(root, "usr/bin", name), args...)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+libraries, "LTDL_LIBRARY_PATH="+filepath.Join(libraries, "bochs/plugins"),
		"BXSHARE="+filepath.Join(root, "usr/share/bochs"), "TERM=vt100")
	return cmd
}
