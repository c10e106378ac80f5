package main

// #cgo pkg-config: ompi-c
// #include <mpi.h>
// static MPI_Comm world(void) { return MPI_COMM_WORLD; }
// static MPI_Datatype f64(void) { return MPI_DOUBLE; }
// static MPI_Op sum(void) { return MPI_SUM; }
// static void return_errors(void) { MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN); }
import "C"

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"unsafe"
)

// A comm stands for the ranks of the job. Its methods must be called by one goroutine,
// on the thread that started MPI.
type comm struct {
	rank, size int
	sent       int64 // bytes that this rank has passed to Allreduce and Allgatherv
}

// start joins the job that mpirun has started. Without mpirun it is a job of one rank.
func start() (*comm, error) {
	runtime.LockOSThread()
	if err := check("Init", C.MPI_Init(nil, nil)); err != nil {
		return nil, err
	}
	C.return_errors()
	var rank, size C.int
	if err := check("Comm_rank", C.MPI_Comm_rank(C.world(), &rank)); err != nil {
		return nil, err
	}
	if err := check("Comm_size", C.MPI_Comm_size(C.world(), &size)); err != nil {
		return nil, err
	}
	return &comm{rank: int(rank), size: int(size)}, nil
}

func check(what string, code C.int) error {
	if code == C.MPI_SUCCESS {
		return nil
	}
	var text [C.MPI_MAX_ERROR_STRING]C.char
	var n C.int
	C.MPI_Error_string(code, &text[0], &n)
	return fmt.Errorf("MPI_%s: %s", what, C.GoStringN(&text[0], n))
}

// stop leaves the job when all ranks do.
func (c *comm) stop() error { return check("Finalize", C.MPI_Finalize()) }

// abort ends the job on every rank. Otherwise the others would wait forever for this
// one.
func (c *comm) abort(err error) {
	fmt.Fprintf(os.Stderr, "rank %d of %d: %v; the job ends. Start it again to go on from the last saved state.\n", c.rank, c.size, err)
	C.MPI_Abort(C.world(), 1)
	os.Exit(1)
}

// count returns the number of elements as a C int, which MPI takes. A larger model must
// be cut into several calls.
func count(what string, x []float64) (C.int, error) {
	if len(x) > math.MaxInt32 {
		return 0, fmt.Errorf("MPI_%s: %d elements in one call, want at most %d", what, len(x), math.MaxInt32)
	}
	return C.int(len(x)), nil
}

func pointer(x []float64) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(x)) }

// allreduce adds up x over the ranks. MPI chooses the order of the additions, so
// another number of ranks rounds differently.
func (c *comm) allreduce(x []float64) error {
	n, err := count("Allreduce", x)
	if err != nil {
		return err
	}
	c.sent += int64(8 * len(x))
	in := append([]float64(nil), x...)
	return check("Allreduce", C.MPI_Allreduce(pointer(in), pointer(x), n, C.f64(), C.sum(), C.world()))
}

// allgather fills all with every rank's part, in the order of the ranks. Rank r has
// the elements from starts[r] to starts[r+1].
func (c *comm) allgather(all, part []float64, starts []int) error {
	n, err := count("Allgatherv", part)
	if err != nil {
		return err
	}
	if _, err := count("Allgatherv", all); err != nil {
		return err
	}
	counts, displacements := make([]C.int, c.size), make([]C.int, c.size)
	for r := range counts {
		counts[r], displacements[r] = C.int(starts[r+1]-starts[r]), C.int(starts[r])
	}
	c.sent += int64(8 * len(part))
	return check("Allgatherv", C.MPI_Allgatherv(pointer(part), n, C.f64(),
		pointer(all), &counts[0], &displacements[0], C.f64(), C.world()))
}
