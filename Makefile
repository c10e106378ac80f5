# What a developer runs; .ci/run is the whole gate.
.PHONY: test test-avx512 asm bench ci

test:
	go test ./...

# The kernels of AVX-512, on a processor that Debian's Bochs emulates: no root,
# nothing installed, 40 MB of packages in the user's cache. Two minutes.
test-avx512:
	bash .ci/avx512

# Writes kernels_amd64.s and its declarations, and the roofline's.
asm:
	go generate .

bench:
	go test -run '^$$' -bench . -benchtime 200ms .

ci:
	bash .ci/run
