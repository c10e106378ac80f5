module github.com/adahessian-go/adahessian/contrib/autograd

go 1.24.0

require (
	github.com/adahessian-go/adahessian v0.1.0
	github.com/itsubaki/autograd v0.0.7
)

require (
	github.com/klauspost/cpuid/v2 v2.3.0 // indirect
	golang.org/x/sys v0.36.0 // indirect
)
