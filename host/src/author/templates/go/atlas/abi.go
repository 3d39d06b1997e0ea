// How the contract lies in memory: the canonical ABI of components, for the types of this contract alone.
// Contract: 0f4faee459ac28b0

package atlas

import (
	"encoding/binary"
	"runtime"
	"strings"
	"time"
	"unsafe"
)

// Sizes in bytes of the contract's types in memory, as the canonical ABI of
// components lays them out.
const (
	textSize    = 8
	optionSize  = 12
	pairSize    = 16
	itemSize    = 24
	problemSize = 32
	verdictSize = 12
	changeSize  = 32
	outcomeSize = 44
)

// chunkSize is how much memory is taken for what the host writes at a time.
const chunkSize = 64 << 10

// incoming is memory that the host writes into, from the first realloc of a
// call on; its last chunk still has room. Chunks are never used twice: texts
// of the items lie in them, and live as long as the plugin holds them.
var incoming struct {
	chunks [][]byte
	used   uint32
}

// forget lets go of what the host wrote, once it has become Go's.
func forget() { incoming.chunks, incoming.used = nil, 0 }

// outgoing is what the host reads: memory laid out as it wants it, and the
// texts that this points to. It has to be held until the host has read it.
type outgoing struct {
	blocks []block
	texts  []string
}

// answered is the answer of the last call.
var answered struct {
	outgoing
	head [2]uint32
}

// realloc gives the host memory to write arguments and answers into.
//
// Go's runtime may read the clock, or collect garbage, in here. The host's
// build links clocks that are part of this very module, since no import of a
// component may be called while arguments are copied.
//
//go:wasmexport cabi_realloc
func realloc(old, oldSize, align, size uint32) uint32 {
	if size == 0 {
		return align
	}
	last := len(incoming.chunks) - 1
	at := (incoming.used + align - 1) &^ (align - 1)
	if last < 0 || at > uint32(len(incoming.chunks[last])) || size > uint32(len(incoming.chunks[last]))-at {
		incoming.chunks = append(incoming.chunks, make([]byte, max(size, chunkSize)))
		last, at = last+1, 0
	}
	incoming.used = at + size
	place := incoming.chunks[last][at : at+size]
	if old != 0 && oldSize != 0 {
		copy(place, stringAt(old, min(oldSize, size)))
	}
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(place))))
}

//go:wasmexport atlas:batch/operation@0.1.0#apply
func apply(items, count uint32) uint32 {
	defer tell()
	if Apply == nil {
		panic("atlas.Apply is not set")
	}
	outcomes := Apply(itemsAt(items, count))
	forget()
	list := answered.allocate(uint32(len(outcomes)) * outcomeSize)
	for i := range outcomes {
		answered.putOutcome(list, uint32(i)*outcomeSize, &outcomes[i])
	}
	return answer(list, len(outcomes))
}

//go:wasmexport cabi_post_atlas:batch/operation@0.1.0#apply
func applied(uint32) { answered.outgoing = outgoing{} }

//go:wasmexport atlas:batch/validator@0.1.0#validate
func validate(items, count uint32) uint32 {
	defer tell()
	if Validate == nil {
		panic("atlas.Validate is not set")
	}
	verdicts := Validate(itemsAt(items, count))
	forget()
	list := answered.allocate(uint32(len(verdicts)) * verdictSize)
	for i := range verdicts {
		answered.putVerdict(list, uint32(i)*verdictSize, &verdicts[i])
	}
	return answer(list, len(verdicts))
}

//go:wasmexport cabi_post_atlas:batch/validator@0.1.0#validate
func validated(uint32) { answered.outgoing = outgoing{} }

func answer(list block, count int) uint32 {
	answered.head = [2]uint32{list.address(), uint32(count)}
	return uint32(uintptr(unsafe.Pointer(&answered.head)))
}

// tell writes a panic to the host's log before it ends the call: what Go
// prints goes nowhere.
func tell() {
	cause := recover()
	if cause == nil {
		return
	}
	message := "panic"
	switch cause := cause.(type) {
	case error:
		message = "panic: " + cause.Error()
	case string:
		message = "panic: " + cause
	}
	Log(Error, message)
	stack := make([]byte, 4<<10)
	stack = stack[:runtime.Stack(stack, false)]
	for _, line := range strings.Split(strings.TrimSpace(string(stack)), "\n") {
		Log(Error, strings.ReplaceAll(line, "\t", "    "))
	}
	panic(cause)
}

