//go:build gc && !purego && !asan && !msan

package adahessian

import "github.com/klauspost/cpuid/v2"

// streamBytes is the size of a probe above which it is written past the caches: half of
// the last level. On a Zen 3 whose last level has 32 MiB (BenchmarkStream), a probe of
// 12 MiB or more then takes 0.4 to 0.5 of the time, or 0.6 to 0.8 of it together with a
// read such as hvp makes. Up to 8 MiB, ordinary stores may find the last step's probe
// still in the cache and leave the new one there, and are then up to twice as fast. The
// bound is not less than half, since on other processors fewer cores share the last
// level.
var streamBytes = streamFrom(cpuid.CPU.Cache.L3)

// streamFrom returns streamBytes for a last-level cache of the given number of bytes,
// which is 0 or −1 if it is unknown.
func streamFrom(cache int) int {
	const usual = 32 << 20
	if cache <= 0 {
		cache = usual
	}
	return cache / 2
}
