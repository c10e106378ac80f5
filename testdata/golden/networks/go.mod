// A module, so that the zip of the one above it, which everyone downloads who imports
// that, is without this folder.
module github.com/adahessian-go/adahessian/testdata/golden/networks

go 1.24.0
