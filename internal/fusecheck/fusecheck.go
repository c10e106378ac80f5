// Package fusecheck finds, in Go source, sums of products that a compiler may fuse, and
// functions of package math that differ between architectures.
package fusecheck

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"sync"
)

// The Go language lets a compiler compute x*y + z as one operation, rounded once,
// "possibly across statements". Compilers do so on arm64, s390x, ppc64, riscv64 and
// loong64, and on amd64 with GOAMD64=v3. Only an explicit conversion of the product
// prevents it. Assigning the product to a variable, a field, a parameter or a result
// does not, since after inlining it may stay in a register.

// exactFunctions are the functions of package math that the package may call, because
// on every architecture their results are exact or rounded once.
var exactFunctions = map[string]bool{
	"Abs": true, "Sqrt": true, "Float32bits": true, "Float32frombits": true, "Float64bits": true, "Float64frombits": true,
	"Inf": true, "IsInf": true, "IsNaN": true, "NaN": true, "Frexp": true, "Ldexp": true,
}

// A Check finds the products of a package that a compiler may fuse. It follows them
// through variables, fields, elements, arguments and results, each of which counts as
// one object however often it is assigned to.
type Check struct {
	Products, Sums int // seen by Faults

	set     *token.FileSet
	files   []*ast.File
	info    *types.Info
	product map[types.Object]bool // what may hold a product that is not rounded
	found   []string              // the faults
}

// New returns a check of a package that has no files yet.
func New() *Check {
	return &Check{set: token.NewFileSet(), product: map[types.Object]bool{}, info: &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{},
	}}
}

// Parse adds a file to the package.
func (c *Check) Parse(name, source string) error {
	f, err := parser.ParseFile(c.set, name, source, 0)
	if err == nil {
		c.files = append(c.files, f)
	}
	return err
}

// mathOnly imports package math. What other packages export stays unknown, since the
// package takes no number from them.
type mathOnly struct{ types.Importer }

func (m mathOnly) Import(path string) (*types.Package, error) {
	if path == "math" || path == "unsafe" {
		return m.Importer.Import(path)
	}
	p := types.NewPackage(path, path)
	p.MarkComplete()
	return p, nil
}

var fromSource = sync.OnceValue(func() types.Importer {
	return importer.ForCompiler(token.NewFileSet(), "source", nil)
})

// Faults returns what is wrong in the package, and where.
func (c *Check) Faults() []string {
	config := types.Config{Importer: mathOnly{fromSource()}, Error: func(error) {}}
	_, _ = config.Check("p", c.set, c.files, c.info) // the errors come from the other packages
	for before := -1; before < len(c.product); {
		before = len(c.product)
		c.walk(c.follow)
	}
	c.walk(c.judge)
	return c.found
}

func (c *Check) walk(visit func(n ast.Node, in *types.Func)) {
	for _, f := range c.files {
		for _, d := range f.Decls {
			fn, _ := d.(*ast.FuncDecl)
			var in *types.Func
			if fn != nil {
				in, _ = c.info.Defs[fn.Name].(*types.Func)
			}
			ast.Inspect(d, func(n ast.Node) bool {
				visit(n, in)
				return true
			})
		}
	}
}

// follow notes what a product is assigned to.
func (c *Check) follow(n ast.Node, in *types.Func) {
	mark := func(o types.Object, x ast.Expr) {
		if o != nil && c.isProduct(x) {
			c.product[o] = true
		}
	}
	pairs := func(to, from []ast.Expr) {
		for i := range to {
			mark(c.object(to[i]), from[min(i, len(from)-1)])
		}
	}
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok == token.MUL_ASSIGN && c.isFloat(n.Lhs[0]) {
			if o := c.object(n.Lhs[0]); o != nil {
				c.product[o] = true
			}
		}
		if n.Tok == token.ASSIGN || n.Tok == token.DEFINE {
			pairs(n.Lhs, n.Rhs)
		}
	case *ast.ValueSpec:
		for i, name := range n.Names {
			if len(n.Values) > 0 {
				pairs([]ast.Expr{name}, n.Values[min(i, len(n.Values)-1):])
			}
		}
	case *ast.RangeStmt:
		if n.Value != nil {
			mark(c.object(n.Value), n.X)
		}
	case *ast.ReturnStmt:
		for _, x := range n.Results {
			mark(in, x)
		}
	case *ast.CompositeLit:
		s, _ := c.info.Types[n].Type.Underlying().(*types.Struct)
		for i, x := range n.Elts {
			if kv, ok := x.(*ast.KeyValueExpr); ok {
				mark(c.object(kv.Key), kv.Value)
			} else if s != nil {
				mark(origin(s.Field(i)), x)
			}
		}
	case *ast.CallExpr:
		if f, ok := c.object(n.Fun).(*types.Func); ok {
			p := f.Type().(*types.Signature).Params()
			for i, x := range n.Args {
				if p.Len() > 0 {
					mark(p.At(min(i, p.Len()-1)), x)
				}
			}
		}
	}
}

