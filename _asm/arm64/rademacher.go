package arm64

// batch is the number of blocks of Philox that are made together: two times four, so
// that their multiplications hide each other's latency. They are 1,024 signs.
const (
	batch      = 8
	batchBytes = batch * 16
	batchSigns = batchBytes * 8
)

// Philox4x32-10: the multipliers and the Weyl increments of the key.
const (
	mul0, mul1   = 0xD2511F53, 0xCD9E8D57
	weyl0, weyl1 = 0x9E3779B9, 0xBB67AE85
	rounds       = 10
)

// philox holds four blocks: c[i] has word i of each.
type philox struct {
	k *kernel
	c []vec
	t []vec // three scratch vectors
}

// round makes a round with the key k0, k1. Word 0 of the state and its product change
// places with the others, so no register is copied.
func (p *philox) round(m0, m1, k0, k1 vec) {
	k := p.k
	product := func(high, x, m vec) { // x becomes the low words of x·m
		k.word("umull2 %s, %s, %s", high.gnu("2d"), x.gnu("4s"), m.gnu("4s"))
		k.word("umull %s, %s, %s", p.t[2].gnu("2d"), x.gnu("2s"), m.gnu("2s"))
		k.ins("VUZP1 %s, %s, %s", high.as("S4"), p.t[2].as("S4"), x.as("S4"))
		k.ins("VUZP2 %s, %s, %s", high.as("S4"), p.t[2].as("S4"), high.as("S4"))
	}
	product(p.t[0], p.c[0], m0)
	product(p.t[1], p.c[2], m1)
	k.xor(p.c[1], p.c[1], k0)
	k.xor(p.c[1], p.c[1], p.t[1])
	k.xor(p.c[3], p.c[3], k1)
	k.xor(p.c[3], p.c[3], p.t[0])
	p.c = []vec{p.c[1], p.c[2], p.c[3], p.c[0]}
}

// fillBatch makes a batch of blocks, from block on, at the frame's start, and moves
// block on.
func (k *kernel) fillBatch(block gp) {
	words := floats{k, "4s", "S4"}
	broadcast := func(x gp, low, high vec) { // the words of x, in each lane
		k.scope(func() {
			t := k.gp()
			k.ins("LSR $32, %v, %v", x, t)
			k.ins("VDUP %v, %s", x, low.as("S4"))
			k.ins("VDUP %v, %s", t, high.as("S4"))
		})
	}
	k.scope(func() {
		var groups []*philox
		for range batch / 4 {
			// The rounds rotate the words; in the end they are in order.
			v := k.neighbours(4)
			p := &philox{k: k}
			for i := range v {
				p.c = append(p.c, v[(i+rounds)%4])
			}
			groups = append(groups, p)
		}
		draw, number := k.arg("draw"), k.gp()
		for i, p := range groups {
			k.scope(func() {
				pairs := k.some(2) // of block numbers, which have 64 bits
				for lane := range 4 {
					k.ins("ADD $%d, %v, %v", 4*i+lane, block, number)
					k.ins("VMOV %v, %s[%d]", number, pairs[lane/2].as("D"), lane%2)
				}
				k.ins("VUZP1 %s, %s, %s", pairs[1].as("S4"), pairs[0].as("S4"), p.c[0].as("S4"))
				k.ins("VUZP2 %s, %s, %s", pairs[1].as("S4"), pairs[0].as("S4"), p.c[1].as("S4"))
			})
			broadcast(draw, p.c[2], p.c[3])
		}
		k.ins("ADD $%d, %v", batch, block)
		k0, k1 := k.vec(), k.vec()
		broadcast(k.arg("seed"), k0, k1)
		m0, m1, w0, w1 := words.fill(mul0), words.fill(mul1), words.fill(weyl0), words.fill(weyl1)
		for _, p := range groups {
			p.t = k.some(3)
		}
		for range rounds {
			for _, p := range groups {
				p.round(m0, m1, k0, k1)
			}
			words.addInt(k0, k0, w0)
			words.addInt(k1, k1, w1)
		}
		dst := k.local(0)
		for _, p := range groups {
			c := p.c // interleaved: each block, its words in order
			k.ins("VST4.P [%s, %s, %s, %s], 64(%v)", c[0].as("S4"), c[1].as("S4"), c[2].as("S4"), c[3].as("S4"), dst)
		}
	})
}

