# What a developer runs; .ci/run is the whole gate.
.PHONY: test asm bench ci

test:
	go test ./...

# Writes kernels_amd64.s and its declarations, and the roofline's.
asm:
	go generate .

bench:
	go test -run '^$$' -bench . -benchtime 200ms .

ci:
	bash .ci/run