// judge notes the faults.
func (c *Check) judge(n ast.Node, _ *types.Func) {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		if c.isFloat(n) && n.Op == token.MUL {
			c.Products++
		}
		if c.isFloat(n) && (n.Op == token.ADD || n.Op == token.SUB) {
			c.sum(n.X, n.Y)
		}
	case *ast.AssignStmt:
		if (n.Tok == token.ADD_ASSIGN || n.Tok == token.SUB_ASSIGN) && c.isFloat(n.Lhs[0]) {
			c.sum(n.Lhs[0], n.Rhs[0])
		}
	case *ast.SelectorExpr:
		if f, ok := c.info.Uses[n.Sel].(*types.Func); ok && f.Pkg() != nil && f.Pkg().Path() == "math" && !exactFunctions[f.Name()] {
			c.fault(n, "math."+f.Name()+" is not the same on every architecture")
		}
	}
}

func (c *Check) sum(operands ...ast.Expr) {
	c.Sums++
	for _, x := range operands {
		if c.isProduct(x) {
			c.fault(x, "the product is added without a conversion, and may be fused")
		}
	}
}

func (c *Check) fault(n ast.Node, what string) {
	c.found = append(c.found, c.set.Position(n.Pos()).String()+": "+what)
}

// isProduct reports whether x may be a product that is not rounded.
func (c *Check) isProduct(x ast.Expr) bool {
	if tv := c.info.Types[x]; tv.Value != nil {
		return false
	}
	switch x := x.(type) {
	case *ast.ParenExpr:
		return c.isProduct(x.X)
	case *ast.UnaryExpr:
		return c.isProduct(x.X)
	case *ast.BinaryExpr:
		return x.Op == token.MUL && c.isFloat(x)
	}
	return c.product[c.object(x)]
}

// object returns what x names, or takes an element of, or calls.
func (c *Check) object(x ast.Expr) types.Object {
	switch x := x.(type) {
	case *ast.Ident:
		if o := c.info.Defs[x]; o != nil {
			return o
		}
		return origin(c.info.Uses[x])
	case *ast.SelectorExpr:
		return origin(c.info.Uses[x.Sel])
	case *ast.ParenExpr:
		return c.object(x.X)
	case *ast.StarExpr:
		return c.object(x.X)
	case *ast.IndexExpr:
		return c.object(x.X)
	case *ast.SliceExpr:
		return c.object(x.X)
	case *ast.CallExpr:
		return c.object(x.Fun)
	}
	return nil
}

// origin returns the generic object behind an instantiated one.
func origin(o types.Object) types.Object {
	switch o := o.(type) {
	case *types.Var:
		return o.Origin()
	case *types.Func:
		return o.Origin()
	}
	return o
}

// isFloat reports whether x is a floating-point value. Every value of a type parameter
// of the package is one.
func (c *Check) isFloat(x ast.Expr) bool {
	typ := c.info.Types[x].Type
	if id, ok := x.(*ast.Ident); ok && typ == nil {
		if o := c.object(id); o != nil {
			typ = o.Type()
		}
	}
	if typ == nil {
		return false
	}
	if _, ok := typ.(*types.TypeParam); ok {
		return true
	}
	b, ok := typ.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsFloat != 0
}
