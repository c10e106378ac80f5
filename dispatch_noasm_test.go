//go:build (!amd64 && !arm64) || !gc || purego || asan || msan

package adahessian

// isaChoices lists what this build has.
func isaChoices() []isaChoice { return []isaChoice{{name: "generic", use: func() {}}} }

// saveISA returns a function that restores the present choice.
func saveISA() func() { return func() {} }