func itemsAt(base, count uint32) []Item {
	items := make([]Item, count)
	for i := range items {
		at := base + uint32(i)*itemSize
		items[i] = Item{uint64(word(at)) | uint64(word(at+4))<<32, text(at + 8), text(at + 16)}
	}
	return items
}

// word is the number at an address in memory.
func word(at uint32) uint32 { return *(*uint32)(pointer(at)) }

// text is the string whose address and length are at an address.
func text(at uint32) string { return stringAt(word(at), word(at+4)) }

func stringAt(at, length uint32) string {
	if length == 0 {
		return ""
	}
	return unsafe.String((*byte)(pointer(at)), length)
}

// pointer is where an address of the host leads: into memory from realloc,
// which is held, and never moves.
func pointer(at uint32) unsafe.Pointer {
	address := uintptr(at)
	return *(*unsafe.Pointer)(unsafe.Pointer(&address))
}

// address is where a text lies; it has to be kept in place.
func address(text string) uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.StringData(text)))) }

// block is memory that the host reads.
type block []byte

func (b block) address() uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

func (b block) putWord(at, value uint32) { binary.LittleEndian.PutUint32(b[at:], value) }

func (o *outgoing) allocate(size uint32) block {
	b := block(make([]byte, size))
	o.blocks = append(o.blocks, b)
	return b
}

// list allocates a list and puts where it is.
func (o *outgoing) list(b block, at, count, size uint32) block {
	if count == 0 {
		return nil
	}
	list := o.allocate(count * size)
	b.putWord(at, list.address())
	b.putWord(at+4, count)
	return list
}

func (o *outgoing) putText(b block, at uint32, value string) {
	if value == "" {
		return
	}
	o.texts = append(o.texts, value)
	b.putWord(at, address(value))
	b.putWord(at+4, uint32(len(value)))
}

func (o *outgoing) putProblem(b block, at uint32, problem *Problem) {
	o.putText(b, at, problem.Code)
	o.putText(b, at+8, problem.Message)
	o.putText(b, at+16, problem.Pointer)
	list := o.list(b, at+24, uint32(len(problem.Details)), pairSize)
	for i, detail := range problem.Details {
		o.putText(list, uint32(i)*pairSize, detail.Name)
		o.putText(list, uint32(i)*pairSize+8, detail.Value)
	}
}

func (o *outgoing) putVerdict(b block, at uint32, verdict *Verdict) {
	if !verdict.refused {
		return
	}
	b[at] = 1
	list := o.list(b, at+4, uint32(len(verdict.problems)), problemSize)
	for i := range verdict.problems {
		o.putProblem(list, uint32(i)*problemSize, &verdict.problems[i])
	}
}

func (o *outgoing) putOutcome(b block, at uint32, outcome *Outcome) {
	b[at] = outcome.tag
	switch outcome.tag {
	case outcomeReplace:
		o.putText(b, at+4, outcome.body)
	case outcomeEmit:
		list := o.list(b, at+4, uint32(len(outcome.changes)), changeSize)
		for i := range outcome.changes {
			o.putChange(list, uint32(i)*changeSize, &outcome.changes[i])
		}
	case outcomeReject:
		o.putProblem(b, at+4, &outcome.problem)
	case outcomeRetry:
		o.putProblem(b, at+4, &outcome.problem)
		if outcome.delay > 0 {
			b[at+36] = 1
			b.putWord(at+40, uint32(min(outcome.delay/time.Millisecond, 1<<32-1)))
		}
	}
}

func (o *outgoing) putChange(b block, at uint32, change *Change) {
	if change.collection != "" {
		b[at+4] = 1
		o.putText(b, at+8, change.collection)
	}
	o.putText(b, at+16, change.id)
	if change.deletes {
		b[at] = 1
	} else {
		o.putText(b, at+24, change.body)
	}
}
