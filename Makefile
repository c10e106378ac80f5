# What a developer runs. make help lists the targets. .ci/run is the whole gate, whose
# legs are targets of this file.

# Legs that run for a given time, or that start more processes than there are
# processors.
ALONE = fuzz soak mpi

# The rest run two at a time. The first compiles what many of them need. The short ones
# come last, so that none runs alone for long.
TOGETHER = vet test-long test-race test-avx512 test-neon-a72 lint test-neon-max mutate-neon frameworks \
	vulnerabilities mutate test-v3 $(EMULATED) test-purego test outsider test-386 sanitizers examples kills intrinsics evidence generated choice tidy format

EMULATED = $(addprefix test-,s390x ppc64 ppc64le arm loong64 riscv64)

LEG = bash .ci/leg

.PHONY: help alone together legs asm bench ci workspace tools test-neon test-emulated test-asan test-msan $(ALONE) $(TOGETHER)

help: ## list the targets
	@awk -F ':.*## ' '/^[^\t].*:.*## / { sub(/^\$$\(EMULATED\)/, "$(firstword $(EMULATED))", $$1); printf "%-17s %s\n", $$1, $$2 }' Makefile

# ---- development

asm: ## write the assembly and its declarations
	go generate .

bench: ## measure everything
	go test -run '^$$' -bench . -benchtime 200ms .

workspace: ## write a go.work of all modules, for editors and for changes to several modules; git ignores it
	@$(LEG) workspace

tools: ## install what the other targets need (as root, on Debian)
	@$(LEG) tools

ci: ## the whole gate
	bash .ci/run

# ---- tests

test: ## the test command of README.md; half a minute
	@$(LEG) readme

test-long: ## every combination, with every instruction set that the processor has
	@$(LEG) tests -long

# In one goroutine there is nothing to race with, so kernels get fewer calls, and the
# digest is that of assembly.
test-race: ## with the race detector
	@ADAHESSIAN_THIN=7 $(LEG) tests -race -short -skip '^TestDigest$$/^generic$$'

test-asan: ## with AddressSanitizer, without assembly; ten minutes, so the gate runs sanitizers instead
	@$(LEG) tests -asan -short

test-msan: ## with MemorySanitizer, which needs clang, without assembly; eight minutes, as above
	@$(LEG) tests -msan -short

sanitizers: ## with both, the tests that reach most of the unsafe code; a minute or two
	@$(LEG) sanitizers

test-purego: ## without assembly
	@$(LEG) tests -long -tags purego

test-v3: ## compiled for newer processors (GOAMD64=v3)
	@GOAMD64=v3 $(LEG) tests -long

test-386: ## compiled for 386
	@GOARCH=386 CGO_ENABLED=0 $(LEG) tests -short

test-avx512: ## the kernels on an emulated processor with AVX-512; needs no root, 40 MB of packages in the user's cache, minutes
	@$(LEG) avx512

test-neon: test-neon-a72 test-neon-max ## everything on two emulated arm64 processors

test-neon-a72: ## everything on an emulated Cortex-A72
	@$(LEG) neon cortex-a72

test-neon-max: ## everything on an emulated arm64 with every extension
	@$(LEG) neon max

test-emulated: $(EMULATED) ## the arithmetic on six emulated architectures without assembly

$(EMULATED): ## the arithmetic on one of them
	@$(LEG) elsewhere $(@:test-%=%)

choice: ## which instruction set is chosen, on several emulated processors
	@$(LEG) choice

fuzz: ## every fuzz target for FUZZTIME=5s
	@$(LEG) fuzz

soak: ## random ordeals for SOAKTIME=15s
	@$(LEG) soak

kills: ## kill a process that trains and saves, KILLS=100 times for each type
	@$(LEG) kills

mutate: ## change instructions, which a test must notice
	@$(LEG) mutate

mutate-neon: ## the same for arm64, emulated
	@$(LEG) mutate_neon

# ---- source

format: ## gofmt
	@$(LEG) format

vet: ## go vet for every architecture, with and without assembly
	@$(LEG) vet

lint: ## golangci-lint, which includes staticcheck, in a pinned version
	@$(LEG) lint

vulnerabilities: ## govulncheck in every module
	@$(LEG) vulnerabilities

generated: ## the generators' tests: generated files are what they write, and every raw word means what its comment says
	@$(LEG) generated

tidy: ## go mod tidy and verify, in every module
	@$(LEG) tidy

# ---- other modules

examples: ## the examples' tests, and short runs of them
	@$(LEG) examples

frameworks: ## the modules for other frameworks
	@$(LEG) frameworks

outsider: ## get the modules as a user without the repository does, train, and run the tests in the zip
	@$(LEG) outsider

mpi: ## the example with Open MPI, on 1 to 4 ranks
	@$(LEG) mpi

evidence: ## a reduced run of the experiment on the paper's claims
	@$(LEG) evidence

intrinsics: ## check that C with intrinsics gives the same bits
	@$(LEG) intrinsics

# ---- lists of targets, for .ci/run and the workflow

alone:
	@echo $(ALONE)
together:
	@echo $(TOGETHER)
legs:
	@printf '%s\n' $(ALONE) $(TOGETHER) | sed 's/.*/"&"/' | paste -sd, | sed 's/.*/[&]/'
