package atlas

import (
	"errors"
	"math"
	"sync"
	"unsafe"
)

// Level is how much a line of the log matters.
type Level uint32

// The levels, least first.
const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
)

// Log writes one line to the host's log.
func Log(level Level, message string) {
	begin(message)
	defer done()
	logWrite(uint32(level), address(message), uint32(len(message)))
}

// Config is the value of one of the plugin's own settings.
func Config(key string) (value string, found bool) {
	ret := begin(key)
	defer done()
	configGet(address(key), uint32(len(key)), ret.address())
	return ret.text(4), ret.word(0)&0xff == 1
}

// Configs are all settings, sorted by key.
func Configs() []Pair {
	ret := begin()
	defer done()
	configGetAll(ret.address())
	base, length := ret.word(0), ret.word(4)
	pairs := make([]Pair, length)
	for i := range pairs {
		at := base + uint32(i)*pairSize
		pairs[i] = Pair{text(at), text(at + 8)}
	}
	return pairs
}

// Run is the run's identifier.
func Run() string {
	ret := begin()
	defer done()
	contextRun(ret.address())
	return ret.text(0)
}

// Batch is the number of the batch within the run. For log lines only.
func Batch() uint64 { return contextBatch() }

// Attempt says which attempt this is for every item of the call, from 1.
func Attempt() uint32 { return contextAttempt() }

// DeadlineMs is the time that this call may take, in milliseconds.
func DeadlineMs() uint64 { return contextDeadlineMs() }

// NowMs is the run's clock, in milliseconds since 1970. The clocks of package
// time stand still in a plugin.
func NowMs() uint64 { return contextNowMs() }

// Seed is a number to seed randomness with, the same for every attempt of the
// item with that ordinal.
func Seed(ordinal uint64) uint64 { return contextSeed(ordinal) }

// Why a read of the store gave no answer. Any other error is for logs.
var (
	ErrNotGranted       = errors.New("the collection is not granted to this plugin")
	ErrNoSuchCollection = errors.New("the store has no such collection")
	ErrNoSuchIndex      = errors.New("the collection has no such index")
	ErrOverLimit        = errors.New("a bound of the host was reached")
)

// Row is one stored row.
type Row struct{ ID, Body string }

// Key is what to look for in an index. The zero value is null.
type Key struct {
	tag     uint32
	payload uint64
	text    string
}

// Integer is a whole number as a key.
func Integer(number int64) Key { return Key{tag: 1, payload: uint64(number)} }

// Real is a number with a fraction as a key.
func Real(number float64) Key { return Key{tag: 2, payload: math.Float64bits(number)} }

// Text is a string as a key.
func Text(value string) Key { return Key{tag: 3, text: value} }

func (k Key) lower() (tag uint32, payload uint64, length uint32) {
	if k.tag == 3 {
		return k.tag, uint64(address(k.text)), uint32(len(k.text))
	}
	return k.tag, k.payload, 0
}

// Get is the body stored under the id. An empty collection is the run's own.
func Get(collection, id string) (body string, found bool, err error) {
	ret := begin(collection, id)
	defer done()
	some, at, length := option(collection)
	storeGet(some, at, length, address(id), uint32(len(id)), ret.address())
	if err = ret.failure(); err != nil {
		return "", false, err
	}
	return ret.text(8), ret.word(4)&0xff == 1, nil
}

// GetMany is as Get for many ids: one entry per id, nil where there is none.
func GetMany(collection string, ids []string) ([]*string, error) {
	ret := begin(append([]string{collection}, ids...)...)
	defer done()
	some, at, length := option(collection)
	list := calling.held.allocate(uint32(len(ids)) * textSize)
	for i, id := range ids {
		calling.held.putText(list, uint32(i)*textSize, id)
	}
	storeGetMany(some, at, length, list.address(), uint32(len(ids)), ret.address())
	if err := ret.failure(); err != nil {
		return nil, err
	}
	base, bodies := ret.word(4), make([]*string, ret.word(8))
	for i := range bodies {
		if at := base + uint32(i)*optionSize; word(at)&0xff == 1 {
			body := text(at + 4)
			bodies[i] = &body
		}
	}
	return bodies, nil
}

