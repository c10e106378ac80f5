package table

import "github.com/adahessian-go/adahessian/internal/fitpow/fit"

// What the kernels rely on in the package besides their arguments. A test compares it
// with the Go source.

// The fields of the Go struct scalars, in its order.
const (
	B1 = iota
	C1
	B2
	C2
	S
	W
	R
	E
	Limit
	Div
)

var scalarsNames = [...]string{B1: "b1", C1: "c1", B2: "b2", C2: "c2", S: "s", W: "w", R: "r", E: "e", Limit: "limit", Div: "div"}

// The fields of the Go struct powParams, in its order.
const (
	A = iota
	AHead
	ATail
	CHead
	CTail
	PowParams // the number of fields
)

var powParamsNames = [PowParams]string{A: "a", AHead: "aHead", ATail: "aTail", CHead: "cHead", CTail: "cTail"}

// The Go constants of type power that kernels compare with.
const (
	PowerHalf = 1
	PowerOne  = 2
)

// The Go constants of pow.go that are not coefficients.
const (
	Round0       = 0x1.8p+52
	Round10      = 0x1.8p+42
	Round24      = 0x1.8p+28
	OneBits      = 0x3FF0000000000000
	RootHalfBits = 0x3FE6A09E667F3BCD
	TwoTo52Bits  = 0x4330000000000000
	MantissaMask = 1<<52 - 1
	LowMask      = 1<<27 - 1
)

// Coefficients are the coefficients of pow.go by their names.
func Coefficients() (map[string]float64, error) {
	polynomials, err := fit.Polynomials()
	if err != nil {
		return nil, err
	}
	byName := map[string]float64{}
	for _, p := range polynomials {
		for _, c := range p.Constants {
			byName[c.Name] = c.Value
		}
	}
	return byName, nil
}
