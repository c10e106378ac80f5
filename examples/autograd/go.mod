module github.com/adahessian-go/adahessian/examples/autograd

go 1.24.0

require (
	github.com/adahessian-go/adahessian/contrib/autograd v0.1.0
	github.com/adahessian-go/adahessian/examples/digits v0.0.0-00010101000000-000000000000
	github.com/itsubaki/autograd v0.0.7
)

require (
	github.com/adahessian-go/adahessian v0.1.0 // indirect
	github.com/klauspost/cpuid/v2 v2.3.0 // indirect
	golang.org/x/sys v0.36.0 // indirect
)

replace (
	github.com/adahessian-go/adahessian => ../..
	github.com/adahessian-go/adahessian/contrib/autograd => ../../contrib/autograd
	github.com/adahessian-go/adahessian/examples/digits => ../digits
)
