module github.com/adahessian-go/adahessian/examples/spago

go 1.24.0

require (
	github.com/adahessian-go/adahessian/contrib/spago v0.1.0
	github.com/adahessian-go/adahessian/examples/digits v0.0.0-00010101000000-000000000000
	github.com/nlpodyssey/spago v1.1.0
)

require (
	github.com/adahessian-go/adahessian v0.1.0 // indirect
	github.com/google/flatbuffers v23.5.26+incompatible // indirect
	github.com/klauspost/cpuid/v2 v2.3.0 // indirect
	golang.org/x/sys v0.36.0 // indirect
)

replace (
	github.com/adahessian-go/adahessian => ../..
	github.com/adahessian-go/adahessian/contrib/spago => ../../contrib/spago
	github.com/adahessian-go/adahessian/examples/digits => ../digits
)
