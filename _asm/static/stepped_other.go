//go:build !linux || !amd64

package main

import "errors"

func stepped(call) ([]uint64, error) {
	return nil, errors.New("kernels for amd64 can only be executed on Linux on amd64")
}
