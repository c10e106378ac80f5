module github.com/adahessian-go/adahessian/_asm

go 1.25.0

require (
	github.com/mmcloughlin/avo v0.6.0
	golang.org/x/arch v0.20.0
)

require (
	github.com/klauspost/cpuid/v2 v2.3.0 // indirect
	github.com/minio/asm2plan9s v0.0.0-20200509001527-cdd76441f9d8 // indirect
	golang.org/x/sys v0.37.0 // indirect
	golang.org/x/tools v0.38.0 // indirect
)

require (
	github.com/adahessian-go/adahessian v0.0.0
	golang.org/x/mod v0.29.0 // indirect
	golang.org/x/sync v0.17.0 // indirect
)

replace github.com/adahessian-go/adahessian => ../

tool github.com/minio/asm2plan9s
