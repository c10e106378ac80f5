module github.com/adahessian-go/adahessian/_intrinsics

go 1.25.0

require github.com/adahessian-go/adahessian v0.0.0

require (
	github.com/klauspost/cpuid/v2 v2.3.0 // indirect
	golang.org/x/sys v0.36.0 // indirect
)

replace github.com/adahessian-go/adahessian => ../
