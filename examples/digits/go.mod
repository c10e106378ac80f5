module github.com/adahessian-go/adahessian/examples/digits

go 1.24.0