// Find are the rows whose value in a declared index equals the key, sorted by
// id: at most limit (1 to 1,000) whose id sorts after the given one; an empty
// one is before all.
func Find(collection, index string, key Key, after string, limit uint32) ([]Row, error) {
	ret := begin(collection, index, key.text, after)
	defer done()
	some, at, length := option(collection)
	tag, payload, keyLength := key.lower()
	someAfter, afterAt, afterLength := option(after)
	storeFind(some, at, length, address(index), uint32(len(index)), tag, payload, keyLength,
		someAfter, afterAt, afterLength, limit, ret.address())
	if err := ret.failure(); err != nil {
		return nil, err
	}
	base, rows := ret.word(4), make([]Row, ret.word(8))
	for i := range rows {
		at := base + uint32(i)*pairSize
		rows[i] = Row{text(at), text(at + 8)}
	}
	return rows, nil
}

// Count is the number of rows that Find would find, counted up to limit.
func Count(collection, index string, key Key, limit uint32) (uint32, error) {
	ret := begin(collection, index, key.text)
	defer done()
	some, at, length := option(collection)
	tag, payload, keyLength := key.lower()
	storeCount(some, at, length, address(index), uint32(len(index)), tag, payload, keyLength, limit, ret.address())
	if err := ret.failure(); err != nil {
		return 0, err
	}
	return ret.word(4), nil
}

// calling is what a call of the host needs in place until it ends. Only one
// goroutine calls it at a time.
var calling struct {
	sync.Mutex
	ret  area
	held outgoing
}

// begin holds on to the texts that are about to be lowered, and gives the
// place for the answer.
func begin(texts ...string) *area {
	calling.Lock()
	calling.held.texts = append(calling.held.texts, texts...)
	return &calling.ret
}

// done ends a call of the host. What it wrote is held by the answer alone.
func done() {
	forget()
	calling.held = outgoing{}
	calling.Unlock()
}

// area is where the host puts an answer of several words.
type area [4]uint32

func (a *area) address() uint32 { return uint32(uintptr(unsafe.Pointer(a))) }

func (a *area) word(at uint32) uint32 { return a[at/4] }

func (a *area) text(at uint32) string { return stringAt(a.word(at), a.word(at+4)) }

// failure is the error of a result whose cases begin at word 1.
func (a *area) failure() error {
	if a.word(0)&0xff == 0 {
		return nil
	}
	switch a.word(4) & 0xff {
	case 0:
		return ErrNotGranted
	case 1:
		return ErrNoSuchCollection
	case 2:
		return ErrNoSuchIndex
	case 3:
		return ErrOverLimit
	default:
		return errors.New(a.text(8))
	}
}

// option lowers a text of which the empty one stands for none.
func option(value string) (some, at, length uint32) {
	if value == "" {
		return 0, 0, 0
	}
	return 1, address(value), uint32(len(value))
}

//go:wasmimport atlas:batch/log@0.1.0 write
func logWrite(level, message, length uint32)

//go:wasmimport atlas:batch/config@0.1.0 get
func configGet(key, length, ret uint32)

//go:wasmimport atlas:batch/config@0.1.0 get-all
func configGetAll(ret uint32)

//go:wasmimport atlas:batch/context@0.1.0 run
func contextRun(ret uint32)

//go:wasmimport atlas:batch/context@0.1.0 batch
func contextBatch() uint64

//go:wasmimport atlas:batch/context@0.1.0 attempt
func contextAttempt() uint32

//go:wasmimport atlas:batch/context@0.1.0 deadline-ms
func contextDeadlineMs() uint64

//go:wasmimport atlas:batch/context@0.1.0 now-ms
func contextNowMs() uint64

//go:wasmimport atlas:batch/context@0.1.0 seed
func contextSeed(ordinal uint64) uint64

//go:wasmimport atlas:batch/store@0.1.0 get
func storeGet(some, collection, collectionLength, id, idLength, ret uint32)

//go:wasmimport atlas:batch/store@0.1.0 get-many
func storeGetMany(some, collection, collectionLength, ids, count, ret uint32)

//go:wasmimport atlas:batch/store@0.1.0 find
func storeFind(some, collection, collectionLength, index, indexLength, tag uint32, payload uint64, keyLength uint32,
	someAfter, after, afterLength, limit, ret uint32)

//go:wasmimport atlas:batch/store@0.1.0 count
func storeCount(some, collection, collectionLength, index, indexLength, tag uint32, payload uint64, keyLength uint32,
	limit, ret uint32)
