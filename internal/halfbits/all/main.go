// Command all narrows every float32 to bfloat16 and to float16, with the default
// instruction set, and compares with the definition in package halfbits. It takes a
// minute or two.
//
//	go run ./internal/halfbits/all
//	ADAHESSIAN_DISABLE=avx512 go run ./internal/halfbits/all
package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/adahessian-go/adahessian"
	"github.com/adahessian-go/adahessian/internal/halfbits"
)

func main() {
	start := time.Now()
	wrong := all[adahessian.BFloat16](halfbits.BFloat16) + all[adahessian.Float16](halfbits.Float16)
	fmt.Printf("%s: %d of 2 × 4,294,967,296 roundings are wrong, %.0f s\n", adahessian.ISA(), wrong, time.Since(start).Seconds())
	if wrong != 0 {
		os.Exit(1)
	}
}

// all returns how many roundings to a format are wrong.
func all[F adahessian.HalfFormat](f halfbits.Format) int64 {
	var (
		part  atomic.Uint64
		wrong atomic.Int64
		group sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		group.Add(1)
		go func() {
			defer group.Done()
			const size = 1 << 16
			r := halfbits.NewRounder(f)
			x, h := make([]float32, size), make([]F, size)
			for {
				from := part.Add(size) - size
				if from > math.MaxUint32 {
					return
				}
				for i := range x {
					x[i] = math.Float32frombits(uint32(from) + uint32(i))
				}
				adahessian.Narrow[F](h, x)
				for i, x := range x {
					if want := r.Round(x); uint16(h[i]) != want && wrong.Add(1) <= 10 {
						fmt.Printf("%s: %#08x (%g) becomes %#04x, want %#04x\n", f.Name, math.Float32bits(x), x, h[i], want)
					}
				}
			}
		}()
	}
	group.Wait()
	return wrong.Load()
}
