package adahessian

// A plan divides the tensors into what one goroutine takes at a time. It is made
// with the optimizer and then only read. No result depends on how a tensor is
// divided.
type plan[T Float] struct {
	chunks   []chunk[T] // of the phases that go through a probe
	tasks    []task[T]  // of the phases that go through a step
	elements int        // of all tensors
	stream   bool       // the probe is written past the caches
	averaged []int      // tensors with room for what an inspection leaves
	buckets  []bucket[T]
}

const (
	taskLen    = 16 << 10      // elements of a task, about: no more, or all wait for the last
	columnsLen = 64 << 10      // and of one of several columns, since short rows cost time in memory
	workerLen  = 32 << 10      // elements for which another goroutine is worth its start
	signsLen   = 8 * workerLen // and of a phase that only draws signs
)

// Tensors that share a bucket, and so a tensorList, are one call of a kernel.
const _ = uint(maxCall - taskLen)

// chunk is a range of a bucket's elements: all of a bucket of several tensors.
type chunk[T Float] struct {
	bucket[T]
	lo, hi int
}

// task is a tile of a tensor, those of several small tensors, or a list of small
// tensors, which has no tiles.
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

// A tensorList is tensors of a bucket, all of one group and without blocks of
// several elements. They may be hundreds, and so small that what is done for each
// counts more than what is done for its elements.
type tensorList[T Float] struct {
	first, last, group int
	hz, m, v, d        []T // theirs of the bucket's
}

// elementsOf returns the elements of all buckets together.
func elementsOf[T Float](buckets []bucket[T]) (n int) {
	for i := range buckets {
		n += len(buckets[i].m)
	}
	return n
}

// workersFor returns how many of at most so many goroutines are worth while.
func workersFor(elements, most int) int { return min(most, max(1, elements/workerLen)) }

// makePlan divides the tensors, which lie in the given buckets, for so many
// goroutines.
func makePlan[T Float](tensors []tensor[T], buckets []bucket[T], workers int) plan[T] {
	p := plan[T]{elements: elementsOf(buckets), buckets: buckets}
	p.stream = streams[T](p.elements)
	columns := scratchLen
	if workers > 1 {
		columns /= 2 // one slice of so many is then work for two
	}
	for i := range tensors {
		if tensors[i].next != nil {
			p.averaged = append(p.averaged, i)
		}
	}
	for _, b := range buckets {
		if b.first < b.last {
			p.chunks = append(p.chunks, chunk[T]{b, 0, len(b.m)})
			p.tasks = appendShared(p.tasks, tensors, b, columns)
			continue
		}
		for lo := 0; lo < len(b.m); lo += taskLen {
			p.chunks = append(p.chunks, chunk[T]{b, lo, min(lo+taskLen, len(b.m))})
		}
		for _, tl := range tilesOf(tensors, b.first, columns) {
			p.tasks = append(p.tasks, task[T]{tiles: []tile{tl}})
		}
	}
	return p
}

// appendShared appends the tasks of a bucket of several tensors: lists, and tiles
// of the tensors that have blocks of several elements.
func appendShared[T Float](tasks []task[T], tensors []tensor[T], b bucket[T], columns int) []task[T] {
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
				k.tiles = append(k.tiles, tilesOf(tensors, i, columns)...)
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

// tilesOf divides a tensor, of columns not fewer than the given number together.
func tilesOf[T Float](tensors []tensor[T], tensor, columns int) (tiles []tile) {
	p := tensors[tensor].layout.panel()
	limit := taskLen
	if !p.contiguous() {
		limit = columnsLen
	}
	outer, width := p.tileSize(limit, columns)
	for at := 0; at < p.outer; at += outer {
		for col := 0; col < p.width; col += width {
			q, e, b := p.tile(at, col, outer, width)
			tiles = append(tiles, tile{tensor, q, e, b})
		}
	}
	return tiles
}