// neighbours returns n registers that follow each other.
func (k *kernel) neighbours(n int) []vec {
	for i := 0; i+n <= len(k.vecs); i++ {
		if run := k.vecs[i : i+n]; run[n-1] == run[0]+n-1 {
			v := make([]vec, n)
			for j := range v {
				v[j] = vec(run[j])
			}
			k.vecs = append(append(registers{}, k.vecs[:i]...), k.vecs[i+n:]...)
			return v
		}
	}
	panic("no neighbouring registers are free")
}

// signs turns bits into signs, a unit at a time: eight vectors, each with a mask that
// has the bit of each of its lanes.
type signs struct {
	k           *kernel
	masks       []vec
	plus, minus vec
}

// unit is the number of signs in a unit.
func (k *kernel) unit() int { return 8 * k.lanes() }

func (k *kernel) newSigns() *signs {
	s := &signs{k: k, masks: k.some(8), plus: k.fill(k.bits(1)), minus: k.fill(k.bits(-1))}
	var words []uint64
	for i := 0; i < k.unit(); i += 8 / k.elem {
		if k.elem == 4 {
			words = append(words, 1<<(i+1)<<32|1<<i)
		} else {
			words = append(words, 1<<i)
		}
	}
	k.scope(func() {
		k.load(s.masks, k.table(map[int]string{4: "signMasks32", 8: "signMasks64"}[k.elem], words...), wholeVector)
	})
	return s
}

// next stores at z the signs of the unit of bits at from, and moves both on. Each lane
// sees all the unit's bits, and its mask leaves it one.
func (s *signs) next(z, from gp) {
	k := s.k
	k.scope(func() {
		bits, t := k.vec(), k.some(8)
		k.ins("VLD1R.P %d(%v), [%s]", k.unit()/8, from, bits.as(map[int]string{4: "S4", 8: "H8"}[k.elem]))
		for i, t := range t {
			k.ins("VCMTST %s, %s, %s", s.masks[i].as(k.goa), bits.as(k.goa), t.as(k.goa))
			k.choose(t, s.minus, s.plus)
		}
		k.store(t, z, wholeVector)
	})
}

// rademacher makes a batch of blocks at a time in the frame and turns its bits into
// signs. If only a part of a unit is wanted, at the beginning or the end, the unit is
// made in the frame and copied from there.
func (k *kernel) rademacher() {
	unit := k.unit()
	k.begin("rademacher", batchBytes+unit*k.elem)
	z, n, block := k.arg("z"), k.arg("n"), k.arg("offset")
	s := k.newSigns()
	skip, from, units := k.gp(), k.gp(), k.gp() // skip: bits of the first block, then of a unit
	k.ins("AND $127, %v, %v", block, skip)
	k.ins("LSR $7, %v", block)

	k.at("batch")
	k.ins("CBZ %v, done", n)
	k.fillBatch(block)
	k.scope(func() {
		whole, start := k.gp(), k.local(0)
		k.ins("LSR $%d, %v, %v", log2(unit), skip, whole) // units
		k.ins("ADD %v<<%d, %v, %v", whole, log2(unit/8), start, from)
		k.ins("MOVD $%d, %v", batchSigns/unit, units)
		k.ins("SUB %v, %v", whole, units)
		k.ins("AND $%d, %v", unit-1, skip)
	})
	k.at("unit")
	k.ins("CBNZ %v, part", skip)
	k.ins("CMP $%d, %v", unit, n)
	k.ins("BLT part")
	k.at("whole")
	s.next(z, from)
	k.ins("SUB $%d, %v", unit, n)
	k.ins("SUBS $1, %v", units)
	k.ins("BEQ batch")
	k.ins("CMP $%d, %v", unit, n)
	k.ins("BGE whole")
	k.ins("CBZ %v, done", n)

	k.at("part") // from sign skip of the unit on
	k.scope(func() {
		buffer, count := k.local(batchBytes), k.gp()
		s.next(buffer, from)
		k.ins("SUB $%d, %v", unit*k.elem, buffer)
		k.ins("ADD %v<<%d, %v", skip, log2(k.elem), buffer)
		k.ins("MOVD $%d, %v", unit, count)
		k.ins("SUB %v, %v", skip, count)
		k.ins("CMP %v, %v", n, count)
		k.ins("CSEL LT, %v, %v, %v", count, n, count)
		k.ins("SUB %v, %v", count, n)
		k.at("copy")
		x := k.vec()
		k.next([]vec{x}, buffer, k.elem)
		k.store([]vec{x}, z, k.elem)
		k.ins("SUBS $1, %v", count)
		k.ins("BNE copy")
	})
	k.ins("MOVD ZR, %v", skip)
	k.ins("SUBS $1, %v", units)
	k.ins("BEQ batch")
	k.ins("CBNZ %v, unit", n)
	k.at("done")
	k.ret()
}
