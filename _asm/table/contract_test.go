package table

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// source returns the scope of the package that the kernels are for. It reads only the
// package's own files, those for all architectures together. What they need from other
// packages stays unknown, but constants and structs do not.
func source(t *testing.T) *types.Scope {
	t.Helper()
	names, err := filepath.Glob("../../*.go")
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	config := types.Config{Error: func(error) {}, IgnoreFuncBodies: true}
	pkg, _ := config.Check("adahessian", set, files, nil)
	return pkg.Scope()
}

func TestStructs(t *testing.T) {
	scope := source(t)
	for name, want := range map[string][]string{"scalars": scalarsNames[:], "powParams": powParamsNames[:]} {
		object := scope.Lookup(name)
		if object == nil {
			t.Fatalf("no type %s", name)
		}
		fields, ok := object.Type().Underlying().(*types.Struct)
		if !ok {
			t.Fatalf("%s is a %v", name, object.Type().Underlying())
		}
		var names []string
		for i := range fields.NumFields() {
			names = append(names, fields.Field(i).Name())
		}
		if !slices.Equal(names, want) {
			t.Errorf("the fields of %s are %v, here %v", name, names, want)
		}
	}
}

func TestConstants(t *testing.T) {
	integer, number := constant.MakeInt64, constant.MakeFloat64
	want := map[string]constant.Value{
		"round0": number(Round0), "round10": number(Round10), "round24": number(Round24), "oneBits": integer(OneBits),
		"rootHalfBits": integer(RootHalfBits), "twoTo52Bits": integer(TwoTo52Bits), "mantissaMask": integer(MantissaMask),
		"lowMask": integer(LowMask), "powerHalf": integer(PowerHalf), "powerOne": integer(PowerOne),
	}
	coefficients, err := Coefficients()
	if err != nil {
		t.Fatal(err)
	}
	if len(coefficients) < 30 {
		t.Errorf("only %d coefficients", len(coefficients))
	}
	for name, x := range coefficients {
		want[name] = number(x)
	}
	scope := source(t)
	for name, want := range want {
		c, ok := scope.Lookup(name).(*types.Const)
		if !ok {
			t.Errorf("no constant %s", name)
		} else if !constant.Compare(c.Val(), token.EQL, want) {
			t.Errorf("%s is %v, here %v", name, c.Val(), want)
		}
	}
}
