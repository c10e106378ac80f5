// Command fitpow derives the polynomials of pow.go and prints them as pow.go has them:
//
//	go run ./internal/fitpow
package main

import (
	"fmt"
	"os"

	"github.com/adahessian-go/adahessian/internal/fitpow/fit"
)

func main() {
	source, err := fit.Source()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fitpow:", err)
		os.Exit(1)
	}
	fmt.Print(source)
}
