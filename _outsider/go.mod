module github.com/adahessian-go/adahessian/_outsider

go 1.24.0

require golang.org/x/mod v0.29.0
