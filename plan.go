package adahessian

import "unsafe"

// A plan divides the tensors into pieces of work, each for one goroutine. It is made
// with the optimizer and then only read. No result depends on how a tensor is divided.
type plan[T Float] struct {
	chunks   []chunk[T] // for the phases that go through a probe
	tasks    []task[T]  // for the phases that go through a step
	elements int        // of all tensors
	stream   bool       // the probe is written past the caches
	far      bool       // a phase finds in memory what the phase before has read
	averaged []int      // tensors with room for the curvature that an inspection leaves
	buckets  []bucket[T]
	columns  int // the most that a tile of strided blocks has, or scratchLen
}

const (
	taskLen    = 16 << 10  // elements of a task, about; with larger tasks, all goroutines wait for the last one
	columnsLen = 64 << 10  // the same for tasks of several columns: larger, since short rows are slow in memory
	signsLen   = 256 << 10 // elements that justify another goroutine in a phase that only draws signs
	longTasks  = 8         // tasks for each of several workers in a tensor with long rows; such tasks are longer
)

// workerLen is the number of elements that justify another goroutine. With fewer, the step
// is over before that goroutine starts. The tests have a smaller number.
var workerLen = 128 << 10

// Tensors that share a bucket, and so a tensorList, fit in one call of a kernel.
const _ = uint(maxCall - taskLen)

// chunk is a range of a bucket's elements. For a bucket of several tensors it is all of
// them.
type chunk[T Float] struct {
	bucket[T]
	lo, hi int
}

// task is a tile of a tensor, the tiles of several small tensors, or a list of small
// tensors without tiles.
type task[T Float] struct {
	tiles []tile
	tensorList[T]
}

// tile is a panel of a tensor.
type tile struct {
	tensor         int
	panel          panel
	element, block int // where the panel starts in the tensor, and its blocks in v
}

// A tensorList is a range of a bucket's tensors, all of one group and without blocks of
// several elements. There may be hundreds of such tensors, so small that the overhead
// for each costs more than the work on its elements.
type tensorList[T Float] struct {
	first, last, group int
	hz, m, v, d        []T // their parts of the bucket's arrays
}

// elementsOf returns the number of elements of all buckets together.
func elementsOf[T Float](buckets []bucket[T]) (n int) {
	for i := range buckets {
		n += len(buckets[i].m)
	}
	return n
}

// workersFor returns how many goroutines are worth starting, up to most.
func workersFor(elements, most int) int { return min(most, max(1, elements/workerLen)) }

// makePlan divides the tensors, which lie in the given buckets, for the given number of
// goroutines.
func makePlan[T Float](tensors []tensor[T], buckets []bucket[T], workers int) plan[T] {
	p := plan[T]{elements: elementsOf(buckets), buckets: buckets, columns: scratchLen}
	p.stream, p.far = streams[T](p.elements), far[T](p.elements)
	for i := range tensors {
		if tensors[i].next != nil {
			p.averaged = append(p.averaged, i)
		}
	}
	for _, b := range buckets {
		if b.first < b.last {
			p.chunks = append(p.chunks, chunk[T]{b, 0, len(b.m)})
			p.tasks = appendShared(p.tasks, tensors, b, workers)
			continue
		}
		for lo := 0; lo < len(b.m); lo += taskLen {
			p.chunks = append(p.chunks, chunk[T]{b, lo, min(lo+taskLen, len(b.m))})
		}
		for _, tl := range tilesOf(tensors, b.first, workers) {
			p.tasks = append(p.tasks, task[T]{tiles: []tile{tl}})
			if !tl.panel.contiguous() {
				p.columns = max(p.columns, tl.panel.width)
			}
		}
	}
	return p
}

// appendShared appends the tasks of a bucket of several tensors: lists, and tiles
// of the tensors that have blocks of several elements.
func appendShared[T Float](tasks []task[T], tensors []tensor[T], b bucket[T], workers int) []task[T] {
	for i := b.first; i <= b.last; {
		var k task[T]
		first := &tensors[i]
		listed := first.layout.panel().block == 1
		if listed {
			k.tensorList = tensorList[T]{first: i, group: first.group}
		}
		elements, blocks := 0, 0
		for ; i <= b.last; i++ {
			t := &tensors[i]
			if lists := t.layout.panel().block == 1; lists != listed || listed && t.group != first.group {
				break
			}
			elements += len(t.value)
			blocks += t.layout.Blocks()
			if !listed {
				k.tiles = append(k.tiles, tilesOf(tensors, i, workers)...)
			}
		}
		hz, m, v := cut(&b.hz, elements), cut(&b.m, elements), cut(&b.v, blocks)
		var d []T
		if b.d != nil {
			d = cut(&b.d, blocks)
		}
		if listed {
			k.last = i - 1
			k.hz, k.m, k.v, k.d = hz, m, v, d
		}
		if elements > 0 {
			tasks = append(tasks, k)
		}
	}
	return tasks
}

// tilesOf divides a tensor into tiles for so many workers.
func tilesOf[T Float](tensors []tensor[T], tensor, workers int) (tiles []tile) {
	columns, share := scratchLen, 1
	if workers > 1 {
		columns /= 2 // a slice of scratchLen columns is then work for two
		share = longTasks * workers
	}
	p := tensors[tensor].layout.panel()
	limit := taskLen
	if !p.contiguous() {
		limit = columnsLen
	}
	outer, width := p.tileSize(limit, columns)
	if longSlices[T](p) {
		width = p.evenWidth(min(longBytes/int(unsafe.Sizeof(T(0))), max(columns, p.width/share)))
	}
	for at := 0; at < p.outer; at += outer {
		for col := 0; col < p.width; col += width {
			q, e, b := p.tile(at, col, outer, width)
			tiles = append(tiles, tile{tensor, q, e, b})
		}
	}
	return tiles
}
